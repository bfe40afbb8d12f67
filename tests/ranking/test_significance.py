"""Signed rank test, adjustments, Friedman and Nemenyi against SciPy, statsmodels, scikit-posthocs and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from segbench.ranking.friedman import critical_difference, friedman, groups
from segbench.ranking.significance import (
    adjust,
    differences,
    effect,
    hodges_lehmann,
    pairwise_p,
    signed_rank,
    smallest_p,
    wins,
)

DIFFERENCES = arrays(float, st.integers(1, 40), elements=st.integers(-6, 6).map(lambda v: v / 8))
P_VALUES = arrays(float, st.integers(1, 20), elements=st.floats(0, 1))


@given(DIFFERENCES.filter(lambda d: np.any(d != 0)))
def test_signed_rank_equals_scipy_with_r_settings(d) -> None:
    ours = signed_rank(d)
    for alternative, theirs in (("better", "greater"), ("worse", "less"), ("two-sided", "two-sided")):
        expected = stats.wilcoxon(
            d, zero_method="wilcox", correction=True, method="asymptotic", alternative=theirs
        ).pvalue
        assert ours.p(alternative)[0] == pytest.approx(min(expected, 1.0), abs=1e-12)


def test_nothing_differs() -> None:
    assert signed_rank(np.zeros(5)).p("better").tolist() == [1.0]
    assert signed_rank([]).p("two-sided").tolist() == [1.0]
    assert pairwise_p(np.ones((4, 3)), 1).min() == 1.0


def test_infinite_values_are_the_worst_and_equal_each_other() -> None:
    d = differences([1.0, np.inf, np.inf], [np.inf, 2.0, np.inf], direction=-1)
    assert d.tolist() == [np.inf, -np.inf, 0.0]
    assert signed_rank(d).positive[0] == 1.5


def test_rounding_of_differences_makes_equal_differences_tie() -> None:
    x, y = np.array([0.3, 0.8]), np.array([0.2, 0.7])
    assert len(set(differences(x, y, decimals=None))) == 2
    assert len(set(differences(x, y))) == 1


@given(DIFFERENCES, st.integers(0, 2**32 - 1))
def test_a_case_drawn_m_times_is_m_cases(d, seed) -> None:
    drawn = np.random.default_rng(seed).integers(0, d.size, (5, d.size))
    M = np.stack([np.bincount(row, minlength=d.size) for row in drawn])
    together = signed_rank(d, M)
    for b, row in enumerate(drawn):
        alone = signed_rank(d[row])
        assert together.p("better")[b] == pytest.approx(alone.p("better")[0], abs=1e-12)
        assert together.negative[b] == pytest.approx(alone.negative[0])


def test_adjustments_by_hand() -> None:
    p = [0.01, 0.04, 0.03, np.nan]
    assert adjust(p, "none").tolist() == [0.01, 0.04, 0.03, 1.0]
    assert adjust(p, "bonferroni").tolist() == pytest.approx([0.04, 0.16, 0.12, 1.0])
    assert adjust(p, "holm").tolist() == pytest.approx([0.04, 0.09, 0.09, 1.0])
    assert adjust(p, "bh").tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 1.0])
    with pytest.raises(ValueError, match="holm"):
        adjust(p, "hommel")  # type: ignore[arg-type]


@given(P_VALUES)
def test_benjamini_hochberg_equals_scipy(p) -> None:
    assert adjust(p, "bh") == pytest.approx(stats.false_discovery_control(p), abs=1e-12)


@given(P_VALUES)
def test_adjustments_equal_statsmodels(p) -> None:
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    for ours, theirs in (("bonferroni", "bonferroni"), ("holm", "holm"), ("bh", "fdr_bh")):
        assert adjust(p, ours) == pytest.approx(multipletests(p, method=theirs)[1], abs=1e-12)


def test_wins_counts_equality_and_the_whole_family() -> None:
    p = np.ones((3, 3))
    p[0, 1] = 0.05 / 6
    assert wins(p, 0.05, "holm").sum() == 1
    assert wins(p + 1e-6, 0.05, "holm").sum() == 0


def test_pairs_use_the_cases_both_have() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((12, 3))
    X[:3, 1] = np.nan
    p = pairwise_p(X, 1)[0]
    assert p[0, 1] == signed_rank(differences(X[3:, 0], X[3:, 1])).p("better")[0]
    assert p[2, 0] == signed_rank(differences(X[:, 2], X[:, 0])).p("better")[0]


def test_no_win_is_possible_below_twelve_cases_with_holm_and_six() -> None:
    assert smallest_p(11) * 30 > 0.05
    assert smallest_p(12) * 30 <= 0.05


def test_effects_by_hand_and_by_brute_force() -> None:
    d = np.array([0.3, -0.1, 0.2, 0.0])
    result = effect(d)
    assert result.rank_biserial == pytest.approx((5 - 1) / 6)
    assert result.common_language == pytest.approx(0.625)
    walsh = [(d[k] + d[m]) / 2 for k, m in itertools.combinations_with_replacement(range(4), 2)]
    assert result.hodges_lehmann == pytest.approx(np.median(walsh))
    assert result.mean == pytest.approx(0.1)
    assert result.median == pytest.approx(0.1)
    assert effect(np.zeros(3)).rank_biserial == 0.0
    assert np.isnan(hodges_lehmann([]))


@given(arrays(float, st.tuples(st.integers(2, 12), st.integers(3, 6)), elements=st.integers(0, 4).map(float)))
def test_friedman_equals_scipy(X) -> None:
    result = friedman(X, 1)
    if np.all(X[:, :1] == X):
        assert result.p == 1.0
        return
    expected = stats.friedmanchisquare(*X.T)
    assert result.chi2 == pytest.approx(expected.statistic, abs=1e-9)
    assert result.p == pytest.approx(expected.pvalue, abs=1e-9)


def test_friedman_of_perfect_agreement() -> None:
    result = friedman(np.tile([3.0, 2.0, 1.0], (5, 1)), 1)
    assert (result.f, result.f_p, result.w) == (np.inf, 0.0, pytest.approx(1.0))
    assert result.mean_rank.tolist() == [1, 2, 3]


def test_iman_davenport_by_demsar() -> None:
    """Demsar 2006, section 3.2.3: 14 data sets, 4 classifiers, chi2 = 9.28, F = 3.69."""
    chi2, n, K = 9.28, 14, 4
    assert (n - 1) * chi2 / (n * (K - 1) - chi2) == pytest.approx(3.69, abs=0.005)
    rng = np.random.default_rng(4)
    result = friedman(rng.random((n, K)), 1)
    assert result.f == pytest.approx((n - 1) * result.chi2 / (n * (K - 1) - result.chi2))
    assert result.f_p == pytest.approx(stats.f.sf(result.f, K - 1, (K - 1) * (n - 1)))


def test_critical_difference_by_demsar() -> None:
    """Demsar 2006: CD = 1.25 (published from the rounded 2.569) for 4 classifiers and 14 data sets."""
    assert critical_difference(14, 4) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)


def test_the_critical_difference_tells_apart_what_scikit_posthocs_does() -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    X = np.random.default_rng(2).random((15, 5)) + np.arange(5) * 0.15
    p = posthocs.posthoc_nemenyi_friedman(X).to_numpy()
    means = friedman(X, 1).mean_rank
    apart = np.abs(means[:, None] - means) > critical_difference(15, 5)
    assert 0 < apart.sum() < 20
    assert np.array_equal(apart, p < 0.05)


def test_mean_ranks_and_difference_equal_autorank() -> None:
    autorank = pytest.importorskip("autorank")
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(5).random((20, 5)) + np.arange(5) * 0.1
    result = autorank.autorank(pandas.DataFrame(X), force_mode="nonparametric", verbose=False)
    ours = friedman(X, 1)
    assert ours.mean_rank == pytest.approx(result.rankdf["meanrank"].sort_index().to_numpy())
    assert critical_difference(20, 5) == pytest.approx(result.cd, rel=1e-4)


def test_groups_are_maximal_runs() -> None:
    assert groups([1.0, 1.5, 2.4, 2.9, 5.0], 1.5) == [(0, 1, 2), (1, 2, 3)]
    assert groups([3.0, 1.0], 2.0) == [], "exactly the difference apart is different"
    assert groups([3.0, 1.0, 2.0], 5.0) == [(1, 2, 0)]
