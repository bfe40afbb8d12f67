"""Values that are the same to the last bit are said to be, by board and comparison; nothing less is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.ranking.boards import Request
from segbench.ranking.chunks import chunks_of_table
from segbench.ranking.grid import COLUMNS
from segbench.ranking.leaderboard import leaderboard
from segbench.ranking.verdicts import Comparison, compare
from segbench.results import write_json, write_table
from segbench.score_table import scores_table
from segbench.showing.exports import document, markdown

CASES, SEEDS = 16, 3


def value(case: int, seed: int, label: int) -> float:
    return 0.5 + 0.02 * case + 0.003 * seed + 0.1 * label


def rows(method: str, metric: str = "dice", of: Any = value, seeds: int = SEEDS) -> list[dict[str, Any]]:
    return [
        {
            **{"run_id": f"{method}{seed}", "dataset": "heart", "dataset_revision": "1", "network": "net"},
            **{"method": method, "arm": "method", "seed": seed, "fold": 0, "case_id": f"c{case:02d}"},
            **{"group": f"c{case:02d}", "label": label, "label_name": f"l{label}", "metric": metric},
            **{"metric_version": "1", "unit": "", "better": "higher", "value": of(case, seed, label), "status": "ok"},
        }
        for seed in range(seeds)
        for case in range(CASES)
        for label in (0, 1)
    ]


def nudged(case: int, seed: int, label: int) -> float:
    """Another last bit in one label of one case of one seed."""
    plain = value(case, seed, label)
    return math.nextafter(plain, 1) if (case, seed, label) == (7, 2, 1) else plain


def constant(case: int, seed: int, label: int) -> float:
    return 0.0


def judged(*some: list[dict[str, Any]], metric: str = "dice", rope: float = 0.0) -> Comparison:
    table = scores_table([row for one in some for row in one])
    (one,) = compare(chunks_of_table(table, COLUMNS), ["prior", "base"], metric, rope, resamples=100)
    return one


@pytest.mark.parametrize("rope", [0.0, 0.1])
def test_every_bit_the_same_is_identical(rope: float) -> None:
    one = judged(rows("prior"), rows("base"), rope=rope)
    assert (one.verdict, one.same, one.pairs, one.never_acted) == ("identical", 48, 48, True)


def test_one_bit_of_one_label_of_one_seed_is_not() -> None:
    one = judged(rows("prior", of=nudged), rows("base"))
    assert (one.verdict, one.same, one.pairs) == ("no evidence", 47, 48)


def test_a_seed_more_is_not() -> None:
    assert judged(rows("prior"), rows("base", seeds=2)).verdict != "identical"


def test_seeds_in_another_order_are_not() -> None:
    one = judged(rows("prior", of=lambda case, seed, label: value(case, 2 - seed, label)), rows("base"))
    assert (one.verdict, one.same) == ("no evidence", 16)


def test_a_status_of_its_own_is_not() -> None:
    failed = [row | ({"value": None, "status": "missing"} if row["case_id"] == "c00" else {}) for row in rows("prior")]
    empty = [
        row | ({"value": None, "status": "truth_empty"} if row["case_id"] == "c00" else {}) for row in rows("base")
    ]
    assert judged(failed, empty).verdict != "identical"
    again = [row | {"method": "base", "run_id": f"b{row['seed']}"} for row in failed]
    assert judged(failed, again).verdict == "identical"


def test_a_metric_that_is_the_same_for_everybody_says_nothing_of_the_prior() -> None:
    other = [*rows("prior", "contacts", constant), *rows("base", "contacts", constant)]
    apart = judged(rows("prior", of=nudged), rows("base"), other, metric="contacts")
    assert (apart.verdict, apart.never_acted) == ("identical", False), "they differ in Dice"
    alone = judged(other, metric="contacts")
    assert (alone.verdict, alone.never_acted) == ("identical", False), "nothing varies"
    assert judged(rows("prior"), rows("base"), other, metric="contacts").never_acted


def test_the_board_says_it_in_every_form() -> None:
    third = rows("third", of=lambda case, seed, label: value(case, seed, label) - 0.01 * (case % 3))
    board = leaderboard(scores_table([*rows("prior"), *rows("base"), *third]), Request())
    sentence = "base and prior are identical in 48 of 48 cases: the prior never acted."
    (found,) = board.boards[0].identical
    assert (found.methods, found.cases, found.never_acted) == (("base", "prior"), 48, True)
    assert sentence in markdown(board)
    written = document(board)["boards"][0]
    assert written["identical"] == [{"methods": ("base", "prior"), "cases": 48, "never_acted": True}]
    assert sentence in written["notes"]
    apart = leaderboard(scores_table([*rows("prior", of=nudged), *rows("base")]), Request())
    assert apart.boards[0].identical == ()


def test_on_the_command_line(tmp_path: Path) -> None:
    for method in ("prior", "base"):
        folder = tmp_path / "heart" / method / "run"
        write_table(folder / "scores.parquet", scores_table(rows(method)))
        write_json(folder / "run.json", {"run_id": method})
    words = ["compare", "prior", "base", "--metric", "dice", "--results", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert "prior and base: identical in 48 of 48 cases: the prior never acted" in " ".join(result.stdout.split())
    (one,) = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["comparisons"]
    assert (one["verdict"], one["same"], one["pairs"], one["more_patients"]) == ("identical", 48, 48, None)
