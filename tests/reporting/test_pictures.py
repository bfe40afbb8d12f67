"""Worst cases and how their slices hang, costs, curves, and the pictures' SVG, against values made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from segbench.errors import DataMissing
from segbench.reporting.competitors import Runs, costs
from segbench.reporting.evidence import MetricEvidence
from segbench.reporting.hanging import Hanging
from segbench.reporting.material import UNKNOWN, Material, gather_material
from segbench.reporting.slices import draw_case, worst_cases
from segbench.reporting.svg import INK, PALETTE, drawing, inline_svg, numbered, short
from segbench.reporting.training import curves
from segbench.reporting.viewer import MOST_SIDE, MOST_SLICES, stack_of
from segbench.types import Case, LabelMap, Task


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
    decision: str = ""
    task: Task = Task("toy", "1", ("background", "left"))  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        self.record = {"config": {}} | self.record

    @property
    def kept(self) -> Any:
        return self

    @property
    def case_ids(self) -> list[str]:
        return ["x"]

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


def kept(folder: Path) -> FakeRun:
    run = FakeRun(folder, {"x": volume()})
    (run.folder / "predictions").mkdir(parents=True)
    (run.folder / "predictions" / "x.nii.gz").touch()
    return run


def test_a_case_is_drawn_for_every_method_that_kept_it(tmp_path) -> None:
    run = kept(tmp_path / "a")
    runs = Runs({"a": [run], "b": [FakeRun(tmp_path / "b")]})  # type: ignore[dict-item, list-item]
    worst = worst_cases(evidence([[0.5, 0.6]]), ["x"], "ab", 1)[0]
    notes: list[str] = []
    material = gather_material("x", runs, ["a", "b"], notes)
    assert material is not None
    drawn = draw_case(material, stack_of(material), worst, ["a", "b"])
    assert [axes.get_title().splitlines()[0] for axes in drawn.axes] == ["truth, slice 1", "1 a"]
    assert notes == ["b, case x: the run keeps no prediction of it."]
    run.volumes.clear()
    assert gather_material("x", runs, ["a", "b"], notes) is None
    assert "no case x any more" in notes[1]


def test_voxels_are_coded_by_the_structures_they_belong_to(tmp_path) -> None:
    """Runs may number structures differently, and regions overlap; what the truth does not know stays unknown."""
    one, other = kept(tmp_path / "a"), kept(tmp_path / "b")
    truth = one.volumes["x"].truth
    assert truth is not None
    truth.array[0, 0, 0] = -1
    other.task = Task("toy", "1", ("background", "shell"), regions={"left": (1,), "both": (1, 2)})
    runs = Runs({"a": [one], "b": [other]})  # type: ignore[list-item]
    material = gather_material("x", runs, ["a", "b"], [])
    assert material is not None
    assert material.structures == ("left", "both")
    codes = {name: set(np.unique(codes)) for name, codes in material.predictions.items()}
    assert [material.combinations[code] for code in sorted(codes["a"] - {UNKNOWN})] == [(), (0,)]
    assert [material.combinations[code] for code in sorted(codes["b"] - {UNKNOWN})] == [(), (0, 1)]
    assert material.truth[0, 0, 0] == UNKNOWN
    assert material.wrong[0, 0, 0] == 0, "where nothing is known nobody errs"


def test_what_is_shown_of_a_large_volume_is_bounded_and_said() -> None:
    truth = np.zeros((200, 700, 40), np.uint8)
    truth[20:180, 10:690, 10:20] = 1
    predicted = truth.copy()
    predicted[133, 100:300] = 0
    material = Material("x", ("left",), ((), (0,)), truth, {"a": predicted}, None, (1.0, 1.0, 1.0), None)
    stack = stack_of(material)
    assert len(stack.indices) <= MOST_SLICES
    assert stack.indices[stack.start] == 133, "the worst slice is never left out"
    shown = stack.of(truth)
    assert shown.shape[0] == len(stack.indices)
    assert max(shown.shape[1:]) <= MOST_SIDE
    assert stack.spacing == (3.0, 3.0, 3.0)
    assert stack.left_out == "54 of 200 slices: one in 3, and the worst; one pixel in 3 of each side"


def test_a_case_without_labels_and_a_single_picture_are_whole() -> None:
    empty = np.zeros((1, 9, 7), np.uint8)
    material = Material("x", ("left",), ((), (0,)), empty, {"a": empty}, None, (1.0, 2.0, 1.0), None)
    stack = stack_of(material)
    assert stack.of(empty).shape == (1, 9, 7)
    assert stack.left_out == ""


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
@pytest.mark.parametrize("order", [(2, 1, 0), (2, 0, 1)])
def test_slices_hang_as_radiologists_hang_them(flip, order) -> None:
    """Whatever the axes of the array: anterior comes up, the patient's right comes to the left."""
    direction = np.zeros((4, 4))
    direction[3, 3] = 1
    for axis, world in enumerate(order):  # the array's axes run along these axes of RAS+
        direction[world, axis] = flip[axis] * (2.0 if axis == 0 else 1.0)
    shape = (1, 5, 6)
    hang = Hanging.of((2.0, 1.0, 1.0), direction, 0)
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
        {"method": "a", "runs": 2, "seconds": 15.0, "memory": 100.0, "parameters": 7.0, "energy": None}
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
