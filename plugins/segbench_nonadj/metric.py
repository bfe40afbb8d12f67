"""How far a segmentation violates the adjacency prior: forbidden pairs in contact, and their share of all contacts.

Both look at the predicted label map alone, over the 26-neighbourhood (8 where the map has two axes), and speak of
the map as a whole. A truth violates a prior of few subjects as well: read a value beside the truth's own.

Source: the constraint of Ganaye et al. 2018, 10.1007/978-3-030-00931-1_68.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import WHOLE, LabelMap, Metric, Score, Structure, Task, UsageError, parameter
from segbench_nonadj.citation import BIBTEX, DOI

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class _AgainstPrior(Metric):
    """What the two metrics share: the prior."""

    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX
    version: ClassVar[str] = "2"
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    default: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True
    prior_kind: ClassVar[str] = "adjacency"

    prior: Path | None = parameter(None, "CSV or TOML of allowed pairs by name; none = from the truths")
    minimum_contacts: int = parameter(1, "contacts over all training truths that make a pair allowed", low=1)

    def prepare(self, task: Task, truths: Iterable[LabelMap]) -> None:
        """Learn the forbidden pairs from training truths, or read them."""
        from segbench_nonadj import prior, prior_file

        if self.prior is not None:
            self.forbidden_ = prior.forbidden_pairs(prior_file.read_prior(self.prior, task.labels))
        else:
            counts = prior.learn(truths, len(task.labels))
            self.forbidden_ = prior.forbidden_pairs(counts, self.minimum_contacts)

    def knowledge(self) -> Sequence[Sequence[int]]:
        """Return the forbidden pairs of labels, sorted."""
        import numpy as np

        return [[int(i), int(j)] for i, j in np.argwhere(np.triu(self.forbidden_))]

    def structures(self, task: Task) -> Sequence[Structure]:
        """Return the whole map."""
        return [WHOLE]

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score one prediction; one that is background everywhere, wrongly, has no value: it would seem perfect."""
        from segbench_nonadj.contact import case_contacts

        if not hasattr(self, "forbidden_"):
            raise UsageError(
                f"metric {self.name}: expected a prior, found none. Score a run, whose training truths give it, or set "
                f"metric.{self.name}.prior=FILE."
            )
        if not (predicted.array > 0).any():
            if (truth.array > 0).any():
                return [Score(WHOLE, None, "pred_empty")]
            return [Score(WHOLE, 0.0, "both_empty")]
        return [Score(WHOLE, self._value(case_contacts(predicted, len(task.labels))))]

    def _value(self, counts: NDArray[np.int64]) -> float:
        raise NotImplementedError

    def examples(self) -> Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]:
        """Return a strip of labels 0 1 2 0 (see ``_example``) and an empty prediction."""
        import numpy as np

        truth = _strip([0, 1, 0, 2])
        empty = LabelMap(np.zeros_like(truth.array), truth.spacing)
        return [
            (truth, truth, [self._example(False)]),
            (_strip([0, 1, 2, 0]), truth, [self._example(True)]),
            (empty, truth, [None]),
        ]

    def _example(self, touching: bool) -> float:
        raise NotImplementedError


@dataclass
class ForbiddenPairs(_AgainstPrior):
    """Number of distinct label pairs that touch in a prediction though they touch in no training truth."""

    name: ClassVar[str] = "forbidden_pairs"
    summary: ClassVar[str] = "label pairs in contact that no training truth shows"
    unit: ClassVar[str] = "1"

    def _value(self, counts: NDArray[np.int64]) -> float:
        return float(((counts > 0) & self.forbidden_).sum() // 2)

    def _example(self, touching: bool) -> float:
        return float(touching)


@dataclass
class ForbiddenContacts(_AgainstPrior):
    """Share of the contacts (unordered voxel pairs of different labels) that belong to forbidden pairs."""

    name: ClassVar[str] = "forbidden_contacts"
    summary: ClassVar[str] = "share of label contacts that no training truth shows"
    unit: ClassVar[str] = ""

    def _value(self, counts: NDArray[np.int64]) -> float:
        total = int(counts.sum())
        return float(counts[self.forbidden_].sum()) / total if total else 0.0

    def _example(self, touching: bool) -> float:
        return 1 / 3 if touching else 0.0


def _strip(labels: list[int]) -> LabelMap:
    import numpy as np

    array: NDArray[np.integer[Any]] = np.array(labels, dtype=np.int16).reshape(1, 1, -1)
    return LabelMap(array, (1.0, 1.0, 1.0))
