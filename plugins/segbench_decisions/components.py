"""The largest connected component of every label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from segbench import Decision, Task, UsageError, did_you_mean, parameter
from segbench_decisions.citation import NNUNET

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class LargestComponent(Decision):
    """Of every foreground label its connected component with the most voxels; the rest becomes background.

    Of equally large components the one with the first voxel in scan order is kept. Size is counted in voxels, which
    within a case orders like mL. nnU-Net (Isensee et al. 2021) does so where its cross-validation says that it helps,
    and first for the foreground as a whole; here it is done for all labels or those named, one by one.
    """

    name = "largest_component"
    summary = "keeps the largest connected component of every label"
    source = "10.1038/s41592-020-01008-z"
    bibtex = NNUNET

    connectivity: Literal["faces", "full"] = parameter(
        "faces", "neighbours: faces (6 in 3D, 4 in 2D) or full (26 in 3D, 8 in 2D)"
    )
    labels: tuple[str, ...] = parameter((), "names of the labels to clean; none = all foreground labels")

    def refine(self, labels: NDArray[np.integer[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return the label map ``(*S)`` with the other components set to 0.

        Args:
            labels: ``(*S)``, values 0 to K - 1.
            task: its labels give the names.

        Raises:
            UsageError: if ``labels`` names a label that the task does not have, or the background.
        """
        import numpy as np
        from scipy import ndimage

        chosen = self._values(task)
        refined = labels.copy()
        structure = ndimage.generate_binary_structure(labels.ndim, labels.ndim if self.connectivity == "full" else 1)
        for value, box in enumerate(ndimage.find_objects(labels), start=1):
            if box is None or value not in chosen:
                continue
            mask = labels[box] == value
            components, count = ndimage.label(mask, structure)
            if count > 1:
                largest = np.bincount(components.reshape(-1))[1:].argmax() + 1
                refined[box][mask & (components != largest)] = 0
        return refined

    def _values(self, task: Task) -> frozenset[int]:
        foreground = {name: value for value, name in enumerate(task.labels) if value > 0}
        for name in self.labels:
            if name not in foreground:
                raise UsageError(
                    f"decision {self.name}: labels: expected foreground labels of {task.name}, found {name!r}. "
                    f"{did_you_mean(name, foreground)}"
                )
        return frozenset(foreground[name] for name in self.labels or foreground)
