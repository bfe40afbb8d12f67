"""Decisions on what nnU-Net left: probabilities in ``.npz`` beside or instead of label maps, and label maps refined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import Incompatible
from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.files.images import write_label_map
from segbench.host import load_catalogue
from segbench.types import Choice, LabelMap

CATALOGUE = load_catalogue()
SHAPE, SPACING = (4, 6, 5), (2.0, 1.0, 1.5)
CASES = ("a", "b", "c")


def probabilities(case: str, classes: int = 3) -> np.ndarray:
    random = np.random.default_rng([classes, ord(case)])
    odds = random.uniform(0.05, 1, (classes, *SHAPE)) ** 2
    return (odds / odds.sum(0)).astype(np.float32)


def truth(case: str) -> np.ndarray:
    return np.random.default_rng(ord(case)).integers(0, 3, SHAPE).astype(np.uint8)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    write_label_map(path, LabelMap(array.astype(np.uint8), SPACING, affine))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """References; nnU-Net's predictions with probabilities; a poisoned pickle that nobody may open."""
    for case in CASES:
        save(tmp_path / "t" / f"{case}.nii.gz", truth(case))
        save(tmp_path / "p" / f"{case}.nii.gz", probabilities(case).argmax(0))
        np.savez_compressed(tmp_path / "p" / f"{case}.npz", probabilities=probabilities(case))
        (tmp_path / "p" / f"{case}.pkl").write_bytes(b"cos\nsystem\n(S'touch poisoned'\ntR.")
    (tmp_path / "t" / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "x": 1, "y": 2}, "channel_names": {"0": "T1"}})
    )
    return tmp_path


def scored(root: Path, *chain: Choice | str, **others: Any) -> EvaluationResult:
    decision = [Choice(one) if isinstance(one, str) else one for one in chain]
    given = {"name": "m", "dataset": "x", "metrics": ["dice"], "results": root / "r", "catalogue": CATALOGUE} | others
    return evaluate(root / "p", root / "t", decision=decision, **given)


def dice(predicted: np.ndarray, reference: np.ndarray, label: int) -> float:
    one, other = predicted == label, reference == label
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def values(result: EvaluationResult) -> dict[tuple[str, int], float]:
    return {(row["case_id"], row["label"]): row["value"] for row in result.table.to_pylist()}


def test_a_threshold_by_hand(root: Path) -> None:
    result = scored(root, Choice("threshold", {"value": 0.45}))
    expected = {}
    for case in CASES:
        given = probabilities(case)
        foreground = given[1:].argmax(0) + 1
        labels = np.where(given[1:].max(0) >= 0.45, foreground, 0)
        expected |= {(case, label): dice(labels, truth(case), label) for label in (1, 2)}
    assert values(result) == pytest.approx(expected)
    rows = result.table.to_pylist()
    assert {(row["decision"], row["variant"]) for row in rows} == {
        ("threshold(value=0.45)", "decision=threshold(value=0.45)")
    }
    assert "decided by threshold(value=0.45) from probabilities of 3 cases" in result.layout
    assert scored(root, Choice("threshold", {"value": 0.45})).reused
    assert scored(root, Choice("threshold", {"value": 0.6})).run_id != result.run_id
    assert not (root / "poisoned").exists() and not Path("poisoned").exists()


def test_the_default_is_the_label_map_and_no_variant(root: Path) -> None:
    plain = evaluate(
        root / "p", root / "t", name="m", dataset="x", metrics=["dice"], results=root / "r", catalogue=CATALOGUE
    )
    for path in (root / "p").glob("*.nii.gz"):
        path.unlink()
    alone = scored(root)
    assert values(alone) == values(plain)
    assert {(row["decision"], row["variant"]) for row in alone.table.to_pylist()} == {("", "")}


def test_label_maps_are_refined(root: Path) -> None:
    from scipy import ndimage

    for path in (root / "p").glob("*.npz"):
        path.unlink()
    result = scored(root, Choice("largest_component", {"connectivity": "full"}))
    expected = {}
    for case in CASES:
        labels = probabilities(case).argmax(0)
        kept = np.zeros_like(labels)
        for label in (1, 2):
            parts, _ = ndimage.label(labels == label, np.ones((3, 3, 3)))
            sizes = np.bincount(parts.ravel())[1:]
            kept[parts == sizes.argmax() + 1] = label
        expected |= {(case, label): dice(kept, truth(case), label) for label in (1, 2)}
    assert values(result) == pytest.approx(expected)
    with pytest.raises(Incompatible, match="label maps only"):
        scored(root, "rank_dice")


