"""0 and 255 against 0 and 1, pixels of unknown size against millimetres: one custom, one unit, never in silence."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from segbench import load_catalogue
from segbench.scoring.binary import in_one_custom
from segbench.scoring.cases import Outcome, Setting, score_pair
from segbench.scoring.pairs import Pair
from segbench.scoring.rows import Design, on_grid, rows_of
from segbench.truths import difference, truth_digest
from segbench.types import Choice, LabelMap, Task

TRUTH = np.zeros((12, 10), np.uint8)
TRUTH[2:8, 3:7] = 1
PREDICTED = np.roll(TRUTH, 3, axis=0)
TASK = Task("t", "r", ("background", "vessel"))


def labels(array: np.ndarray) -> LabelMap:
    return LabelMap(array[None], (1.0, 1.0, 1.0), unit="px")


@pytest.mark.parametrize("known", [1, 255])
@pytest.mark.parametrize("factors", [(255, 1), (1, 255), (255, 255), (1, 1), (255, 0), (0, 255)])
def test_white_is_one_where_one_structure_is_scored(known, factors):
    predicted, truth = (
        labels(array * np.uint8(factor)) for array, factor in zip((PREDICTED, TRUTH), factors, strict=True)
    )
    found, reference, notes = in_one_custom(predicted, truth, {known}, None)
    for map_, array, factor in ((found, PREDICTED, factors[0]), (reference, TRUTH, factors[1])):
        assert np.array_equal(map_.array[0], array * np.uint8(known if factor else 0))
    assert len(notes) == sum(factor not in (0, known) for factor in factors)


@pytest.mark.parametrize(
    ("predicted", "known", "ignore"),
    [
        (PREDICTED * np.uint8(255), {1, 2}, None),
        (PREDICTED * np.uint8(255), {1}, 255),
        (PREDICTED * np.uint8(254), {1}, None),
        (PREDICTED * np.uint8(255) + TRUTH, {1}, None),
        (PREDICTED * np.uint8(255), {2}, None),
    ],
)
def test_other_maps_are_left_alone(predicted, known, ignore):
    one, other = labels(predicted), labels(TRUTH)
    assert in_one_custom(one, other, known, ignore) == (one, other, ())


def score(tmp_path: Path, truth: str, predicted: str) -> Outcome:
    catalogue = load_catalogue()
    metrics = tuple(catalogue.metric(Choice(name)) for name in ("dice", "hd95", "volume_error"))
    setting = Setting(TASK, metrics, known=frozenset({1}))
    return score_pair(Pair("c", "c", tmp_path / truth, tmp_path / predicted), setting)


def test_a_white_mask_against_ones_in_pixels(tmp_path):
    Image.fromarray(TRUTH).save(tmp_path / "truth.png")
    Image.fromarray(PREDICTED * np.uint8(255)).save(tmp_path / "predicted.png")
    outcome = score(tmp_path, "truth.png", "predicted.png")
    assert [problem.kind for problem in outcome.problems] == ["note"] and "255" in outcome.problems[0].what
    assert [round(value, 12) for _, _, _, value, _ in outcome.scores] == [0.5, 3.0, 0.0]
    table = rows_of(
        Design("run", "t", "r", "m"),
        [Pair("c", "c", Path("a"), None), Pair("d", "d", Path("b"), None)],
        [outcome, Outcome(scores=[(1, "vessel", 1, None, "failed"), (2, "vessel", 1, 0.024, "ok")])],
        tuple(load_catalogue().metric(Choice(name)) for name in ("dice", "hd95", "volume_error")),
    )
    assert table["unit"].to_pylist() == ["", "px", "px2", "px", "px2"]
    assert table["value"].to_pylist()[-1] == pytest.approx(24)


def test_a_picture_against_millimetres_is_compared_pixel_by_pixel(tmp_path):
    Image.fromarray(PREDICTED).save(tmp_path / "predicted.png")
    nibabel.save(nibabel.Nifti1Image(TRUTH.T[..., None], np.diag([2.0, 2.0, 5.0, 1])), tmp_path / "truth.nii.gz")
    outcome = score(tmp_path, "truth.nii.gz", "predicted.png")
    assert outcome.unit == "mm" and outcome.scores[1][3] == pytest.approx(6)
    assert "does not say what a pixel measures" in outcome.problems[0].what


def test_units_follow_the_grid():
    assert on_grid("mm", 2.0, "mm", flat=True) == ("mm", 2.0)
    assert on_grid("mm", 2.0, "px", flat=False) == ("px", 2.0)
    assert on_grid("mL", 0.5, "px", flat=False) == ("px3", 500)
    assert on_grid("mL", 0.5, "px", flat=True) == ("px2", 500)
    assert on_grid("1", None, "px", flat=True) == ("1", None)


def test_truths_in_pixels_and_in_millimetres_are_two():
    pixels, millimetres = labels(TRUTH), LabelMap(TRUTH[None], (1.0, 1.0, 1.0))
    assert truth_digest(pixels).startswith("12x10@px:")
    assert "1 px" in difference(truth_digest(pixels), truth_digest(millimetres))
