"""What a table may claim: what is a structure, what is a best, what a mean covers."""

from __future__ import annotations

from typing import Any

import pytest

from segbench.ranking.boards import Request
from segbench.ranking.leaderboard import leaderboard
from segbench.score_table import scores_table
from segbench.showing.tables import Sheet, percent, sheets


def rows(method: str, metric: str, label: str, values: list[float | None], better: str) -> list[dict[str, Any]]:
    """One run's values, case by case; None is a structure that was not predicted."""
    return [
        {
            **{"run_id": method, "dataset": "heart", "dataset_revision": "1", "network": "net", "method": method},
            **{"arm": "method", "seed": 0, "fold": 0, "case_id": f"c{case}", "group": f"c{case}", "label": 1},
            **{"label_name": label, "metric": metric, "metric_version": "1", "unit": "", "better": better},
            **{"value": value, "status": "ok" if value is not None else "pred_empty"},
        }
        for case, value in enumerate(values)
    ]


def of(method: str, lv: list[float | None], rv: list[float | None], contacts: float) -> list[dict[str, Any]]:
    """Distances of two structures, overlaps 0 where they are missed, and contacts of the whole map."""
    overlaps = [[None if value is None else 1 - value / 100 for value in one] for one in (lv, rv)]
    return [
        *rows(method, "hd", "LV", lv, "lower"),
        *rows(method, "hd", "RV", rv, "lower"),
        *rows(method, "dice", "LV", overlaps[0], "higher"),
        *rows(method, "dice", "RV", overlaps[1], "higher"),
        *rows(method, "contacts", "all", [contacts] * 4, "lower"),
    ]


NEVER: list[float | None] = [None] * 4
LAZY = of("lazy", NEVER, [None, None, None, 1.0], 0.0)
GOOD = of("good", [10.0, 12.0, 9.0, 11.0], [13.0, 14.0, 12.0, 13.0], 0.2)
FAIR = of("fair", [20.0, 22.0, 19.0, 21.0], [23.0, 24.0, 22.0, 23.0], 0.1)


def shown(*some: list[dict[str, Any]], **options: Any) -> list[Sheet]:
    table = scores_table([row for one in some for row in one])
    return sheets(leaderboard(table, Request(metrics=options.pop("metrics", ()))), **options)


def bold(sheet: Sheet) -> dict[str, list[str]]:
    """Return head -> methods whose value is bold."""
    found: dict[str, list[str]] = {}
    for i, j in sorted(sheet.bold):
        found.setdefault(sheet.header[j].split()[0], []).append(sheet.rows[i][1])
    return found


def cell(sheet: Sheet, method: str, head: str) -> str:
    column = next(j for j, word in enumerate(sheet.header) if word.startswith(head))
    return next(row[column] for row in sheet.rows if row[1] == method)


def board(found: list[Sheet]) -> Sheet:
    """Return the table of all metrics."""
    return next(sheet for sheet in found if {"dice ↑", "hd ↓", "contacts ↓"} <= set(sheet.header))


def test_the_whole_map_is_no_structure() -> None:
    assert "heart@1 · 2 labels · 4 cases" in board(shown(GOOD, FAIR)).title
    assert "heart@1 · LV · 4 cases" in board(shown([row for row in GOOD if row["label_name"] != "RV"])).title
    only_whole = shown([row for row in GOOD if row["label_name"] == "all"])
    assert "heart@1 · all · 4 cases" in only_whole[-1].title


def test_who_predicts_nothing_is_not_best() -> None:
    assert bold(board(shown(LAZY, GOOD, FAIR))) == {"dice": ["good"]}, "neither its contacts nor its one distance"
    assert bold(board(shown(GOOD, FAIR))) == {"dice": ["good"], "hd": ["good"], "contacts": ["fair"]}


def test_who_predicts_nothing_is_not_best_label_by_label() -> None:
    found = {sheet.title.split(" · ")[1]: bold(sheet) for sheet in shown(LAZY, GOOD, FAIR, by_label=True)}
    assert found == {"LV": {"dice": ["good"], "hd": ["good"]}, "RV": {"dice": ["good"]}, "all": {}}


def test_coverage_stands_beside_a_distance() -> None:
    sheet = board(shown(LAZY, GOOD, FAIR))
    assert cell(sheet, "lazy", "hd") == "1.00 (7 undefined, 12 %)"
    assert "(" not in cell(sheet, "good", "hd") and "(" not in cell(sheet, "lazy", "dice")
    assert any(note.startswith("n % = share of the values that a mean rests on") for note in sheet.notes)
    assert not any("n % =" in note for note in board(shown(GOOD, FAIR)).notes)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.001, "<1 %"), (0.13, "13 %"), (0.29, "29 %"), (0.996, "99 %")]
)
def test_percent_rounds_down(share: float, text: str) -> None:
    assert percent(share) == text
