"""Worst cases of outside predictions in a headless Chromium: scrolled by keys, read aloud, opened from plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from segbench.errors import DataMissing
from segbench.evaluation.folders import evaluate
from segbench.files.images import write_image, write_label_map
from segbench.host import load_catalogue
from segbench.ranking.boards import Request
from segbench.reporting.site import Built, build_site
from segbench.types import LabelMap

from .chromium import Chromium, find_browser
from .sites import HOSTILE

GRID = (8, 24, 20)
SPACING = (3.0, 1.0, 1.0)
CASES = 7
STRUCTURES = {"tube": 1, HOSTILE: 2}
READY = "document.querySelectorAll('.viewed').length > 0 && document.querySelectorAll('#cases tbody tr').length > 1"


def label_map(case: int) -> np.ndarray:
    array = np.zeros(GRID, np.uint8)
    array[1:7, 4:14, 3:10] = 1
    array[2:5, 14:20, 5 + case % 3 : 14] = 2
    return array


def predicted(case: int, method: int) -> np.ndarray:
    return np.roll(label_map(case), (case + method) % 4, axis=1 + method % 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two evaluations of the same references, one of them with images."""
    root = tmp_path_factory.mktemp("outside")
    generator = np.random.default_rng(0)
    for case in range(CASES):
        write_label_map(root / "ref" / f"c{case}.nii.gz", LabelMap(label_map(case), SPACING))
        image = generator.random(GRID) + label_map(case)
        write_image(root / "img" / f"c{case}_0000.nii.gz", image.astype(np.float32), SPACING)
        for method in range(2):
            write_label_map(root / f"m{method}" / f"c{case}.nii.gz", LabelMap(predicted(case, method), SPACING))
    for method in range(2):
        evaluate(
            root / f"m{method}",
            root / "ref",
            name=f"m{method}",
            dataset="d",
            labels=STRUCTURES,
            metrics=["dice"],
            images=root / "img" if method else None,
            results=root / "results",
        )
    return root


def built(folder: Path, out: Path) -> Built:
    return build_site(folder / "results", out, Request(bootstrap=20), load_catalogue(), worst=2)


@pytest.fixture(scope="module")
def site(folder: Path) -> Built:
    return built(folder, folder / "site")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium is on PATH")
    with Chromium(browser) as opened:
        yield opened


@pytest.fixture
def page(chromium: Chromium, site: Built) -> Chromium:
    """The site, scrolled to its first worst case."""
    chromium.messages.clear()
    chromium.requests.clear()
    chromium.look(1200)
    chromium.open(site.index.as_uri(), "document.querySelectorAll('#cases tbody tr').length > 1")
    chromium.run("document.querySelector('#worst-1').scrollIntoView({ behavior: 'instant' })")
    chromium.wait(READY)
    return chromium


def where(page: Chromium) -> str:
    return str(page.run("document.querySelector('#worst-1 .where').textContent"))


def choose(page: Chromium, label: str, text: str) -> None:
    page.run(
        f"(() => {{ const label = [...document.querySelectorAll('#worst-1 label')].find((one) => "
        f"one.textContent.startsWith({json.dumps(label)})); const select = label.querySelector('select'); "
        f"select.selectedIndex = [...select.options].findIndex((one) => one.textContent === {json.dumps(text)}); "
        f"select.dispatchEvent(new Event('change')); }})()"
    )


def spoken(page: Chromium) -> list[str]:
    return list(
        page.run("[...document.querySelectorAll('#worst-1 canvas')].map((one) => one.getAttribute('aria-label'))")
    )


def worst(site: Built) -> str:
    text = site.index.read_text(encoding="utf-8")
    return text.split('id="worst-1"')[1].split("<strong>")[1].split("</strong>")[0]


def test_pixels_missed_and_added_are_those_of_the_label_maps(page: Chromium, site: Built) -> None:
    """The script unpacks, turns and compares what was scored: its counts are the files' own."""
    case = int(worst(site)[1:])
    index = int(where(page).split()[1])
    truth = label_map(case)[index]
    page.run("document.querySelector('#worst-1 .panels').focus()")
    own, *others = spoken(page)
    assert own.startswith(f"truth: {np.count_nonzero(truth)} pixels")
    for words in others:
        method = int(words.split("m")[1][0])
        other = predicted(case, method)[index]
        missed, added = (
            np.count_nonzero((truth > 0) & (other != truth)),
            np.count_nonzero((other > 0) & (other != truth)),
        )
        assert f"{missed} missed and {added} added pixels of {np.count_nonzero(truth)}," in words


def test_keys_go_from_slice_to_slice(page: Chromium) -> None:
    page.run("document.querySelector('#worst-1 .panels').focus()")
    for key, expected in (("Home", "(1 of"), ("ArrowRight", "(2 of"), ("ArrowUp", "(3 of"), ("ArrowLeft", "(2 of")):
        page.press(key)
        assert expected in where(page), key
    page.press("End")
    assert "(8 of 8)" in where(page)
    page.press("ArrowRight")
    assert "(8 of 8)" in where(page), "there is none after the last"
    assert page.run("document.querySelector('#worst-1 input[type=range]').getAttribute('aria-valuetext')") == where(
        page
    )


