"""Reading one scan of SegTHOR."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segbench import Case, DataInvalid, LabelMap, read_image, read_label_map
from segbench_segthor.layout import Scan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HIGHEST = 4


def load_scan(scan: Scan, values: Sequence[int]) -> Case:
    """Read a scan, and its ground truth with the chosen organs renumbered from 1.

    Args:
        scan: its files.
        values: of the organs in the ground truth, ascending; all others become background.

    Raises:
        DataInvalid: unreadable files, grids that differ in shape or spacing, values above 4, or an organ without a
            voxel (every labelled scan of the official copy has all four).
    """
    import numpy as np

    image, spacing, affine = read_image(scan.image)
    if len(image) != 1:
        raise DataInvalid(f"case {scan.name}: expected one channel, found {len(image)} in {scan.image}.")
    if scan.label is None:
        return Case(scan.name, image, spacing, affine)
    truth = read_label_map(scan.label)
    if truth.array.shape != image.shape[1:] or not np.allclose(truth.spacing, spacing, rtol=1e-3):
        raise DataInvalid(
            f"case {scan.name}: expected one grid, found {image.shape[1:]} voxels of {spacing} mm in {scan.image} and "
            f"{truth.array.shape} of {truth.spacing} mm in {scan.label}. Get an intact copy."
        )
    if truth.affine is not None and not np.allclose(truth.affine, affine, rtol=1e-3, atol=1e-2):
        logging.getLogger(__name__).warning(
            "case %s: CT and ground truth differ in origin or direction; the CT's are used.", scan.name
        )
    return Case(scan.name, image, spacing, affine, LabelMap(_chosen(scan, truth.array, values), spacing, affine))


def _chosen(scan: Scan, array: NDArray[np.integer[Any]], values: Sequence[int]) -> NDArray[np.uint8]:
    import numpy as np

    low, high = int(array.min()), int(array.max())
    if low < 0 or high > HIGHEST:
        raise DataInvalid(f"case {scan.name}: expected labels 0 to {HIGHEST}, found {low} to {high} in {scan.label}.")
    table = np.zeros(HIGHEST + 1, dtype=np.uint8)
    table[list(values)] = np.arange(1, len(values) + 1)
    chosen: NDArray[np.uint8] = table[array]
    counts = np.bincount(chosen.ravel(), minlength=len(values) + 1)
    if absent := [value for value, count in zip(values, counts[1:], strict=True) if not count]:
        raise DataInvalid(
            f"case {scan.name}: expected every organ in every labelled scan, found no voxel of label {absent[0]} in "
            f"{scan.label}. Is it an altered copy? Get the official one."
        )
    return chosen
