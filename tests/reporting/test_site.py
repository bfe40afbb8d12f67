"""The site: its numbers are the leaderboard's, its texts are text, it needs nothing from elsewhere."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from segbench.errors import VerificationError
from segbench.host import Catalogue, load_catalogue
from segbench.ranking.boards import Request
from segbench.ranking.chunks import load_chunks
from segbench.ranking.grid import COLUMNS
from segbench.ranking.leaderboard import rank_scores
from segbench.reporting.pages import number
from segbench.reporting.site import Built, build_site
from segbench.reporting.svg import missing_glyphs
from segbench.reporting.values import packed, unpacked
from segbench.results import write_json, write_table
from segbench.score_table import scores_table
from segbench.showing.tables import board_sheet

from .sites import ATTRIBUTE, CLOSING, HOSTILE, Page, rows, scores_file

METHODS = ["plain", "better", HOSTILE, ATTRIBUTE, CLOSING, "$x$ & {{ 7*7 }}"]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return scores_file(tmp_path_factory.mktemp("scores"), rows(METHODS, labels=(CLOSING, "right & left")))


@pytest.fixture(scope="module")
def built(source, catalogue, tmp_path_factory) -> Built:
    return build_site(source, tmp_path_factory.mktemp("site"), Request(bootstrap=100), catalogue, HOSTILE)


@pytest.fixture(scope="module")
def page(built) -> Page:
    return Page(built.index.read_text(encoding="utf-8"))


def data_of(built: Built, metric: str) -> dict:
    page = Page(built.index.read_text(encoding="utf-8"))
    file = next(one["file"] for one in page.data["metrics"] if one["name"] == metric)
    text = (built.index.parent / file).read_text(encoding="utf-8")
    document = json.loads(re.fullmatch(r"segbench\.receive\(\d+, (.*)\);\n", text, re.DOTALL)[1])
    methods, cases = len(page.data["methods"]), len(page.data["cases"])
    status = {place: text for text, places in document["status"].items() for place in places}
    values = unpacked(document["values"]).reshape(-1, cases * methods).tolist()
    return document | {"values": values, "mean": unpacked(document["mean"]).tolist(), "status": status}


def test_the_board_is_the_leaderboard(page, source) -> None:
    board = rank_scores(load_chunks(source, COLUMNS), Request(bootstrap=100))
    sheet = board_sheet(board, board.boards[0])
    assert page.tables[0] == [sheet.header, *sheet.rows]


def test_structures_show_the_leaderboards_means(page, source) -> None:
    board = rank_scores(load_chunks(source, COLUMNS), Request()).boards[0]
    order = [entry.place.method for entry in board.entries]
    for task in board.tasks:
        means = {standing.method: f"{standing.summary.mean:.3f}" for standing in task.standings}
        lines = [line for table in page.tables[1:] for line in table if line and line[0] == task.measure.label]
        shown = [[cell.split()[0] for cell in line[1:]] for line in lines]
        assert [means[name] for name in order] in shown, task.measure


def test_hostile_names_are_text(page) -> None:
    """No element comes from data: every script is the page's own, nothing has a handler."""
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds == ["application/json", None]
    assert not [tag for tag, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert not [attributes for tag, attributes in page.tags if tag == "img"]
    assert {row[1] for row in page.tables[0][1:]} == set(METHODS)
    assert set(page.data["methods"]) == set(METHODS)


def test_data_cannot_end_their_script(built) -> None:
    for name in built.files:
        if name.startswith("data/"):
            assert "<" not in (built.index.parent / name).read_text(encoding="utf-8")
    assert data_of(built, "dice")["labels"] == [CLOSING, "right & left"]


def test_the_drill_down_holds_every_value_and_status(built, page) -> None:
    values = data_of(built, "dice")
    written = [row for row in rows(METHODS, labels=(CLOSING, "right & left")) if row["metric"] == "dice"]
    found = {(row["method"], row["case_id"], row["label_name"]): row for row in written}
    methods, cases = page.data["methods"], page.data["cases"]
    for (method, case, label), row in found.items():
        c, k, its = cases.index(case), methods.index(method), values["labels"].index(label)
        status = values["status"].get((its * len(cases) + c) * len(methods) + k, "ok")
        assert status == row["status"]
        expected = 0.0 if row["value"] is None else row["value"]  # a missed overlap counts 0
        assert values["values"][its][c * len(methods) + k] == pytest.approx(expected, abs=1e-4)
    mean = np.mean([values["values"][0], values["values"][1]], axis=0)
    assert values["mean"] == pytest.approx(mean, abs=1e-4)


def test_an_undefined_distance_is_no_value_with_its_status(built) -> None:
    values = data_of(built, "hd95")
    ((place, status),) = values["status"].items()
    assert status == "pred_empty"
    assert math.isnan(np.ravel(values["values"])[place])


def test_values_keep_sixteen_bits_infinities_and_gaps() -> None:
    generator = np.random.default_rng(1)
    values = generator.standard_normal(2000) * 10.0 ** generator.integers(-30, 30, 2000)
    assert unpacked(packed(values)) == pytest.approx(values, rel=2**-16, abs=0)
    odd = np.array([0.0, -0.0, 1.0, 300.0, math.inf, -math.inf, math.nan, 1e300, -1e300])
    expected = [0.0, 0.0, 1.0, 300.0, math.inf, -math.inf, math.nan, math.inf, -math.inf]
    np.testing.assert_array_equal(unpacked(packed(odd)), expected)
    assert unpacked(packed(np.empty((0, 3)))).size == 0


def test_infinity_is_shown_as_such_and_not_as_no_value(catalogue, tmp_path) -> None:
    found = rows(["a", "b"])
    for row in found:
        if (row["metric"], row["case_id"], row["label_name"], row["method"]) == ("hd95", "case_00", "left", "a"):
            row["value"] = float("inf")
    site = build_site(scores_file(tmp_path, found), tmp_path / "site", Request(bootstrap=10), catalogue, pdf=True)
    values, page = data_of(site, "hd95"), Page(site.index.read_text(encoding="utf-8"))
    k = page.data["methods"].index("a")
    assert values["values"][values["labels"].index("left")][k] == math.inf
    assert values["mean"][k] == math.inf
    assert math.isfinite(values["mean"][1 - k])
    lines = [line for table in page.tables for line in table if line and line[0] == "left"]
    assert any(line[1 + k] == "inf" for line in lines), "its mean over cases is infinite, not absent"
    assert [number(value) for value in (math.inf, -math.inf, math.nan)] == ["inf", "-inf", "–"]


def test_names_without_a_glyph_are_told_once(catalogue, tmp_path, recwarn) -> None:
    file = scores_file(tmp_path, rows(["漢字", "emoji 💥", "plain"]))
    site = build_site(file, tmp_path / "site", Request(bootstrap=10), catalogue, pdf=True)
    assert not [one for one in recwarn if "Glyph" in str(one.message)]
    assert [note for note in site.notes if "lacks 3 of the characters" in note] == [site.notes[-1]]
    assert "漢字" in site.index.read_text(encoding="utf-8")
    plain = build_site(scores_file(tmp_path, rows(["a", "b"])), tmp_path / "plain", Request(bootstrap=10), catalogue)
    assert not [note for note in plain.notes if "characters" in note]


def test_other_warnings_are_passed_on() -> None:
    notes: list[str] = []
    with pytest.warns(UserWarning, match="something else"), missing_glyphs(notes):
        warnings.warn("something else", stacklevel=1)
    assert notes == []


def test_every_seed_of_a_run_and_changed_parameters_of_metrics_are_named(catalogue, tmp_path) -> None:
    table = [row | {"seed": seed} for row in rows(["a", "b"]) for seed in (2, 0, 1)]
    table = [row | {"metric_version": "1 q=50.0" if row["metric"] == "hd95" else "1"} for row in table]
    for k, method in enumerate("ab"):
        folder = tmp_path / "results" / "toy" / method / f"run{k}"
        write_table(folder / "scores.parquet", scores_table([row for row in table if row["method"] == method]))
        write_json(folder / "run.json", {"run_id": f"run{k}", "source": "imported"})
    site = build_site(tmp_path / "results", tmp_path / "site", Request(bootstrap=10), catalogue)
    text = site.index.read_text(encoding="utf-8")
    runs = next(table for table in Page(text).tables if table[0][:2] == ["method", "run"])
    assert [row[2] for row in runs[1:]] == ["0, 1, 2", "0, 1, 2"]
    assert "other parameters than their defaults: hd95 (1 q=50.0)." in text


def test_nothing_is_loaded_from_elsewhere(built, page) -> None:
    text = built.index.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:https?:)?//[a-z0-9]""", re.sub(r"\s//.*", "", text), re.IGNORECASE)
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            address = attributes.get(name) or ""
            assert not address or address.startswith(("#", "data:,")) or (built.index.parent / address).is_file(), (
                f"{tag} {name}={address}"
            )
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)
    for one in page.data["metrics"]:
        assert (built.index.parent / one["file"]).is_file()


