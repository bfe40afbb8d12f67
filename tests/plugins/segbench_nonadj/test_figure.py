"""The pictures: what they count, which cases and slices they choose, how slices lie on the page."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from segbench import Case, Incompatible, LabelMap, Task
from segbench_nonadj.evidence import gather
from segbench_nonadj.figure import AdjacencyFigure
from segbench_nonadj.montage import label_colours, outline
from segbench_nonadj.orientation import plane_of

TASK = Task("t", "1", ("background", "a", "b", "c"), synthetic=True)
SPACING = (3.0, 1.0, 1.0)
AFFINE = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


def volume(*places):
    """Return labels ``(4, 12, 14)`` with 1 and 2 apart, and 3 put beside 1 at the places given."""
    array = np.zeros((4, 12, 14), dtype=np.int16)
    array[:, 3:6, 3:6] = 1
    array[:, 3:6, 8:10] = 2
    for place in places:
        array[place] = 3
    return array


class FakeRun(SimpleNamespace):
    """A run whose prediction of case ``y`` has label c beside label a in slice 2."""

    def __init__(self, title="method", bad=True, cases=("x", "y"), task=TASK):
        super().__init__(title=title, task=task, case_ids=cases, bad=bad)

    def truths(self):
        array = volume()
        array[0, 10, 10] = 3
        yield LabelMap(array, SPACING, AFFINE)

    def case(self, name):
        image = np.random.default_rng(0).random((1, 4, 12, 14), dtype=np.float32)
        return Case(name, image, SPACING, AFFINE, LabelMap(volume(), SPACING, AFFINE))

    def prediction(self, name):
        bad = self.bad and name == "y"
        return LabelMap(volume((2, 6, 4), (2, 6, 5)) if bad else volume(), SPACING, AFFINE)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def draw(runs, **parameters):
    return dict(AdjacencyFigure(**parameters).draw(runs))


@pytest.mark.parametrize("cells", ["union", "share"])
def test_pictures_of_two_runs(tmp_path, cells):
    figures = draw([FakeRun("without"), FakeRun("with", bad=False)], cells=cells)
    assert list(figures) == ["adjacency_matrices", "adjacency_slices"]
    matrices = titles(figures["adjacency_matrices"])
    assert [title.split("\n")[0] for title in matrices] == ["truth", "without", "with"]
    assert "0 forbidden, 2 allowed" in matrices[0] and "1 forbidden, 3 allowed" in matrices[1]
    assert "0.5 forbidden per case" in matrices[1] and "0 forbidden" in matrices[2]
    slices = titles(figures["adjacency_slices"])
    assert slices[1].startswith("without\n") and slices[1].split("\n")[1].startswith(str(contacts_by_hand()))
    assert slices[2].endswith("\n0 forbidden contacts")
    for name, figure in figures.items():
        for ending in ("png", "svg"):
            figure.savefig(tmp_path / f"{name}.{ending}", dpi=40)


def contacts_by_hand():
    """Voxels of c at (2, 6, 4) and (2, 6, 5) against a in rows up to 5, columns 3 to 5, slices 1 to 3."""
    return 3 * (3 + 2)


def test_the_worst_case_and_slice_are_shown():
    (text,) = draw([FakeRun()])["adjacency_slices"].texts
    assert text.get_text().startswith("y, synthetic phantom, slice 2;")
    (text,) = draw([FakeRun()], case="x")["adjacency_slices"].texts
    assert text.get_text().startswith("x, synthetic phantom, slice 2;")  # nothing to show: the middle


def test_the_offending_pair_is_named():
    labels = [axes.get_xlabel() for axes in draw([FakeRun()])["adjacency_slices"].axes]
    assert "a\ntouches c" in labels and any("no forbidden contact" in label for label in labels)


def test_evidence_counts():
    evidence = gather([FakeRun()], ["x", "y"])
    assert evidence.panels[1].counts[1][1, 3] == contacts_by_hand() and evidence.panels[1].counts[0][1, 3] == 0
    assert evidence.forbidden[1, 3] and evidence.forbidden[1, 2] and not evidence.forbidden[0].any()


@pytest.mark.parametrize("count", [1, 5, 7])
def test_any_number_of_runs(count):
    figures = draw([FakeRun(f"run {number}") for number in range(count)])
    assert len(titles(figures["adjacency_matrices"])) == len(titles(figures["adjacency_slices"])) == count + 1


def test_runs_that_do_not_fit_together():
    other = Task("t", "1", ("background", "a", "b", "d"))
    with pytest.raises(Incompatible, match="same labels"):
        draw([FakeRun(), FakeRun(task=other)])
    with pytest.raises(Incompatible, match="none in common"):
        draw([FakeRun(), FakeRun(cases=("z",))])
    with pytest.raises(Incompatible, match="case w"):
        draw([FakeRun()], case="w")
    with pytest.raises(Incompatible, match="at least one run"):
        draw([])


def test_radiological_planes():
    """An RAS volume whose voxel values are world x + 10 y + 100 z, seen from three sides."""
    z, y, x = np.meshgrid(*map(np.arange, (4, 5, 6)), indexing="ij")
    volume = x + 10 * y + 100 * z
    affine = AFFINE.copy()
    axial, coronal, sagittal = (plane_of(SPACING, affine, axis) for axis in range(3))
    assert axial.take(volume, 0)[0].tolist() == [45, 44, 43, 42, 41, 40]  # anterior up, right on the left
    assert coronal.take(volume, 0)[0].tolist() == [305, 304, 303, 302, 301, 300]
    assert sagittal.take(volume, 0)[0].tolist() == [340, 330, 320, 310, 300]  # anterior on the left
    assert (axial.left, axial.right, sagittal.left, sagittal.right) == ("R", "L", "A", "P")
    assert coronal.steps == (3.0, 1.0)
    swapped = plane_of((1.0, 1.0, 3.0), affine[:, [2, 1, 0, 3]] @ np.diag([-1.0, 1, 1, 1]), 2)
    assert swapped.take(volume.transpose(2, 1, 0)[::-1], 0).tolist() == axial.take(volume, 0).tolist()
    plain = plane_of(SPACING, None, 0)
    assert plain.take(volume, 1).tolist() == volume[1].tolist() and plain.left == ""


def test_outline_surrounds_the_mask():
    mask = np.zeros((4, 5), dtype=bool)
    mask[1, 1:3] = True
    segments = outline(mask)
    assert len(segments) == 6 and [(0.5, 0.5), (1.5, 0.5)] in segments and [(2.5, 0.5), (2.5, 1.5)] in segments
    assert len(outline(np.ones((2, 2), dtype=bool))) == 8


def test_colours_are_stable_distinct_and_not_red():
    few, many = label_colours(5), label_colours(135)
    assert np.array_equal(few, many[:5]) and few[0, 3] == 0 and len(np.unique(many[1:], axis=0)) == 134
    red, green, blue = many[1:, 0], many[1:, 1], many[1:, 2]
    assert not ((red > 0.8) & (green < 0.3) & (blue < 0.3)).any()
