"""Trainings that differ in what their configuration does not say stand apart; seeds of one build stand together."""

from __future__ import annotations

from typing import Any

import pytest

from segbench.errors import VerificationError
from segbench.ranking.boards import Request
from segbench.ranking.leaderboard import leaderboard
from segbench.score_table import scores_table


def rows(build: str, value: float, seeds: int = 2, dataset: str = "d", **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            **{"run_id": f"{dataset}{build}{seed}", "dataset": dataset, "dataset_revision": "1", "network": "net"},
            **{"method": "m", "arm": "method", "seed": seed, "fold": 0, "case_id": case, "group": case, "label": 1},
            **{"label_name": "one", "metric": "dice", "metric_version": "1", "unit": "", "better": "higher"},
            **{"value": value, "truth": "8x8@1,1:ab", "build": build, **changes},
        }
        for seed in range(seeds)
        for case in ("a", "b")
    ]


def places(*some: list[dict[str, Any]]) -> dict[str, int]:
    board = leaderboard(scores_table([row for one in some for row in one]), Request()).boards[0]
    return {entry.place.method: entry.seeds for entry in board.entries}


def test_builds_of_one_configuration_are_competitors_of_their_own() -> None:
    assert places(rows("aaaaaa", 0.5)) == {"m": 2}
    assert places(rows("aaaaaa", 0.5), rows("bbbbbb", 0.6)) == {"m [build=aaaaaa]": 2, "m [build=bbbbbb]": 2}
    assert places(rows("", 0.5), rows("bbbbbb", 0.6)) == {"m [build=unknown]": 2, "m [build=bbbbbb]": 2}
    found = leaderboard(scores_table(rows("aaaaaa", 0.5) + rows("bbbbbb", 0.6)), Request())
    assert any("Shown apart by build: m." in note for note in found.notes)


def test_two_datasets_are_no_two_builds() -> None:
    table = scores_table(rows("aaaaaa", 0.5) + rows("bbbbbb", 0.6, dataset="other"))
    assert [[entry.place.method for entry in one.entries] for one in leaderboard(table, Request()).boards] == [
        ["m"]
    ] * 2


def test_one_build_twice_with_other_values_is_refused() -> None:
    again = [row | {"run_id": "again", "value": 0.9} for row in rows("aaaaaa", 0.5)]
    with pytest.raises(VerificationError, match="more than once"):
        places(rows("aaaaaa", 0.5), again)
