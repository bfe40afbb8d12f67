"""Verdicts: error rates on simulated trainings, what would decide, and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.errors import UnknownName, UsageError
from segbench.ranking.boards import Request
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.grid import COLUMNS
from segbench.ranking.verdicts import Comparison, compare
from segbench.results import scores_table, write_json, write_table


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


def test_few_cases_give_no_verdict() -> None:
    one = verdicts(simulated(np.random.default_rng(0), 5, 3, 5.0, 0.0))[0]
    assert (one.verdict, one.mean_interval, one.p) == ("no evidence", None, 1.0)


def test_what_would_decide() -> None:
    rng = np.random.default_rng(5)
    few = verdicts(simulated(rng, 8, 1, 0.35, 0.0), rope=0.0)[0]
    assert few.verdict == "no evidence"
    assert few.more_cases is not None
    assert few.more_cases > 0
    assert few.more_seeds is None
    shaky = verdicts(simulated(np.random.default_rng(3), 30, 2, 2.0, 0.6), rope=0.0)[0]
    assert shaky.verdict == "no evidence"
    assert shaky.more_seeds is not None
    assert shaky.more_cases is None, "more cases do not help where trainings differ"


def test_all_pairs_and_holm() -> None:
    table = simulated(np.random.default_rng(0), 30, 2, 1.0, 0.0, names="abc")
    found = verdicts(table, methods="abc")
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[2].p >= verdicts(table, methods="bc")[0].p


def test_missing_values_count_as_worst_and_are_reported() -> None:
    one = verdicts(simulated(np.random.default_rng(0), 30, 1, 0.0, 0.0, missing=3))[0]
    assert one.substituted == 3
    assert one.effect.mean > 0.05


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
