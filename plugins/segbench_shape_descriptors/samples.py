"""Numbers of a table for the samples of a batch.

Such numbers describe a case as it lies in its file. They hold for a sample only if it is the whole case (or the whole
slice), neither turned nor scaled: where each voxel of a sample comes from travels with it as a derived map, so that
padding and whole shifts are accounted for, and everything else is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from segbench import Incompatible
from segbench_shape_descriptors.layout import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench import Batch
    from segbench_shape_descriptors.table import Table

_REMEDY = (
    "Numbers of a table describe whole cases as they are: set recipe.augmentation.rotation=0, scale=0, shift=0, "
    "elastic=0 (or probability=0) and flip empty, and let the network see whole cases (its patch or size), or take "
    "bounds from truths (no method.table)."
)


def origin_map(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return for each voxel its index and the size of the volume along each axis, ``(6, D, H, W)``.

    Cut and padded (with 0) and warped like the image, it tells where the voxels of a sample come from.
    """
    indices = np.indices(shape, dtype=np.float32)
    sizes = np.broadcast_to(np.array(shape, dtype=np.float32).reshape(3, 1, 1, 1), (3, *shape))
    return np.concatenate([indices, sizes])


def place_of(origin: torch.Tensor, case: str) -> tuple[int, list[float]]:
    """Return the slice index along the first axis (0 for volumes) and where the case begins in the sample, voxels.

    Args:
        origin: of one sample, ``(6, *S)``, from ``origin_map``.
        case: its name, for messages.

    Raises:
        Incompatible: if the sample is not the whole case or slice, moved by whole voxels at most.
    """
    dims = origin.ndim - 1
    inside = origin[3] > 0
    if not inside.any():
        return 0, [0.0] * dims
    index, sizes = origin[:3, inside], origin[3:, inside][:, 0].tolist()
    starts = []
    for axis, places in enumerate(inside.nonzero().T):
        shift = places - index[3 - dims + axis]
        if float(shift.max() - shift.min()) > 1e-2:
            raise Incompatible(
                f"Case {case} was turned, scaled, flipped or cut along axis {3 - dims + axis}. {_REMEDY}"
            )
        starts.append(float(shift.mean()))
    if int(inside.sum()) != round(math.prod(sizes[3 - dims :])):
        raise Incompatible(f"Case {case} is not seen as a whole. {_REMEDY}")
    if dims == 3:
        return 0, starts
    if float(index[0].max() - index[0].min()) > 1e-2:
        raise Incompatible("Tables of slices speak of slices along the first axis; set network.axis=0.")
    return round(float(index[0, 0])), starts


def table_numbers(table: Table, batch: Batch, labels: int, layout: Sequence[Column]) -> torch.Tensor:
    """Return the numbers ``(B, K, C)`` of a batch, centroids moved to where each case lies in its sample.

    Args:
        table: numbers.
        batch: with ``derived["origin"]`` from ``origin_map``; its target is not looked at.
        labels: K.
        layout: columns of the result.
    """
    origins, spacings = batch.derived["origin"].cpu(), batch.spacing.tolist()
    numbers = []
    for case, origin, spacing, labelled in zip(batch.case_ids, origins, spacings, batch.labelled.tolist(), strict=True):
        index, starts = place_of(origin, case) if labelled else (0, [0.0] * len(spacing))
        known = table.numbers((case, index if table.sliced else None), labels, layout) if labelled else None
        sample = torch.tensor(known or [[math.nan] * len(layout)] * labels, dtype=torch.float64)
        for position, column in enumerate(layout):
            if column.descriptor == "centroid":
                step = spacing[column.axis] if table.physical else 1.0
                sample[:, position] += starts[column.axis] * step
        numbers.append(sample)
    return torch.stack(numbers).to(batch.image.device)
