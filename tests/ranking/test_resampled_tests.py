"""The tests of all pairs in all resamples at once give, to the last bit, what pair after pair gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segbench.ranking import resampled_tests
from segbench.ranking.bootstrap import bootstrap_scores, draw, multiplicities
from segbench.ranking.resampled_tests import resampled_p
from segbench.ranking.significance import Adjustment, differences, pairwise_p, signed_rank, wins

KINDS = ("distinct", "tied", "gaps", "infinite", "equal", "two values")


def made(kind: str, n: int, K: int, seed: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    X = generator.random((n, K))
    if kind in ("tied", "gaps"):
        X = np.round(X, 1)
    if kind == "gaps":
        X[generator.random(X.shape) < 0.2] = np.nan
    if kind == "infinite":
        X[generator.random(X.shape) < 0.2] = np.inf
        X[generator.random(X.shape) < 0.1] = -np.inf
    if kind == "equal":
        X[:] = X[:, :1]
    return np.round(X) if kind == "two values" else X


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 40), st.integers(1, 5), st.sampled_from([1, -1]), st.integers(0, 10**6))
def test_equal_to_pair_by_pair(kind: str, n: int, K: int, direction: int, seed: int) -> None:
    X = made(kind, n, K, seed)
    M = multiplicities(draw(n, 50, np.random.default_rng(seed)))
    assert np.array_equal(resampled_p(X, direction, M), pairwise_p(X, direction, M))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_where_pairs_are_swept_in_several_parts(kind: str) -> None:
    X = made(kind, 90, 9, 3)
    M = multiplicities(draw(90, 1100, np.random.default_rng(3)))
    assert resampled_tests._SWEPT < 36 * 1100
    assert np.array_equal(resampled_p(X, 1, M, None), pairwise_p(X, 1, M, None))


def test_equal_with_more_cases_than_float32_counts() -> None:
    X = np.round(np.random.default_rng(0).random((5000, 2)), 3)
    M = multiplicities(draw(5000, 4, np.random.default_rng(0)))
    d = differences(X[:, 0], X[:, 1])
    expected = [signed_rank(np.repeat(d, row.astype(int))) for row in M]  # a case drawn m times is m cases
    found = resampled_tests._statistics(resampled_tests._pairs(X, 1, 10), np.ascontiguousarray(M.T))
    assert found.positive[0].tolist() == [one.positive[0] for one in expected]
    assert found.n[0].tolist() == [one.n[0] for one in expected]
    assert found.variance[0].tolist() == pytest.approx([one.variance[0] for one in expected], rel=1e-12)


@pytest.mark.parametrize("adjustment", ["none", "holm"])
def test_wins_of_the_bootstrap(adjustment: Adjustment) -> None:
    X = made("gaps", 30, 4, 1)
    X[:, 2] = np.nan
    drawn = draw(30, 200, np.random.default_rng(1))
    scores, way = bootstrap_scores(X, -1, "test-then-rank", drawn, adjustment=adjustment)
    M = multiplicities(drawn)
    expected = wins(pairwise_p(X, -1, M), 0.05, adjustment).sum(axis=2).astype(float)
    expected[:, 2] = np.nan
    assert way == 1 and np.array_equal(scores, expected, equal_nan=True)
