"""RankDice: exact against every possible truth, the approximation against exact, both against the authors' package."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segbench import Task
from segbench_decisions.expected_dice import best_voxels, exact_scores, poisson_binomial, reciprocal_scores
from segbench_decisions.rank_dice import RankDice

TASK = Task("toy", "1", ("background", "a", "b"))
Floats = NDArray[np.float64]


def dice(predicted: tuple[int, ...], truth: tuple[int, ...], smooth: float) -> float:
    both = sum(one * other for one, other in zip(predicted, truth, strict=True))
    below = sum(predicted) + sum(truth) + smooth
    return (2 * both + smooth) / below if below else 1.0


def expected_dice(predicted: tuple[int, ...], probabilities: Floats, smooth: float) -> float:
    """Sum over all 2^n truths."""
    total = 0.0
    for truth in itertools.product((0, 1), repeat=len(probabilities)):
        chance = np.prod([p if one else 1 - p for p, one in zip(probabilities, truth, strict=True)])
        total += float(chance) * dice(predicted, truth, smooth)
    return total


def binary(foreground: Any) -> NDArray[Any]:
    """Return ``(2, *S)`` from the probabilities of the one foreground label."""
    return np.stack([1 - np.asarray(foreground), np.asarray(foreground)])


def drawn(seed: int, count: int) -> Floats:
    generator = np.random.default_rng(seed)
    values = generator.beta(0.6, 0.9, count)
    values[generator.random(count) < 0.15] = 0
    values[generator.random(count) < 0.1] = 1
    return np.round(values, 3)  # ties


@pytest.mark.parametrize("smooth", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(6))
def test_scores_are_the_expected_dice_over_all_truths(seed: int, smooth: float) -> None:
    ordered = np.sort(drawn(seed, 8))[::-1]
    found = exact_scores(ordered, smooth)
    for size in range(9):
        mask = (1,) * size + (0,) * (8 - size)
        assert found[size] == pytest.approx(expected_dice(mask, ordered, smooth), abs=1e-12)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_mask_has_a_higher_expected_dice(seed: int, smooth: float) -> None:
    probabilities = drawn(100 + seed, 6)
    chosen = RankDice(smooth=smooth).decide(binary(probabilities[None]), TASK)[0]
    masks = itertools.product((0, 1), repeat=6)
    best = max(expected_dice(mask, probabilities, smooth) for mask in masks)
    assert expected_dice(tuple(map(int, chosen)), probabilities, smooth) == pytest.approx(best, abs=1e-12)


def test_ten_voxels_exactly() -> None:
    probabilities = np.array([0.9, 0.05, 0.4, 0.35, 0.6, 0.3, 0.2, 0.1, 0.45, 0.5])
    scores = [
        expected_dice(tuple(np.argsort(np.argsort(-probabilities)) < size), probabilities, 0) for size in range(11)
    ]
    chosen = best_voxels(probabilities, 0.0, 512)
    assert len(chosen) == int(np.argmax(scores)) == 6
    assert set(chosen.tolist()) == {0, 4, 9, 8, 2, 3}  # more than the two above 0.5


def test_by_hand() -> None:
    # One voxel: empty 1 - p, predicted p.
    # Two voxels of 1/2: nothing 1/4, one (1 + 2/3) / 4 = 5/12, both (2/3 + 2/3 + 1) / 4.
    assert exact_scores(np.array([0.4])).tolist() == pytest.approx([0.6, 0.4])
    assert exact_scores(np.array([0.5, 0.5])).tolist() == pytest.approx([1 / 4, 5 / 12, 7 / 12])
    assert exact_scores(np.array([0.5]), 1.0).tolist() == pytest.approx([3 / 4, 3 / 4])
    assert poisson_binomial(np.array([0.5, 0.1])).tolist() == pytest.approx([0.45, 0.5, 0.05])
    # 2 · 0.5 / (1 + 0.8 + 1), 2 · 0.8 / (2 + 0.8 + 1)
    assert reciprocal_scores(np.array([0.5, 0.3]), 0.8, 0.35).tolist() == pytest.approx([0.35, 1 / 2.8, 1.6 / 3.8])
    smoothed = reciprocal_scores(np.array([0.5, 0.3]), 0.8, 0.35, 2.0).tolist()
    nothing = 0.35 + 0.65 * 2 / (0.8 / 0.65 + 2)
    assert smoothed == pytest.approx([nothing, 1 / 4.8 + 2 / 3.8, 1.6 / 5.8 + 2 / 4.8])


def test_laws_of_many_sure_and_unsure_voxels_stay_exact() -> None:
    """Taking a trial out of the law again is stable: the scores of 400 voxels against laws computed without it."""
    ordered = np.sort(np.r_[np.full(50, 0.999), np.full(50, 1 - 1e-9), drawn(5, 200), np.full(100, 1e-6)])[::-1]
    scores = exact_scores(ordered)
    volume = np.arange(400.0)
    total = np.zeros(400)
    for index in range(120):
        total += 2 * ordered[index] * poisson_binomial(np.delete(ordered, index))
    assert scores[120] == pytest.approx((total / (120 + volume + 1)).sum(), rel=1e-11)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (7, 5), (1, 6, 5), (4, 6, 5)])
@pytest.mark.parametrize("exact", [0, 512])
def test_certain_probabilities_come_back(shape: tuple[int, ...], exact: int) -> None:
    for seed in range(3):
        labels = np.random.default_rng(seed).integers(0, 3, shape)
        certain = np.stack([labels == label for label in range(3)]).astype(np.float32)
        assert np.array_equal(RankDice(exact=exact).decide(certain, TASK), labels)


@pytest.mark.parametrize("exact", [0, 4096])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_an_improbable_label_is_not_predicted(exact: int, smooth: float) -> None:
    faint = np.full((10, 10, 10), 1e-6)
    assert not RankDice(exact=exact, smooth=smooth).decide(binary(faint), TASK).any()
    assert not RankDice(exact=exact, smooth=smooth).decide(binary(np.zeros((3, 4))), TASK).any()
    # Expected volume 60, no voxel above 0.06: something is there, and all of it is the best guess.
    assert RankDice(exact=exact, smooth=smooth).decide(binary(np.full((10, 10, 10), 0.06)), TASK).all()


def test_the_threshold_adapts_below_one_half() -> None:
    probabilities = binary(np.array([[0.9, 0.4, 0.4, 0.01]]))
    for exact in (0, 512):
        assert RankDice(exact=exact).decide(probabilities, TASK).tolist() == [[1, 1, 1, 0]]


def test_a_voxel_claimed_twice_goes_to_the_likelier_label_the_first_of_equals() -> None:
    first = np.array([[0.9, 0.5, 0.40, 0.0]])
    second = np.array([[0.0, 0.5, 0.45, 0.9]])
    found = RankDice().decide(np.stack([1 - first - second, first, second]), TASK)
    assert found.tolist() == [[1, 1, 2, 2]]


@pytest.mark.parametrize("exact", [0, 512])
def test_the_chosen_are_the_first_of_a_stable_ranking(exact: int) -> None:
    for seed in range(20):
        probabilities = np.round(drawn(seed, 60), 1)
        chosen = best_voxels(probabilities, 0.5, exact)
        ranked = np.argsort(-probabilities, kind="stable")[: len(chosen)]
        assert sorted(chosen.tolist()) == sorted(ranked.tolist())


@pytest.mark.parametrize("smooth", [0.0, 2.0, 1000.0])
@pytest.mark.parametrize("seed", range(12))
def test_voxels_left_out_of_the_search_never_matter(seed: int, smooth: float) -> None:
    generator = np.random.default_rng(seed)
    kinds: list[Floats] = [
        drawn(seed, 3000),
        generator.random(2000) ** 8,
        generator.random(2000) / 40,
        np.r_[generator.beta(5, 2, 3), generator.beta(0.02, 2, 3000)],
    ]
    for probabilities in kinds:
        ordered = np.sort(probabilities)[::-1]
        mean, nothing = float(probabilities.sum()), float(np.prod(1 - probabilities))
        size = int(reciprocal_scores(ordered, mean, nothing, smooth).argmax())
        assert len(best_voxels(probabilities, smooth, 0)) == size


@pytest.mark.parametrize(("core", "allowed"), [(3, 0.02), (30, 2e-3), (200, 1e-4)])
def test_the_approximation_costs_little_expected_dice(core: int, allowed: float) -> None:
    for seed in range(5):
        generator = np.random.default_rng([core, seed])
        probabilities = np.r_[generator.beta(1.5, 1, core), generator.beta(0.05, 2, 200)]
        scores = exact_scores(np.sort(probabilities)[::-1])
        assert scores.max() - scores[len(best_voxels(probabilities, 0.0, 0))] < allowed


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_agrees_with_the_package_of_the_authors(smooth: float) -> None:
    """Wherever the truth is surely not empty (its package scores an empty pair 0), mask by mask, RMA for RMA."""
    rankseg = pytest.importorskip("rankseg", reason="rankseg, the peer, is not installed: pip install rankseg")
    import torch

    solve = rankseg.RankSEG(metric="dice", output_mode="multilabel", solver="RMA", pruning_prob=0.0, smooth=smooth)
    for seed in range(8):
        generator = np.random.default_rng(seed)
        logits = generator.normal(0, 2.5, (4, 9, 10, 11))
        probabilities = np.exp(logits) / np.exp(logits).sum(0)
        expected = solve.predict(torch.from_numpy(probabilities)[None])[0].numpy()
        for label in range(4):
            flat = probabilities[label].reshape(-1)
            mask = np.zeros(len(flat), bool)
            mask[best_voxels(flat, smooth, 0)] = True
            assert np.array_equal(mask, expected[label].reshape(-1))


@pytest.mark.slow
def test_thirty_one_labels_of_a_large_volume_take_seconds() -> None:
    import time

    labels = np.random.default_rng(0).integers(0, 31, (8, 8, 8)).repeat(12, 0).repeat(12, 1).repeat(12, 2)
    probabilities = np.full((31, 96, 96, 96), 0.2 / 30, np.float32)
    np.put_along_axis(probabilities, labels[None], 0.8, 0)
    begin = time.process_time()
    found = RankDice().decide(probabilities, Task("toy", "1", tuple(map(str, range(31)))))
    assert time.process_time() - begin < 15  # 1 s on one core
    assert np.array_equal(found, labels)
