"""Constraints by hand, such as ``2 <= length(Myo)/length(LV) <= 3``: a small parser; nothing is ever run as code.

::

    constraint  sum ( ("<=" | ">=" | "==") sum )+
    sum         product ( ("+" | "-") product )*
    product     factor ( ("*" | "/") factor )*
    factor      number | "-" factor | "(" sum ")" | descriptor "(" class [ "," axis ] ")"

A class is a label name, in quotes if it holds a comma or a parenthesis; an axis is 0, 1 or 2. What has one number per
axis (centroid, spread) goes with its like or with single numbers, and so does the orientation.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segbench import DataInvalid, DataMissing, did_you_mean
from segbench_shape_descriptors.layout import DESCRIPTORS, LARGEST
from segbench_shape_descriptors.terms import (
    LEAST_DIVISOR,
    Expression,
    Number,
    Operation,
    Rule,
    Term,
    shape_of,
    value_of,
)

_NUMBER = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-z_]\w*")
_CLASS = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^,()\"']+)")
_COMPARISON = re.compile(r"<=|>=|==")
_KEY = "constraints"
"""The only key of a file."""
_DEEPEST = 50
"""Nested parentheses and signs allowed."""
_SHOWN = 120
"""Characters of a constraint that messages quote."""
_LONGEST = 100
"""Numbers and descriptors that a constraint may have."""


def read_rules(path: Path, labels: Sequence[str]) -> tuple[Rule, ...]:
    """Read ``constraints = ["...", ...]`` from a TOML file.

    Args:
        path: the file.
        labels: the task's label names; the position is the value.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if it is no such file, or a constraint is wrong: says which, where, and what was expected.
    """
    return tuple(rule for text in _texts(path) for rule in parse_rule(text, labels))


def rule_labels(path: Path) -> tuple[str, ...]:
    """Return the classes that a file of rules speaks of, in the order in which they are named.

    Raises:
        DataMissing, DataInvalid: as ``read_rules``.
    """
    names = _Names()
    for text in _texts(path):
        parse_rule(text, names)
    return tuple(names)


class _Names(list[str]):
    """Labels of which any name may be one; those that were asked for are kept."""

    def __contains__(self, name: object) -> bool:
        if name and name not in list(self):
            self.append(str(name))
        return bool(name)


def looks_like_rules(path: Path) -> bool:
    """Say whether a TOML file has ``constraints``, misspelt or not, so that ``read_rules`` can name its faults.

    Raises:
        DataMissing, DataInvalid: if it cannot be read as TOML.
    """
    return any(difflib.get_close_matches(key.casefold(), [_KEY], cutoff=0.75) for key in _parse(path))


def _texts(path: Path) -> list[str]:
    """Return the constraints of a file as they are written."""
    content = _parse(path)
    for key in content:
        if key != _KEY:
            raise DataInvalid(f"rules {path}: unknown key {key!r}. {did_you_mean(key, [_KEY])}")
    texts = content.get(_KEY)
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataInvalid(f'rules {path}: expected constraints = ["volume(A) >= 100", ...], found {texts!r}.')
    return texts


def _parse(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file."""
    if not path.is_file():
        raise DataMissing(f"rules {path}: expected a TOML file with constraints, found none. Check the path.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataInvalid(f"rules {path}: expected UTF-8 TOML, found {error}.") from error
    except RecursionError as error:
        raise DataInvalid(f"rules {path}: expected a list of texts, found lists nested too deeply.") from error


def parse_rule(text: str, labels: Sequence[str]) -> tuple[Rule, ...]:
    """Return the comparisons of one constraint; ``a <= b <= c`` gives two.

    Raises:
        DataInvalid: with the position of the fault.
    """
    parser = _Parser(text, labels)
    sides, signs = [parser.sum()], list[str]()
    while sign := parser.take(_COMPARISON):
        signs.append(sign)
        sides.append(parser.sum())
    if not signs or not parser.done():
        raise parser.fault("<=, >= or ==" if not signs else "the end or a further comparison")
    if len(set(signs)) > 1:
        raise parser.fault("the same sign in a chain of comparisons", " and ".join(sorted(set(signs))))
    rules = []
    for sign, left, right in zip(signs, sides, sides[1:], strict=False):
        low, high = (right, left) if sign == ">=" else (left, right)
        rules.append(Rule(text, low, high, sign == "=="))
        if not rules[-1].terms:
            raise parser.fault("a descriptor such as volume(CLASS) on one side of every comparison", "numbers only")
        parser.alike(low, high)
    return tuple(rules)


class _Parser:
    """Reads a constraint from left to right."""

    def __init__(self, text: str, labels: Sequence[str]) -> None:
        self.text, self.labels, self.at, self.depth, self.count = text, labels, 0, 0, 0

    def fault(self, expected: str, found: str = "") -> DataInvalid:
        """Return the error for what stands here."""
        rest = self.text[self.at : self.at + 12].strip()
        found = found or (repr(rest) if rest else "the end")
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}..."
        return DataInvalid(f"constraint {text!r}: expected {expected} at position {self.at + 1}, found {found}.")

    def done(self) -> bool:
        """Say whether nothing is left but spaces."""
        self._skip()
        return self.at == len(self.text)

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, pattern: re.Pattern[str]) -> str:
        """Return what matches here and step over it, or ""."""
        self._skip()
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def sign(self, signs: str) -> str:
        """Return the one of these characters that stands here and step over it, or ""."""
        self._skip()
        if self.at < len(self.text) and self.text[self.at] in signs:
            self.at += 1
            return self.text[self.at - 1]
        return ""

    def _expect(self, character: str) -> None:
        if not self.sign(character):
            raise self.fault(f"{character!r}")

    def sum(self) -> Expression:
        """Read a sum."""
        result = self._product()
        while sign := self.sign("+-"):
            result = self._operation(sign, result, self._product())
        return result

    def _product(self) -> Expression:
        result = self._factor()
        while sign := self.sign("*/"):
            result = self._operation(sign, result, self._factor())
        return result

    def alike(self, left: Expression, right: Expression) -> None:
        """Refuse to put together what has different numbers of components."""
        found = {shape for shape in (shape_of(left), shape_of(right)) if shape}
        if len(found) > 1:
            raise self.fault("as many components left and right", "one per axis and an orientation")

    def _operation(self, sign: str, left: Expression, right: Expression) -> Expression:
        """Return ``left sign right``; what has no descriptor in it is worked out here."""
        self.alike(left, right)
        if sign == "/" and isinstance(right, Number) and abs(right.value) < LEAST_DIVISOR:
            raise self.fault(f"a divisor of at least {LEAST_DIVISOR:g}", f"{right.value:g}")
        result = Operation(sign, left, right)
        if not isinstance(left, Number) or not isinstance(right, Number):
            return result
        return self._number(value_of(result, lambda term: math.nan, lambda one, other: one / other))

    def _number(self, value: float) -> Number:
        if not abs(value) <= LARGEST:
            raise self.fault(f"numbers up to {LARGEST:g}", f"{value:g}")
        return Number(value)

    def _factor(self) -> Expression:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.fault(f"at most {_DEEPEST} nested parentheses and signs")
        result: Expression
        if self.sign("-"):
            result = self._operation("-", Number(0.0), self._factor())
        elif self.sign("("):
            result = self.sum()
            self._expect(")")
        else:
            result = self._leaf()
        self.depth -= 1
        return result

    def _leaf(self) -> Expression:
        self.count += 1
        if self.count > _LONGEST:
            raise self.fault(f"at most {_LONGEST} numbers and descriptors in one constraint")
        number = self.take(_NUMBER)
        return self._number(float(number)) if number else self._term()

    def _term(self) -> Term:
        self._skip()
        start = self.at
        word = self.take(_WORD)
        if word not in DESCRIPTORS:
            self.at = start
            raise self.fault(f"a number or one of {', '.join(DESCRIPTORS)}", repr(word) if word else "")
        self._expect("(")
        label = self._label()
        axis = self._axis(word) if self.sign(",") else None
        self._expect(")")
        return Term(word, label, axis)

    def _label(self) -> int:
        self._skip()
        start = self.at
        name = self.take(_CLASS).strip().strip("\"'")
        if name not in self.labels:
            self.at = start
            raise self.fault(f"a class ({did_you_mean(name, self.labels).rstrip('.?')})", repr(name) if name else "")
        return self.labels.index(name)

    def _axis(self, function: str) -> int:
        self._skip()
        if function not in ("centroid", "spread"):
            raise self.fault(f"no axis, since only centroid and spread have axes and not {function}")
        axis = self.sign("012")
        if not axis:
            raise self.fault("the axis 0, 1 or 2")
        return int(axis)
