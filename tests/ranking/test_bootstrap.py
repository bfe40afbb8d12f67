"""Bootstrap: resampled rankings against a plain loop, intervals against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segbench.ranking.bootstrap import (
    bootstrap_ranks,
    confidence_interval,
    draw,
    interval_from,
    multiplicities,
    stability,
)
from segbench.ranking.schemes import SCHEMES, rank_task


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("adjustment", ["none", "holm"])
@pytest.mark.parametrize("missing", [None, "drop", 0.0])
def test_all_resamples_at_once_equal_a_loop(scheme, adjustment, missing) -> None:
    rng = np.random.default_rng(7)
    X = np.round(rng.random((14, 5)) + np.arange(5) * 0.08, 2)
    if missing is not None or scheme.startswith("rank"):
        X[rng.random(X.shape) < 0.1] = np.nan
    drawn = draw(14, 60, rng)
    for ties in ("min", "average"):
        together = bootstrap_ranks(X, 1, scheme, drawn, missing, ties, adjustment)
        loop = [rank_task(X[row], 1, scheme, missing, ties, adjustment).rank for row in drawn]
        assert np.array_equal(together, loop)


def test_multiplicities_count_draws() -> None:
    drawn = np.array([[0, 0, 2], [1, 1, 1]])
    assert multiplicities(drawn).tolist() == [[2, 0, 1], [0, 3, 0]]


def test_stability_by_hand() -> None:
    ranks = np.array([[1.0, 2, 3], [1, 1, 3], [2, 1, 3], [1, 1, 1]])
    firm = stability(ranks, [1.0, 2, 3])
    assert firm.p_first.tolist() == [0.75, 0.75, 0.25]
    assert firm.p_first_shared == pytest.approx([(1 + 0.5 + 1 / 3) / 4, (0.5 + 1 + 1 / 3) / 4, 1 / 12])
    assert firm.levels.tolist() == [1, 2, 3]
    assert firm.frequency.tolist() == [[0.75, 0.25, 0], [0.75, 0.25, 0], [0.25, 0, 0.75]]
    assert firm.frequency.sum(axis=1) == pytest.approx([1, 1, 1])
    assert firm.tau_undefined == 1
    assert firm.high[2] == 3


@pytest.mark.parametrize("kind", ["percentile", "basic", "bca"])
def test_intervals_equal_scipy(kind) -> None:
    data = np.random.default_rng(0).gamma(1.5, size=25)
    method = "BCa" if kind == "bca" else kind
    theirs = stats.bootstrap((data,), np.mean, n_resamples=999, method=method, random_state=1)
    jackknife = (data.sum() - data) / (data.size - 1)
    ours = interval_from(theirs.bootstrap_distribution, data.mean(), kind, jackknife)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)


def test_constant_data_give_a_point() -> None:
    assert confidence_interval(np.full(5, 0.25)) == (0.25, 0.25)
    assert interval_from(np.full(9, 2.0), 2.0, "bca", np.full(4, 2.0)) == (2.0, 2.0)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_intervals_cover(statistic) -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for repeat in range(200):
        low, high = confidence_interval(rng.normal(size=40), statistic, generator=np.random.default_rng(repeat))
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.99
