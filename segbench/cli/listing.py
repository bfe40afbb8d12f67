"""A catalogue as lines of text: a table per kind of part, the distributions, what failed. Drawn without rich: 60 ms."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from typer import style

if TYPE_CHECKING:
    from segbench.host import Catalogue, Entry

_GAP = 1
"""Spaces between columns."""
_LEAST = 8
"""Characters that every column has at least, however narrow the terminal."""


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
    for line in _wrapped("* taken when none is named; more about a part: segbench info KIND NAME", width):
        yield style(line, dim=True)
    plugins: dict[str, list[str]] = {}
    for origin in catalogue.origins:
        plugins.setdefault(f"{origin.distribution} {origin.version}", []).append(origin.plugin)
    for distribution, names in plugins.items():
        for line in _wrapped(f"from {distribution}: {', '.join(names)}", width):
            yield style(line, dim=True)
    for problem in catalogue.problems:
        yield f"{style('Problem', fg='red')} {_printable(str(problem.origin))}: {_printable(problem.reason)}"


def _cells(name: str, entry: Entry) -> tuple[str, str, str]:
    return name + ("*" if entry.cls.default else ""), entry.cls.summary, entry.origin.plugin


def _table(rows: Sequence[tuple[str, str, str]], width: int) -> Iterator[str]:
    """Yield three columns: name, summary and plugin; the summary takes what the others leave."""
    names, plugins = (max(len(_printable(row[column])) for row in rows) for column in (0, 2))
    room = width - 2 * _GAP
    if names + plugins + _LEAST > room:  # every column gets its share
        names = max(_LEAST, min(names, room // 3))
        plugins = max(_LEAST, min(plugins, room // 3))
    widths = (names, max(_LEAST, room - names - plugins), plugins)
    for row in rows:
        cells = [_wrapped(text, wide) for text, wide in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            words = [cell[number] if number < len(cell) else "" for cell in cells]
            name, summary, plugin = (word.ljust(wide) for word, wide in zip(words, widths, strict=True))
            gap = " " * _GAP
            yield style(name, fg="cyan") + gap + summary + gap + style(plugin.rstrip(), dim=True)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text; a word that is too long is cut."""
    return textwrap.wrap(_printable(text), width) or [""]


def _printable(text: str) -> str:
    """Return a text without what could steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
