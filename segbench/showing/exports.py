"""Boards -> text for other programs: Markdown, CSV, LaTeX (booktabs) and a JSON document."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Collection, Sequence
from typing import Any

from segbench.ranking.boards import Board, Entry, Leaderboard, Place, Standing, TaskBoard
from segbench.ranking.robustness import spread
from segbench.showing.first import first_place, priors_lead
from segbench.showing.notes import firmness_notes
from segbench.showing.tables import Costs, Sheet, sheets
from segbench.texts import csv_cell, one_line


def markdown(
    leaderboard: Leaderboard, by_label: bool = False, by_seed: bool = False, costs: Costs | None = None
) -> str:
    """Return the tables in GitHub's Markdown."""
    blocks = [markdown_sheet(sheet) for sheet in sheets(leaderboard, by_label, by_seed=by_seed, costs=costs)]
    return "\n\n".join([*blocks, *map(escaped, leaderboard.notes)]) + "\n"


def markdown_sheet(sheet: Sheet, heading: str = "###") -> str:
    """Return a table with its title, its lead and its notes."""
    table = markdown_table(sheet.header, sheet.rows, sheet.left, sheet.bold, sheet.code)
    lead = [f"**{escaped(sheet.lead)}**"] if sheet.lead else []
    return "\n\n".join([f"{heading} {escaped(sheet.title)}", *lead, table, *map(escaped, sheet.notes)])


def markdown_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int] = (),
    bold: Collection[tuple[int, int]] = (),
    code: Collection[int] = (),
) -> str:
    """Return one table.

    Args:
        header, rows: its texts.
        left: columns aligned to the left.
        bold: places of the best values.
        code: columns whose characters are of one width.
    """

    def cell(text: str, i: int, j: int) -> str:
        return f"`{text}`" if j in code else _bold(escaped(text), (i, j) in bold, "**{}**")

    rule = ["---" if index in left else "---:" for index in range(len(header))]
    lines = [[escaped(text) for text in header], rule]
    lines += [[cell(text, i, j) for j, text in enumerate(row)] for i, row in enumerate(rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    text = one_line(text)
    for mark in "\\`*_|<>[]":
        text = text.replace(mark, "\\" + mark)
    return text


_LATEX = {"\\": r"\textbackslash{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$"}
_LATEX |= {mark: "\\" + mark for mark in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}"}


def latex(leaderboard: Leaderboard, by_label: bool = False, by_seed: bool = False) -> str:
    """Return the tables for LaTeX's booktabs."""

    def escape(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in one_line(text))

    blocks = []
    for sheet in sheets(leaderboard, by_label, by_seed=by_seed):
        for column in sorted(sheet.code, reverse=True):
            sheet = sheet.without(column)  # drawn with characters that a printed table lacks
        align = "".join("l" if index in sheet.left else "r" for index in range(len(sheet.header)))
        body = [
            [_bold(escape(c), (i, j) in sheet.bold, r"\textbf{{{}}}") for j, c in enumerate(r)]
            for i, r in enumerate(sheet.rows)
        ]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(sheet.title)}. {escape(' '.join(filter(None, [sheet.lead, *sheet.notes])))}}}",
        ]
        lines += [
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(map(escape, sheet.header)) + r" \\",
            r"\midrule",
        ]
        lines += [" & ".join(row) + r" \\" for row in body]
        blocks.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]))
    return "\n\n".join(blocks) + "\n"


def _bold(text: str, wanted: bool, pattern: str) -> str:
    return pattern.format(text) if wanted else text


