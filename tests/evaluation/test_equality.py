"""Every definition equals its peers' on 300 awkward mask pairs; Dice and IoU are nnU-Net's on a folder it accepts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from segbench.contracts import Metric
from segbench.evaluation.doctor import compare, value_of
from segbench.evaluation.folders import evaluate
from segbench.evaluation.samples import KINDS, MaskPair, mask_pairs
from segbench.files.images import write_label_map
from segbench.host import load_catalogue
from segbench.types import Choice, LabelMap, Peer

CATALOGUE = load_catalogue()
PAIRS = list(mask_pairs(300, seed=3, empty=True))
FULL = [pair for pair in PAIRS if pair.predicted.any() and pair.truth.any()]


def peers() -> list[tuple[Metric, Peer]]:
    """Return every metric with every peer that must agree with it."""
    found = []
    for name in CATALOGUE.names("metrics"):
        for peer in CATALOGUE.metric(Choice(name)).peers():
            if not peer.differs:
                found.append((CATALOGUE.metric(Choice(peer.metric or name)), peer))
    return found


def test_the_sample_is_awkward_and_repeatable() -> None:
    names = {pair.name.rpartition(" ")[0] for pair in PAIRS}
    assert names == {*KINDS, "empty"}
    assert {pair.truth.ndim for pair in PAIRS} == {2, 3} and 250 < len(FULL) < 300
    assert len({pair.spacing for pair in PAIRS}) == 300
    again = list(mask_pairs(300, seed=3, empty=True))
    assert all(
        np.array_equal(one.predicted, other.predicted) and one.spacing == other.spacing
        for one, other in zip(PAIRS, again, strict=True)
    )


PARTIAL = {
    "scikit-image skeletonize": (0.5, 1e-9),  # erases bars, cubes and branches of even width; those are passed over
    "SciPy middle lines of bars": (0.1, 0.1),  # thinning may end a line sooner or later
}
"""Peer -> share of the pairs that it must know at least, and its tolerance, where it cannot know all exactly."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "peer"), peers(), ids=lambda value: value.name if isinstance(value, Metric | Peer) else ""
)
def test_equals_its_peer(metric: Metric, peer: Peer) -> None:
    pytest.importorskip(peer.module)
    found = compare(metric, peer, FULL)
    assert found.verdict == "agrees", found
    share, tolerance = PARTIAL.get(peer.name, (0.95, 1e-6 if peer.module == "monai" else 1e-9))
    assert found.pairs >= share * len(FULL), found.refused
    assert peer.tolerance <= tolerance


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(
    "cls", ["hd", "hd95", "hd95_pooled", "assd", "masd", "msd", "nsd", "nsd_surfel", "dice", "iou"]
)
def test_empty_masks_follow_the_table_of_definitions(cls: str, axes: int) -> None:
    metric = CATALOGUE.metric(Choice(cls))
    for pair in PAIRS:
        if pair.truth.ndim == axes and not (pair.predicted.any() and pair.truth.any()):
            both = not pair.predicted.any() and not pair.truth.any()
            distance = metric.better == "lower"
            assert value_of(metric, pair) == ((0.0 if distance else 1.0) if both else (None if distance else 0.0))


