"""``segbench report`` of every source there is: a run, an evaluation, an import, a published board, a submission."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench import load_catalogue, write_label_map
from segbench.cli import app
from segbench.publishing.submissions import pack
from segbench.runner import run

from .sites import Page

PLUGIN = Path(__file__).parents[1] / "toy.py"
CATALOGUE = load_catalogue([PLUGIN])
toy: Any = sys.modules["segbench_file_toy"]

TABLE = "dataset,case,label,metric,better,method,seed,value,status\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one training, and the references of its test cases beside them."""
    root = tmp_path_factory.mktemp("sources")
    done = run(toy.configuration(), catalogue=CATALOGUE, results_root=root / "run")
    data = toy.Toy()
    data.prepare(root)
    for ref in data.refs():
        if (done.folder / "predictions" / f"{ref.id}.nii.gz").is_file():
            write_label_map(root / "references" / f"{ref.id}.nii.gz", data.load(ref).truth)
    return root


def segbench(*arguments: object) -> None:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output


def run_folder(results: Path) -> Path:
    return next(results.rglob("run.json")).parent


def predictions_of(root: Path) -> Path:
    return run_folder(root / "run") / "predictions"


def a_run(root: Path, out: Path) -> Path:
    return shutil.copytree(root / "run", out)


def an_evaluation(root: Path, out: Path) -> Path:
    asked = ["--name", "other", "--dataset", "toy", "--metrics", "dice", "--labels", "a=1,b=2"]
    segbench("evaluate", predictions_of(root), root / "references", *asked, "--results", out)
    return out


def an_import(root: Path, out: Path) -> Path:
    table = out.parent / "table.csv"
    values = np.random.default_rng(0).random((2, 3))
    lines = [f"paper,c{c},1,dice,higher,m{m},0,{values[m, c]:.3f},ok" for m in range(2) for c in range(3)]
    table.write_text(TABLE + "\n".join(lines) + "\n", encoding="utf-8")
    segbench("import", table, "--results", out)
    return out


def a_published_board(root: Path, out: Path) -> Path:
    segbench("leaderboard", "--results", root / "run", "--write", out)
    return out


def a_submission(root: Path, out: Path) -> Path:
    theirs = run_folder(an_evaluation(root, out.parent / "theirs"))
    file = pack(theirs, out.parent / "theirs.zip", predictions_of(root), enclose=True).path
    segbench("verify", file, "--references", root / "references", "--results", out)
    return out


def an_evaluation_like_a_run(root: Path, out: Path) -> Path:
    """The references, and the images, are those of the run's own dataset."""
    theirs = run_folder(root / "run")
    segbench(
        "evaluate", predictions_of(root), "--like", theirs, "--name", "other", "--results", out, "--plugin", PLUGIN
    )
    return out


SOURCES: dict[Callable[[Path, Path], Path], tuple[str, str]] = {
    a_run: ("toy", "slices"),
    an_evaluation: ("toy", "slices"),
    an_evaluation_like_a_run: ("toy", "slices"),
    an_import: ("paper", "No slices: these results are scores only"),
    a_published_board: ("toy", "No slices: these results are scores only"),
    a_submission: ("toy", "No slices: these results are scores only"),
}


def report(results: Path, out: Path) -> tuple[str, Page]:
    segbench("report", "--results", results, "--out", out, "--bootstrap", "20", "--plugin", PLUGIN)
    text = (out / "index.html").read_text(encoding="utf-8")
    return text, Page(text)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_every_source_has_a_report(source: Callable[[Path, Path], Path], trained: Path, tmp_path: Path) -> None:
    dataset, pictures = SOURCES[source]
    text, page = report(source(trained, tmp_path / "results"), tmp_path / "site")
    assert f">{dataset}@" in text
    assert page.data["cases"] and page.data["methods"]
    for one in page.data["metrics"]:
        assert (tmp_path / "site" / one["file"]).is_file()
    if pictures != "slices":
        assert pictures in text
        return
    assert page.data["pictures"]
    scripts = [attributes["data-src"] for _, attributes in page.tags if attributes.get("class") == "viewer scriptonly"]
    assert scripts and all((tmp_path / "site" / str(name)).is_file() for name in scripts)
    imaged = any(file.name.endswith(("-slices.webp", "-slices.png")) for file in (tmp_path / "site").rglob("*"))
    assert imaged == (source is not an_evaluation), "nobody named the images of these"


def test_sources_of_the_same_truths_stand_on_one_board(trained: Path, tmp_path: Path) -> None:
    """A run and an evaluation of its cases meet; an imported table of other data has a page of its own."""
    results = tmp_path / "results"
    a_run(trained, results)
    an_evaluation(trained, results)
    an_import(trained, results)
    segbench("report", "--results", results, "--out", tmp_path / "site", "--bootstrap", "20", "--plugin", PLUGIN)
    first = Page((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    links = [str(attributes["href"]) for tag, attributes in first.tags if tag == "a" and "class" not in attributes]
    pages = {name: Page((tmp_path / "site" / name).read_text(encoding="utf-8")) for name in links if "#" not in name}
    methods = sorted(sorted(page.data["methods"]) for page in pages.values())
    assert [len(found) for found in methods] == [2, 2]
    assert any("other" in " ".join(found) for found in methods)
