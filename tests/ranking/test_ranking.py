"""Ranking schemes against hand-computed values, SciPy and brute force; invariances by hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from segbench.ranking.schemes import (
    SCHEMES,
    aggregate_then_rank,
    kendall,
    rank_aggregates,
    rank_na,
    rank_task,
    rank_then_aggregate,
    test_then_rank,
    worst_for_tests,
)

NAN, INF = np.nan, np.inf
FEW = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
MATRICES = st.tuples(st.integers(1, 12), st.integers(1, 6)).flatmap(lambda s: arrays(float, s, elements=FEW))


@pytest.mark.parametrize(
    ("ties", "expected"),
    [("min", [2, 1, 2, 4, 5, 5]), ("average", [2.5, 1, 2.5, 4, 5.5, 5.5]), ("max", [3, 1, 3, 4, 6, 6])],
)
def test_rank_na_by_hand(ties, expected) -> None:
    assert rank_na([0.5, 0.9, 0.5, 0.1, NAN, NAN], 1, ties).tolist() == expected


def test_missing_ranks_after_the_largest_observed_rank() -> None:
    values = [0.9, 0.5, 0.5, NAN]
    assert rank_na(values, 1, "min").tolist() == [1, 2, 2, 3]
    assert rank_na(values, 1, "min", nan_rank="last").tolist() == [1, 2, 2, 4]
    assert rank_na([3.0, INF, NAN], -1).tolist() == [1, 2, 3], "infinite is a value, and missing is worse"
    assert rank_na([NAN, NAN], 1, "min").tolist() == [1, 1]
    assert rank_na([NAN, NAN], 1, "average").tolist() == [1.5, 1.5]


@given(MATRICES, st.sampled_from(["min", "average", "max"]), st.sampled_from([1, -1]))
def test_rank_na_equals_scipy(X, ties, direction) -> None:
    expected = stats.rankdata(-direction * X, method=ties, axis=1)
    assert np.array_equal(rank_na(X, direction, ties), expected)


def test_means_of_the_same_numbers_tie() -> None:
    numbers = np.random.default_rng(0).random(101)
    X = np.stack([numbers, numbers[::-1], np.sort(numbers)], axis=1)
    assert aggregate_then_rank(X, 1).rank.tolist() == [1, 1, 1]
    assert rank_aggregates([0.1 + 0.2, 0.3], 1).tolist() == [1, 1]


def test_aggregate_then_rank_by_hand() -> None:
    X = np.array([[0.9, 0.8, NAN], [0.7, 0.8, 0.95], [0.8, 0.2, 0.85]])
    dropped = aggregate_then_rank(X, 1, "mean", "drop")
    assert dropped.aggregate == pytest.approx([0.8, 0.6, 0.9])
    assert dropped.rank.tolist() == [2, 3, 1]
    assert aggregate_then_rank(X, 1, "mean", 0.0).rank.tolist() == [1, 2, 2]  # 0.8, 0.6, 0.6
    assert aggregate_then_rank(X, 1, "median", 0.0).rank.tolist() == [2, 2, 1]
    assert aggregate_then_rank(X, 1, 0.25, 0.0).aggregate == pytest.approx([0.75, 0.5, 0.425])
    with pytest.raises(ValueError, match="1 values are missing"):
        aggregate_then_rank(X, 1)
    gone = aggregate_then_rank(np.array([[1.0, NAN], [2.0, NAN]]), 1, "mean", "drop")
    assert gone.rank.tolist() == [1, 2]
    assert np.isnan(gone.aggregate[1])


def test_rank_then_aggregate_by_hand() -> None:
    X = np.array([[0.9, 0.8, NAN], [0.7, 0.8, 0.95], [0.8, 0.2, 0.8]])
    worst = rank_then_aggregate(X, 1, "mean")
    assert worst.aggregate == pytest.approx([(1 + 3 + 1) / 3, (2 + 2 + 3) / 3, (3 + 1 + 1) / 3])
    assert worst.rank.tolist() == [1, 3, 1]
    average = rank_then_aggregate(X, 1, "median", ties="average")
    assert average.aggregate.tolist() == [1.5, 2, 1.5]
    assert average.rank.tolist() == [1.5, 3, 1.5]
    assert rank_then_aggregate(X, 1, "mean", "drop").aggregate == pytest.approx([5 / 3, 7 / 3, 1])


def test_test_then_rank_by_hand() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(20)
    X = np.stack([base + 0.2, base + 0.1, base + 0.1, base], axis=1)
    ranking = test_then_rank(X, 1)
    assert ranking.aggregate == pytest.approx([1, 1 / 3, 1 / 3, 0])
    assert ranking.rank.tolist() == [1, 2, 2, 4]
    assert test_then_rank(X, -1).rank.tolist() == [4, 2, 2, 1]
    assert test_then_rank(X, 1, ties="average").rank.tolist() == [1, 2.5, 2.5, 4]
    X[:, 2] = NAN
    gone = test_then_rank(X, 1, missing="drop")
    assert gone.aggregate[:2].tolist() == [1, 0.5]
    assert gone.rank.tolist() == [1, 2, 4, 3]
    assert test_then_rank(X[:1, :2], 1).rank.tolist() == [1, 1], "one case: all tie"
    assert test_then_rank(X[:, :1], 1).rank.tolist() == [1]


@settings(max_examples=40)
@given(MATRICES, st.sampled_from(SCHEMES), st.randoms(use_true_random=False))
def test_order_of_cases_and_algorithms_does_not_matter(X, scheme, random) -> None:
    rows, columns = list(range(X.shape[0])), list(range(X.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    expected = rank_task(X, 1, scheme).rank
    assert np.array_equal(rank_task(X[rows], 1, scheme).rank, expected)
    assert np.array_equal(rank_task(X[:, columns], 1, scheme).rank, expected[columns])


@settings(max_examples=40)
@given(MATRICES, st.sampled_from(["rank-then-mean", "rank-then-median", "test-then-rank"]))
def test_direction_only_flips_the_values(X, scheme) -> None:
    assert np.array_equal(rank_task(X, 1, scheme).rank, rank_task(-X, -1, scheme).rank)


@given(MATRICES)
def test_ranks_within_a_case_do_not_depend_on_the_scale(X) -> None:
    assert np.array_equal(rank_then_aggregate(X, 1).rank, rank_then_aggregate(np.exp(3 * X), 1).rank)


def test_worst_for_tests_is_far_enough() -> None:
    X = np.array([[1.0, 2.0], [NAN, 9.0], [INF, 4.0]])
    assert worst_for_tests(X, -1) - 9 > 9 - 1
    assert 1 - worst_for_tests(X, 1) > 9 - 1
    rng = np.random.default_rng(3)
    Y = rng.random((15, 4)) * 30
    Y[:4, 0] = NAN
    penalty = worst_for_tests(Y, -1)
    ranks = [test_then_rank(Y, -1, missing=penalty * factor, decimals=None).wins for factor in (1, 10)]
    assert np.array_equal(ranks[0], ranks[1])


@given(st.integers(2, 9).flatmap(lambda k: arrays(float, (2, k), elements=st.integers(1, 5).map(float))))
def test_kendall_equals_scipy(pair) -> None:
    expected = stats.kendalltau(*pair).statistic
    assert kendall(*pair) == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_kendall_of_many() -> None:
    assert kendall([[1, 2, 3], [3, 2, 1], [1, 1, 1]], [1, 2, 3]) == pytest.approx([1, -1, NAN], nan_ok=True)