def test_a_peer_that_errs_is_found_out() -> None:
    metric = CATALOGUE.metric(Choice("dice"))

    def wrong(predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> float:
        if predicted.sum() == 1:
            raise ValueError("one voxel is too few")
        return 0.5

    found = compare(metric, Peer("Wrong dice", "numpy", wrong), FULL[:40])
    assert found.verdict == "DIFFERS" and found.where and found.pairs < 40 and "too few" in found.refused
    assert compare(metric, Peer("Other dice", "numpy", wrong, differs="is wrong"), FULL[:9]).verdict != "DIFFERS"
    assert compare(metric, Peer("Absent", "no_such_module", wrong), FULL[:9]).verdict == "not installed"
    nothing = Peer("NaN", "numpy", lambda predicted, truth, spacing: math.nan)
    assert compare(metric, nothing, FULL[:9]).verdict == "not compared"


@pytest.mark.slow
def test_monais_hd95_is_off_by_the_rank_in_single_precision() -> None:
    """5e-6 mm between our ``hd95`` and MONAI's: the rank 0.95 (n - 1) is float32 there; its distances are ours."""
    pytest.importorskip("monai")
    by_name = {peer.name: peer for peer in CATALOGUE.metric(Choice("hd95")).peers()}
    metric = CATALOGUE.metric(Choice("hd95"))
    assert compare(metric, by_name["MONAI distances, percentile=95"], FULL).largest < 1e-6
    assert compare(metric, by_name["MONAI hausdorff_distance percentile=95.0"], FULL).largest < 1e-4


def nnunet_folder(tmp_path: Path) -> tuple[Path, Path, list[tuple[np.ndarray, np.ndarray]]]:
    """Write a folder of nnU-Net's: three labels of which the last is ignored, some absent from some cases."""
    random = np.random.default_rng(0)
    raw, predicted = tmp_path / "Dataset001_X" / "labelsTr", tmp_path / "validation"
    maps = []
    for case in range(12):
        draws = random.integers(0, 4, (2, 7, 8, 9))
        truth, found = (np.where(np.isin(draw, random.permutation(3)[: case % 4] + 1), draw, 0) for draw in draws)
        found[(found == 3) | (case == 3)] = 0  # of case 3, nothing is found
        maps.append((found.astype(np.uint8), truth.astype(np.uint8)))
        for folder, array in ((predicted, maps[-1][0]), (raw, maps[-1][1])):
            write_label_map(folder / f"x_{case:03}.nii.gz", LabelMap(array, (2.0, 1.0, 1.0)))
    (raw.parent / "dataset.json").write_text(
        '{"channel_names": {"0": "T1"}, "labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3},'
        ' "regions_class_order": [1, 2], "numTraining": 12, "file_ending": ".nii.gz"}'
    )
    return predicted, raw, maps


def nnunet_metrics(predicted: np.ndarray, truth: np.ndarray, values: Sequence[int]) -> tuple[float, float]:
    """nnU-Net v2, ``compute_metrics``: Dice 2TP/(2TP+FP+FN), IoU TP/(TP+FP+FN), NaN if TP+FP+FN = 0; ignored: 3."""
    counts = truth != 3
    one, other = np.isin(predicted, values), np.isin(truth, values)
    tp, fp, fn = (one & other & counts).sum(), (one & ~other & counts).sum(), (~one & other & counts).sum()
    if tp + fp + fn == 0:
        return math.nan, math.nan
    return 2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn)


def test_dice_and_iou_equal_nnunets(tmp_path: Path) -> None:
    predicted, raw, maps = nnunet_folder(tmp_path)
    options = {"name": "m", "dataset": "x", "results": tmp_path / "results", "catalogue": CATALOGUE}
    rows = evaluate(predicted, raw, metrics=["dice", "iou"], **options).table.to_pylist()
    found = {(row["case_id"], row["label_name"], row["metric"]): row for row in rows}
    assert len(found) == 12 * 2 * 2
    for name, values in (("whole", (1, 2)), ("core", (2,))):
        expected = [nnunet_metrics(one, other, values) for one, other in maps]
        for position, metric in enumerate(("dice", "iou")):
            mine = [found[f"x_{case:03}", name, metric] for case in range(12)]
            for row, theirs in zip(mine, expected, strict=True):
                if math.isnan(theirs[position]):
                    assert (row["value"], row["status"]) == (1.0, "both_empty")
                else:
                    assert row["value"] == pytest.approx(theirs[position], abs=1e-12)
            mean = np.mean([row["value"] for row in mine if row["status"] != "both_empty"])
            assert mean == pytest.approx(np.nanmean([one[position] for one in expected]), abs=1e-12)
    assert {row["status"] for row in rows} == {"ok", "both_empty", "truth_empty", "pred_empty"}


def pair_of(predicted: np.ndarray, truth: np.ndarray) -> MaskPair:
    return MaskPair("made", predicted, truth, (1.0,) * truth.ndim)


def test_one_voxel_each() -> None:
    masks = np.zeros((2, 5, 6), dtype=bool)
    masks[0, 1, 1] = masks[1, 4, 5] = True
    for name in ("hd", "hd95", "assd", "masd", "msd", "hd95_pooled", "centroid_distance"):
        assert value_of(CATALOGUE.metric(Choice(name)), pair_of(masks[0], masks[1])) == pytest.approx(5.0)


def test_the_doctor_notices_skeletons_that_were_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    morphology = pytest.importorskip("skimage.morphology")
    metric = CATALOGUE.metric(Choice("cldice"))
    (bars,) = [peer for peer in metric.peers() if "bars" in peer.name]
    assert compare(metric, bars, mask_pairs(48)).verdict == "agrees"
    monkeypatch.setattr("segbench.skeleton", lambda mask: morphology.skeletonize(mask) > 0)
    assert compare(metric, bars, mask_pairs(48)).verdict == "DIFFERS"
