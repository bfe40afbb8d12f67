"""Probabilities that somebody else's network gave, decided here: nnU-Net's ``.npz``, read without trusting it."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from segbench.errors import DataInvalid, SegbenchError
from segbench.names import first_few
from segbench.scoring.decisions import Chain
from segbench.types import LabelMap, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS = ("probabilities", "softmax")
"""Names of the array ``(K, D, H, W)``: of nnU-Net's version 2, and of version 1."""
TOLERANCE = 0.02
"""How far a voxel's probabilities may be from summing to 1: nnU-Net stores half precision."""
AGREEMENT = 0.5
"""Share of foreground voxels in which likeliest labels and the label map beside them must agree to lie on one grid."""


@dataclass(frozen=True)
class Deciding:
    """How predictions become the label maps that are scored.

    Attributes:
        chain: of decisions.
        classes: the labels that the network tells apart, background first.
    """

    chain: Chain
    classes: Task


def holds_probabilities(path: Path) -> bool:
    """Return whether a file is an archive of probabilities, by its names alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(f"{key}.npy" in archive.namelist() for key in KEYS)
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def decided(path: Path, grid: LabelMap, deciding: Deciding, beside: LabelMap | None) -> LabelMap:
    """Return the label map that a chain makes of a file of probabilities.

    Args:
        path: the archive.
        grid: on which they lie.
        deciding: see ``Deciding``.
        beside: the label map written beside them, to see that the axes of both run alike.

    Raises:
        DataInvalid: other classes, another shape, or no probabilities.
    """
    probabilities = read_probabilities(path, grid.array.shape, deciding.classes)
    if beside is not None:
        _check_axes(path, probabilities, beside)
    return grid.with_array(deciding.chain.decide(probabilities, deciding.classes))


def refined(labels: LabelMap, deciding: Deciding) -> LabelMap:
    """Return what a chain makes of a label map; values that are no class stay where they are.

    Raises:
        Incompatible: the chain needs probabilities.
    """
    array = labels.array
    strange = (array < 0) | (array >= len(deciding.classes.labels))
    better = deciding.chain.refine(np.where(strange, 0, array), deciding.classes)
    return labels.with_array(np.where(strange, array, better))


def read_probabilities(path: Path, shape: tuple[int, ...], classes: Task) -> NDArray[np.floating[Any]]:
    """Return probabilities ``(K, *S)`` from an archive; nothing in it is unpickled.

    Args:
        path: ends in ``.npz``.
        shape: of the grid they must lie on.
        classes: gives K.

    Raises:
        DataInvalid: damaged, other classes, another shape, or no probabilities that sum to 1.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            key = next((key for key in KEYS if f"{key}.npy" in archive.namelist()), None)
            if key is None:
                raise _invalid(path, f"an array {KEYS[0]!r} of axes (K, D, H, W)", first_few(archive.namelist()))
            with archive.open(f"{key}.npy") as stream:
                found = _array(path, cast("Any", stream), shape, classes)
    except SegbenchError:
        raise
    except Exception as error:  # whatever a damaged archive makes its readers raise
        raise _invalid(path, "an archive of probabilities", f"{type(error).__name__}: {error}") from error
    if not np.isfinite(found).all() or float(found.min()) < -TOLERANCE:
        raise _invalid(path, "probabilities from 0", "negative ones, or values that are no numbers")
    far = float(np.abs(found.sum(0, dtype=np.float32) - 1).max())
    if far > TOLERANCE:
        raise _invalid(
            path, "probabilities that sum to 1 in every voxel", f"sums up to {far:.3g} away from it: regions, or logits"
        )
    return np.maximum(found, 0)


def _array(path: Path, stream: Any, shape: tuple[int, ...], classes: Task) -> NDArray[np.float32]:
    version = np.lib.format.read_magic(stream)
    readers: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise _invalid(path, "a .npy array of version 1 or 2", f"version {version}")
    found, fortran, dtype = readers[version](stream)
    if dtype.kind != "f":
        raise _invalid(path, "probabilities as floating-point numbers", f"{dtype} (pickled objects are never loaded)")
    count = len(classes.labels)
    if len(found) < 2 or found[0] != count:
        names = f"{first_few(classes.labels)}"
        raise _invalid(path, f"{count} classes ({names})", f"an array {found}", "Name all classes with --labels.")
    spatial = found[1:]
    if spatial != shape and (1, *spatial) != shape:
        turned = ": its axes run backwards" if spatial == shape[::-1] else ""
        raise _invalid(path, f"{shape} voxels, as on the grid they belong to", f"{spatial}{turned}")
    size = math.prod(found) * dtype.itemsize
    content = stream.read(size + 1)
    if len(content) != size:
        raise _invalid(path, f"{size:,} bytes of numbers", f"{len(content):,} bytes")
    flat = np.frombuffer(content, dtype=dtype)
    array = flat.reshape(found[::-1]).T if fortran else flat.reshape(found)
    return np.ascontiguousarray(array, dtype=np.float32).reshape(count, *shape)


def _check_axes(path: Path, probabilities: NDArray[np.floating[Any]], beside: LabelMap) -> None:
    """Refuse probabilities whose likeliest labels lie elsewhere than the label map that was written with them."""
    likeliest = probabilities.argmax(0)
    either = (likeliest > 0) | (beside.array > 0)
    if either.any() and float((likeliest == beside.array)[either].mean()) < AGREEMENT:
        raise _invalid(
            path,
            "probabilities of the label map beside them",
            "likeliest labels that lie elsewhere",
            "Do their axes run in another order, or were they replaced?",
        )


def _invalid(path: Path, expected: str, found: str, advice: str = "Write it again.") -> DataInvalid:
    return DataInvalid(f"{path}: expected {expected}, found {found}. {advice}")
