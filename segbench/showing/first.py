"""What a first reader wants to know of a board: what the priors add, who is first and how surely, what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from segbench.costs import Cost
from segbench.ranking.boards import Board
from segbench.ranking.effects import FIRST, PriorEffect
from segbench.ranking.grid import PENALTY
from segbench.ranking.grouping import can_tell
from segbench.ranking.identical import identical
from segbench.ranking.pairwise import FEWEST
from segbench.showing.notes import listed, several
from segbench.showing.sheet import BARE, FULL, Sheet

_HALF = 8
"""Characters on either side of no difference."""
_ALONE = "Only one method is here: there is nothing to compare it with."
_UNASKED = (
    "No method was trained with its prior switched off (control) or made meaningless (placebo): this says which method "
    "is ahead, not what a prior adds."
)


def first_place(board: Board) -> str:
    """Say in plain words who is first, and whether that is established."""
    names = [entry.place.method for entry in board.entries]
    if len(names) < 2:
        return _ALONE
    firsts = [entry.place.method for entry in board.entries if entry.place.rank == 1]
    able = [one for one in board.pairs.values() if can_tell(one)]
    where = f"on these {_size(board)}"
    verb = "leads" if len(firsts) == 1 else "lead"
    few = "too few to test anything" if board.patients < FEWEST else "too few for any difference to be significant"
    for one in board.identical:
        if len(firsts) > 1 and set(firsts) <= set(one.methods):
            said = f"First place is shared: {listed(firsts)} are {identical(one.cases, one.never_acted)}."
            return f"{said} {_beside(board, firsts, where) if able else f'These {_size(board)} are {few}.'}".rstrip()
    if not able:
        return f"First place is not established: {listed(firsts)} {verb}, but these {_size(board)} are {few}."
    tied = _tied(board, firsts)
    if len(firsts) + len(tied) > 1:
        return f"First place is not established: {listed([*firsts, *tied])} are tied {where}."
    return f"First place is established: {firsts[0]} is better than every other method {where}."


def _beside(board: Board, firsts: Sequence[str], where: str) -> str:
    tied = _tied(board, firsts)
    return f"Not told apart from them {where}: {listed(tied)}." if tied else ""


def _tied(board: Board, firsts: Sequence[str]) -> list[str]:
    """Return whom the tests do not show to be behind the first: better in no metric, or worse in some."""
    tied = []
    for entry in board.entries:
        other = entry.place.method
        if other in firsts:
            continue
        for first in firsts:
            ahead = behind = False
            for one in board.pairs.values():
                i, j = one.names.index(first), one.names.index(other)
                better = one.better()
                ahead, behind = ahead or bool(better[i, j]), behind or bool(better[j, i])
            if not ahead or behind:
                tied.append(other)
                break
    return tied


def _size(board: Board) -> str:
    counts = sorted({entry.seeds for entry in board.entries})
    seeds = several(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    cases = several(board.cases, "case")
    if board.patients != board.cases:
        cases = f"{several(board.patients, 'patient')} ({cases})"
    return f"{cases} and {seeds}"


def priors_lead(board: Board) -> str:
    """Say in plain words which priors help, as far as arms tell; that none does if no arm was trained."""
    arms = [one for one in board.effects if one.role != FIRST]
    if not arms:
        return _UNASKED if len(board.entries) > 1 else ""
    found: dict[tuple[str, str], list[PriorEffect]] = {}
    for one in arms:
        found.setdefault((one.method, one.role), []).append(one)
    return " ".join(f"{method} against its {role}: {_said(effects)}." for (method, role), effects in found.items())


def _said(effects: Sequence[PriorEffect]) -> str:
    by_finding: dict[str, list[str]] = {}
    for one in effects:
        by_finding.setdefault(one.finding, []).append(one.metric)
    words = {
        "better": "better by {}",
        "worse": "worse by {}",
        "no evidence": "no evidence of a difference by {}",
        "identical": "identical, the prior never acted",
        "not tested": "not tested",
    }
    return ", ".join(words[finding].format(" and ".join(metrics)) for finding, metrics in by_finding.items())


def has_arms(board: Board) -> bool:
    """Return whether effects are those of priors against their control or placebo."""
    return any(one.role != FIRST for one in board.effects)


def effect_sheet(board: Board, level: int = FULL, missing: float | str | None = None) -> Sheet | None:
    """Return the table of effects; None where there are none, or nothing could be tested between methods.

    Args:
        board: whose effects.
        level: BARE leaves out the picture, and that an identical prior never acted.
        missing: what undefined values count as, of the request.
    """
    effects = board.effects
    arms = has_arms(board)
    if not effects or (not arms and all(one.finding == "not tested" for one in effects)):
        return None
    title = "what each prior adds" if arms else f"each method against the first, {effects[0].against}"
    header = ["method", *(["against its"] if arms else []), "metric", "difference", _INTERVAL]
    sheet = Sheet(f"{board.name} · {title}", [*header, *([] if level == BARE else [PICTURE]), "verdict"], [])
    sheet.names, sheet.left = 0, {0, 1, 2, len(sheet.header) - 1} if arms else {0, 1, len(sheet.header) - 1}
    if level < BARE:
        sheet.code = {len(sheet.header) - 2}
    reach = _reach(effects)
    for one in effects:
        start = [
            one.method,
            *([one.role] if arms else []),
            one.metric + (f", {one.unit}" if one.unit not in ("", "1") else ""),
        ]
        drawn = [] if level == BARE else [drawn_interval(one, reach[one.metric])]
        told = "identical: never acted" if level < BARE else "identical"  # names need the room; the notes say it whole
        verdict = told if one.finding == "identical" else one.finding
        digits = 3 if reach[one.metric] < 2 else 2 if reach[one.metric] < 100 else 1
        numbers = [_signed(one.difference, digits), _interval(one, digits)]
        sheet.rows.append([*start, *numbers, *drawn, verdict])
    trainings = any(one.of_trainings for one in board.pairs.values())
    whom = "cases" if board.patients == board.cases else "patients"
    over = f"{whom} and seeds, each for itself" if trainings else f"{whom}, each for itself (no training was repeated)"
    sheet.notes = [
        f"Positive = better. Means over cases, structures and seeds; intervals over {over}; verdicts "
        f"are adjusted for all pairs of the board (Holm).",
        *_undefined_note(board, missing),
    ]
    return sheet


def _undefined_note(board: Board, missing: float | str | None) -> list[str]:
    """Say that differences count what the means of the other tables leave out."""
    metrics = dict.fromkeys(one.metric for one in board.effects)
    gaps = [name for name in metrics if any(entry.summaries[name].left_out for entry in board.entries)]
    if not gaps or missing not in (None, "worst"):
        return []
    return [
        f"Undefined values of {listed(gaps)}, which the means of the other tables leave out, count here as worst "
        f"({PENALTY:g} at least): whoever misses a structure does not gain by it."
    ]


_INTERVAL = "95\u00a0%\u00a0interval"
PICTURE = "worse | better"
"""Head of the column that draws intervals."""


def _reach(effects: Sequence[PriorEffect]) -> dict[str, float]:
    """Return metric -> the largest size of a difference or an end of its interval."""
    found: dict[str, float] = {}
    for one in effects:
        ends = [one.difference, *(one.interval or ())]
        size = max((abs(end) for end in ends if math.isfinite(end)), default=0.0)
        found[one.metric] = max(found.get(one.metric, 0.0), size)
    return found


def drawn_interval(one: PriorEffect, reach: float) -> str:
    """Return an interval in characters: ``····├──●──┤·│·······``, the bar in the middle being no difference."""
    line = ["·"] * (2 * _HALF + 1)
    line[_HALF] = "│"
    if not math.isfinite(one.difference) or not reach:
        return "".join(line)

    def place(number: float) -> int:
        return _HALF + round(max(-1.0, min(1.0, number / reach)) * _HALF)

    if one.interval is not None:
        low, high = map(place, one.interval)
        for at in range(low, high + 1):
            line[at] = "┼" if at == _HALF else "─"
        line[low], line[high] = "├" if low != _HALF else "┼", "┤" if high != _HALF else "┼"
    line[place(one.difference)] = "●"
    return "".join(line)


def _interval(one: PriorEffect, digits: int) -> str:
    return "-" if one.interval is None else " to ".join(_signed(end, digits) for end in one.interval)


def _signed(number: float, digits: int) -> str:
    return "-" if math.isnan(number) else f"{number:+.{digits}f}"


def cost_sheet(board: Board, costs: Mapping[str, Cost]) -> Sheet | None:
    """Return what the trainings of each method cost; None where nothing is known.

    Args:
        board: its methods, in order.
        costs: method -> cost.
    """
    found = [costs[entry.place.method] for entry in board.entries if entry.place.method in costs]
    if not found:
        return None
    counted = any(one.energy is not None for one in found)
    heads = ["method", "runs", "training s", "peak GiB", "parameters M", *(["energy kJ"] if counted else [])]
    sheet = Sheet(f"{board.name} · what it cost", heads, [], left={0}, names=0)
    for one in found:
        numbers = [
            _figure(one.seconds, 1, 0),
            _figure(one.memory, 2**30, 2),
            _figure(one.parameters, 1e6, 2),
            *([_figure(one.energy, 1e3, 1)] if counted else []),
        ]
        sheet.rows.append([one.method, str(one.runs), *numbers])
    sheet.notes = ["Means over runs; seconds of preparation and training; they depend on the machine."]
    return sheet


def _figure(number: float | None, unit: float, digits: int) -> str:
    return "-" if number is None else f"{number / unit:.{digits}f}"
