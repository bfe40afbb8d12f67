"""Boards -> tables of text, as detailed as is asked for; ``terminal`` draws them, ``exports`` writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from segbench.ranking.boards import Board, Leaderboard, Place, Summary
from segbench.ranking.robustness import firsts
from segbench.ranking.schemes import rank_aggregates
from segbench.texts import one_line

FULL, SHORT, BARE = 0, 1, 2
"""How much a metric's cell says: mean ± sd (m undefined, n %), mean ± sd (n %), or mean (n %)."""


@dataclass
class Sheet:
    """A table before it is drawn.

    Attributes:
        title: what it shows.
        header: column heads; rows: their cells.
        left: columns aligned to the left; the others hold numbers.
        bold: ``(row, column)`` of the best values.
        notes: sentences below the table.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    left: set[int] = field(default_factory=lambda: {1})
    bold: set[tuple[int, int]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def sheets(
    board: Leaderboard, by_label: bool = False, level: int = FULL, most: int | None = None, by_seed: bool = False
) -> list[Sheet]:
    """Return the tables of a leaderboard.

    Args:
        board: what to show.
        by_label: one table per label instead of one per dataset.
        level: FULL, SHORT or BARE cells.
        most: number of metric columns at most, None = all; a note names the others.
        by_seed: also a table of what each seed alone would say, where there are several.
    """
    result = []
    for each in board.boards:
        if by_label:
            result += [label_sheet(board, each, label, level, most) for label in each.labels]
        else:
            result.append(board_sheet(board, each, level, most))
        if by_seed and each.seeds:
            result.append(seed_sheet(each, level, most))
    if len(board.boards) > 1 and board.overall:
        result.append(overall_sheet(board))
    return [_plain(sheet) for sheet in result]


def _plain(sheet: Sheet) -> Sheet:
    """Return a sheet whose texts are on one line and hold nothing that steers a terminal, before they are measured."""
    header, notes = list(map(one_line, sheet.header)), list(map(one_line, sheet.notes))
    rows = [list(map(one_line, row)) for row in sheet.rows]
    return replace(sheet, title=one_line(sheet.title), header=header, rows=rows, notes=notes)


def board_sheet(leaderboard: Leaderboard, board: Board, level: int = FULL, most: int | None = None) -> Sheet:
    """Return the compact table of a dataset: one row per method, each metric averaged over labels."""
    shown = list(board.metrics)[:most]
    counts = sorted({entry.seeds for entry in board.entries})
    lettered = any(entry.group for entry in board.entries)
    header = ["#", "method"] + (["group"] if lettered else []) + (["seeds"] if len(counts) > 1 else [])
    columns = {metric: [entry.summaries[metric] for entry in board.entries] for metric in shown}
    cells = {metric: _cells(columns[metric], level) for metric in shown}
    first_metric = len(header)
    header += [_metric_head(board, metric) for metric in shown]
    sheet = Sheet(
        _title(board), [*header, "mean rank", *_firm_head(board.entries[0].place, _drawn(board)), "missed"], []
    )
    sheet.left |= {2} if lettered else set()
    for i, entry in enumerate(board.entries):
        seeds = ([entry.group] if lettered else []) + ([str(entry.seeds)] if len(counts) > 1 else [])
        values = [cells[metric][i] for metric in shown]
        place = entry.place
        ranks = [f"{place.mean_rank:.2f}", *_firm_cells(place)]
        sheet.rows.append([str(place.rank), place.method, *seeds, *values, *ranks, str(entry.missed)])
    for j, metric in enumerate(shown):
        best = _best(columns[metric], board.metrics[metric].direction, _missed_unseen(board, metric))
        sheet.bold |= {(i, first_metric + j) for i in best}
    sheet.notes = _notes(leaderboard, board, columns, shown, level)
    return sheet


def label_sheet(
    leaderboard: Leaderboard, board: Board, label: str, level: int = FULL, most: int | None = None
) -> Sheet:
    """Return the table of one label: each metric with its task rank."""
    tasks = [task for task in board.tasks if task.measure.label == label]
    shown = [task.measure.metric for task in tasks][:most]
    standings = {task.measure.metric: {s.method: s for s in task.standings} for task in tasks}
    methods = [entry.place.method for entry in board.entries]
    mean = {name: sum(standings[task.measure.metric][name].rank for task in tasks) / len(tasks) for name in methods}
    order = sorted(methods, key=lambda name: (mean[name], name))
    ranks = rank_aggregates([mean[name] for name in order], -1, "min")
    columns = {metric: [standings[metric][name].summary for name in order] for metric in shown}
    cells = {metric: _cells(columns[metric], level) for metric in shown}
    sheet = Sheet(
        _title(board, label), ["#", "method", *[_metric_head(board, m) for m in shown], "mean rank", "missed"], []
    )
    for i, name in enumerate(order):
        missed = max(standings[task.measure.metric][name].missing for task in tasks)
        values = [cells[metric][i] for metric in shown]
        sheet.rows.append([f"{ranks[i]:.0f}", name, *values, f"{mean[name]:.2f}", str(missed)])
    for j, metric in enumerate(shown):
        best = _best(columns[metric], board.metrics[metric].direction, _missed_unseen(board, metric, order))
        sheet.bold |= {(i, 2 + j) for i in best}
    sheet.notes = _notes(leaderboard, board, columns, shown, level, whole=False)
    return sheet


def seed_sheet(board: Board, level: int = FULL, most: int | None = None) -> Sheet:
    """Return the ranking by each seed alone, and how much each metric's mean varies over seeds."""
    seeds = sorted({seed for entry in board.entries for seed, _ in entry.by_seed})
    shown = list(board.headline)[:most]
    sheet = Sheet(f"{board.dataset}@{board.revision} · seed by seed", ["#", "method"], [])
    sheet.header += [f"seed {seed}" for seed in seeds] + [f"{metric} sd" for metric in shown]
    for entry in board.entries:
        ranks = {seed: str(place.rank) for seed, place in entry.by_seed}
        spreads = [_small(entry.seed_sd.get(metric, math.nan)) for metric in shown]
        cells = [ranks.get(seed, "-") for seed in seeds]
        sheet.rows.append([str(entry.place.rank), entry.place.method, *cells, *spreads])
    sheet.notes = ["Rank if that seed's trainings were all there is; sd over seeds of the mean over cases and labels."]
    return sheet


