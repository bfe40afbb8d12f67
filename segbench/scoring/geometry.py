"""Do a prediction and its reference lie on the same grid, and if not, what may be done about it.

``strict`` accepts the same physical grid only (flipped or permuted axes are put back exactly, without interpolation),
``tolerant`` also accepts maps whose affines alone differ, with a warning, ``voxels`` takes a prediction of the
reference's shape as it lies in memory, whatever the headers say, and ``resample`` brings the prediction onto the
reference's grid by nearest neighbour. What was done is always said.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segbench.errors import DataInvalid, UsageError
from segbench.types import LabelMap

Mode = Literal["strict", "tolerant", "voxels", "resample"]
Kind = Literal["same", "reoriented", "affine", "grid"]

CORNER_TOLERANCE = 0.05
"""Grids are the same if their corners coincide within this many voxels (headers keep single precision)."""
LARGEST_BOX = float(1 << 33)
"""Voxels of a common box above which grids are taken to have nothing to do with each other."""
SPACING_TOLERANCE = 1e-3
"""Voxel sizes are the same within this fraction."""


@dataclass(frozen=True)
class Comparison:
    """How the grid of a prediction relates to that of its reference.

    Attributes:
        kind: "same"; "reoriented": the same grid with flipped or permuted axes; "affine": same shape and voxel size,
            elsewhere in space; "grid": another shape or voxel size.
        words: what differs, for messages; "" if nothing does.
        axes: for "same" and "reoriented": axis of the prediction that becomes axis 0, 1, 2 of the reference.
        flips: axes of the reference along which the prediction runs backwards.
    """

    kind: Kind
    words: str = ""
    axes: tuple[int, ...] = ()
    flips: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Aligned:
    """A prediction on the grid of its reference.

    Attributes:
        predicted: the prediction with shape, spacing and affine of the reference.
        note: what was done or overlooked to get there; "" if nothing.
    """

    predicted: LabelMap
    note: str = ""


def on_common_box(predicted: LabelMap, truth: LabelMap) -> tuple[LabelMap, LabelMap, str]:
    """Return maps of which one covers only the box its structures need, both on one grid that holds them.

    Nothing is interpolated: the grids must coincide where they meet, up to flipped or permuted axes. Maps that cover
    their whole image, and grids that do not coincide, are returned as they are.

    Args:
        predicted, truth: as they were read; ``cropped`` says which may be enlarged by background.

    Returns:
        Prediction and reference, the prediction in the axes of the reference, and what was done in words.
    """
    if not (predicted.cropped or truth.cropped):
        return predicted, truth, ""
    places = (_usable(predicted), _usable(truth))
    if places[0] is None or places[1] is None or truth.array.ndim != 3:
        return predicted, truth, ""
    mapping = np.linalg.inv(places[1]) @ places[0]  # index of the prediction -> index of the reference
    turn = np.rint(mapping[:3, :3])
    whole = np.array_equal(np.abs(turn).sum(axis=0), np.ones(3)) and np.array_equal(
        np.abs(turn).sum(axis=1), np.ones(3)
    )
    ideal = np.eye(4)
    ideal[:3, :3], ideal[:3, 3] = turn, np.rint(mapping[:3, 3])
    if not whole or _corner_distance(mapping, ideal, predicted.array.shape) > CORNER_TOLERANCE:
        return predicted, truth, ""
    axes = tuple(int(np.argmax(np.abs(turn[axis]))) for axis in range(3))
    flips = tuple(axis for axis in range(3) if turn[axis, axes[axis]] < 0)
    array = np.flip(predicted.array.transpose(axes), flips)
    corner = np.array([shape - 1 for shape in predicted.array.shape])
    begin = np.minimum(ideal[:3, 3], (ideal @ np.append(corner, 1))[:3]).astype(int)
    low, high = np.zeros(3, dtype=int), np.array(truth.array.shape)
    if truth.cropped:
        low, high = np.minimum(low, begin), np.maximum(high, begin + array.shape)
    if np.prod((high - low).astype(float)) > LARGEST_BOX:
        return predicted, truth, ""
    affine = np.array(places[1])
    affine[:3, 3] += affine[:3, :3] @ low
    moved = _in_box(array, begin - low, tuple(high - low))
    lost = int(np.count_nonzero(array)) - int(np.count_nonzero(moved))
    note = f"{lost} voxels of it lie outside the reference's image and do not count" if lost else ""
    kept = _in_box(truth.array, -low, tuple(high - low))
    spacing, unit = truth.spacing, truth.unit
    return LabelMap(moved, spacing, affine, unit=unit), LabelMap(kept, spacing, affine, unit=unit), note


def _in_box(array: NDArray[Any], begin: NDArray[np.int_], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array of this shape with another placed in it, background elsewhere, what lies outside left out."""
    if array.shape == shape and not begin.any():
        return np.ascontiguousarray(array)
    whole = np.zeros(shape, dtype=array.dtype)
    first, last = np.maximum(begin, 0), np.minimum(begin + array.shape, shape)
    if (first < last).all():
        there = tuple(slice(low, high) for low, high in zip(first, last, strict=True))
        here = tuple(slice(low, high) for low, high in zip(first - begin, last - begin, strict=True))
        whole[there] = array[here]
    return whole


