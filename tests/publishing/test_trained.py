"""A run that was trained here: what it scored with other parameters says so, and verifies as such."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from segbench import Choice, load_catalogue, write_label_map
from segbench.publishing.submissions import pack
from segbench.publishing.verification import verify
from segbench.results import read_scores
from segbench.runner import run

CATALOGUE = load_catalogue([Path(__file__).parents[1] / "toy.py"])
toy: Any = sys.modules["segbench_file_toy"]


def test_parameters_of_metrics_are_part_of_a_trained_runs_scores(tmp_path: Path) -> None:
    metrics = (Choice("dice"), Choice("nsd", {"tolerance": 3.0}))
    config = dataclasses.replace(toy.configuration(), metrics=metrics)
    folder = run(config, catalogue=CATALOGUE, results_root=tmp_path / "results").folder
    table = read_scores(folder)
    found = set(zip(table.column("metric").to_pylist(), table.column("metric_version").to_pylist(), strict=True))
    assert found == {("dice", "1"), ("nsd", "2 tolerance=3.0")}
    data, references = toy.Toy(), tmp_path / "references"
    references.mkdir()
    data.prepare(tmp_path)
    for ref in data.refs():
        if (folder / "predictions" / f"{ref.id}.nii.gz").is_file():
            write_label_map(references / f"{ref.id}.nii.gz", data.load(ref).truth)
    pack(folder, tmp_path / "run.zip", enclose=True)
    report = verify(tmp_path / "run.zip", references=references, catalogue=CATALOGUE)
    assert (report.state, report.differences) == ("re-scored", ())
    assert [note for note in report.notes if "tolerance = 3.0" in note]
