"""The expected Dice of a label's likeliest voxels, for every number of them: exactly, and for many voxels nearly so.

Voxels belong to the label independently of each other with the probabilities given, as the paper has it. Written here:
p_1 ≥ p_2 ≥ ... the sorted probabilities; Γ the (random) volume of the truth, a Poisson-binomial variable; Γ_{-j} the
same without voxel j; μ = E Γ; γ the smoothing. The Dice of a prediction I and a truth Y is
(2|I ∩ Y| + γ) / (|I| + |Y| + γ), and 1 where both are empty and γ = 0, as segbench's metric ``dice`` has it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CERTAINLY_SOMETHING = 50.0
"""Expected volume above which the truth is taken not to be empty: P(Γ = 0) ≤ exp(-μ) < 2e-22."""


def exact_scores(ordered: Floats, smooth: float = 0.0) -> Floats:
    """Return the expected Dice of the τ likeliest voxels for τ = 0, ..., n (Dai & Li, Theorem 1), in O(n²).

    E_τ = Σ_{j ≤ τ} 2 p_j E[1 / (τ + Γ_{-j} + γ + 1)] + γ E[1 / (τ + Γ + γ)].

    Args:
        ordered: probabilities ``(n,)``, sorted downwards.
        smooth: γ, at least 0.
    """
    count = len(ordered)
    volume = np.arange(count + 1.0)
    law = poisson_binomial(ordered)
    weights = np.cumsum(2 * ordered * _laws_without_each(law, ordered), axis=1)
    sizes = volume[1:]
    scores = np.empty(count + 1)
    scores[1:] = (weights / (volume[:count, None] + sizes + smooth + 1)).sum(0)
    scores[0] = law[0] if smooth == 0 else 0
    if smooth > 0:
        scores += [float((law * smooth / (size + volume + smooth)).sum()) for size in volume]
    return scores


def poisson_binomial(probabilities: Floats) -> Floats:
    """Return the law ``(n + 1,)`` of the number of successes of n independent trials."""
    law = np.zeros(len(probabilities) + 1)
    law[0] = 1
    for done, chance in enumerate(probabilities):
        law[1 : done + 2] = law[1 : done + 2] * (1 - chance) + law[: done + 1] * chance
        law[0] *= 1 - chance
    return law


def _laws_without_each(law: Floats, probabilities: Floats) -> Floats:
    """Return P(Γ_{-j} = l) as ``(l, j)``: the law with one trial taken out again, n laws of n values.

    P(Γ = l) = (1 - p_j) P(Γ_{-j} = l) + p_j P(Γ_{-j} = l - 1) is solved upwards in l where p_j ≤ 1/2 and downwards
    elsewhere, so that rounding errors never grow.
    """
    count = len(probabilities)
    without = np.empty((count, count))
    rare = probabilities <= 0.5
    small, large = probabilities[rare], probabilities[~rare]
    last = np.zeros(len(small))
    for successes in range(count):
        last = (law[successes] - small * last) / (1 - small)
        without[successes, rare] = last
    last = np.zeros(len(large))
    for successes in reversed(range(count)):
        last = (law[successes + 1] - (1 - large) * last) / large
        without[successes, ~rare] = last
    return without


def reciprocal_scores(top: Floats, mean: float, nothing: float, smooth: float = 0.0) -> Floats:
    """Return the expected Dice of the τ likeliest voxels for τ = 0, ..., m by the reciprocal moment approximation.

    E[1 / (τ + Γ_{-j} + γ + 1)] is taken as 1 / (τ + μ + γ + 1) (Wang & Dai 2025), a sum less in the numerator:
    E_τ ≈ 2 (p_1 + ... + p_τ) / (τ + μ + γ + 1) + γ / (τ + μ + γ). The relative error is about var(Γ) / (τ + μ)².
    The empty prediction is where that is worst; here it is P(Γ = 0) + P(Γ > 0) γ / (E[Γ | Γ > 0] + γ), exact for γ = 0.

    Args:
        top: the m largest probabilities, sorted downwards.
        mean: μ, of all voxels.
        nothing: P(Γ = 0).
        smooth: γ, at least 0.
    """
    size = np.arange(1.0, len(top) + 1)
    scores = np.empty(len(top) + 1)
    scores[1:] = 2 * np.cumsum(top) / (size + mean + smooth + 1)
    scores[0] = nothing
    if smooth > 0:
        scores[1:] += smooth / (size + mean + smooth)
        something = 1 - nothing
        scores[0] += something**2 * smooth / (mean + something * smooth) if something > 0 else 0
    return scores


def best_voxels(probabilities: Floats, smooth: float, exact: int) -> NDArray[np.intp]:
    """Return the indices of the voxels that, predicted together, have the highest expected Dice.

    Of equally good volumes the smallest is taken, of equally likely voxels the first.

    Args:
        probabilities: of one label, ``(n,)``, float64, 0 to 1.
        smooth: γ, at least 0.
        exact: solve exactly if at most so many voxels have a probability above 0.
    """
    if np.count_nonzero(probabilities) <= exact:
        candidates = np.flatnonzero(probabilities)
        values = probabilities[candidates]
        ordered = np.sort(values)[::-1]
        return candidates[_first(values, ordered, int(exact_scores(ordered, smooth).argmax()))]
    mean = float(probabilities.sum())
    candidates = np.flatnonzero(probabilities >= _floor(probabilities, mean, smooth))
    values = probabilities[candidates]
    ordered = np.sort(values)[::-1]
    scores = reciprocal_scores(ordered, mean, _chance_of_nothing(probabilities, mean), smooth)
    return candidates[_first(values, ordered, int(scores.argmax()))]


def _floor(probabilities: Floats, mean: float, smooth: float) -> float:
    """Return a probability below which no voxel can belong to the best prediction, so that few must be sorted.

    Let A_τ be the first term of the approximation and B_τ the second, which falls with τ. At the best τ > 1,
    A_τ ≥ A_{τ-1}, which says p_τ ≥ A_τ / 2; and A_τ ≥ A_s + B_s - B_1 for any s, here the number of voxels of at least
    0.5, or 1. (This is the fixed point known of F1: no voxel below half of the best score helps.)
    """
    likely = probabilities >= 0.5
    size = int(np.count_nonzero(likely))
    total = float(probabilities[likely].sum()) if size else float(probabilities.max())
    size = max(size, 1)
    reached = 2 * total / (size + mean + smooth + 1)
    if smooth > 0:
        reached += smooth / (size + mean + smooth) - smooth / (1 + mean + smooth)
    return max(reached / 2 * (1 - 1e-9), float(np.finfo(np.float64).tiny))


def _chance_of_nothing(probabilities: Floats, mean: float) -> float:
    if mean > _CERTAINLY_SOMETHING or probabilities.max() >= 1:
        return 0.0
    return float(np.exp(np.log1p(-probabilities).sum()))


def _first(values: Floats, ordered: Floats, size: int) -> NDArray[np.intp]:
    """Return the positions of the ``size`` largest values, the first ones among equals."""
    if size == 0:
        return np.empty(0, np.intp)
    least = ordered[size - 1]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.concatenate([above, equal[: size - len(above)]])
