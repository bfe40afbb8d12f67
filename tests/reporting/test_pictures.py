"""Worst cases and how their slices hang, costs, curves, and the pictures' SVG, against values made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from segbench.errors import DataMissing
from segbench.reporting.competitors import Runs, costs
from segbench.reporting.evidence import MetricEvidence
from segbench.reporting.slices import Hanging, draw_case, worst_cases
from segbench.reporting.svg import INK, PALETTE, drawing, inline_svg, numbered, short
from segbench.reporting.training import curves
from segbench.types import Case, LabelMap


def evidence(per_case: Any, direction: int = 1) -> MetricEvidence:
    values = np.asarray(per_case, dtype=float)
    return MetricEvidence("dice", "", direction, ("left",), values[None], values, None)


@dataclass
class FakeRun:
    """What the report asks of a finished run."""

    folder: Path
    volumes: dict[str, Case] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    run_id: str = "fake"

    def case(self, case_id: str) -> Case:
        if case_id not in self.volumes:
            raise DataMissing(f"no case {case_id} any more")
        return self.volumes[case_id]

    def prediction(self, case_id: str) -> LabelMap:
        truth = self.volumes[case_id].truth
        assert truth is not None
        return LabelMap(np.roll(truth.array, 1, axis=2), truth.spacing)

    def history(self) -> list[dict[str, Any]]:
        return self.rows


def volume(affine: Any = None) -> Case:
    truth = np.zeros((4, 10, 12), dtype=np.int16)
    truth[1:3, 3:7, 3:8] = 1
    affine = np.diag([2.0, 1.0, 1.0, 1.0]) if affine is None else affine
    image = np.random.default_rng(0).random((1, 4, 10, 12)).astype(np.float32)
    return Case("c", image, (2.0, 1.0, 1.0), affine, LabelMap(truth, (2.0, 1.0, 1.0)))


def test_worst_cases_are_each_methods_lowest() -> None:
    found = worst_cases(evidence([[0.9, 0.8, np.nan], [0.2, 0.9, 0.3], [0.5, 0.1, 0.9]]), ["x", "y", "z"], "abc", 5)
    assert [(one.case, one.worst_of) for one in found] == [("y", ("a", "c")), ("z", ("b",))]
    assert found[0].values["b"] == 0.9
    distances = worst_cases(evidence([[1.0, 2.0], [5.0, 1.0]], -1), ["x", "y"], "ab", 1)
    assert [(one.case, one.worst_of) for one in distances] == [("y", ("a",))]


def test_a_case_is_drawn_for_every_method_that_kept_it(tmp_path) -> None:
    kept = FakeRun(tmp_path / "a", {"x": volume()})
    (kept.folder / "predictions").mkdir(parents=True)
    (kept.folder / "predictions" / "x.nii.gz").touch()
    runs = Runs({"a": [kept], "b": [FakeRun(tmp_path / "b")]})  # type: ignore[dict-item]
    worst = worst_cases(evidence([[0.5, 0.6]]), ["x"], "ab", 1)[0]
    notes: list[str] = []
    drawn = draw_case(worst, runs, ["a", "b"], notes)
    assert drawn is not None
    assert [axes.get_title().splitlines()[0] for axes in drawn.axes] == ["truth, slice 1", "1 a"]
    assert not notes
    kept.volumes.clear()
    assert draw_case(worst, runs, ["a", "b"], notes) is None
    assert "no case x any more" in notes[0]


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
@pytest.mark.parametrize("order", [(2, 1, 0), (2, 0, 1)])
def test_slices_hang_as_radiologists_hang_them(flip, order) -> None:
    """Whatever the axes of the array: anterior comes up, the patient's right comes to the left."""
    direction = np.zeros((4, 4))
    direction[3, 3] = 1
    for axis, world in enumerate(order):  # the array's axes run along these axes of RAS+
        direction[world, axis] = flip[axis] * (2.0 if axis == 0 else 1.0)
    shape = (1, 5, 6)
    hang = Hanging.of(SimpleNamespace(affine=direction, spacing=(2.0, 1.0, 1.0)), 0)  # type: ignore[arg-type]
    index = np.indices(shape).reshape(3, -1)
    world = (direction[:3, :3] @ index).reshape(3, *shape)
    right, anterior = hang(world[0, 0]), hang(world[1, 0])
    assert (np.diff(anterior, axis=0) < 0).all(), "rows run from anterior to posterior"
    assert (np.diff(right, axis=1) < 0).all(), "columns run from the right to the left"


def test_costs_are_means_of_what_was_recorded() -> None:
    def run(train: float, memory: int | None) -> FakeRun:
        seconds = {"prepare": 1.0, "train": train, "score": 99.0}
        return FakeRun(Path(), record={"seconds": seconds, "peak_memory_bytes": memory, "parameters": 7})

    runs = Runs({"a": [run(9, 100), run(19, None)], "b": [FakeRun(Path(), record={"seconds": {"score": 3.0}})]})  # type: ignore[dict-item, list-item]
    assert [vars(one) for one in costs(runs, ["a", "b", "c"])] == [
        {"method": "a", "runs": 2, "seconds": 15.0, "memory": 100.0, "parameters": 7.0}
    ]


def test_curves_show_validation_first_and_gaps_where_values_are_not_finite() -> None:
    history = [
        {"epoch": 0, "name": "train/ce", "value": 1.0},
        {"epoch": 1, "name": "train/ce", "value": None},
        {"epoch": 2, "name": "train/ce", "value": 0.5},
        {"epoch": 2, "name": "val/dice", "value": 0.7},
        {"epoch": 2, "name": "seconds", "value": 3.0},
    ]
    drawn = curves(Runs({"b": [FakeRun(Path(), rows=history)]}), ["a", "b"])  # type: ignore[list-item]
    assert drawn is not None
    panels = {axes.get_title(): axes for axes in drawn.axes}
    assert list(panels) == ["val/dice", "train/ce"]
    (line,) = panels["train/ce"].lines
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert np.isnan(line.get_ydata()[1])
    assert line.get_color() == PALETTE[1], "the colour of the second method"
    assert curves(Runs({"a": [FakeRun(Path())]}), ["a"]) is None  # type: ignore[list-item]


def test_svg_takes_the_pages_colours_and_escapes_its_texts() -> None:
    with drawing():
        figure = Figure(figsize=(4, 2))
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=INK)
        axes.set_title("<script>alert(1)</script> $\\frac")
        text = str(inline_svg(figure, "one", 'a "title"'))
    assert "var(--ink)" in text and INK not in text
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "http" not in text and "<style" not in text and "<metadata" not in text
    assert 'aria-label="a &#34;title&#34;"' in text


def test_names_are_shortened_in_their_middle_and_numbered() -> None:
    assert short("x" * 30) == "x" * 30
    cut = short("nonsense [schedule=1 labelled=4]" + "z")
    assert len(cut) == 30 and cut.startswith("nonsense") and cut.endswith("4]z")
    assert numbered(["a", "b"]) == ["1 a", "2 b"]
