"""A catalogue as lines of text: a line per part, the distributions, what failed. Drawn without rich: 60 ms."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from typer import style

from segbench.texts import one_line

if TYPE_CHECKING:
    from segbench.host import Catalogue, Entry

KINDS = ("datasets", "networks", "methods", "decisions", "metrics", "studies", "priors", "figures", "reporters")
"""Kinds of parts as they are called in plural."""
_GAP = " "
"""What separates columns."""
_CUT = "…"
"""What ends a line that is too long."""


def singular(kind: str) -> str:
    """Return what one part of a kind is called."""
    return "study" if kind == "studies" else kind[:-1]


def about(name: str, entry: Entry) -> dict[str, str]:
    """Return what a part and its origin say of themselves, for ``--json``."""
    return {
        "name": name,
        "summary": entry.cls.summary,
        "source": entry.cls.source,
        "version": entry.cls.version,
        "plugin": entry.origin.plugin,
        "distribution": entry.origin.distribution,
        "plugin_version": entry.origin.version,
    }


def lines(catalogue: Catalogue, kinds: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines of a listing, with the escape sequences of colours.

    Args:
        catalogue: what is on offer.
        kinds: the kinds to list, e.g. ``["methods"]``.
        width: characters that a line may have; what failed stands on one line, however long, to be copied.
    """
    for kind in kinds:
        if catalogue.entries[kind]:
            yield style(kind, bold=True)
            yield from _table([_cells(name, entry) for name, entry in sorted(catalogue.entries[kind].items())], width)
            yield ""
    for line in _wrapped("* taken when none is named; more about a part: segbench info NAME", width):
        yield style(line, dim=True)
    plugins: dict[str, list[str]] = {}
    for origin in catalogue.origins:
        plugins.setdefault(f"{origin.distribution} {origin.version}", []).append(origin.plugin)
    for distribution, names in plugins.items():
        for line in _wrapped(f"from {distribution}: {', '.join(names)}", width):
            yield style(line, dim=True)
    for problem in catalogue.problems:
        yield f"{style('Problem', fg='red')} {one_line(str(problem.origin))}: {one_line(problem.reason)}"


def _cells(name: str, entry: Entry) -> tuple[str, str, str]:
    return name + ("*" if entry.cls.default else ""), entry.cls.summary, entry.origin.plugin


def _table(rows: Sequence[tuple[str, str, str]], width: int) -> Iterator[str]:
    """Yield a line per part: name and summary, cut where the terminal ends; and its plugin if there is room for all."""
    cleaned = [tuple(map(one_line, row)) for row in rows]
    names, summaries, plugins = (max(len(row[column]) for row in cleaned) for column in range(3))
    roomy = names + summaries + plugins + 2 * len(_GAP) <= width
    for name, summary, plugin in cleaned:
        line = _GAP.join((name.ljust(names), summary.ljust(summaries) if roomy else summary))
        if len(line) > width and not roomy:
            line = line[: max(width - 1, 1)] + _CUT
        cells = style(line[:names], fg="cyan") + line[names:]
        yield cells + _GAP + style(plugin, dim=True) if roomy else cells


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text; a word that is too long is cut."""
    return textwrap.wrap(one_line(text), width) or [""]
