"""What is said below tables: what the numbers are, how firm an order is, what would change it.

``hints`` adds the options of the command line that ask for more; published pages go without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from segbench.ranking.boards import Board, Leaderboard, Place, Summary
from segbench.ranking.robustness import firsts
from segbench.showing.sheet import BARE


def value_notes(
    leaderboard: Leaderboard,
    columns: dict[str, list[Summary]],
    level: int,
    hints: bool = True,
) -> list[str]:
    """Say what the values of a table are.

    Args:
        leaderboard: what was asked for.
        columns: metric -> what is shown of it.
        level: of the cells.
        hints: whether to name options.
    """
    request = leaderboard.request
    scheme = request.scheme + (f", {request.adjustment}" if request.scheme == "test-then-rank" else "")
    spread = "" if level == BARE else " ± sd"
    notes = [f"mean{spread} over cases, seeds averaged. Rank: {scheme} per label and metric, averaged."]
    gaps = [metric for metric, column in columns.items() if any(summary.left_out for summary in column)]
    if gaps:
        ranked = (
            "and of its ranking" + _hint("--missing drop", hints) if request.missing == "drop" else "but ranked last"
        )
        notes.append(
            f"n % = share of the values that a mean rests on: undefined ones are left out of the mean of "
            f"{', '.join(gaps)} {ranked}."
        )
    given = [metric for metric, column in columns.items() if any(summary.undefined for summary in column)]
    if given and isinstance(request.missing, int | float):
        notes.append(f"Missing values of {', '.join(given)} count as {request.missing:g}{_hint('--missing', hints)}.")
    return notes


def hidden_note(board: Board, shown: Sequence[str], hints: bool = True) -> list[str]:
    """Say which metrics stand in no table, for want of width."""
    hidden = [metric for metric in board.metrics if metric not in shown]
    ways = _hint("--metric NAME or --format md shows them", hints)
    return [f"Ranked but not shown, for width: {', '.join(hidden)}{ways}."] if hidden else []


def _hint(option: str, hints: bool) -> str:
    return f" ({option})" if hints else ""


def firmness_notes(board: Board, hints: bool = True) -> list[str]:
    """Return what is said of a board's order: who cannot be told apart, what it rests on, what would change it."""
    return [*letter_notes(board), *detail_notes(board, hints)]


def detail_notes(board: Board, hints: bool = True) -> list[str]:
    """Say what an order rests on, and what would change it."""
    notes = []
    if len(board.headline) < len(board.metrics):
        others = [metric for metric in board.metrics if metric not in board.headline]
        counted = f"{', '.join(others)} not counted{_hint('--headline', hints)}"
        notes.append(f"Mean rank over {' and '.join(board.headline)}; {counted}.")
    if board.agreement:
        winners = _winners([entry.place for entry in board.entries])
        others = []
        for a in board.agreement:
            theirs = _winners(a.places)
            tau = "undefined" if math.isnan(a.tau) else f"{a.tau:.2f}"
            others.append(f"{a.scheme} {tau}" + ("" if theirs == winners else f" ({theirs})"))
        notes.append(f"Kendall's tau with the order by other schemes: {', '.join(others)}.")
    return [*notes, *_policy_notes(board), *_seed_notes(board, hints)]


def letter_notes(board: Board) -> list[str]:
    """Say what letters and intervals mean, and what of the trainings they know."""
    unit = "case" if board.patients == board.cases else "patient"
    notes = []
    if any(entry.group for entry in board.entries):
        (one, *_), metrics = board.pairs.values(), listed(board.headline).replace(" and ", " or ")
        seeds = " and a test with the spread between seeds" if one.of_trainings else ""
        alone = "" if one.of_trainings else " Seeds were not repeated: letters speak of these trained networks only."
        notes.append(
            f"Methods that share a letter cannot be told apart by {metrics} (signed rank test "
            f"over {unit}s{seeds}, Holm over {one.family} ordered pairs, p ≤ {one.level():g}).{alone}"
        )
    if board.stability is not None:
        scans = ", with all their scans" if unit == "patient" else ""
        notes.append(f"95% and P(first): {unit}s drawn again{scans}; the trainings (seeds) stay the same.")
    return notes


def _winners(places: Sequence[Place]) -> str:
    """Say who is first: one name, those that tie, or that all do."""
    names = firsts(places)
    return "all tie" if 1 < len(names) == len(places) else f"first: {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """Return some names as words: four at most, and how many more."""
    few = names if len(names) <= _NAMED else [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return " and ".join(part for part in (", ".join(few[:-1]), few[-1]) if part)


_NAMED = 4
"""Methods that share a first place and are named."""
_POLICIES = {
    "worst": "counted as worst",
    "drop": "dropped",
    "exclude": "excluded for all",
    "number": "given a number",
}


def _policy_notes(board: Board) -> list[str]:
    if not board.policies:
        return []
    winners = listed(firsts([entry.place for entry in board.entries]))
    lost = [
        f"{_POLICIES[policy.name]} ({listed(firsts(policy.places))} first)"
        for policy in board.policies
        if not policy.survives
    ]
    if lost:
        return [
            f"The first place depends on the policy: not {winners} if empty masks and gaps are {' or '.join(lost)}."
        ]
    names = ", ".join(_POLICIES[policy.name] for policy in board.policies)
    return [f"{winners} would also be first if empty masks and gaps were {names}."]


def _seed_notes(board: Board, hints: bool) -> list[str]:
    if not board.seeds:
        return []
    winners = [entry for entry in board.entries if entry.place.rank == 1]
    wins = [f"{sum(place.rank == 1 for _, place in entry.by_seed)} of {len(entry.by_seed)}" for entry in winners]
    if len(winners) == 1:
        firm = f"{winners[0].place.method} is first with {wins[0]} seeds taken alone{_hint('--by-seed', hints)}."
    else:
        each = listed([f"{entry.place.method} with {count}" for entry, count in zip(winners, wins, strict=True)])
        firm = f"First with seeds taken alone{_hint('--by-seed', hints)}: {each}."
    spreads = []
    for metric in board.headline:
        numbers = [entry.seed_sd[metric] for entry in board.entries if metric in entry.seed_sd]
        if numbers:
            ends = dict.fromkeys(map(small, (min(numbers), max(numbers))))  # one method with several seeds: one number
            spreads.append(f"{metric} {' to '.join(ends)}")
    sds = f" Sd over seeds: {', '.join(spreads)}." if spreads else ""
    return [firm + sds]


def small(number: float) -> str:
    """Return a spread, "-" if there is none."""
    return "-" if math.isnan(number) else f"{number:.2g}"


def several(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