def comma_separated(leaderboard: Leaderboard, by_label: bool = False, by_seed: bool = False) -> str:
    """Return one line per board, method and metric (and label, or seed); numbers in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    shared = ["dataset", "revision", "synthetic", "scheme", "label", "metric", "better", "unit", "rank", "method"]
    if by_seed:
        writer.writerow([*shared, "seed", "mean", "aggregate"])
    elif by_label:
        writer.writerow([*shared, "aggregate", "mean", "sd", "n", "missing", "undefined"])
    else:
        writer.writerow([*shared, "mean_rank", "mean", "sd", "n", "missed", "undefined", "seeds"])
    for board in leaderboard.boards:
        lines = _seed_lines(board) if by_seed else _task_lines(board) if by_label else _board_lines(board)
        for label, metric, rest in lines:
            measure = board.metrics[metric]
            better = "higher" if measure.direction > 0 else "lower"
            start = [board.dataset, board.revision, board.synthetic, leaderboard.request.scheme]
            writer.writerow([csv_cell(cell) for cell in (*start, label, metric, better, measure.unit, *rest)])
    return out.getvalue()


def _task_lines(board: Board) -> list[tuple[str, str, list[Any]]]:
    return [
        (
            task.measure.label,
            task.measure.metric,
            [s.rank, s.method, s.aggregate, s.summary.mean, s.summary.sd, s.n, s.missing, s.summary.undefined],
        )
        for task in board.tasks
        for s in task.standings
    ]


def _seed_lines(board: Board) -> list[tuple[str, str, list[Any]]]:
    return [
        (task.measure.label, task.measure.metric, [one.rank, s.method, one.seed, one.mean, one.aggregate])
        for task in board.tasks
        for s in task.standings
        for one in s.by_seed
    ]


def _board_lines(board: Board) -> list[tuple[str, str, list[Any]]]:
    lines: list[tuple[str, str, list[Any]]] = []
    for entry in board.entries:
        for metric, s in entry.summaries.items():
            place = [entry.place.rank, entry.place.method, entry.place.mean_rank]
            lines.append(("", metric, [*place, s.mean, s.sd, board.cases, entry.missed, s.undefined, entry.seeds]))
    return lines


def document(leaderboard: Leaderboard) -> dict[str, Any]:
    """Return the JSON document; a number that is undefined or infinite becomes null where it is written.

    ::

        {"tasks":   [{"dataset", "revision", "label", "metric", "better", "unit", "scheme", "headline",
                      "smallest_p", "smallest_adjusted_p",
                      "rows": [{"method", "aggregate", "rank", "n", "missing", "undefined", "coverage", "mean",
                                "sd", "group",
                                "mean_seed_sd", "aggregate_seed_sd",
                                "seeds": [{"seed", "mean", "aggregate", "rank"}]}]}],
         "overall": [{"method", "mean_rank", "rank", "rank_low", "rank_high", "p_first"}],
         "boards":  [{"dataset", "revision", "synthetic", "cases", "patients", "labels", "structures", "metrics",
                      "headline",
                      "rows": [a place as in "overall", with "seeds", "missed", "group", "seed_sd": {metric: sd},
                               "by_seed": [{"seed", "mean_rank", "rank"}]],
                      "schemes": [{"scheme", "tau", "rows": [place]}],
                      "tau": [{"schemes": [a, b], "tau"}],
                      "policies": [{"policy", "survives", "tau", "number", "rows": [place]}],
                      "winner_survives": true, false or null, "identical": [{"methods", "cases", "never_acted"}],
                      "effects": [{"method", "against", "role", "metric", "unit", "difference", "interval", "finding"}],
                      "in_words": {"priors": sentences, "first": sentence},
                      "notes": [sentence]}],
         "notes":   [sentence]}

    ``aggregate`` is what the scheme ranked (a mean rank for rank-then-mean); ``sd`` is over cases, the ``seed_sd`` are
    over seeds; the last three of a place are null without a bootstrap; ``group`` is "" where nothing was tested.
    """
    return {
        "tasks": [_task_document(leaderboard, board, task) for board in leaderboard.boards for task in board.tasks],
        "overall": [_place_document(place) for place in leaderboard.overall],
        "boards": [_board_document(board) for board in leaderboard.boards],
        "notes": list(leaderboard.notes),
    }


def _task_document(leaderboard: Leaderboard, board: Board, task: TaskBoard) -> dict[str, Any]:
    return {
        "dataset": board.dataset,
        "revision": board.revision,
        "label": task.measure.label,
        "metric": task.measure.metric,
        "better": "higher" if task.measure.direction > 0 else "lower",
        "unit": task.measure.unit,
        "scheme": leaderboard.request.scheme,
        "headline": task.headline,
        "smallest_p": task.smallest_p,
        "smallest_adjusted_p": task.smallest_adjusted_p,
        "rows": [_standing_document(standing) for standing in task.standings],
    }


def _standing_document(standing: Standing) -> dict[str, Any]:
    return {
        **{name: getattr(standing, name) for name in ("method", "aggregate", "rank", "n", "missing")},
        "undefined": standing.summary.undefined,
        "coverage": standing.summary.coverage,
        "mean": standing.summary.mean,
        "sd": standing.summary.sd,
        "group": standing.group,
        "mean_seed_sd": spread([one.mean for one in standing.by_seed]),
        "aggregate_seed_sd": spread([one.aggregate for one in standing.by_seed]),
        "seeds": [dataclasses.asdict(one) for one in standing.by_seed],
    }


def _place_document(place: Place) -> dict[str, Any]:
    return {name: getattr(place, name) for name in ("method", "mean_rank", "rank", "rank_low", "rank_high", "p_first")}


def _entry_document(entry: Entry) -> dict[str, Any]:
    by_seed = [{"seed": seed, "mean_rank": place.mean_rank, "rank": place.rank} for seed, place in entry.by_seed]
    rest = {"seeds": entry.seeds, "missed": entry.missed, "group": entry.group}
    return {**_place_document(entry.place), **rest, "seed_sd": entry.seed_sd, "by_seed": by_seed}


def _board_document(board: Board) -> dict[str, Any]:
    return {
        "dataset": board.dataset,
        "revision": board.revision,
        "synthetic": board.synthetic,
        "cases": board.cases,
        "patients": board.patients,
        "labels": list(board.labels),
        "structures": list(board.structures),
        "metrics": list(board.metrics),
        "headline": list(board.headline),
        "rows": [_entry_document(entry) for entry in board.entries],
        "identical": [dataclasses.asdict(one) for one in board.identical],
        "effects": [dataclasses.asdict(one) for one in board.effects],
        "in_words": {"priors": priors_lead(board), "first": first_place(board)},
        "notes": [*firmness_notes(board), *board.notes],
        "schemes": [
            {"scheme": a.scheme, "tau": a.tau, "rows": [_place_document(place) for place in a.places]}
            for a in board.agreement
        ],
        "tau": [{"schemes": list(pair), "tau": tau} for pair, tau in board.taus.items()],
        "policies": [
            {
                **{"policy": one.name, "survives": one.survives, "tau": one.tau, "number": one.number},
                "rows": [_place_document(place) for place in one.places],
            }
            for one in board.policies
        ],
        "winner_survives": all(one.survives for one in board.policies) if board.policies else None,
    }


WRITERS: dict[str, Callable[[Leaderboard, bool, bool], str]] = {"md": markdown, "csv": comma_separated, "latex": latex}
