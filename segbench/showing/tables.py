"""Boards -> tables of text, as detailed as is asked for; ``terminal`` draws them, ``exports`` writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from segbench.costs import Cost, costs_by_method
from segbench.ranking.boards import Board, Leaderboard, Place, Summary
from segbench.ranking.schemes import rank_aggregates
from segbench.showing.first import cost_sheet, effect_sheet, first_place, has_arms, priors_lead
from segbench.showing.notes import detail_notes, hidden_note, letter_notes, several, small, value_notes
from segbench.showing.sheet import BARE as BARE
from segbench.showing.sheet import FULL as FULL
from segbench.showing.sheet import SHORT as SHORT
from segbench.showing.sheet import Sheet as Sheet
from segbench.texts import one_line
from segbench.types import WHOLE

Costs = Mapping[str, Mapping[str, Cost]]
"""Board (``dataset@revision``) -> method -> cost."""


def costs_of(leaderboard: Leaderboard, records: Mapping[str, Mapping[str, Any]]) -> Costs:
    """Return what the trainings behind every board cost, given run -> record."""
    return {
        board.name: costs_by_method({entry.place.method: entry.runs for entry in board.entries}, records)
        for board in leaderboard.boards
    }


def sheets(
    board: Leaderboard,
    by_label: bool = False,
    level: int = FULL,
    most: int | None = None,
    by_seed: bool = False,
    *,
    costs: Costs | None = None,
    hints: bool = True,
) -> list[Sheet]:
    """Return the tables of a leaderboard, for a first reader first; as many for every level.

    Args:
        board: what to show.
        by_label: one table per label instead of those of a dataset.
        level: FULL, SHORT or BARE cells.
        most: number of metric columns at most, None = all; a note names the others.
        by_seed: also a table of what each seed alone would say, where there are several.
        costs: what trainings cost, if that is known.
        hints: whether notes name the options of the command line.
    """
    result = []
    for each in board.boards:
        if by_label:
            result += [label_sheet(board, each, label, level, most, hints) for label in each.labels]
        else:
            result += board_sheets(board, each, level, most, (costs or {}).get(each.name), hints)
        if by_seed and each.seeds:
            result.append(seed_sheet(each, level, most))
    if len(board.boards) > 1 and board.overall:
        result.append(overall_sheet(board))
    return [_plain(sheet) for sheet in result]


def board_sheets(
    leaderboard: Leaderboard,
    board: Board,
    level: int = FULL,
    most: int | None = None,
    costs: Mapping[str, Cost] | None = None,
    hints: bool = True,
) -> list[Sheet]:
    """Return the tables of a dataset: effects of priors, the order, cost, further metrics; arguments as ``sheets``.

    Without controls and placebos the effects are those of methods against the first, and follow the order.
    """
    effects = effect_sheet(board, level, leaderboard.request.missing)
    order = board_sheet(leaderboard, board, level, most, hints=hints)
    others = [metric for metric in board.metrics if metric not in board.headline]
    further = further_sheet(leaderboard, board, others, level, most, hints) if others else None
    (further or order).notes += [*detail_notes(board, hints), *board.notes]
    tables = [effects, order] if has_arms(board) else [order, effects]
    return [one for one in (*tables, cost_sheet(board, costs or {}), further) if one is not None]


def _plain(sheet: Sheet) -> Sheet:
    """Return a sheet whose texts are on one line and hold nothing that steers a terminal, before they are measured."""
    header, notes = list(map(one_line, sheet.header)), list(map(one_line, sheet.notes))
    rows = [list(map(one_line, row)) for row in sheet.rows]
    title, lead = one_line(sheet.title), one_line(sheet.lead)
    return replace(sheet, title=title, header=header, rows=rows, notes=notes, lead=lead)


def board_sheet(
    leaderboard: Leaderboard, board: Board, level: int = FULL, most: int | None = None, hints: bool = True
) -> Sheet:
    """Return the order of a dataset: one row per method, each metric of the headline averaged over labels."""
    shown = list(board.headline)[:most]
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
        missed = str(entry.missed) + (f" of {expected}" if level == FULL and (expected := _expected(board, i)) else "")
        sheet.rows.append([str(place.rank), place.method, *seeds, *values, *ranks, missed])
    for j, metric in enumerate(shown):
        best = _best(columns[metric], board.metrics[metric].direction, _missed_unseen(board, metric))
        sheet.bold |= {(i, first_metric + j) for i in best}
    sheet.lead = " ".join(filter(None, (priors_lead(board), first_place(board))))
    hidden = hidden_note(board, [*shown, *(m for m in board.metrics if m not in board.headline)], hints)
    sheet.notes = [*value_notes(leaderboard, columns, level, hints), *hidden, *letter_notes(board)]
    return sheet


def _expected(board: Board, i: int) -> int:
    """Return how many structures a method was to find; 0 if no metric speaks of structures."""
    counts = [one.expected for metric, one in board.entries[i].summaries.items() if metric not in board.blind]
    return max(counts, default=0) if any(label != WHOLE.name for label in board.labels) else 0


def further_sheet(
    leaderboard: Leaderboard,
    board: Board,
    metrics: Sequence[str],
    level: int = FULL,
    most: int | None = None,
    hints: bool = True,
) -> Sheet:
    """Return the metrics that do not count for the order, or some of them."""
    shown = list(metrics)[:most]
    columns = {metric: [entry.summaries[metric] for entry in board.entries] for metric in shown}
    cells = {metric: _cells(columns[metric], level) for metric in shown}
    header = ["#", "method", *(_metric_head(board, metric) for metric in shown)]
    sheet = Sheet(f"{board.name} · further metrics", header, [])
    for i, entry in enumerate(board.entries):
        values = [cells[metric][i] for metric in shown]
        sheet.rows.append([str(entry.place.rank), entry.place.method, *values])
    for j, metric in enumerate(shown):
        best = _best(columns[metric], board.metrics[metric].direction, _missed_unseen(board, metric))
        sheet.bold |= {(i, 2 + j) for i in best}
    kept = [*shown, *board.headline, *(metric for metric in board.metrics if metric not in metrics)]
    sheet.notes = [*value_notes(leaderboard, columns, level, hints), *hidden_note(board, kept, hints)]
    return sheet


def label_sheet(
    leaderboard: Leaderboard,
    board: Board,
    label: str,
    level: int = FULL,
    most: int | None = None,
    hints: bool = True,
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
    everything = [*shown, *(metric for metric in board.metrics if metric not in standings)]
    sheet.notes = [
        *value_notes(leaderboard, columns, level, hints),
        *hidden_note(board, everything, hints),
        *board.notes,
    ]
    return sheet


def seed_sheet(board: Board, level: int = FULL, most: int | None = None) -> Sheet:
    """Return the ranking by each seed alone, and how much each metric's mean varies over seeds."""
    seeds = sorted({seed for entry in board.entries for seed, _ in entry.by_seed})
    shown = list(board.headline)[:most]
    sheet = Sheet(f"{board.name} · seed by seed", ["#", "method"], [])
    sheet.header += [f"seed {seed}" for seed in seeds] + [f"{metric} sd" for metric in shown]
    for entry in board.entries:
        ranks = {seed: str(place.rank) for seed, place in entry.by_seed}
        spreads = [small(entry.seed_sd.get(metric, math.nan)) for metric in shown]
        cells = [ranks.get(seed, "-") for seed in seeds]
        sheet.rows.append([str(entry.place.rank), entry.place.method, *cells, *spreads])
    sheet.notes = ["Rank if that seed's trainings were all there is; sd over seeds of the mean over cases and labels."]
    return sheet


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
    labels = several(len(board.structures), "label") if len(board.structures) > 1 else board.structures[0]
    counts = {entry.seeds for entry in board.entries}
    parts = [board.name, labels if label is None else label, _size(board)]
    parts += [several(counts.pop(), "seed")] if len(counts) == 1 else []
    return " · ".join(parts + (["synthetic phantom"] if board.synthetic else []))


def _size(board: Board) -> str:
    cases = several(board.cases, "case")
    return cases if board.patients == board.cases else f"{several(board.patients, 'patient')}, {cases}"


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
