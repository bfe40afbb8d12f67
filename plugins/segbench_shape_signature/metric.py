"""How far the shape of a predicted structure is from that of the truth: the distance between their signatures.

The signature of every structure is trained on the training truths when the metric is prepared, with one fixed seed:
the predictions of all methods are measured with the same signatures. Its scale is set by ``pretraining.spread``: the
mean distance of the training subjects from each other.

Source: the shape loss of 10.1007/978-3-030-00889-5_7, section 3.3, without its cap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import LabelMap, Metric, Score, Structure, Task, UsageError, parameter
from segbench_shape_signature.citation import BIBTEX, DOI
from segbench_shape_signature.settings import Pretraining

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segbench_shape_signature.store import Signature


@dataclass
class SignatureDistance(Metric):
    """Distance between the shape signatures of prediction and truth, structure by structure."""

    name: ClassVar[str] = "signature_distance"
    summary: ClassVar[str] = "distance between learnt shape signatures"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX
    version: ClassVar[str] = "2"
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    needs_training: ClassVar[bool] = True

    seed: int = parameter(0, "seed of the signatures", low=0)
    pretraining: Pretraining = field(default_factory=Pretraining)

    def prepare(self, task: Task, truths: Iterable[LabelMap]) -> None:
        """Train a signature per structure on the training truths, unless this process did so before."""
        from segbench_shape_signature.fitting import fit, generate
        from segbench_shape_signature.store import obtain
        from segbench_shape_signature.subjects import collect

        self.signatures_: dict[str, Signature] = {}
        for name, subjects in collect(truths, task.structures).items():
            if len(subjects):
                found = obtain(name, subjects, self.pretraining, generate(self.seed), fit(self.seed))
                self.signatures_[name] = found

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score one prediction; a structure that no training truth shows has status failed unless a mask is empty."""
        if not hasattr(self, "signatures_"):
            raise UsageError(
                f"metric {self.name}: expected training truths, found none. Score a run: its training split has them."
            )
        for structure in task.structures:
            yield self._score(structure, predicted.mask(structure), truth.mask(structure))

    def _score(self, structure: Structure, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Score:
        has = bool(predicted.any()), bool(truth.any())
        if has == (False, False):
            return Score(structure, 0.0, "both_empty")
        if not all(has):
            return Score(structure, None, "truth_empty" if has[0] else "pred_empty")
        if structure.name not in self.signatures_:
            return Score(structure, None, "failed")
        return Score(structure, self._distance(self.signatures_[structure.name], predicted, truth))

    def _distance(self, signature: Signature, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
        import math

        import torch

        from segbench_shape_signature.distance import capped_distances, cropped
        from segbench_shape_signature.subjects import volume

        masks = [torch.from_numpy(volume(mask).copy())[None] for mask in (predicted, truth)]
        prediction, goal = cropped(signature.network, masks[0].float(), masks[1], 0.0)
        return float(capped_distances(signature.network, prediction, goal, math.inf))

    def examples(self) -> Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]:
        """Return a box against itself, against nothing, and nothing against nothing."""
        import numpy as np

        array: NDArray[np.integer[Any]] = np.zeros((6, 7, 5), dtype=np.int16)
        array[1:4, 2:5, 1:3] = 1
        box, nothing = (LabelMap(one, (1.0, 1.0, 1.0)) for one in (array, np.zeros_like(array)))
        return [(box, box, [0.0]), (nothing, box, [None]), (nothing, nothing, [0.0])]
