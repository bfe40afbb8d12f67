"""One size for all cases: cut or padded around the middle of the grid."""

from __future__ import annotations

from segbench import UNKNOWN, Case, DataInvalid, LabelMap


def crop(case: Case, size: tuple[int, int, int]) -> Case:
    """Return a case of the given size; its affine follows, so that voxels keep their place in the world.

    Args:
        case: with or without truth.
        size: ``(D, H, W)`` voxels. Where the case is smaller it is padded, the image with the channel's minimum, the
            truth with -1.

    Raises:
        DataInvalid: if a labelled voxel would be cut off.
    """
    import numpy as np

    shape = case.image.shape[1:]
    starts = [(length - wanted) // 2 for length, wanted in zip(shape, size, strict=True)]  # negative: padding before
    source = tuple(slice(max(0, start), max(0, start) + wanted) for start, wanted in zip(starts, size, strict=True))
    inner = [min(length, wanted) for length, wanted in zip(shape, size, strict=True)]
    target = tuple(slice(max(0, -start), max(0, -start) + count) for start, count in zip(starts, inner, strict=True))
    image = np.empty((len(case.image), *size), dtype=np.float32)
    image[...] = case.image.min(axis=(1, 2, 3), keepdims=True)
    image[(slice(None), *target)] = case.image[(slice(None), *source)]
    affine = case.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(starts, dtype=np.float64)
    if case.truth is None:
        return Case(case.id, image, case.spacing, affine)
    array = np.full(size, UNKNOWN, dtype=np.result_type(case.truth.array.dtype, np.int8))  # one that holds -1
    array[target] = case.truth.array[source]
    lost = int((case.truth.array > 0).sum()) - int((array > 0).sum())
    if lost:
        raise DataInvalid(
            f"case {case.id}: expected all structures within the middle {size} (D, H, W) of {shape}, found {lost} "
            f"labelled voxels outside. Set a larger dataset.crop=D,H,W."
        )
    return Case(case.id, image, case.spacing, affine, LabelMap(array, case.spacing, affine))
