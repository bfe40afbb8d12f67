"""Who can be told apart: one definition for letters and ``compare``, error rates, power, patients and seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from segbench.ranking import verdicts
from segbench.ranking.boards import Request
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.grid import COLUMNS
from segbench.ranking.grouping import can_tell, letters
from segbench.ranking.leaderboard import rank_scores
from segbench.ranking.pairwise import Pairwise
from segbench.ranking.significance import signed_rank, signed_ranks
from segbench.ranking.trainings import Trainings, one_sided, spread_of
from segbench.score_table import scores_table

Drawn = tuple[np.ndarray, list[np.ndarray], np.ndarray]


def draw(
    rng: np.random.Generator,
    patients: int,
    scans: int = 1,
    seeds: Sequence[int] = (3, 3),
    rho: float = 0.0,
    seed_sd: float = 0.0,
    shift: float = 0.0,
) -> Pairwise:
    """Methods on scans of patients, in units of the sd between patients; the first is better by ``shift``.

    What a method does to a scan has sd 0.5, of which the share ``rho`` of the variance is the patient's; each training
    adds an offset of sd ``seed_sd`` and noise of sd 0.25.
    """
    n = patients * scans
    patient = np.repeat(np.arange(patients), scans)
    difficulty = rng.normal(size=patients)[patient]
    trainings = []
    for k, count in enumerate(seeds):
        own = np.sqrt(rho) * rng.normal(size=patients)[patient] + np.sqrt(1 - rho) * rng.normal(size=n)
        base = difficulty + 0.5 * own + shift * (k == 0)
        trainings.append(base + seed_sd * rng.normal(size=(count, 1)) + 0.25 * rng.normal(size=(count, n)))
    values = np.stack([one.mean(axis=0) for one in trainings], axis=1)
    return Pairwise([f"m{k}" for k in range(len(seeds))], values, trainings, patient, 1)


def claims(boards: int, seed: int, **how: Any) -> int:
    """Return on how many boards anybody is claimed to be better than anybody."""
    rng = np.random.default_rng(seed)
    return sum(bool(draw(rng, **how).better().any()) for _ in range(boards))


def bound(boards: int) -> int:
    """Return the number of false claims that a true rate of 5 % exceeds once in a thousand."""
    return int(stats.binom.ppf(0.999, boards, 0.05))


# ------------------------------------------------------------------------------------------------------- error rates


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("patients", "scans"), [(8, 6), (10, 6), (30, 3)])
def test_equal_methods_on_scans_of_patients_are_not_told_apart(patients, scans, rho) -> None:
    assert claims(200, 1, patients=patients, scans=scans, seeds=(3, 3), rho=rho, seed_sd=0.1) <= bound(200)
    assert claims(200, 2, patients=patients, scans=scans, seeds=(1, 1), rho=rho) <= bound(200)


@pytest.mark.parametrize("seed_sd", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("seeds", [(3, 1), (1, 3), (2, 2), (3, 3), (3, 2), (3, 1, 1), (3, 3, 3, 3, 3)])
def test_equal_methods_of_several_seeds_are_not_told_apart(seeds, seed_sd) -> None:
    assert claims(200, 3, patients=30, seeds=seeds, seed_sd=seed_sd) <= bound(200)


@pytest.mark.parametrize("scans", [1, 3])
def test_one_sd_between_patients_is_found_with_thirty_patients_and_three_seeds(scans) -> None:
    assert claims(200, 4, patients=30, scans=scans, seeds=(3, 3), rho=0.5, seed_sd=0.1, shift=1.0) >= 190


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("patients", "scans"), [(8, 6), (10, 6), (30, 3)])
def test_error_rate_on_scans_of_patients(patients, scans, rho) -> None:
    found = [
        claims(1000, 5, patients=patients, scans=scans, seeds=seeds, rho=rho, seed_sd=0.1 * (max(seeds) > 1))
        for seeds in ((1, 1), (3, 3), (3, 1))
    ]
    assert max(found) <= bound(1000)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(3, 1), (2, 2), (3, 3), (3, 3, 3, 3, 3, 3, 3)])
def test_error_rate_over_seeds(seeds) -> None:
    found = {sd: claims(1000, 6, patients=30, seeds=seeds, seed_sd=sd) for sd in (0.0, 0.1, 0.3, 1.0)}
    assert max(found.values()) <= bound(1000)


@pytest.mark.slow
def test_power() -> None:
    found = claims(1000, 7, patients=30, seeds=(3, 3), rho=0.5, seed_sd=0.1, shift=1.0)
    assert found >= 950


# ------------------------------------------------------------------------------------------------- letters and compare


def random_rows(rng: np.random.Generator) -> list[dict[str, Any]]:
    """A board of 2 to 5 methods by one or two metrics: patients, seeds, labels, missing and infinite values."""
    K, patients, scans = int(rng.integers(2, 6)), int(rng.integers(5, 16)), int(rng.integers(1, 4))
    several = rng.random() < 0.7
    labels = ["left", "right"][: int(rng.integers(1, 3))]
    spread, gaps, infinite = rng.choice([0.0, 0.02, 0.2]), rng.choice([0.0, 0.05]), rng.choice([0.0, 0.03])
    distance = rng.random() < 0.3
    better, lowest = ("lower", 0.0) if distance else ("higher", 0.0)
    skill = rng.choice([0.0, 0.05, 0.1, 0.2], size=K)
    difficulty, rows = rng.normal(0.5, 0.1, size=patients), []
    for k in range(K):
        for seed in range(int(rng.integers(1, 4)) if several else 1):
            offset = spread * rng.normal()
            for p, scan, label in itertools.product(range(patients), range(scans), labels):
                value = max(lowest, difficulty[p] + skill[k] + offset + 0.05 * rng.normal())
                if distance and rng.random() < infinite:
                    value = float("inf")
                gone = rng.random() < gaps
                rows.append(
                    {
                        "run_id": f"m{k}-{seed}",
                        "dataset": "d",
                        "dataset_revision": "1",
                        "network": "n",
                        "method": f"m{k}",
                        "arm": "method",
                        "seed": seed,
                        "fold": 0,
                        "case_id": f"p{p:02d}s{scan}",
                        "group": f"p{p:02d}",
                        "label": 1,
                        "label_name": label,
                        "metric": "hd95" if distance else "dice",
                        "metric_version": "1",
                        "unit": "",
                        "better": better,
                        "value": None if gone else float(np.round(value, int(rng.integers(1, 7)))),
                        "status": "missing" if gone else "ok",
                    }
                )
    return rows


def check_board(rng: np.random.Generator) -> int:
    """Compare every pair of a random board with its letters, both ways; return how many pairs are told apart."""
    scores = chunks_of_table(scores_table(random_rows(rng)), COLUMNS)
    request = Request(missing=[None, "drop"][int(rng.random() < 0.2)])
    (board,) = rank_scores(scores, request).boards
    groups = {entry.place.method: set(entry.group) for entry in board.entries}
    (metric,) = board.headline
    found = verdicts.compare(scores, sorted(groups), metric, request=request, resamples=20)
    some = verdicts.compare(scores, sorted(groups)[:2], metric, request=request, resamples=20)
    assert [(one.verdict, one.p) for one in some] == [
        (one.verdict, one.p) for one in found if {one.first, one.second} == set(sorted(groups)[:2])
    ], "whoever else is named"
    apart = 0
    for one in found:
        claimed = one.verdict in ("better", "worse")
        shared = bool(groups[one.first] & groups[one.second])
        assert claimed != shared if all(groups.values()) else not claimed
        means = {entry.place.method: board.pairs[metric].names.index(entry.place.method) for entry in board.entries}
        better = board.pairs[metric].better()[means[one.first], means[one.second]]
        assert (one.verdict == "better") == better
        apart += claimed
    return apart


def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would decide is nobody's verdict and takes most of the time."""
    monkeypatch.setattr(verdicts, "_more_patients", lambda *_: None)
    monkeypatch.setattr(verdicts, "_more_seeds", lambda *_: None)


