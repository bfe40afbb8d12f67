"""Verdicts: error rates on simulated trainings, what would decide, and the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import UnknownName, UsageError, VerificationError
from segbench.ranking.boards import Request
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.comparisons import draw_comparisons
from segbench.ranking.grid import COLUMNS
from segbench.ranking.verdicts import Comparison, compare
from segbench.results import write_json, write_table
from segbench.score_table import scores_table


def simulated(rng: np.random.Generator, n: int, seeds: int, difference: float, offset: float, names="ab", missing=0):
    """Values with between-case SD 0.05, noise SD 0.025 and an offset SD per training; ``difference`` in those 0.05."""
    case = 0.7 + 0.05 * rng.normal(size=(n, 1))
    rows = []
    for name in names:
        values = case + 0.025 * rng.normal(size=(n, seeds)) + 0.05 * offset * rng.normal(size=(1, seeds))
        values += 0.05 * difference * (name == names[0])
        for (c, seed), value in np.ndenumerate(values):
            gone = name == names[-1] and c < missing
            rows.append(
                {
                    "run_id": f"{name}{seed}",
                    "dataset": "brain",
                    "dataset_revision": "1",
                    "network": "unet3d",
                    "method": name,
                    "arm": "method",
                    "seed": seed,
                    "fold": 0,
                    "case_id": f"c{c:03d}",
                    "group": f"c{c:03d}",
                    "label": 1,
                    "label_name": "left",
                    "metric": "dice",
                    "metric_version": "1",
                    "unit": "",
                    "better": "higher",
                    "value": None if gone else float(value),
                    "status": "missing" if gone else "ok",
                }
            )
    return scores_table(rows)


def verdicts(table, rope=0.005, methods="ab", **options) -> list[Comparison]:
    return compare(chunks_of_table(table, COLUMNS), list(methods), "dice", rope, resamples=400, **options)


@pytest.mark.parametrize(("seeds", "offset"), [(1, 0.0), (3, 0.0), (3, 0.2)])
def test_identical_arms_are_not_told_apart(seeds, offset) -> None:
    rng = np.random.default_rng(11)
    found = [verdicts(simulated(rng, 30, seeds, 0.0, offset))[0].verdict for _ in range(60)]
    assert sum(verdict in ("no evidence", "practically equal") for verdict in found) >= 57


@pytest.mark.parametrize(("seeds", "offset"), [(1, 0.0), (3, 0.0), (3, 0.1)])
def test_one_between_case_sd_is_found_with_thirty_cases(seeds, offset) -> None:
    rng = np.random.default_rng(12)
    found = [verdicts(simulated(rng, 30, seeds, 1.0, offset))[0].verdict for _ in range(40)]
    assert found.count("better") >= 38


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "offset"), [(1, 0.0), (3, 0.1)])
def test_error_rates_over_two_hundred_repeats(seeds, offset) -> None:
    rng = np.random.default_rng(13)
    quick = {"request": Request(schemes=False)}
    same = [verdicts(simulated(rng, 30, seeds, 0.0, offset), **quick)[0].verdict for _ in range(200)]
    assert sum(verdict in ("no evidence", "practically equal") for verdict in same) >= 190
    apart = [verdicts(simulated(rng, 30, seeds, 1.0, offset), **quick)[0].verdict for _ in range(200)]
    assert apart.count("better") >= 190


def test_worse_is_the_mirror_of_better() -> None:
    table = simulated(np.random.default_rng(0), 30, 3, 1.0, 0.0)
    forth, back = verdicts(table)[0], verdicts(table, methods="ba")[0]
    assert (forth.verdict, back.verdict) == ("better", "worse")
    assert forth.effect.mean == pytest.approx(-back.effect.mean)
    assert forth.effect.rank_biserial == pytest.approx(-back.effect.rank_biserial)
    assert forth.p == pytest.approx(back.p)
    assert forth.mean_interval[0] > 0 > back.mean_interval[1]


def test_practically_equal_needs_a_rope_and_certainty() -> None:
    table = simulated(np.random.default_rng(0), 60, 4, 0.0, 0.0)
    assert verdicts(table, rope=0.02)[0].verdict == "practically equal"
    assert verdicts(table, rope=0.0)[0].verdict == "no evidence"
    trivial = simulated(np.random.default_rng(0), 200, 4, 0.3, 0.0)
    assert verdicts(trivial, rope=0.05)[0].verdict == "practically equal", "significant, but of no importance"


@pytest.mark.parametrize(("methods", "claim"), [("ab", "better"), ("ba", "worse")])
def test_a_claim_must_go_beyond_the_rope_on_either_side(methods, claim) -> None:
    table = simulated(np.random.default_rng(0), 200, 4, 0.3, 0.0)
    mean = abs(verdicts(table, rope=0.0, methods=methods)[0].effect.mean)
    assert verdicts(table, rope=0.0, methods=methods)[0].verdict == claim
    assert verdicts(table, rope=0.99 * mean, methods=methods)[0].verdict == claim
    assert verdicts(table, rope=1.01 * mean, methods=methods)[0].verdict == "no evidence", "the interval is wider"
    assert verdicts(table, rope=4 * mean, methods=methods)[0].verdict == "practically equal"


@pytest.mark.parametrize(("methods", "claim"), [("ab", "better"), ("ba", "worse")])
@pytest.mark.parametrize(("seeds", "share", "difference"), [(1, 5, 0.4), (3, 1, 0.15)])
def test_a_single_seed_must_reach_a_fifth_of_the_level(seeds, share, difference, methods, claim) -> None:
    table = simulated(np.random.default_rng(2), 30, seeds, difference, 0.0)
    p = verdicts(table, rope=0.0, methods=methods)[0].p
    assert 1e-4 < p < 0.1
    for factor, verdict in ((0.99, "no evidence"), (1.01, claim)):
        assert verdicts(table, rope=0.0, methods=methods, alpha=factor * share * p)[0].verdict == verdict


def test_few_cases_give_no_verdict() -> None:
    one = verdicts(simulated(np.random.default_rng(0), 5, 3, 5.0, 0.0))[0]
    assert (one.verdict, one.mean_interval, one.p) == ("no evidence", None, 1.0)


def test_what_would_decide() -> None:
    rng = np.random.default_rng(5)
    few = verdicts(simulated(rng, 8, 1, 0.35, 0.0), rope=0.0)[0]
    assert few.verdict == "no evidence"
    assert few.more_patients is not None
    assert few.more_patients > 0
    assert few.more_seeds is None
    shaky = verdicts(simulated(np.random.default_rng(3), 30, 2, 2.0, 0.6), rope=0.0)[0]
    assert shaky.verdict == "no evidence"
    assert shaky.more_seeds is not None
    assert shaky.more_patients is None, "more cases do not help where trainings differ"


def test_all_pairs_and_holm() -> None:
    table = simulated(np.random.default_rng(0), 30, 2, 1.0, 0.0, names="abc")
    found = verdicts(table, methods="abc")
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[2].p >= verdicts(table, methods="bc")[0].p


def test_missing_values_count_as_worst_and_are_reported() -> None:
    one = verdicts(simulated(np.random.default_rng(0), 30, 1, 0.0, 0.0, missing=3))[0]
    assert one.substituted == 3
    assert one.effect.mean > 0.05


def distances(own, other) -> Any:
    """Scores of a and b by a distance, given ``(cases, seeds)`` values of either."""
    table = simulated(np.random.default_rng(0), len(own), len(own[0]), 0.0, 0.0)
    found = {
        name: iter(np.asarray(values, dtype=float).ravel()) for name, values in zip("ab", (own, other), strict=True)
    }
    lines = [line | {"better": "lower", "value": next(found[line["method"]])} for line in table.to_pylist()]
    return scores_table(lines)


@pytest.mark.filterwarnings("error")
def test_an_infinite_value_makes_no_claim_easier() -> None:
    trainings = np.array([5.0, 7.0, 9.0]) + 0.01 * np.random.default_rng(0).normal(size=(12, 3))
    worse = trainings + 1.0
    before = verdicts(distances(trainings, worse), rope=0.0)[0]
    worse[3, 1] = np.inf
    after = verdicts(distances(trainings, worse), rope=0.0)[0]
    assert before.verdict == after.verdict == "no evidence"
    assert after.p > 0.2, "trainings of one method differ more than the methods do"
    assert (after.mean_interval, after.nested_interval) == (None, None)
    assert np.isfinite(after.median_interval).all()
    both = np.where(np.arange(12)[:, None] == 3, np.inf, trainings)
    same = verdicts(distances(both, both + 1e-4), rope=1.0)[0]
    assert same.verdict == "no evidence", "the spread over seeds is unknown, so nothing is surely equal"


@pytest.mark.filterwarnings("error")
def test_a_method_that_is_often_infinitely_bad_can_still_be_called_worse() -> None:
    rng = np.random.default_rng(1)
    good, bad = 5 + rng.random((12, 3)), 9 + rng.random((12, 3))
    bad[::3] = np.inf
    assert verdicts(distances(good, bad), rope=0.5)[0].verdict == "better"
    assert verdicts(distances(bad, good), rope=0.5)[0].verdict == "worse"
    opposite = good.copy()
    opposite[1] = np.inf
    mixed = verdicts(distances(opposite, bad), rope=0.0)[0]
    assert mixed.verdict == "no evidence"
    assert np.isnan(mixed.effect.mean), "of infinities of both signs there is no mean"


def test_a_seed_that_was_not_scored_on_all_cases_is_refused_or_counts_as_worst() -> None:
    lines = simulated(np.random.default_rng(0), 30, 3, 0.0, 0.0).to_pylist()
    table = scores_table(
        line for line in lines if line["method"] != "b" or line["seed"] != 2 or line["case_id"] == "c000"
    )
    with pytest.raises(VerificationError, match="not every seed was scored on the same cases"):
        verdicts(table)
    one = verdicts(table, request=Request(cases="union"))[0]
    assert one.substituted == 29
    assert one.effect.mean > 0.15


def test_what_became_of_missing_values_is_said_in_words() -> None:
    table = simulated(np.random.default_rng(0), 30, 1, 0.0, 0.0, missing=3)
    for missing, words in (
        ("worst", "3 values counted as worst"),
        ("drop", "3 values left out"),
        (0.5, "counted as 0.5"),
    ):
        found = verdicts(table, request=Request(missing=missing))
        out = io.StringIO()
        draw_comparisons(found, Console(file=out, width=100), 0.0)
        assert words in out.getvalue()
    assert verdicts(table, request=Request(missing="drop"))[0].cases == 27


def test_a_method_named_twice_is_compared_once() -> None:
    table = simulated(np.random.default_rng(0), 30, 2, 0.5, 0.0)
    assert verdicts(table, methods="aab") == verdicts(table, methods="ab")


def test_wrong_requests() -> None:
    table = simulated(np.random.default_rng(0), 8, 1, 0.0, 0.0)
    with pytest.raises(UsageError, match="two different"):
        verdicts(table, methods="aa")
    with pytest.raises(UnknownName, match="no method 'z'"):
        verdicts(table, methods="az")
    with pytest.raises(UsageError, match="--rope"):
        verdicts(table, rope=-1)


def test_command_line(tmp_path: Path) -> None:
    table = simulated(np.random.default_rng(0), 12, 2, 1.0, 0.0)
    folder = tmp_path / "brain" / "all" / "r"
    write_table(folder / "scores.parquet", table)
    write_json(folder / "run.json", {})
    common = ["compare", "a", "b", "--metric", "dice", "--rope", "0.005", "--results", str(tmp_path)]
    shown = CliRunner().invoke(app, common, env={"COLUMNS": "60"})
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.stdout.splitlines())) <= 60
    document = json.loads(CliRunner().invoke(app, [*common, "--json"]).stdout)
    one = document["comparisons"][0]
    assert one["verdict"] in ("better", "worse", "practically equal", "no evidence")
    assert set(one["effect"]) >= {"rank_biserial", "hodges_lehmann", "mean", "median"}
    assert CliRunner().invoke(app, [*common[:2], "zz", *common[3:]]).exit_code == 2