def test_values_that_are_no_class_stay_strange(root: Path) -> None:
    array = probabilities("a").argmax(0)
    array[0, 0, 0] = 77
    save(root / "p" / "a.nii.gz", array)
    result = scored(root, "fill_holes")
    assert any("unknown labels 77" in problem.what for problem in result.problems)


def test_refining_sees_what_will_be_ignored(root: Path) -> None:
    """A bridge of ignored voxels keeps two parts one component."""
    predicted, reference = np.zeros(SHAPE), np.zeros(SHAPE)
    predicted[0, 0, :] = reference[0, 0, :] = 1
    reference[0, 0, 2] = 9
    for case in CASES:
        save(root / "p" / f"{case}.nii.gz", predicted)
        save(root / "t" / f"{case}.nii.gz", reference)
    result = scored(root, "largest_component", ignore_label=9, labels={"x": 1})
    assert set(values(result).values()) == {1.0}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"probabilities": probabilities("a", 4)}, r"expected 3 classes \(background, x, y\), found an array \(4,"),
        ({"probabilities": probabilities("a").transpose(0, 3, 2, 1)}, "axes run backwards"),
        ({"probabilities": probabilities("a")[:, :3]}, r"expected \(4, 6, 5\) voxels"),
        ({"probabilities": probabilities("a") * 2}, "sum to 1"),
        ({"probabilities": probabilities("a")[:, ::-1, ::-1]}, "lie elsewhere"),
        ({"probabilities": np.full((3, *SHAPE), np.nan, np.float32)}, "no numbers"),
        ({"probabilities": np.array([{}], dtype=object)}, "never loaded"),
        ({"probabilities": np.zeros((3, *SHAPE), np.int16)}, "floating-point"),
        ({"other": probabilities("a")}, "holds none"),
    ],
)
def test_archives_that_cannot_be_decided(root: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(root / "p" / "a.npz", **arrays)  # type: ignore[arg-type]
    result = scored(root, "rank_dice")
    assert {row["case_id"] for row in result.table.to_pylist() if row["status"] == "failed"} == {"a"}
    import re

    assert any(re.search(words, problem.what) for problem in result.problems if problem.case == "a"), result.problems


@pytest.mark.parametrize("cut", [10, 200, -30])
def test_damaged_archives_fail_alone(root: Path, cut: int) -> None:
    content = (root / "p" / "b.npz").read_bytes()
    (root / "p" / "b.npz").write_bytes(content[:cut])
    result = scored(root, "rank_dice")
    assert {row["case_id"] for row in result.table.to_pylist() if row["status"] == "failed"} == {"b"}


def test_half_precision_and_fortran_order(root: Path) -> None:
    expected = values(scored(root, "threshold"))
    for case in CASES:
        kept = np.asfortranarray(probabilities(case).astype(np.float16))
        np.savez_compressed(root / "p" / f"{case}.npz", probabilities=kept)
    assert values(scored(root, "threshold")) == pytest.approx(expected, abs=0.05)


def test_regions_are_refused_in_words(root: Path) -> None:
    content = {"labels": {"background": 0, "whole": [1, 2], "y": 2}, "channel_names": {"0": "T1"}}
    (root / "t" / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(Incompatible, match=r"declares regions \(whole\)"):
        scored(root, "threshold")


def test_on_the_command_line(root: Path) -> None:
    command = ["evaluate", str(root / "p"), str(root / "t"), "--name", "m", "--dataset", "x", "--metrics", "dice"]
    command += ["--results", str(root / "r"), "--jobs", "2", "--json"]
    options = ["--decision", "threshold+fill_holes", "--set", "decision.threshold.value=0.3"]
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code == 0, done.output
    assert "decided by threshold(value=0.3)+fill_holes" in json.loads(done.stdout)["layout"]
    for wrong, words in (
        (["--decision", "fill_holes+rank_dice"], "must come first"),
        (["--decision", "nothing"], "nothing"),
        (["--set", "decision.threshold.value=0.3"], "of which decision"),
        (["--decision", "fill_holes", "--set", "decision.threshold.value=0.3"], "not in the chain"),
    ):
        done = CliRunner().invoke(app, [*command, *wrong])
        assert done.exit_code == 2 and words in done.output
