"""How much a prior weighs as training goes on: one text form for what the field does.

====================  ===============================================================================
``0.5``               always 0.5
``constant:0.5``      the same
``ramp:A:B:N``        from A in the first epoch in equal steps to B in epoch N, B from then on
``rebalance:A:B:N``   the same, and the base weighs one minus it
``after:W:SHARE``     0 until this share of the epochs is over, then W
====================  ===============================================================================

Epochs are counted from 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from segbench.errors import UsageError


class Weights(NamedTuple):
    """What base and prior weigh in an epoch."""

    base: float
    prior: float


@dataclass(frozen=True)
class Schedule:
    """The weight of a prior over the epochs of a run.

    Attributes:
        kind: ``constant``, ``ramp``, ``rebalance`` or ``after``.
        numbers: as in the text form.

    >>> Schedule.parse("ramp:0:0.5:20").at(10, 100)
    Weights(base=1.0, prior=0.25)
    >>> Schedule.parse("rebalance:0.01:0.5:49").at(49, 100)
    Weights(base=0.5, prior=0.5)
    >>> str(Schedule.parse("0.1"))
    'constant:0.1'
    """

    kind: str
    numbers: tuple[float, ...]

    FORMS: ClassVar[dict[str, str]] = {
        "constant": "constant:WEIGHT",
        "ramp": "ramp:FROM:TO:EPOCHS",
        "rebalance": "rebalance:FROM:TO:EPOCHS",
        "after": "after:WEIGHT:SHARE",
    }

    def __post_init__(self) -> None:
        form = self.FORMS.get(self.kind, "")
        wanted, found = form.count(":"), ":".join([self.kind, *map(str, self.numbers)])
        if not form or len(self.numbers) != wanted:
            forms = ", ".join(self.FORMS.values())
            raise UsageError(f"schedule: expected a number or one of {forms}; found {found!r}.")
        if not all(math.isfinite(number) and number >= 0 for number in self.numbers):
            raise UsageError(f"schedule {found!r}: expected finite numbers of at least 0.")
        if self.kind == "rebalance" and max(self.numbers[:2]) > 1:
            raise UsageError(f"schedule {found!r}: base and prior share a weight of 1; expected FROM and TO up to 1.")
        if self.kind == "after" and self.numbers[1] > 1:
            raise UsageError(f"schedule {found!r}: expected a SHARE of the epochs between 0 and 1.")

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Return the schedule that a text describes.

        Raises:
            UsageError: if it describes none; says what it may be.
        """
        kind, *others = text.strip().split(":")
        try:
            numbers = tuple(float(other) for other in others)
            return cls("constant", (float(kind),)) if not others else cls(kind, numbers)
        except ValueError:
            forms = ", ".join(cls.FORMS.values())
            raise UsageError(f"schedule: expected a number or one of {forms}; found {text!r}.") from None

    def at(self, epoch: int, epochs: int) -> Weights:
        """Return what base and prior weigh in an epoch.

        Args:
            epoch: from 0.
            epochs: of the run.
        """
        first = self.numbers[0]
        if self.kind == "constant":
            return Weights(1.0, first)
        if self.kind == "after":
            return Weights(1.0, first if epoch >= self.numbers[1] * epochs else 0.0)
        last, steps = self.numbers[1:]
        done = 1.0 if steps == 0 else min(1.0, epoch / steps)
        value = first + (last - first) * done
        return Weights(1.0 - value if self.kind == "rebalance" else 1.0, value)

    def __str__(self) -> str:
        """Return the text form."""
        return ":".join([self.kind, *(repr(number).removesuffix(".0") for number in self.numbers)])
