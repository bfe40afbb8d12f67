"""``segbench report``: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.results import write_table
from segbench.score_table import scores_table


@pytest.fixture
def scores(tmp_path) -> Path:
    generator = np.random.default_rng(0)
    found = [
        {
            "run_id": method,
            "dataset": "toy",
            "dataset_revision": "1",
            "network": "",
            "method": method,
            "arm": "method",
            "seed": 0,
            "fold": 0,
            "case_id": f"c{case}",
            "group": f"c{case}",
            "label": 1,
            "label_name": "left",
            "metric": metric,
            "metric_version": "1",
            "unit": "",
            "better": "higher",
            "value": float(generator.random()),
            "status": "ok",
            "source": "imported",
        }
        for method in ("a", "b", "c")
        for case in range(6)
        for metric in ("dice", "nsd")
    ]
    file = tmp_path / "scores.parquet"
    write_table(file, scores_table(found))
    return file


def test_prints_the_first_page(scores, tmp_path) -> None:
    out = tmp_path / "site"
    done = CliRunner().invoke(app, ["report", "--results", str(scores), "--out", str(out), "--bootstrap", "20"])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(out / "index.html")
    assert "toy@1" in (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("pdf", [[], ["--pdf"]])
def test_json_lists_every_file(scores, tmp_path, pdf) -> None:
    out = tmp_path / "site"
    arguments = ["--metric", "nsd", "--title", "Our paper", "--bootstrap", "0", "--json", *pdf]
    done = CliRunner().invoke(app, ["report", "--results", str(scores), "--out", str(out), *arguments])
    document = json.loads(done.stdout)
    written = {str(file) for file in out.rglob("*") if file.is_file()}
    assert set(document["files"]) == written
    assert document["index"] in written
    assert any(name.endswith(".pdf") for name in written) == bool(pdf)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<title>Our paper</title>" in page
    assert "dice" not in page.split("<body>")[1].split("<script>")[0], "only the metric asked for"


def test_says_what_is_wrong(scores, tmp_path) -> None:
    for arguments, code, words in (
        (["--results", str(tmp_path / "nowhere")], 3, "no results"),
        (["--results", str(scores), "--metric", "dise"], 2, "Did you mean 'dice'"),
        (["--results", str(scores), "--missing", "perhaps"], 2, "--missing"),
    ):
        done = CliRunner().invoke(app, ["report", "--out", str(tmp_path / "site"), *arguments])
        assert done.exit_code == code, done.output
        assert words in done.output
    assert not (tmp_path / "site").exists()
