"""Statuses other than ``ok``, by place: what the drill-down shows beside a value or instead of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from segbench.ranking.entrants import ENTRANT, Names
from segbench.ranking.truths import RUN
from segbench.results import read_scores

Place = tuple[str, str, str, str, str]
"""Board, metric, label, case, competitor."""
_COLUMNS = (*dict.fromkeys((*RUN, *ENTRANT)), "case_id", "label_name", "metric", "status")


def gather_statuses(
    results: Path, names: Mapping[str, Names], board_of: Mapping[tuple[str, ...], str]
) -> Mapping[Place, str]:
    """Return place -> status, with a count where several repetitions share it, e.g. ``pred_empty ×2``.

    Args:
        results: as for ``read_scores``.
        names: dataset -> entrant -> competitor; others are left out.
        board_of: run (see ``truths.RUN``) -> the name of its board; others are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = read_scores(results, _COLUMNS, left_out=[])  # the board says which
    odd = table.filter(pc.not_equal(table["status"].cast(pa.string()), "ok"))
    found: dict[Place, Counter[str]] = {}
    for row in odd.to_pylist():
        competitor = names.get(row["dataset"], {}).get(tuple(row[column] for column in ENTRANT))
        board = board_of.get(tuple(str(row[column]) for column in RUN))
        if competitor is None or board is None:
            continue
        place = (board, row["metric"], row["label_name"], row["case_id"], competitor)
        found.setdefault(place, Counter())[row["status"]] += 1
    return {place: _text(counts) for place, counts in found.items()}


def _text(counts: Counter[str]) -> str:
    return ", ".join(status if count == 1 else f"{status} ×{count}" for status, count in sorted(counts.items()))