@pytest.mark.filterwarnings("error")
def test_letters_and_compare_never_contradict_each_other(monkeypatch) -> None:
    fewer(monkeypatch)
    rng = np.random.default_rng(8)
    assert sum(check_board(rng) for _ in range(30)) > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_letters_and_compare_on_a_thousand_boards(monkeypatch) -> None:
    fewer(monkeypatch)
    rng = np.random.default_rng(9)
    apart = sum(check_board(rng) for _ in range(1000))
    assert apart > 400


def test_letters_are_those_of_a_search_through_all_cliques() -> None:
    rng = np.random.default_rng(10)
    for _ in range(40):
        K = int(rng.integers(2, 9))
        upper = np.triu(rng.random((K, K)) < rng.choice([0.1, 0.4, 0.7]), 1)
        different = upper | upper.T
        alike = [
            set(group)
            for size in range(1, K + 1)
            for group in itertools.combinations(range(K), size)
            if not different[np.ix_(group, group)].any()
        ]
        largest = [group for group in alike if not any(group < other for other in alike)]
        texts = letters(different)
        used = sorted(set("".join(texts)))
        columns = [{k for k in range(K) if letter in texts[k]} for letter in used]
        assert all(column in largest for column in columns), "no letter joins two that differ, none could join more"
        for i, j in itertools.combinations(range(K), 2):
            assert bool(set(texts[i]) & set(texts[j])) != different[i, j]


