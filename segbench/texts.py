"""Texts from outside made harmless: the one place that every terminal, table and CSV cell asks.

A Parquet's names, a plugin's messages or a header's fields may hold escape sequences that rewrite a terminal, marks
that reverse what is read, and formulas that a spreadsheet would run.
"""

from __future__ import annotations

import re
from typing import Any

_HARMFUL = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
"""Controls (C0, DEL, C1), marks of direction, separators of lines, and halves of characters."""
_IN_LINE = re.compile(f"[{_HARMFUL}\U000e0000-\U000e007f]")
_IN_TEXT = re.compile(f"(?!\n)[{_HARMFUL}\U000e0000-\U000e007f]")
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""How a cell begins that a spreadsheet takes for a formula, in ASCII and full width (OWASP, CSV injection)."""


def plain(text: str, *, lines: bool = False) -> str:
    r"""Return a text without characters that do something instead of being seen: each as its escape, ``\x1b``.

    Args:
        text: from anywhere.
        lines: whether line breaks stay; else they are escaped too.

    >>> plain("dice\x1b[31m")
    'dice\\x1b[31m'
    """
    if text.isprintable():
        return text
    return (_IN_TEXT if lines else _IN_LINE).sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return ascii(found.group())[1:-1]


def one_line(text: str) -> str:
    """Return a text on one line: its line breaks become spaces, what else is harmful its escape."""
    return plain(text if text.isprintable() else " ".join(text.splitlines()))


def csv_cell(value: Any) -> Any:
    """Return what a CSV may hold of a value: a text on one line that no spreadsheet takes for a formula.

    A text that would be taken for one begins with ``'``; numbers, also written as texts, stay as they are.

    >>> [csv_cell(value) for value in ("=1+1", "-1.5", "+49 30", -2)]
    ["'=1+1", '-1.5', "'+49 30", -2]
    """
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return "'" + text if text.lstrip()[:1] in tuple(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text
