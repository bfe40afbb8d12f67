"""matplotlib figures -> SVG that lives inside a page: its ink follows the page's colours, its text is the page's text.

A figure is drawn with stand-in colours (``INK`` and so on); in the SVG they become CSS variables, so that one drawing
serves light and dark pages. In a PDF they stay what they are: ink for white paper.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER, ACCENT = "#1b1f25", "#5a6471", "#d8dee5", "#fefefe", "#1f6fea"
_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--paper", ACCENT: "--accent"}
PALETTE = (
    *("#2f7ed8", "#e07b00", "#1f9e77", "#c2459b", "#7a6fd0", "#b8860b", "#d1495b", "#3aa6b9", "#7f9c2a", "#8c6d5a"),
    *("#5b8c5a", "#b05cc4", "#d98e73", "#4d77a8", "#9a9a2e", "#cf6f9f", "#6aa38f", "#a0703c", "#7d8597", "#e05d3a"),
)
"""Colours of methods, told apart on light and on dark paper; they repeat after twenty."""
_LONGEST = 30
_NO_GLYPH = r"Glyph (\d+) .*missing from"
_WIDE = 480
"""Pixels beyond which a figure scrolls on a narrow page rather than shrink until nobody can read it."""


def colour(index: int) -> str:
    """Return the colour of the method at this place of the board."""
    return PALETTE[index % len(PALETTE)]


def short(name: str, longest: int = _LONGEST) -> str:
    """Return a name that fits an axis or a column; its middle gives way, since variants differ at their ends."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[: longest - half]}…{name[1 - half :]}"


def numbered(names: Sequence[str], longest: int = _LONGEST) -> list[str]:
    """Return short names that begin with their place on the board, by which pictures and tables refer to them."""
    return [f"{place} {short(name, longest)}" for place, name in enumerate(names, 1)]


def add_legend(figure: Figure, methods: Sequence[str]) -> None:
    """Name the methods by their colours below a figure, which grows by as much."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 5}
    handles = [Line2D([], [], color=colour(k), label=name, **style) for k, name in enumerate(numbered(methods))]
    width, height = figure.get_size_inches()
    columns = max(1, min(len(methods), int(width // 2.3)))
    figure.set_size_inches(width, height + 0.1 + 0.19 * -(-len(methods) // columns))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, handletextpad=0.1)


@contextmanager
def drawing() -> Iterator[None]:
    """Let figures be drawn in the page's style: stand-in colours, no mathematics in names, thin frames."""
    import matplotlib as mpl

    style: dict[Any, Any] = {
        "font.size": 10,
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.facecolor": "none",
        "axes.titlesize": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": "none",
        "grid.color": LINE,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "svg.fonttype": "none",
    }
    with mpl.rc_context(style):
        yield


@contextmanager
def missing_glyphs(notes: list[str]) -> Iterator[None]:
    """Tell once, in ``notes``, that the fonts lack characters of names, instead of matplotlib's warning for each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("once", message=_NO_GLYPH)
        yield
    lacking = {one[1] for warning in caught if (one := re.match(_NO_GLYPH, str(warning.message)))}
    for warning in caught:
        if not re.match(_NO_GLYPH, str(warning.message)):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if lacking:
        notes.append(
            f"matplotlib's font lacks {len(lacking)} of the characters in names: PNG and PDF pictures show boxes in "
            f"their place; the pages show them in the browser's fonts."
        )


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """Return a figure as an SVG element.

    Args:
        figure: drawn within ``drawing()``.
        name: unique within the page; keeps the ids of two figures apart.
        description: what a reader who cannot see it is told.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    text = buffer.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)  # it would style the whole page
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL).replace("xlink:href", "href")
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda match: match.group(0) if match.group(1) in used else "", body)
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, f"var({variable})")
    width, height = (72 * side for side in figure.get_size_inches())
    size = "figure wide" if width > _WIDE else "figure"
    head = f'<svg class="{size}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img"'
    return Markup(f'{head} aria-label="{escape(description)}">{body}')