def _small(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.2g}"


def overall_sheet(leaderboard: Leaderboard) -> Sheet:
    """Return the order over datasets."""
    header = ["#", "method", "mean rank", *_firm_head(leaderboard.overall[0], _drawn_overall(leaderboard))]
    rows = [[str(p.rank), p.method, f"{p.mean_rank:.2f}", *_firm_cells(p)] for p in leaderboard.overall]
    everywhere = {entry.place.method for entry in leaderboard.boards[0].entries}
    for board in leaderboard.boards:
        everywhere &= {entry.place.method for entry in board.entries}
    notes = ["Mean of the datasets' mean ranks, each dataset counting once."]
    absent = [place.method for place in leaderboard.overall if place.method not in everywhere]
    if absent:
        notes.append(f"Ranked last where absent: {', '.join(absent)}.")
    return Sheet(f"Over {len(leaderboard.boards)} datasets", header, rows, notes=notes)


def _drawn_overall(leaderboard: Leaderboard) -> str:
    return "cases" if all(board.patients == board.cases for board in leaderboard.boards) else "patients"


def _title(board: Board, label: str | None = None) -> str:
    labels = _several(len(board.structures), "label") if len(board.structures) > 1 else board.structures[0]
    counts = {entry.seeds for entry in board.entries}
    parts = [f"{board.dataset}@{board.revision}", labels if label is None else label, _size(board)]
    parts += [_several(counts.pop(), "seed")] if len(counts) == 1 else []
    return " · ".join(parts + (["synthetic phantom"] if board.synthetic else []))


