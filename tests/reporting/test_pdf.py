"""Pictures for print: one PDF for each, vectors with text that can be copied, no wider than two columns."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from segbench.host import load_catalogue
from segbench.ranking.boards import Request
from segbench.reporting.files import PRINTED, Site
from segbench.reporting.site import Built, build_site
from segbench.reporting.svg import PALETTE, drawing

from .sites import HOSTILE, Page, rows, scores_file

METHODS = ["plain", "better", HOSTILE, "$x$ é"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    source = scores_file(tmp_path_factory.mktemp("scores"), rows(METHODS, cases=20))
    return build_site(source, tmp_path_factory.mktemp("site"), Request(bootstrap=50), load_catalogue(), pdf=True)


@pytest.fixture(scope="module")
def documents(built) -> dict[str, bytes]:
    return {Path(name).stem: (built.index.parent / name).read_bytes() for name in built.files if name.endswith(".pdf")}


def width(document: bytes) -> float:
    """Width of the page in inches."""
    box = re.search(rb"/MediaBox \[ *([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) *\]", document)
    assert box is not None
    return (float(box[3]) - float(box[1])) / 72


def streams(document: bytes) -> bytes:
    """All streams of a document that are compressed, one after the other."""
    found = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", document, re.DOTALL)
    return b"\n".join(zlib.decompress(one) for one in found if one[:1] == b"x")


def drawn(documents: dict[str, bytes], what: str) -> list[str]:
    return [name for name in documents if name.endswith(f"-{what}")]


def test_every_picture_of_the_page_is_there(documents) -> None:
    for what in ("cd", "heat", "tests", "cases"):
        assert {name.split("-")[-2] for name in drawn(documents, what)} == {"dice", "hd95", "broken"}, what
    assert len(drawn(documents, "blob")) == 4, "one per metric, and the whole board"
    assert len(drawn(documents, "violation")) == 1
    assert len(drawn(documents, "effects")) == 1
    assert len(documents) == 4 * 3 + 4 + 1 + 1


def test_pdfs_are_vectors_with_embedded_fonts_and_letters_that_can_be_copied(documents) -> None:
    for name, document in documents.items():
        assert document.startswith(b"%PDF-") and document.rstrip().endswith(b"%%EOF"), name
        assert len(document) > 5000, name
        assert b"/CIDFontType2" in document and b"/FontFile2" in document and b"/Type3" not in document, name
        assert b"/Subtype /Image" not in document, name
        assert 1 < width(document) <= PRINTED, name
    (cases,) = [document for name, document in documents.items() if name.endswith("dice-cases")]
    assert b"<00e9>" in streams(cases).lower(), "the letter of a name maps to Unicode"


def test_a_page_links_the_pdf_beside_every_picture(built, documents) -> None:
    page = Page(built.index.read_text(encoding="utf-8"))
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    shown = {Path(link).stem for link in links if link.endswith(".pdf")}
    assert shown == {name for name in documents if not name.endswith("-cases")}, "the script draws the cases"


def test_nothing_is_printed_unasked(tmp_path) -> None:
    site = build_site(scores_file(tmp_path, rows(["a", "b"])), tmp_path / "s", Request(bootstrap=5), load_catalogue())
    assert not [name for name in site.files if name.endswith(".pdf")]
    assert ".pdf" not in site.index.read_text(encoding="utf-8")


def test_wide_pictures_are_fitted_and_name_their_methods(tmp_path) -> None:
    def picture() -> Figure:
        figure = Figure(figsize=(12, 3), layout="constrained")
        figure.add_subplot().plot([0, 1], [0, 1])
        return figure

    site = Site(tmp_path, pdf=True)
    with drawing():
        fitted = picture()
        assert str(site.draw(fitted, "fitted", "", ["a", "b"])).endswith('<a href="figures/fitted.pdf">PDF</a></p>')
        site.print(picture(), "own", fit=False)
        site.print(picture(), "again", legend=["a", "b"])
    (legend,) = fitted.legends
    assert [text.get_text() for text in legend.get_texts()] == ["1 a", "2 b"]
    assert [line.get_color() for line in legend.get_lines()] == list(PALETTE[:2])
    assert width((tmp_path / "figures/fitted.pdf").read_bytes()) <= PRINTED + 0.04
    assert width((tmp_path / "figures/own.pdf").read_bytes()) > 11
    assert (tmp_path / "figures/again.pdf").read_bytes() == (tmp_path / "figures/fitted.pdf").read_bytes()
