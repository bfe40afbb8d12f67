"""The foreground wherever it reaches a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench import Decision, Task, parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class Threshold(Decision):
    """The likeliest foreground label f(v) = argmax_{k ≥ 1} p_k(v) if p_f(v) ≥ ``value``, else background.

    Below 0.5 more voxels become foreground than by ``argmax``, however likely their background is. At 0.5 it differs
    from ``argmax`` where the foreground is exactly 0.5 (foreground here), and where several labels share the foreground
    so that none of them reaches 0.5 (background here). Of equally likely labels the first is taken.

    Probabilities and ``value`` are compared in single precision, in which networks give probabilities: 0.7 reaches 0.7
    in either precision.
    """

    name = "threshold"
    summary = "the likeliest foreground label from a probability upwards"
    needs_probabilities = True

    value: float = parameter(0.5, "probability that a foreground label must reach; above 0, at most 1", low=0, high=1)

    def __post_init__(self) -> None:
        if not 0 < self.value <= 1:
            raise ValueError(f"value: expected a probability above 0 and at most 1, found {self.value}.")

    def decide(self, probabilities: NDArray[np.floating[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return the label map ``(*S)``, int32.

        Args:
            probabilities: ``(K, *S)``, 0 to 1; of these the foreground labels count, 1 to K - 1.
            task: not used.
        """
        import numpy as np

        shape = probabilities.shape[1:]
        labels = np.zeros(shape, np.int32)
        likeliest = np.zeros(shape, probabilities.dtype)
        for label in range(1, len(probabilities)):
            better = probabilities[label] > likeliest
            np.copyto(likeliest, probabilities[label], where=better)
            labels[better] = label
        labels[likeliest.astype(np.float32, copy=False) < np.float32(self.value)] = 0
        return labels
