"""What a constraint is made of, once it is parsed, and its value; shared by torch and numpy code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LEAST_DIVISOR = 1e-2
"""Divisors in a constraint count as at least this, in the unit of the divisor, in training and in audits."""


@dataclass(frozen=True)
class Number:
    """A number that was written down."""

    value: float


@dataclass(frozen=True)
class Term:
    """A descriptor of a class.

    Attributes:
        function: one of ``DESCRIPTORS``.
        label: the class's value.
        axis: one component only, or None for all.
    """

    function: str
    label: int
    axis: int | None


@dataclass(frozen=True)
class Operation:
    """Two expressions with ``+ - * /`` between them."""

    sign: str
    left: Expression
    right: Expression


Expression = Number | Term | Operation


@dataclass(frozen=True)
class Rule:
    """One comparison.

    Attributes:
        text: the constraint it comes from, as written.
        left, right: what is compared; ``left <= right``, or equal within the margin.
        equal: whether it is an equality.
    """

    text: str
    left: Expression
    right: Expression
    equal: bool

    @property
    def terms(self) -> tuple[Term, ...]:
        """Every descriptor it names."""
        return (*_terms(self.left), *_terms(self.right))

    @property
    def needed(self) -> frozenset[int]:
        """Classes without which it means nothing: an absent one has a volume, 0, but nothing can be divided by it."""
        divisors = {term for side in (self.left, self.right) for term in _divisor_terms(side)}
        return frozenset(term.label for term in self.terms if term.function != "volume" or term in divisors)

    @property
    def function(self) -> str:
        """The descriptor that both sides of an equality are, if they are nothing else, for its margin; else ""."""
        names = {side.function if isinstance(side, Term) else "" for side in (self.left, self.right)}
        return names.pop() if len(names) == 1 else ""


def value_of(expression: Expression, look_up: Callable[[Term], Any], divide: Callable[[Any, Any], Any]) -> Any:
    """Return the value of an expression, for whatever kind of number ``look_up`` returns for a descriptor of a class.

    Args:
        expression: a side of a rule.
        look_up: gives the value of a term.
        divide: gives the ratio of two values.
    """
    if isinstance(expression, Number):
        return expression.value
    if isinstance(expression, Term):
        return look_up(expression)
    left, right = (value_of(side, look_up, divide) for side in (expression.left, expression.right))
    if expression.sign == "+":
        return left + right
    if expression.sign == "-":
        return left - right
    return left * right if expression.sign == "*" else divide(left, right)


def _terms(expression: Expression) -> tuple[Term, ...]:
    if isinstance(expression, Operation):
        return (*_terms(expression.left), *_terms(expression.right))
    return (expression,) if isinstance(expression, Term) else ()


def _divisor_terms(expression: Expression, below: bool = False) -> tuple[Term, ...]:
    """Return the terms that something is divided by."""
    if isinstance(expression, Operation):
        right = below or expression.sign == "/"
        return (*_divisor_terms(expression.left, below), *_divisor_terms(expression.right, right))
    return (expression,) if below and isinstance(expression, Term) else ()


def shape_of(expression: Expression) -> str:
    """Return what an expression has numbers for: "" (one number), "axes", or "orientation" (pairs of axes)."""
    if isinstance(expression, Operation):
        return shape_of(expression.left) or shape_of(expression.right)
    if isinstance(expression, Number) or expression.axis is not None:
        return ""
    return {"centroid": "axes", "spread": "axes", "orientation": "orientation"}.get(expression.function, "")