# ----------------------------------------------------------------------------------------------------------- its parts


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_all_pairs_at_once_are_the_pairs_one_by_one(seed) -> None:
    rng = np.random.default_rng(seed)
    seeds = tuple(int(count) for count in rng.integers(1, 4, size=4))
    pairs = draw(rng, int(rng.integers(6, 20)), int(rng.integers(1, 4)), seeds, 0.5, 0.2)
    if seed % 3 == 0:
        values = [np.round(one, 1) for one in pairs.trainings]
        means = np.stack([one.mean(axis=0) for one in values], axis=1)
        pairs = Pairwise(pairs.names, means, values, pairs.patients, -1)
    for i, j in itertools.combinations(range(4), 2):
        one = pairs.evidence(i, j)
        assert one.p == pytest.approx((pairs.p[i, j], pairs.p[j, i]), rel=1e-9)
        assert pairs.evidence(j, i).p == pytest.approx(one.p[::-1], rel=1e-9)


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_many_samples_have_the_statistics_of_each(seed) -> None:
    rng = np.random.default_rng(seed)
    d = np.round(rng.normal(size=(5, int(rng.integers(1, 12)))), int(rng.integers(0, 4)))
    every = signed_ranks(d)
    for index, row in enumerate(d):
        alone = signed_rank(row)
        for name in ("positive", "n", "variance"):
            assert getattr(every, name)[index] == getattr(alone, name)[0]


def test_scans_of_a_patient_are_one_observation() -> None:
    rng = np.random.default_rng(1)
    pairs = draw(rng, 8, 6, (1, 1), 0.9, shift=0.6)
    d = (pairs.values[:, 0] - pairs.values[:, 1]).reshape(8, 6)
    expected = stats.wilcoxon(d.mean(axis=1), alternative="greater", correction=True, method="asymptotic").pvalue
    assert pairs.evidence(0, 1).p[0] == pytest.approx(expected)
    assert pairs.evidence(0, 1).d.size == pairs.size == 8
    alone = stats.wilcoxon(d.ravel(), alternative="greater", correction=True, method="asymptotic").pvalue
    assert alone < 0.1 * expected, "as forty-eight cases they would say far more"
    assert not Pairwise(
        pairs.names, pairs.values[:30], [one[:, :30] for one in pairs.trainings], pairs.patients[:30], 1
    ).tested, "five patients are too few, however many scans"


def test_one_part_gives_students_t() -> None:
    d = np.random.default_rng(1).normal(0.3, 1.0, size=12)
    p = one_sided(d.mean(), [(d.var(ddof=1) / 12, 11.0), (0.0, 4.0)])
    assert float(p) == pytest.approx(stats.ttest_1samp(d, 0, alternative="greater").pvalue)