def _size(board: Board) -> str:
    cases = _several(board.cases, "case")
    return cases if board.patients == board.cases else f"{_several(board.patients, 'patient')}, {cases}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _metric_head(board: Board, metric: str) -> str:
    measure = board.metrics[metric]
    unit = f" {measure.unit}" if measure.unit not in ("", "1") else ""
    return f"{metric}{unit} {'↑' if measure.direction > 0 else '↓'}"


def _firm_head(place: Place, drawn: str) -> list[str]:
    return [] if place.p_first is None else [f"95% ({drawn})", f"P(first) ({drawn})"]


def _drawn(board: Board) -> str:
    """Return what intervals draw again."""
    return "cases" if board.patients == board.cases else "patients"


def _firm_cells(place: Place) -> list[str]:
    if place.p_first is None or place.rank_low is None or place.rank_high is None:
        return []
    return [f"{round(place.rank_low, 1):g} to {round(place.rank_high, 1):g}", f"{place.p_first:.2f}"]


def _decimals(summaries: Sequence[Summary]) -> int:
    largest = max((abs(s.mean) for s in summaries if math.isfinite(s.mean)), default=0.0)
    return 3 if largest < 2 else 2 if largest < 100 else 1 if largest < 1000 else 0


def _cells(summaries: Sequence[Summary], level: int) -> list[str]:
    """Return a metric's cells; a mean that leaves values out says how many."""
    digits = _decimals(summaries)
    cells = []
    for summary in summaries:
        text = "-" if math.isnan(summary.mean) else f"{summary.mean:.{digits}f}"
        if level < BARE and not math.isnan(summary.sd):
            text += f" ± {summary.sd:.{digits}f}"
        if summary.left_out:
            undefined = f"{summary.left_out} undefined, " if level == FULL else ""
            text += f" ({undefined}{percent(summary.coverage)})"
        cells.append(text)
    return cells


def percent(share: float) -> str:
    """Return a share that is not whole in percent, rounded down: what lacks something is never 100 %."""
    return f"{math.floor(100 * share + 1e-9)} %" if share >= 0.01 or not share else "<1 %"


def _best(summaries: Sequence[Summary], direction: int, missed: Sequence[int] = ()) -> list[int]:
    """Return the rows with the best mean: none if all are equal, or if it is easily had.

    A mean that leaves values out is not over what the others are over; and whoever predicts nothing breaks no rule, so
    that where ``missed`` is given, of a metric that does not see what is missing, only those who missed nothing count.
    """
    means = [summary.mean * direction for summary in summaries]
    finite = [mean for mean in means if not math.isnan(mean)]
    if not finite or min(finite) == max(finite):
        return []
    best = [i for i, mean in enumerate(means) if mean == max(finite)]
    return [i for i in best if not summaries[i].left_out and not (missed and missed[i])]


def _missed_unseen(board: Board, metric: str, order: Sequence[str] | None = None) -> list[int]:
    """Return how much each method missed, if a metric does not see it; methods in the board's order or another."""
    if metric not in board.blind:
        return []
    missed = {entry.place.method: entry.missed for entry in board.entries}
    return [missed[name] for name in order or missed]


def _notes(
    leaderboard: Leaderboard,
    board: Board,
    columns: dict[str, list[Summary]],
    shown: list[str],
    level: int,
    whole: bool = True,
) -> list[str]:
    request = leaderboard.request
    scheme = request.scheme + (f", {request.adjustment}" if request.scheme == "test-then-rank" else "")
    spread = "" if level == BARE else " ± sd"
    notes = [f"mean{spread} over cases, seeds averaged. Rank: {scheme} per label and metric, averaged."]
    gaps = [metric for metric in shown if any(summary.left_out for summary in columns[metric])]
    if gaps:
        ranked = "and of its ranking (--missing drop)" if request.missing == "drop" else "but ranked last"
        notes.append(
            f"n % = share of the values that a mean rests on: undefined ones are left out of the mean of "
            f"{', '.join(gaps)} {ranked}."
        )
    given = [metric for metric in shown if any(summary.undefined for summary in columns[metric])]
    if given and isinstance(request.missing, int | float):
        notes.append(f"Missing values of {', '.join(given)} count as {request.missing:g} (--missing).")
    hidden = [metric for metric in board.metrics if metric not in shown]
    if hidden:
        notes.append(f"Ranked but not shown, for width: {', '.join(hidden)} (--metric NAME or --format md shows them).")
    return [*notes, *(firmness_notes(board) if whole else []), *board.notes]