def test_every_picture_of_a_contest_is_there_and_ids_are_unique(built, page) -> None:
    text = built.index.read_text(encoding="utf-8")
    assert text.count('aria-label="Bootstrapped ranks"') == 3, "one per metric"
    corners = [table[0][0] for table in page.tables if table[0]]
    assert corners.count("rank within a case, % of cases") == 3, "one per metric"
    assert "row better than column" not in corners, "with eight cases no difference of six methods is significant"
    assert text.count("No difference can be significant, so no test is shown") == 3
    assert "Critical-difference diagram" not in text and "Friedman" not in text, "one rule for tests of all kinds"
    assert 'aria-label="Constraint violation"' in text
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_who_is_better_than_whom_is_a_table_that_can_be_read_aloud(catalogue, tmp_path) -> None:
    file = scores_file(tmp_path, rows(["worse", HOSTILE, "last"], cases=12))
    site = build_site(file, tmp_path / "site", Request(bootstrap=0), catalogue)
    tables = [table for table in Page(site.index.read_text(encoding="utf-8")).tables if table[0]]
    maps = [table for table in tables if table[0][0] == "row better than column"]
    assert len(maps) == 3
    assert maps[0][0][1:] == ["1", "2", "3"]
    assert [row[1:] for row in maps[0][1:]] == [["–", "●", "●"], ["", "–", "●"], ["", "", "–"]]