def align(predicted: LabelMap, truth: LabelMap, mode: Mode = "strict") -> Aligned:
    """Return the prediction on the grid of the reference, or say why it cannot be.

    Args:
        predicted: as it was read.
        truth: as it was read; its grid is the one that counts.
        mode: see the module.

    Raises:
        UsageError: if there is no such mode.
        DataInvalid: if the grids differ by more than the mode allows.
    """
    if mode not in get_args(Mode):
        raise UsageError(f"geometry {mode!r}: expected one of {', '.join(get_args(Mode))}.")
    predicted = _same_rank(predicted, truth)
    found = compare(predicted, truth)
    if mode == "voxels" and found.kind != "same":
        return _voxel_by_voxel(predicted, truth, found)
    if found.kind in ("same", "reoriented"):
        array = predicted.array.transpose(found.axes)
        array = np.ascontiguousarray(np.flip(array, found.flips)) if found.kind == "reoriented" else array
        return Aligned(truth.with_array(array), found.words)
    if mode == "resample":
        note = f"resampled onto the reference's grid by nearest neighbour ({found.words})"
        if found.kind == "grid" and predicted.array.shape == truth.array.shape:
            note += f". The shapes are equal{_suspicion(predicted, truth)}: if voxels correspond, say --geometry voxels"
        return Aligned(_resample(predicted, truth), note)
    if found.kind == "affine" and mode == "tolerant":
        return _voxel_by_voxel(predicted, truth, found)
    if predicted.array.shape != truth.array.shape:
        advice = "Export it on the grid of the reference, or say --geometry resample."
    else:
        other = "tolerant" if found.kind == "affine" else "voxels"
        advice = f"If the voxels do correspond{_suspicion(predicted, truth)}, say --geometry {other}; "
        advice += "if the headers are right, --geometry resample."
    raise DataInvalid(f"the prediction is not on the grid of its reference: {found.words}. {advice}")


def _voxel_by_voxel(predicted: LabelMap, truth: LabelMap, found: Comparison) -> Aligned:
    """Take the prediction as it lies in memory, if its shape allows that.

    Raises:
        DataInvalid: if the shapes differ.
    """
    if predicted.array.shape != truth.array.shape:
        raise DataInvalid(
            f"the prediction cannot be compared voxel by voxel: {found.words}. Export it in the shape of the "
            f"reference, or say --geometry strict or --geometry resample, which go by the headers."
        )
    words = f"the headers ask for it to be {found.words}" if found.kind == "reoriented" else found.words
    return Aligned(truth.with_array(predicted.array), f"compared voxel by voxel although {words}")


def _suspicion(predicted: LabelMap, truth: LabelMap) -> str:
    """Return in words which of two maps seems to have been saved without its affine, "" if neither does."""
    names = [
        name
        for name, labels in (("prediction", predicted), ("reference", truth))
        if labels.affine is not None and np.array_equal(np.abs(labels.affine[:3, :3]) @ np.ones(3), np.ones(3))
    ]
    return f" (the {names[0]}'s affine is the identity, as of a map saved without one)" if len(names) == 1 else ""