def test_a_projection_shows_what_any_slice_holds(page: Chromium, site: Built) -> None:
    page.run("document.querySelector('#worst-1 .panels').focus()")
    choose(page, "view", "maximum intensity from above")
    truth = label_map(int(worst(site)[1:])).max(axis=0)
    assert spoken(page)[0].startswith(f"truth: {np.count_nonzero(truth)} pixels")
    choose(page, "structure", "tube")
    assert spoken(page)[0].startswith(f"truth: {np.count_nonzero(label_map(0)[3] == 1)} pixels")
    choose(page, "show", "errors")
    assert page.messages == []


def test_a_screen_reader_is_told_what_everything_is(page: Chromium) -> None:
    said = page.spoken()
    assert ("slider", "slice") in said
    assert any(role == "group" and "arrow keys go from slice to slice" in name for role, name in said)
    assert {"view", "show", "structure"} <= {name for role, name in said if role == "combobox"}
    unnamed = [
        role for role, name in said if role in ("button", "link", "combobox", "slider", "image", "img") and not name
    ]
    assert unnamed == []


def test_the_strip_is_walked_by_keys_and_opens_a_case_that_leads_to_its_slices(page: Chromium, site: Built) -> None:
    page.run("document.querySelector('#strip').focus()")
    for key in ("ArrowRight", "ArrowDown"):  # the lowest case of the first method, then that of the second
        page.press(key)
        if worst(site) in page.run("document.querySelector('#tip').textContent"):
            break
    page.press("Enter")
    page.wait("document.querySelector('#case').open")
    assert page.run("document.querySelector('#case-title').textContent") == worst(site)
    page.run("document.querySelector('#case-picture a').click()")
    page.wait("!document.querySelector('#case').open && location.hash === '#worst-1'")
    page.click("#worst-1 [data-case]")
    page.wait("document.querySelector('#case').open")


def test_nothing_comes_from_elsewhere_and_nothing_foreign_runs(page: Chromium, site: Built) -> None:
    assert all(address.startswith(("file:", "data:", "blob:")) for address in page.requests)
    assert page.messages == []
    assert page.run(
        f"[...document.querySelectorAll('#worst-1 option')].some((one) => one.textContent === {json.dumps(HOSTILE)})"
    )
    for name in site.files:
        if name.startswith("data/"):
            assert "<" not in (site.index.parent / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [400, 1600])
def test_the_viewer_fits_the_window(page: Chromium, width: int) -> None:
    page.look(width, dark=width == 400)
    page.wait(f"innerWidth === {width}")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run("[...document.querySelectorAll('#worst-1 canvas')].every((one) => one.clientWidth > 100)")


def test_label_maps_alone_are_drawn_where_nobody_named_images(tmp_path: Path, folder: Path) -> None:
    case = "c0"
    run = evaluate(folder / "m0" / f"{case}.nii.gz", folder / "ref" / f"{case}.nii.gz", name="a", dataset="d",
                   labels=STRUCTURES, metrics=["dice"], results=tmp_path / "results")  # fmt: skip
    made = build_site(tmp_path / "results", tmp_path / "site", Request(bootstrap=0), load_catalogue())
    script = next((tmp_path / "site" / name).read_text() for name in made.files if "-case-0.js" in name)
    document = json.loads(script.split(", ", 1)[1].rsplit(")", 1)[0])
    assert run.complete
    assert document["image"] is None
    assert document["notes"][-1] == "label maps alone, without an image"


def test_files_that_changed_or_went_are_said_and_not_shown(tmp_path: Path, folder: Path) -> None:
    import shutil

    root = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("results", "site"))
    for method in range(2):
        arguments = {"name": f"m{method}", "dataset": "d", "labels": STRUCTURES, "metrics": ["dice"]}
        evaluate(root / f"m{method}", root / "ref", **arguments, results=root / "results")  # type: ignore[arg-type]
    shutil.rmtree(root / "m0")
    other = LabelMap(np.zeros(GRID, np.uint8), SPACING)
    for case in range(CASES):
        write_label_map(root / "m1" / f"c{case}.nii.gz", other)
    made = built(root, root / "site")
    assert any("m0" in note and "is gone" in note for note in made.notes)
    assert any("m1" in note and "its prediction has changed since it was scored" in note for note in made.notes)
    assert "No slices:" in made.index.read_text(encoding="utf-8")
    assert not [name for name in made.files if "-case-" in name]


def test_images_may_be_named_later_and_must_be_those_of_the_cases(tmp_path: Path, folder: Path) -> None:
    arguments = {"name": "m0", "dataset": "d", "labels": STRUCTURES, "metrics": ["dice"], "results": tmp_path / "r"}
    first = evaluate(folder / "m0", folder / "ref", **arguments)  # type: ignore[arg-type]
    again = evaluate(folder / "m0", folder / "ref", images=folder / "img", **arguments)  # type: ignore[arg-type]
    assert again.reused and again.run_id == first.run_id, "pictures are no part of what was scored"
    made = build_site(tmp_path / "r", tmp_path / "site", Request(bootstrap=0), load_catalogue(), worst=1)
    assert any(name.endswith("-slices.webp") or name.endswith("-slices.png") for name in made.files)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataMissing, match=r"--images .*expected images named as the cases"):
        evaluate(folder / "m0", folder / "ref", images=tmp_path / "none", **arguments)  # type: ignore[arg-type]
    with pytest.raises(DataMissing, match="--images: expected a folder"):
        evaluate(folder / "m0", folder / "ref", images=tmp_path / "nowhere", **arguments)  # type: ignore[arg-type]