def test_too_few_cases_show_nothing_that_rests_on_a_test(catalogue, tmp_path) -> None:
    file = scores_file(tmp_path, rows(["a", "b", "c"], cases=5))
    text = build_site(file, tmp_path / "site", Request(bootstrap=20), catalogue).index.read_text(encoding="utf-8")
    assert text.count("Fewer than 6 cases: nothing is tested.") >= 3
    for absent in ("Friedman's test", "Critical-difference diagram", "row better than column"):
        assert absent not in text.split("</style>")[1]
    assert "Bootstrapped ranks" in text and "rank within a case" in text


def test_scores_alone_say_what_they_cannot_show(built) -> None:
    text = built.index.read_text(encoding="utf-8")
    for sentence in ("No training curves", "No cost", "No slices: these results are scores only"):
        assert sentence in text


def test_a_single_method_and_a_single_case_have_a_page(catalogue, tmp_path) -> None:
    for name, found in (("one", rows(["only"])), ("case", rows(["a", "b"], cases=1))):
        folder = tmp_path / name
        site = build_site(scores_file(folder, found), folder / "site", Request(bootstrap=10), catalogue)
        assert "at least two methods and two cases" in site.index.read_text(encoding="utf-8")


def test_several_datasets_have_a_page_each_and_a_first_page(catalogue, tmp_path) -> None:
    found = rows(["a", "b"]) + rows(["a", "b"], dataset="other <b>")
    site = build_site(scores_file(tmp_path, found), tmp_path / "site", Request(bootstrap=10), catalogue)
    first = Page(site.index.read_text(encoding="utf-8"))
    links = {
        attributes["href"] for tag, attributes in first.tags if tag == "a" and not attributes["href"].startswith("#")
    }
    assert len(links) == 2
    assert all((tmp_path / "site" / link).is_file() and re.fullmatch(r"[\w.-]+", link) for link in links)
    assert len(first.tables) == 3, "overall, and one per dataset"
    assert site.files[-1] == "index.html"
    for page in [site.index, *(tmp_path / "site" / link for link in links)]:
        assert page.read_text(encoding="utf-8").count('aria-label="Bootstrapped places"') == 1, page.name


def test_refuses_what_the_leaderboard_refuses(catalogue, tmp_path) -> None:
    found = rows(["a", "b"])
    file = scores_file(tmp_path, [row for row in found if (row["method"], row["case_id"]) != ("b", "case_00")])
    with pytest.raises(VerificationError, match="--cases common"):
        build_site(file, tmp_path / "site", Request(), catalogue)
    assert build_site(file, tmp_path / "site", Request(cases="common"), catalogue).index.is_file()


def test_builds_the_same_site_twice(built, source, catalogue, tmp_path) -> None:
    again = build_site(source, tmp_path, Request(bootstrap=100), catalogue, HOSTILE)
    assert again.files == built.files
    for name in again.files:
        assert (tmp_path / name).read_bytes() == (built.index.parent / name).read_bytes(), name


def test_works_without_torch(source, tmp_path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom segbench import load_catalogue\n"
        "from segbench.ranking.boards import Request\nfrom segbench.reporting.site import build_site\n"
        f"build_site(Path({str(source)!r}), Path({str(tmp_path)!r}), Request(bootstrap=10), load_catalogue())\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