def compare(predicted: LabelMap, truth: LabelMap) -> Comparison:
    """Return how the grid of the prediction relates to that of the reference.

    Args:
        predicted: of the same number of axes as ``truth``.
        truth: the reference.
    """
    identity = tuple(range(truth.array.ndim))
    if "px" in (predicted.unit, truth.unit):
        return _compare_pixels(predicted, truth, identity)
    affines = (_usable(predicted), _usable(truth))
    if affines[0] is None or affines[1] is None or len(identity) != 3:
        return _compare_without_affine(predicted, truth, identity)
    shape = predicted.array.shape
    mapping = np.linalg.inv(affines[0]) @ affines[1]  # index of the reference -> index of the prediction
    turn = np.rint(mapping[:3, :3])
    if np.array_equal(np.abs(turn) @ np.ones(3), np.ones(3)) and np.array_equal(np.ones(3) @ np.abs(turn), np.ones(3)):
        axes = tuple(int(np.argmax(np.abs(turn[:, axis]))) for axis in range(3))
        flips = tuple(axis for axis in range(3) if turn[axes[axis], axis] < 0)
        start = np.where(turn.sum(axis=1) < 0, np.array(shape) - 1, 0)
        ideal = np.eye(4)
        ideal[:3, :3], ideal[:3, 3] = turn, start
        fits = tuple(shape[axis] for axis in axes) == truth.array.shape
        if fits and _corner_distance(mapping, ideal, truth.array.shape) <= CORNER_TOLERANCE:
            if axes == identity and not flips:
                return Comparison("same", axes=axes)
            return Comparison("reoriented", _words_of_turn(axes, flips), axes, flips)
    return _mismatch(predicted, truth, affines[0], affines[1])


def _words_of_turn(axes: tuple[int, ...], flips: tuple[int, ...]) -> str:
    order = "" if axes == (0, 1, 2) else f"axes reordered to {axes}"
    flipped = f"flipped along axis {', '.join(map(str, flips))}" if flips else ""
    return "reoriented without interpolation: " + ", ".join(word for word in (order, flipped) if word)


def _mismatch(
    predicted: LabelMap, truth: LabelMap, first: NDArray[np.float64], second: NDArray[np.float64]
) -> Comparison:
    """Put in words how two placed grids differ."""
    if difference := _shape_or_spacing(predicted.array.shape, _sizes(first), truth.array.shape, _sizes(second)):
        return Comparison("grid", difference)
    far = _corner_distance(first, second, truth.array.shape)
    return Comparison("affine", f"the affines differ: corners of the volume lie up to {far:.3g} mm apart")


def _compare_pixels(predicted: LabelMap, truth: LabelMap, identity: tuple[int, ...]) -> Comparison:
    """Compare grids of which one or both have pixels of unknown size: all there is are the shapes."""
    if predicted.array.shape != truth.array.shape:
        words = f"its shape is {_times(predicted.array.shape)}, expected {_times(truth.array.shape)}"
        return Comparison("grid", words)
    measured = predicted if truth.unit == "px" else truth
    if predicted.unit == truth.unit or measured.spacing == (1.0, 1.0, 1.0):  # as a picture converted to NIfTI has it
        return Comparison("same", axes=identity)
    which = "the prediction" if predicted.unit == "px" else "the reference"
    return Comparison("same", f"{which} does not say what a pixel measures; compared pixel by pixel", identity)


def _compare_without_affine(predicted: LabelMap, truth: LabelMap, identity: tuple[int, ...]) -> Comparison:
    shapes = predicted.array.shape, truth.array.shape
    if difference := _shape_or_spacing(shapes[0], predicted.spacing, shapes[1], truth.spacing):
        return Comparison("grid", difference)
    both = predicted.affine is not None and truth.affine is not None
    if both and not np.allclose(predicted.affine, truth.affine, rtol=1e-3, atol=1e-2):  # type: ignore[arg-type]
        return Comparison("affine", "the affines differ")
    return Comparison("same", axes=identity)


