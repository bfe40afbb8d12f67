"""Reading one case of PROMISE12; SimpleITK reads the files in a process of its own (see ``segbench.read_image``)."""

from __future__ import annotations

import logging

from segbench import Case, DataInvalid, LabelMap, read_image, read_label_map
from segbench_promise12.layout import Scan


def load_scan(scan: Scan, *, labelled: bool) -> Case:
    """Read an image, and its mask on the image's grid.

    Raises:
        DataInvalid: unreadable files, grids that differ in shape or spacing, values other than 0 and 1.
    """
    import numpy as np

    image, spacing, affine = read_image(scan.image)
    if len(image) != 1:
        raise DataInvalid(f"case {scan.name}: expected one channel, found {len(image)} in {scan.image}.")
    if not labelled or scan.label is None:
        return Case(scan.name, image, spacing, affine)
    truth = read_label_map(scan.label)
    if truth.array.shape != image.shape[1:] or not np.allclose(truth.spacing, spacing, rtol=1e-3):
        raise DataInvalid(
            f"case {scan.name}: expected one grid, found {image.shape[1:]} voxels of {spacing} mm in {scan.image} and "
            f"{truth.array.shape} of {truth.spacing} mm in {scan.label}. Get an intact copy."
        )
    if truth.affine is not None and not np.allclose(truth.affine, affine, rtol=1e-3, atol=1e-2):
        logging.getLogger(__name__).warning(
            "case %s: image and mask differ in origin or direction; the image's are used.", scan.name
        )
    low, high = int(truth.array.min()), int(truth.array.max())
    if low < 0 or high > 1:
        raise DataInvalid(
            f"case {scan.name}: expected a mask of 0 and 1, found values from {low} to {high} in {scan.label}."
        )
    return Case(scan.name, image, spacing, affine, LabelMap(truth.array, spacing, affine))
