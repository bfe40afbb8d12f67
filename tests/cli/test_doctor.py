"""``segbench doctor metrics`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.files.images import write_label_map
from segbench.types import LabelMap

PLUGIN = """
from dataclasses import dataclass
from segbench import Metric, Peer, Score, hookimpl

@dataclass
class Wrong(Metric):
    name = "wrong"
    summary = "always one half"
    def score(self, predicted, truth, task):
        return [Score(one, 0.5) for one in task.structures]
    def peers(self):
        return [
            Peer("NumPy right", "numpy", lambda predicted, truth, spacing: 0.25),
            Peer("NumPy other", "numpy", lambda predicted, truth, spacing: 0.25, differs="halved [again]"),
            Peer("Nowhere at all", "no_such_module_anywhere", lambda predicted, truth, spacing: 0.25),
        ]

@hookimpl
def segbench_metrics():
    return [Wrong]
"""


def doctor(*arguments: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, ["doctor", "metrics", *arguments])
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.output
    return result


def test_prints_differences_per_definition() -> None:
    text = doctor("--metrics", "dice,hd95", "--sample", "6").stdout
    assert "dice" in text and "SciPy cdist" in text and "agrees" in text
    assert "weighted by area" in text or "Not installed" in text
    assert "all that must agree do" in text


def test_all_metrics_as_json() -> None:
    document = json.loads(doctor("--sample", "4", "--json").stdout)
    assert document["agree"] and document["pairs"] == 4
    metrics = {one["metric"] for one in document["comparisons"]}
    assert {"dice", "hd", "hd95", "hd95_pooled", "assd", "nsd", "nsd_surfel", "betti_1", "cldice"} <= metrics
    brute = [one for one in document["comparisons"] if one["peer"] == "SciPy cdist"]
    assert len(brute) > 6 and all(one["verdict"] == "agrees" and one["largest"] < 1e-9 for one in brute)


def test_a_difference_is_verification_failure(tmp_path: Path) -> None:
    plugin = tmp_path / "wrong_plugin.py"
    plugin.write_text(PLUGIN)
    arguments = ("--plugin", str(plugin), "--metrics", "wrong", "--sample", "3")
    text = doctor(*arguments, expect=5).stdout
    assert "DIFFERS" in text and "halved [again]" in text and "1 differ" in text
    assert "Not installed, so not compared: Nowhere." in text
    document = json.loads(doctor(*arguments, "--json", expect=5).stdout)
    verdicts = [one["verdict"] for one in document["comparisons"]]
    assert sorted(verdicts) == ["DIFFERS", "another definition", "not installed"]


def test_own_folders(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for case in range(3):
        for folder in ("p", "t"):
            array = random.integers(0, 3, (5, 6, 7)).astype(np.uint8)
            write_label_map(tmp_path / folder / f"c{case}.nii.gz", LabelMap(array, (2.0, 1.0, 1.0)))
    (tmp_path / "p" / "c2.nii.gz").write_bytes(b"broken")
    arguments = (str(tmp_path / "p"), str(tmp_path / "t"), "--metrics", "hd,specificity", "--json")
    document = json.loads(doctor(*arguments).stdout)
    assert document["pairs"] == 4 and document["agree"]
    assert json.loads(doctor(*arguments, "--sample", "3").stdout)["pairs"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--metrics", "dise"), 2, "Did you mean 'dice'"),
        (("--metrics", "medpy_dice"), 2, "No peer is known"),
        (("only_one",), 2, "or neither"),
        (("nowhere", "nothing"), 3, "Check the path"),
    ],
)
def test_wrong_requests(arguments: tuple[str, ...], code: int, words: str) -> None:
    assert words in doctor(*arguments, expect=code).output


def test_one_file_per_structure(tmp_path: Path) -> None:
    """Structures that overlap are compared each by itself; label maps on the other side are refused in words."""
    for folder, shift in (("t", 0), ("p", 1)):
        for case in ("a", "b"):
            for name, corner in (("liver", 2), ("tumour", 4)):
                array = np.zeros((12, 12, 12), dtype=np.uint8)
                array[corner + shift : corner + 5, 3:9, 3:9] = 1
                write_label_map(tmp_path / folder / case / f"{name}.nii.gz", LabelMap(array, (1.0, 1.0, 1.0)))
                write_label_map(tmp_path / "maps" / f"{case}.nii.gz", LabelMap(array, (1.0, 1.0, 1.0)))
    folders = (str(tmp_path / "p"), str(tmp_path / "t"))
    document = json.loads(doctor(*folders, "--metrics", "dice", "--json").stdout)
    assert document["agree"] and document["pairs"] == 4
    result = doctor(str(tmp_path / "maps"), folders[1], "--metrics", "dice", expect=2)
    assert "one file per structure on both" in " ".join(result.stderr.split())
