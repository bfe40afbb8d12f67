"""Background that a label encloses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench import Decision, Task, parameter
from segbench_decisions.citation import SOILLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class FillHoles(Decision):
    """Background enclosed by one label becomes that label; other labels stay as they are.

    A hole of label k is a connected component (faces) of the voxels that are not k which does not touch the border of
    the image: whoever leaves it over faces crosses k (Soille 2004). Its background voxels are filled, an island of
    another label in it is not. Where holes of several labels contain a voxel, the smallest hole decides, that is the
    innermost label. Background that two labels enclose only together is no hole.

    Slice by slice, holes are looked for in every plane of the first axis of a volume: what is open only above or below
    is filled, too. An axis of length one has no border: a volume of one slice is a 2D image.
    """

    name = "fill_holes"
    summary = "fills background enclosed by a label"
    source = "10.1007/978-3-662-05088-0"
    bibtex = SOILLE

    slicewise: bool = parameter(False, "look for holes in every slice along the first axis; false = in the volume")

    def refine(self, labels: NDArray[np.integer[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return the label map ``(*S)`` with holes filled.

        Args:
            labels: ``(*S)``, values 0 to K - 1.
            task: not used.
        """
        import numpy as np
        from scipy import ndimage

        refined = labels.copy()
        structure = ndimage.generate_binary_structure(labels.ndim, 1)
        axes = [axis for axis, length in enumerate(labels.shape) if length > 1]
        if self.slicewise and labels.ndim > 2:
            structure[[0, -1]] = False
            axes = [axis for axis in axes if axis > 0]
        size_of_hole: NDArray[np.int64] | None = None
        for value, box in enumerate(ndimage.find_objects(labels), start=1):
            if box is None:
                continue
            inside = labels[box]
            components, count = ndimage.label(inside != value, structure)
            sizes = np.bincount(components.reshape(-1), minlength=count + 1)
            sizes[0] = 0
            for axis in axes:
                sizes[np.unique(components.take([0, -1], axis))] = 0
            if not sizes.any():
                continue
            if size_of_hole is None:
                size_of_hole = np.full(labels.shape, labels.size + 1, np.int64)
            size = sizes[components]
            filled = (size > 0) & (inside == 0) & (size < size_of_hole[box])
            refined[box][filled] = value
            size_of_hole[box][filled] = size[filled]
        return refined