@settings(max_examples=100)
@given(
    st.floats(1e-3, 5),
    st.floats(1e-6, 10),
    st.floats(1e-6, 10),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_two_parts_give_the_level_whose_bound_is_the_mean(mean, first, second, df, other) -> None:
    p = float(one_sided(mean, [(first, df), (second, other)]))
    tail = p
    reach = np.sqrt(first * stats.t.ppf(tail, df) ** 2 + second * stats.t.ppf(tail, other) ** 2)
    assert reach == pytest.approx(abs(mean), rel=1e-6)
    assert float(one_sided(-mean, [(first, df), (second, other)])) == pytest.approx(1 - p)


def test_the_spread_that_is_known_is_never_dropped() -> None:
    """a is 0.03 better by its three seeds, which vary by 0.02; with b's one seed that is no certainty."""
    rng = np.random.default_rng(3)
    case = 0.7 + 0.05 * rng.normal(size=20)
    a = case + np.array([[0.01], [0.03], [0.05]]) + 0.005 * rng.normal(size=(3, 20))
    b = case + 0.005 * rng.normal(size=(1, 20))
    pairs = Pairwise("ab", np.stack([a.mean(axis=0), b[0]], axis=1), [a, b], np.arange(20), 1)
    assert pairs.spread.held(0, 1) == pytest.approx((pairs.spread.own[0],) * 2)
    assert pairs.level() == 0.05
    assert stats.wilcoxon(a.mean(axis=0) - b[0], alternative="greater").pvalue < 1e-4, "patients alone would be certain"
    assert not pairs.better().any()
    alone = Pairwise("ab", np.stack([a[2], b[0]], axis=1), [a[2:], b], np.arange(20), 1)
    assert alone.level() == 0.01, "seeds unknown: of these networks, at a fifth of the level"


def test_more_seeds_make_the_same_difference_easier() -> None:
    d = np.random.default_rng(4).normal(0.05, 0.02, size=20)
    held = (np.float64(1e-4), np.float64(1e-4))
    p = [
        float(Trainings(d, held, df).p(seeds)[0]) for df, seeds in ((2, (3, 1)), (3, (3, 2)), (4, (3, 3)), (8, (5, 5)))
    ]
    assert p == sorted(p, reverse=True)
    assert p[0] > 10 * p[-1]


def test_no_method_is_held_to_less_than_its_own_spread() -> None:
    steady = np.array([[0.0, 0.0], [0.1, 0.1], [0.2, 0.2]])
    wild = 10 * steady
    spread = spread_of([steady, wild, steady[:1]], np.arange(2))
    assert spread.own[:2] == pytest.approx([0.01, 1.0])
    assert (spread.pooled, spread.df) == (pytest.approx(0.505), 4)
    assert spread.held(0, 1) == pytest.approx((0.505, 1.0))
    assert spread.held(0, 2) == pytest.approx((0.505, 0.505))
    assert spread.held(1, 2) == pytest.approx((1.0, 1.0)), "one seed: the other's spread if that is larger"


def test_infinite_values_are_ranked_and_make_no_mean() -> None:
    rng = np.random.default_rng(5)
    good, bad = 5 + rng.random((3, 12)), 9 + rng.random((3, 12))
    bad[:, ::3] = np.inf
    values = np.stack([good.mean(axis=0), bad.mean(axis=0)], axis=1)
    pairs = Pairwise("ab", values, [good, bad], np.arange(12), -1)
    assert pairs.evidence(0, 1).trainings.ranked
    assert pairs.better().tolist() == [[False, True], [False, False]]
    values[1, 0] = np.inf
    assert pairs.__class__("ab", values, [good, bad], np.arange(12), -1).p.min() == 1.0, "infinities of both signs"


def test_a_board_too_large_for_letters_says_so(monkeypatch) -> None:
    rng = np.random.default_rng(11)
    lines = [row for row in random_rows(rng) if row["value"] is not None]
    monkeypatch.setattr("segbench.ranking.grouping._AFFORDABLE", 1)
    values = rng.normal(size=(30, 1)) + np.array([[3.0, 0.0]]) + 0.1 * rng.normal(size=(30, 2))
    table = [
        lines[0] | {"method": f"m{k}", "run_id": f"m{k}", "case_id": f"c{c}", "group": "", "seed": 0, "value": value}
        for (c, k), value in np.ndenumerate(values)
    ]
    (board,) = rank_scores(chunks_of_table(scores_table(table), COLUMNS), Request()).boards
    assert {entry.group for entry in board.entries} == {""}
    assert any("segbench compare says who can be told apart" in note for note in board.notes)


def test_equal_sizes_can_be_significant_below_the_smallest_p_without_ties() -> None:
    values = np.array([[0.6, 0.5]] * 9 + [[0.5, 0.5]]) + np.linspace(0, 0.05, 10)[:, None]
    pairs = Pairwise("ab", values, [values[None, :, 0], values[None, :, 1]], np.arange(10), 1)
    assert pairs.better()[0, 1]
    assert can_tell(pairs), "what compare claims, letters show"
