"""The adjacency prior as a part: ``segbench prior adjacency`` and ``segbench audit``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from segbench import Audit, Prior, SegbenchError, UsageError, Violation, parameter
from segbench_nonadj.citation import BIBTEX, DOI

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segbench import Case, LabelMap, Task


@dataclass
class AdjacencyPrior(Prior):
    """Which label pairs touch in the truths, and how often; all others are forbidden.

    Attributes:
        counts_: contacts, int64 ``(K, K)``, 0 = forbidden.
        labels_: label names, background first.
    """

    name: ClassVar[str] = "adjacency"
    summary: ClassVar[str] = "label pairs that touch in the truths; all others are errors"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX

    size: int = parameter(3, "edge of the neighbourhood, voxels, odd", low=3)
    radius: float = parameter(0.0, "radius of the neighbourhood, mm, instead of size; 0 = use size", low=0)
    minimum_contacts: int = parameter(1, "contacts over all truths that make a pair allowed; for learning", low=1)

    def __post_init__(self) -> None:
        if self.size % 2 == 0:
            raise ValueError(f"size: expected an odd number of voxels, found {self.size}.")

    def learn(self, task: Task, cases: Iterable[Case]) -> None:
        """Count the contacts of the truths; pairs below ``minimum_contacts`` count as never seen."""
        from segbench_nonadj import prior

        truths = (case.truth for case in cases if case.truth is not None)
        counts = prior.learn(truths, len(task.labels), size=self.size, radius=self.radius)
        counts[counts < self.minimum_contacts] = 0
        self.counts_, self.labels_ = counts, task.labels

    def write(self, path: Path) -> None:
        """Write a table of contacts (``.csv``) or a list of allowed pairs (``.toml``)."""
        from segbench_nonadj.prior_file import write_prior

        write_prior(path, self._counts(), self.labels_)

    def recognises(self, path: Path) -> bool:
        """Say whether a file is a CSV table or TOML list of pairs by label names."""
        from segbench_nonadj.prior_file import ENDINGS, looks_like_prior

        try:
            return path.suffix.lower() in ENDINGS and looks_like_prior(path)
        except (SegbenchError, OSError, ValueError):
            return False

    def labels(self, path: Path) -> Sequence[str]:
        """Return the label names a file speaks of; a TOML file without ``labels`` need not name all of a task."""
        from segbench_nonadj.prior_file import labels_of

        return labels_of(path)

    def values(self, path: Path) -> Mapping[str, int]:
        """Return the label values a file records, by name; empty if it records none."""
        from segbench_nonadj.prior_file import values_of

        return values_of(path)

    def read(self, path: Path, task: Task) -> None:
        """Read a CSV table or a TOML list of pairs; see ``read_prior``."""
        from segbench_nonadj.prior_file import read_prior

        self.counts_, self.labels_ = read_prior(path, task.labels), task.labels

    def audit(self, case_id: str, labels: LabelMap, task: Task) -> Audit:
        """Count the forbidden pairs in contact and say where each of them touches.

        Returns:
            ``forbidden_pairs``, ``forbidden_contacts`` (share of all contacts) and ``forbidden_contact_count``, over
            the neighbourhood of the parameters; a violation per forbidden pair with its contacts (unordered voxel
            pairs), placed in the middle of the touching voxel pair nearest to the centre of all of that pair's.
            Without an affine the place is index times spacing, as x, y, z.
        """
        from segbench_nonadj import prior

        counts = prior.neighbours(labels, len(task.labels), size=self.size, radius=self.radius)
        forbidden = prior.forbidden_pairs(self._counts())
        total, bad = int(counts.sum()) // 2, int(counts[forbidden].sum()) // 2
        measures = {
            "forbidden_pairs": float(((counts > 0) & forbidden).sum() // 2),
            "forbidden_contacts": bad / total if total else 0.0,
            "forbidden_contact_count": float(bad),
        }
        return Audit(measures, self._violations(labels, forbidden, task.labels) if bad else ())

    def _violations(
        self, label_map: LabelMap, forbidden: NDArray[np.bool_], names: Sequence[str]
    ) -> tuple[Violation, ...]:
        import numpy as np

        from segbench_nonadj import location, prior

        sizes = prior.edges(label_map, size=self.size, radius=self.radius)
        pairs, ones, twos = location.forbidden_touches(label_map.array, forbidden, sizes)
        distinct, which, amounts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        which = which.reshape(-1)  # NumPy 2.0 gives it another shape
        found = []
        for number in np.argsort(-amounts, kind="stable"):
            one, two = (names[label] for label in distinct[number])
            mine = which == number
            place = location.world(location.central(ones[mine], twos[mine], label_map.spacing), label_map)
            found.append(Violation(f"{one} touches {two}", float(amounts[number]), "contacts", (one, two), place))
        return tuple(found)

    def _counts(self) -> NDArray[np.int64]:
        if not hasattr(self, "counts_"):
            raise UsageError("prior adjacency: expected learn() or read() before, found nothing learnt.")
        return self.counts_
