"""The placebo's numbers: every sample is held to those of another one, of which nobody can say that they are right.

Where samples are fixed, sample i always gets the numbers of the same other sample. Where they are drawn, nothing says
which sample of its case one is: a case then has one other case for the whole run, and its samples get the numbers of
that case's samples in turn. Both pairings are one random cycle through all samples or cases, so that nobody is its own
partner and everybody's numbers are used equally often.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import torch

from segbench import Incompatible

Seen = tuple[Sequence[str], torch.Tensor, torch.Tensor]
"""Case ids, sample numbers and numbers ``(B, K, C)`` of a batch."""


class Strangers:
    """Who gets whose numbers.

    Args:
        seen: one pass over the training samples.
        generator: draws the cycle.
        by_sample: whether samples are fixed and numbered.

    Attributes:
        drawn: case -> how many of its samples have been given numbers; what a resumed run needs.

    Raises:
        Incompatible: if there is nobody else.
    """

    def __init__(self, seen: Iterable[Seen], generator: torch.Generator, *, by_sample: bool) -> None:
        self.by_sample, self.drawn = by_sample, dict[str, int]()
        self.bank: dict[Hashable, list[torch.Tensor]] = {}
        for case_ids, samples, numbers in seen:
            for one, row in zip(self._names(case_ids, samples), numbers, strict=True):
                self.bank.setdefault(one, []).append(row)
        if len(self.bank) < 2:
            kind = "sample" if by_sample else "case"
            raise Incompatible(f"a placebo gives the numbers of another training {kind}; there is only one.")
        names = list(self.bank)
        order = torch.randperm(len(names), generator=generator).tolist()
        cycle = zip(order, [*order[1:], order[0]], strict=True)
        self.partner = {names[one]: names[other] for one, other in cycle}

    def _names(self, case_ids: Sequence[str], samples: torch.Tensor) -> Sequence[Hashable]:
        return samples.tolist() if self.by_sample else case_ids

    def numbers(self, case_ids: Sequence[str], samples: torch.Tensor) -> torch.Tensor:
        """Return the numbers ``(B, K, C)`` that the samples of a batch are held to."""
        return torch.stack([self._next(one) for one in self._names(case_ids, samples)])

    def _next(self, one: Hashable) -> torch.Tensor:
        rows = self.bank[self.partner[one]]
        if self.by_sample:
            return rows[0]
        turn = self.drawn.get(str(one), 0)
        self.drawn[str(one)] = (turn + 1) % len(rows)
        return rows[turn]
