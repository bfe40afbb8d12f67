"""Boards -> text for other programs: Markdown, CSV, LaTeX (booktabs) and a JSON document."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from segbench.ranking.boards import Board, Leaderboard, Place, TaskBoard
from segbench.ranking.tables import sheets


def markdown(leaderboard: Leaderboard, by_label: bool = False) -> str:
    """Return the tables in GitHub's Markdown."""

    def escape(text: str) -> str:
        for mark in "\\`*_|<>[]":
            text = text.replace(mark, "\\" + mark)
        return text

    blocks = []
    for sheet in sheets(leaderboard, by_label):
        rule = ["---" if index in sheet.left else "---:" for index in range(len(sheet.header))]
        lines = [[escape(cell) for cell in sheet.header], rule]
        lines += [
            [_bold(escape(c), (i, j) in sheet.bold, "**{}**") for j, c in enumerate(r)]
            for i, r in enumerate(sheet.rows)
        ]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        blocks.append("\n\n".join([f"### {escape(sheet.title)}", table, *[escape(note) for note in sheet.notes]]))
    return "\n\n".join([*blocks, *[escape(note) for note in leaderboard.notes]]) + "\n"


_LATEX = {"\\": r"\textbackslash{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$"}
_LATEX |= {mark: "\\" + mark for mark in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}"}


def latex(leaderboard: Leaderboard, by_label: bool = False) -> str:
    """Return the tables for LaTeX's booktabs."""

    def escape(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    blocks = []
    for sheet in sheets(leaderboard, by_label):
        align = "".join("l" if index in sheet.left else "r" for index in range(len(sheet.header)))
        body = [
            [_bold(escape(c), (i, j) in sheet.bold, r"\textbf{{{}}}") for j, c in enumerate(r)]
            for i, r in enumerate(sheet.rows)
        ]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(sheet.title)}. {escape(' '.join(sheet.notes))}}}",
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


def comma_separated(leaderboard: Leaderboard, by_label: bool = False) -> str:
    """Return one line per board, method and metric (and label); numbers in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    shared = ["dataset", "revision", "synthetic", "scheme", "label", "metric", "better", "unit", "rank", "method"]
    if by_label:
        writer.writerow([*shared, "aggregate", "mean", "sd", "n", "missing", "undefined"])
    else:
        writer.writerow([*shared, "mean_rank", "mean", "sd", "n", "missed", "undefined", "seeds"])
    for board in leaderboard.boards:
        lines = _task_lines(board) if by_label else _board_lines(board)
        for label, metric, rest in lines:
            measure = board.metrics[metric]
            better = "higher" if measure.direction > 0 else "lower"
            start = [board.dataset, board.revision, board.synthetic, leaderboard.request.scheme]
            writer.writerow([*start, label, metric, better, measure.unit, *rest])
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


def _board_lines(board: Board) -> list[tuple[str, str, list[Any]]]:
    lines: list[tuple[str, str, list[Any]]] = []
    for entry in board.entries:
        for metric, s in entry.summaries.items():
            place = [entry.place.rank, entry.place.method, entry.place.mean_rank]
            lines.append(("", metric, [*place, s.mean, s.sd, board.cases, entry.missed, s.undefined, entry.seeds]))
    return lines


def document(leaderboard: Leaderboard) -> dict[str, Any]:
    """Return the JSON document: ``tasks``, ``overall``, and beyond the schema ``boards`` and ``notes``."""
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
        "rows": [
            {
                "method": s.method,
                "aggregate": s.aggregate,
                "rank": s.rank,
                "n": s.n,
                "missing": s.missing,
                "undefined": s.summary.undefined,
                "mean": s.summary.mean,
                "sd": s.summary.sd,
            }
            for s in task.standings
        ],
    }


def _place_document(place: Place) -> dict[str, Any]:
    return {name: getattr(place, name) for name in ("method", "mean_rank", "rank", "rank_low", "rank_high", "p_first")}


def _board_document(board: Board) -> dict[str, Any]:
    return {
        "dataset": board.dataset,
        "revision": board.revision,
        "synthetic": board.synthetic,
        "cases": board.cases,
        "labels": list(board.labels),
        "metrics": list(board.metrics),
        "rows": [
            _place_document(entry.place) | {"seeds": entry.seeds, "missed": entry.missed} for entry in board.entries
        ],
        "notes": list(board.notes),
        "schemes": [
            {"scheme": a.scheme, "tau": a.tau, "rows": [_place_document(place) for place in a.places]}
            for a in board.agreement
        ],
    }


WRITERS: dict[str, Callable[[Leaderboard, bool], str]] = {"md": markdown, "csv": comma_separated, "latex": latex}
