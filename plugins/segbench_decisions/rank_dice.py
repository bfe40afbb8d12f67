"""RankDice: the volume with the highest expected Dice, label by label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench import Decision, Task, parameter
from segbench_decisions.citation import RANKSEG

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class RankDice(Decision):
    """Per foreground label the set of voxels with the highest expected Dice (Dai & Li 2023).

    If voxels belong to a label independently with probabilities p_j, the best prediction of a given volume τ is the τ
    likeliest voxels (their Theorem 1), and the volume is

        τ* = argmax_τ Σ_{j ≤ τ} 2 p_j E[1 / (τ + Γ_{-j} + γ + 1)] + γ E[1 / (τ + Γ + γ)],

    p sorted downwards, Γ the volume of the truth, Γ_{-j} the same without voxel j, γ the smoothing. A label with at
    most ``exact`` voxels of positive probability is solved exactly; above, the expectations are replaced by the
    reciprocal moment approximation 1 / (τ + E Γ + γ + 1) and 1 / (τ + E Γ + γ) (Wang & Dai 2025,
    https://openreview.net/pdf?id=4tRMm1JJhw), linear in the voxels but for sorting those few that can matter.

    Differences: two empty masks have Dice 1 (the paper: 0), as in the metric ``dice``, so that a label that is
    probably absent is not predicted at all; no label is skipped because its largest probability is below 0.5, as the
    package ``rankseg`` does by default. The volumes are chosen per label, background not among them, and may overlap:
    a voxel claimed by several labels goes to the likeliest of them (the first of equals), one claimed by none is
    background. Where a task scores regions, it is still the labels' Dice that is maximised.
    """

    name = "rank_dice"
    summary = "RankDice: per label the volume with the highest expected Dice"
    source = "10.48550/arXiv.2206.13086"
    bibtex = RANKSEG
    needs_probabilities = True

    smooth: float = parameter(0.0, "smoothing γ in numerator and denominator of the Dice, voxels", low=0)
    exact: int = parameter(
        512, "labels with at most so many voxels of positive probability are solved exactly", low=0, high=4096
    )

    def decide(self, probabilities: NDArray[np.floating[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return the label map ``(*S)``, int32.

        Args:
            probabilities: ``(K, *S)``, 0 to 1; of these the foreground labels count, 1 to K - 1.
            task: not used.
        """
        import numpy as np

        from segbench_decisions.expected_dice import best_voxels

        shape = probabilities.shape[1:]
        labels = np.zeros(int(np.prod(shape)), np.int32)
        likeliest = np.zeros(labels.shape, np.float64)
        for label in range(1, len(probabilities)):
            flat = np.ascontiguousarray(probabilities[label], np.float64).reshape(-1)
            claimed = best_voxels(flat, self.smooth, self.exact)
            won = claimed[flat[claimed] > likeliest[claimed]]
            likeliest[won] = flat[won]
            labels[won] = label
        return labels.reshape(shape)