def _shape_or_spacing(
    shape: tuple[int, ...], spacing: tuple[float, ...], true_shape: tuple[int, ...], true_spacing: tuple[float, ...]
) -> str:
    if shape != true_shape:
        return f"its shape is {_times(shape)}, expected {_times(true_shape)}"
    if not np.allclose(spacing, true_spacing, rtol=SPACING_TOLERANCE, atol=0):
        return f"its voxels measure {_times(spacing)} mm, expected {_times(true_spacing)} mm"
    return ""


def _times(values: tuple[float, ...]) -> str:
    return "x".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values)


def _same_rank(predicted: LabelMap, truth: LabelMap) -> LabelMap:
    """Let a plane ``(H, W)`` and a volume of one slice ``(1, H, W)`` stand for each other."""
    if predicted.array.ndim == truth.array.ndim:
        return predicted
    if truth.array.ndim == 3 and truth.array.shape[0] == 1 and predicted.array.ndim == 2:
        return LabelMap(predicted.array[None], (truth.spacing[0], *predicted.spacing), None, unit=predicted.unit)
    if truth.array.ndim == 2 and predicted.array.ndim == 3 and predicted.array.shape[0] == 1:
        return LabelMap(predicted.array[0], predicted.spacing[-2:], None, unit=predicted.unit)
    raise DataInvalid(
        f"the prediction has {predicted.array.ndim} axes ({_times(predicted.array.shape)}), "
        f"expected {truth.array.ndim} ({_times(truth.array.shape)})."
    )


def _usable(labels: LabelMap) -> NDArray[np.float64] | None:
    """Return the affine if it is finite and invertible."""
    if labels.affine is None or not np.isfinite(labels.affine).all():
        return None
    affine = np.asarray(labels.affine, dtype=np.float64)
    return affine if min(_sizes(affine)) > 0 and np.linalg.cond(affine[:3, :3]) < 1e9 else None


def _sizes(affine: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the voxel size per axis in mm."""
    return tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))


def _corner_distance(first: NDArray[np.float64], second: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Return how far apart two affines put the corners of a volume, at most."""
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, size - 1) for size in shape))], dtype=float)
    apart = (corners @ (first - second).T)[:, :3]
    return float(np.sqrt((apart**2).sum(axis=1)).max())


def _resample(predicted: LabelMap, truth: LabelMap) -> LabelMap:
    """Return the label at each voxel centre of the reference; background outside the prediction."""
    from scipy import ndimage

    dims = truth.array.ndim
    mapping = _index_mapping(predicted, truth)
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, size - 1) for size in truth.array.shape))])
    reached = (corners @ mapping.T)[:, :dims]
    if (reached.max(axis=0) < -0.5).any() or (reached.min(axis=0) > np.array(predicted.array.shape) - 0.5).any():
        equal = predicted.array.shape == truth.array.shape
        raise DataInvalid(
            "the prediction and its reference do not overlap in space, so resampling would leave nothing. "
            f"Correct the affines{', or say --geometry voxels if the voxels correspond' if equal else ''}."
        )
    array: NDArray[np.integer[Any]] = ndimage.affine_transform(
        predicted.array,
        mapping[:dims, :dims],
        mapping[:dims, dims],
        output_shape=truth.array.shape,
        output=predicted.array.dtype,
        order=0,
        mode="grid-constant",  # a voxel reaches half its size beyond its centre at the border too
        cval=0,
        prefilter=False,
    )
    return truth.with_array(array)


def _index_mapping(predicted: LabelMap, truth: LabelMap) -> NDArray[np.float64]:
    """Return index of the reference -> index of the prediction; by spacing alone if one has no place in space.

    Where one has pixels of unknown size the whole of one picture is the whole of the other.
    """
    if "px" in (predicted.unit, truth.unit):
        ratios = np.array(predicted.array.shape) / np.array(truth.array.shape)
        scaled = np.diag([*ratios, 1.0])
        scaled[:-1, -1] = (ratios - 1) / 2  # pixel centres lie half a pixel inside
        return scaled
    first, second = (_usable(labels) if labels.array.ndim == 3 else None for labels in (predicted, truth))
    if first is None or second is None:
        first, second = (np.diag([*labels.spacing, 1.0]) for labels in (predicted, truth))
    mapping: NDArray[np.float64] = np.linalg.inv(first) @ second
    return mapping
