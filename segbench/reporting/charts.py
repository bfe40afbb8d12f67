"""Pictures of a contest as the page shows them: small SVG and tables whose ink, fonts and words are the page's own.

``figures`` draws the same for print, by matplotlib, which needs a hundred times as long and ten times the bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from segbench.ranking.bootstrap import Stability
from segbench.reporting.evidence import Contest
from segbench.reporting.svg import colour, numbered

_WIDTH = 480
_ROW = 22
_LETTER = 7.2
"""Pixels of a letter at 12 px, on average."""
_FEWEST = 0.002
"""Share of resamples below which a dot would be smaller than a pixel."""


@dataclass(frozen=True)
class Matrix:
    """A table of methods by ranks or by methods, its rows best first.

    Attributes:
        heads: of the columns, each with the words that explain it.
        rows: of each method its name and its cells: text and shade in [0, 1].
    """

    corner: str
    heads: list[tuple[str, str]]
    rows: list[tuple[str, list[tuple[str, float]]]]


def critical_differences(contest: Contest, methods: Sequence[str]) -> Markup:
    """Return mean ranks on a line, best to the left; bars join methods that Nemenyi's test does not tell apart.

    Source: Demsar 2006, jmlr.org/papers/v7/demsar06a.html.
    """
    ranks, K, names = contest.friedman.mean_rank, len(methods), numbered(methods, 20)
    order = [int(k) for k in np.argsort(ranks, kind="stable")]
    half = math.ceil(K / 2)
    margin = 16 + _LETTER * (max(map(len, names)) + 7)
    width = max(_WIDTH, round(2 * margin + 180))
    left, right, line = margin, width - margin, 56
    below = line + 16 + 14 * len(contest.groups)
    height = below + _ROW * half

    def place(rank: float) -> float:
        return left + (right - left) * (rank - 1) / max(K - 1, 1)

    reach = place(1 + min(contest.difference, K - 1))
    parts = [
        _text(left, 12, f"critical difference {contest.difference:.2f}", "muted"),
        _path(f"M{left:.1f} 20H{reach:.1f}", "accent"),
        _path(f"M{left:.1f} {line}H{right:.1f}", "ink"),
    ]
    for tick in range(1, K + 1, max(1, K // 10)):
        parts += [_path(f"M{place(tick):.1f} {line}v-5", "ink"), _text(place(tick), line - 9, tick, "muted middle")]
    for level, group in enumerate(contest.groups):
        inside = ranks[list(group)]
        y = line + 12 + 14 * level
        parts.append(_path(f"M{place(inside.min()) - 3:.1f} {y}H{place(inside.max()) + 3:.1f}", "accent wide"))
    for position, k in enumerate(order):
        first = position < half
        y = below + _ROW * (position if first else K - 1 - position) + 6
        edge = left - 6 if first else right + 6
        parts.append(_path(f"M{place(ranks[k]):.1f} {line}V{y}H{edge:.1f}", "thin"))
        text = f"{names[k]} · {ranks[k]:.2f}" if first else f"{ranks[k]:.2f} · {names[k]}"
        parts.append(_text(edge + (-4 if first else 4), y + 4, text, "end" if first else ""))
    return _svg(parts, width, height, "Critical-difference diagram")


def blobs(firm: Stability, ranks: Sequence[float], methods: Sequence[str], title: str) -> Markup:
    """Return how often a method had each rank in the bootstrap (area), the median rank and the 95 % interval.

    Source: Wiesenfarth et al. 2021, doi:10.1038/s41598-021-82017-6.
    """
    K = len(methods)
    order = sorted(range(K), key=lambda k: (ranks[k], firm.mean[k], methods[k]))
    names = numbered(methods)
    left, bottom = 16 + _LETTER * max(map(len, names)), _ROW * K + 4
    width = max(_WIDTH, round(left + 240))
    largest = min(0.46 * _ROW, 0.5 * (width - left) / K)
    step = (width - 14 - left) / K

    def place(rank: float) -> float:
        return left + step * (rank - 0.5)

    parts = []
    for tick in range(1, K + 1, max(1, K // 10)):
        parts += [
            _path(f"M{place(tick):.1f} 0V{bottom}", "grid"),
            _text(place(tick), bottom + 15, tick, "muted middle"),
        ]
    parts.append(_text((left + width) / 2, bottom + 32, "rank in resamples", "muted middle"))
    for row, k in enumerate(order):
        y = _ROW * row + _ROW // 2 + 2
        parts.append(_text(left - 10, y + 4, names[k], "end"))
        parts.append(_path(f"M{place(firm.low[k]):.1f} {y}H{place(firm.high[k]):.1f}", "thin"))
        dots = [
            Markup('<circle cx="{}" cy="{}" r="{}"/>').format(f"{place(level):.1f}", y, f"{largest * share**0.5:.1f}")
            for level, share in zip(firm.levels.tolist(), firm.frequency[k].tolist(), strict=True)
            if share >= _FEWEST
        ]
        parts.append(Markup('<g fill="{}">{}</g>').format(colour(k), Markup("").join(dots)))
        x = place(firm.median[k])
        parts.append(_path(f"M{x - 3:.1f} {y - 3}l6 6m0 -6l-6 6", "ink"))
    return _svg(parts, width, bottom + 38, title)


def ranks_within_cases(contest: Contest, methods: Sequence[str]) -> Matrix:
    """Return the share of cases, in percent, in which a method had each rank."""
    order, names = _best_first(contest), numbered(methods)
    rows = [(names[k], [(_percent(share), share) for share in contest.frequency[k].tolist()]) for k in order]
    heads = [(str(rank), f"rank {rank}") for rank in range(1, len(methods) + 1)]
    return Matrix("rank within a case, % of cases", heads, rows)


def significance(contest: Contest, methods: Sequence[str]) -> Matrix | None:
    """Return which method is significantly better than which, row better than column; None if none is."""
    if not contest.better.any():
        return None
    order, names = _best_first(contest), numbered(methods)
    rows = [
        (names[k], [("–", 0.0) if j == k else ("●", 1.0) if contest.better[k, j] else ("", 0.0) for j in order])
        for k in order
    ]
    return Matrix("row better than column", [(str(k + 1), methods[k]) for k in order], rows)


def _best_first(contest: Contest) -> list[int]:
    return [int(k) for k in np.argsort(contest.friedman.mean_rank, kind="stable")]


def _percent(share: float) -> str:
    return "" if share == 0 else "<1" if share < 0.01 else f"{100 * share:.0f}"


def _path(d: str, kind: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(kind, d)


def _text(x: float, y: float, text: object, kind: str = "") -> Markup:
    named = Markup(' class="{}"').format(kind) if kind else Markup()
    return Markup('<text x="{}" y="{}"{}>{}</text>').format(f"{x:.1f}", f"{y:g}", named, text)


def _svg(parts: Iterable[Markup], width: float, height: float, title: str) -> Markup:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    wide = " wide" if width > _WIDTH else ""
    head = f'<svg class="figure chart{wide}" {size} role="img" aria-label="{escape(title)}">'
    return Markup(head) + Markup("").join(parts) + Markup("</svg>")