def firmness_notes(board: Board) -> list[str]:
    """Return what is said of a board's order: what it rests on, who cannot be told apart, what would change it."""
    notes = []
    if len(board.headline) < len(board.metrics):
        others = [metric for metric in board.metrics if metric not in board.headline]
        notes.append(f"Mean rank over {' and '.join(board.headline)}; {', '.join(others)} not counted (--headline).")
    notes += _letter_notes(board)
    if board.agreement:
        winners = _winners([entry.place for entry in board.entries])
        others = []
        for a in board.agreement:
            theirs = _winners(a.places)
            tau = "undefined" if math.isnan(a.tau) else f"{a.tau:.2f}"
            others.append(f"{a.scheme} {tau}" + ("" if theirs == winners else f" ({theirs})"))
        notes.append(f"Kendall's tau with the order by other schemes: {', '.join(others)}.")
    return [*notes, *_policy_notes(board), *_seed_notes(board)]


def _letter_notes(board: Board) -> list[str]:
    """Say what letters and intervals mean, and what of the trainings they know."""
    unit = "case" if board.patients == board.cases else "patient"
    notes = []
    if any(entry.group for entry in board.entries):
        (one, *_), metrics = board.pairs.values(), _listed(board.headline).replace(" and ", " or ")
        seeds = " and a test with the spread between seeds" if one.of_trainings else ""
        alone = "" if one.of_trainings else " Seeds were not repeated: letters speak of these trained networks only."
        notes.append(
            f"Methods that share a letter cannot be told apart by {metrics} (as segbench compare: signed rank test "
            f"over {unit}s{seeds}, Holm over all pairs, p ≤ {one.level():g}).{alone}"
        )
    if board.stability is not None:
        scans = ", with all their scans" if unit == "patient" else ""
        notes.append(f"95% and P(first): {unit}s drawn again{scans}; the trainings (seeds) stay the same.")
    return notes


def _winners(places: Sequence[Place]) -> str:
    """Say who is first: one name, those that tie, or that all do."""
    names = firsts(places)
    return "all tie" if 1 < len(names) == len(places) else f"first: {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
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
    winners = _listed(firsts([entry.place for entry in board.entries]))
    lost = [
        f"{_POLICIES[policy.name]} ({_listed(firsts(policy.places))} first)"
        for policy in board.policies
        if not policy.survives
    ]
    if lost:
        return [
            f"The first place depends on the policy: not {winners} if empty masks and gaps are {' or '.join(lost)}."
        ]
    names = ", ".join(_POLICIES[policy.name] for policy in board.policies)
    return [f"{winners} would also be first if empty masks and gaps were {names}."]


def _seed_notes(board: Board) -> list[str]:
    if not board.seeds:
        return []
    winners = [entry for entry in board.entries if entry.place.rank == 1]
    wins = [f"{sum(place.rank == 1 for _, place in entry.by_seed)} of {len(entry.by_seed)}" for entry in winners]
    if len(winners) == 1:
        firm = f"{winners[0].place.method} is first with {wins[0]} seeds taken alone (--by-seed)."
    else:
        each = _listed([f"{entry.place.method} with {count}" for entry, count in zip(winners, wins, strict=True)])
        firm = f"First with seeds taken alone (--by-seed): {each}."
    spreads = []
    for metric in board.headline:
        numbers = [entry.seed_sd[metric] for entry in board.entries if metric in entry.seed_sd]
        if numbers:
            spreads.append(f"{metric} {_small(min(numbers))} to {_small(max(numbers))}")
    sds = f" Sd over seeds: {', '.join(spreads)}." if spreads else ""
    return [firm + sds]
