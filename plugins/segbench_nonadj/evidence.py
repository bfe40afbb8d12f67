"""What the pictures of adjacency show, counted once: who touches whom in truths and predictions; numpy only."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segbench import DataInvalid
from segbench_nonadj import prior
from segbench_nonadj.contact import case_contacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import FinishedRun, LabelMap

TITLE_WIDTH = 36
"""Characters in a line of a panel's title."""


@dataclass(frozen=True)
class Panel:
    """One column of the pictures: the truth, or a run.

    Attributes:
        title: shown above.
        counts: contacts by case, ``(cases, K, K)`` int64.
    """

    title: str
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """What all panels share.

    Attributes:
        labels: names, background first.
        cases: names, in the order of ``Panel.counts``.
        forbidden: bool ``(K, K)``, symmetric.
        panels: the truth, then the runs.
        synthetic: whether the dataset is a phantom.
    """

    labels: tuple[str, ...]
    cases: tuple[str, ...]
    forbidden: NDArray[np.bool_]
    panels: tuple[Panel, ...]
    synthetic: bool


def gather(runs: Sequence[FinishedRun], cases: Sequence[str]) -> Evidence:
    """Count the contacts of the truths and predictions of ``cases``; learn the prior from the first run's truths."""
    first = runs[0]
    labels = first.task.labels
    forbidden = prior.forbidden_pairs(prior.learn(first.truths(), len(labels)))
    truths = np.stack([case_contacts(truth_of(first, case), len(labels)) for case in cases])
    panels = [Panel("truth", truths)]
    for run in runs:
        counts = [case_contacts(run.prediction(case), len(labels)) for case in cases]
        panels.append(Panel(textwrap.fill(run.title, TITLE_WIDTH), np.stack(counts)))
    return Evidence(labels, tuple(cases), forbidden, tuple(panels), first.task.synthetic)


def truth_of(run: FinishedRun, case: str) -> LabelMap:
    """Return the truth of a scored case.

    Raises:
        DataInvalid: if it has none.
    """
    truth = run.case(case).truth
    if truth is None:
        raise DataInvalid(f"figure adjacency: expected a truth for case {case}, found none. Draw scored cases.")
    return truth
