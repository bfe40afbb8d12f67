"""What a page opens with: what priors add, as a picture and a table, the order, and one sentence in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segbench.ranking.boards import Board, Leaderboard
from segbench.ranking.effects import PriorEffect
from segbench.reporting.files import Site
from segbench.reporting.svg import ACCENT, INK, LINE, MUTED, PAPER, drawing, short
from segbench.showing.first import effect_sheet, first_place, has_arms, priors_lead
from segbench.showing.notes import detail_notes
from segbench.showing.sheet import BARE, FULL
from segbench.showing.tables import board_sheet, further_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _ROW = 6.4, 0.3
_LONGEST = 26
_SURE = ("better", "worse")


def opening(leaderboard: Leaderboard, board: Board) -> dict[str, Any]:
    """Return what the list of boards and a board's page begin with, but for pictures.

    Args:
        leaderboard: all boards.
        board: one of them.
    """
    others = [metric for metric in board.metrics if metric not in board.headline]
    order = board_sheet(leaderboard, board, FULL, hints=False)
    order.lead = ""
    effects = effect_sheet(board, BARE, leaderboard.request.missing)
    return {
        "lead": [sentence for sentence in (priors_lead(board), first_place(board)) if sentence],
        "effects": effects,
        "question": "What each prior adds" if has_arms(board) else "Each method against the first",
        "asked": has_arms(board),
        "sheet": order,
        "further": further_sheet(leaderboard, board, others, FULL, hints=False) if others else None,
        "firmness": [*detail_notes(board, hints=False), *board.notes],
    }


def draw_effects(board: Board, site: Site, name: str) -> Any:
    """Return the picture of a board's effects; None where there is no table of them.

    Args:
        board: whose effects.
        site: takes the picture.
        name: of the picture.
    """
    if effect_sheet(board, BARE) is None:
        return None
    with drawing():
        return site.draw(forest(board.effects), name, "Differences with 95 % intervals, a row per comparison")


def forest(effects: Sequence[PriorEffect]) -> Figure:
    """Draw differences with their intervals around no difference: a row per comparison, a panel per metric."""
    from matplotlib.figure import Figure

    metrics = list(dict.fromkeys(one.metric for one in effects))
    rows = list(dict.fromkeys((one.method, one.role) for one in effects))
    figure = Figure(figsize=(_WIDTH, 0.9 + _ROW * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        own = [one for one in effects if one.metric == metric]
        _panel(axes, own, {row: place for place, row in enumerate(rows)})
        unit = f" {own[0].unit}" if own[0].unit not in ("", "1") else ""
        axes.set_title(f"{metric}{unit}")
    panels[0].set_yticks(range(len(rows)), [_named(*row) for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.supxlabel("worse  ◂  difference  ▸  better", fontsize=9, color=MUTED)
    return figure


def _panel(axes: Axes, effects: Sequence[PriorEffect], place: dict[tuple[str, str], int]) -> None:
    axes.axvline(0, color=MUTED, linewidth=1)
    for one in effects:
        y = place[one.method, one.role]
        if not math.isfinite(one.difference):
            continue
        colour = ACCENT if one.finding in _SURE else INK
        if one.interval is not None:
            axes.plot(one.interval, [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        filled = colour if one.finding in _SURE else PAPER
        axes.plot([one.difference], [y], "o", color=colour, markerfacecolor=filled, markersize=6)
        if one.finding == "identical":
            axes.annotate("identical", (0, y), (6, 0), textcoords="offset points", va="center", fontsize=8, color=MUTED)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.05 * (high - low)), max(high, 0.05 * (high - low)))
    axes.locator_params(axis="x", nbins=5)


def _named(method: str, role: str) -> str:
    return short(method, _LONGEST) if role == "first" else f"{short(method, _LONGEST)} − {role}"
