"""Preprocessed cases as memory-mapped arrays, keyed by content. Written once, read by index ever after.

Preprocessing: resample to the training grid and crop about its centre if the recipe asks for it, then normalise
intensities per case and channel. Each case is a sealed folder of ``.npy`` files and ``meta.json``; its checksums are
compared whenever a run begins, and what was damaged is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segbench.atomic import is_intact, write_sealed
from segbench.config import Recipe
from segbench.contracts import Dataset, Method
from segbench.errors import DataInvalid, PluginError, UsageError, safe_name
from segbench.params import fingerprint, to_json
from segbench.training.label_grids import label_voxels, resample_by_area
from segbench.types import UNKNOWN, Case, CaseRef, Geometry, LabelMap, Task
from segbench.views import Shape

CACHE_VERSION = 5
FOREGROUND_SAMPLES = 500
_CLIP = (0.5, 99.5)


@dataclass(frozen=True)
class StoredCase:
    """One preprocessed case on disk.

    Attributes:
        ref: the case.
        folder: its files.
        spacing: training grid, mm, ``(D, H, W)``.
        grid_shape, origin: shape of the whole case on the training grid, and where the stored crop begins in it.
        native_shape, native_spacing, native_affine: the case's own grid, where predictions go back to.
        label_dtype: dtype predictions are written with.
        digest: of the image as the dataset gave it; equal for equal images, whatever they are called.
        labelled: whether a target was stored; never for cases on the unlabelled path.
        native_voxels, grid_voxels: voxels of each label on the case's own grid and of what is stored; () if unlabelled.
    """

    ref: CaseRef
    folder: Path
    spacing: tuple[float, float, float]
    grid_shape: Shape
    origin: Shape
    native_shape: Shape
    native_spacing: tuple[float, float, float]
    native_affine: NDArray[np.float64]
    label_dtype: str
    digest: str
    labelled: bool
    native_voxels: tuple[int, ...] = ()
    grid_voxels: tuple[int, ...] = ()

    @cached_property
    def image(self) -> NDArray[np.float32]:
        """Memory-mapped float32 ``(C, D, H, W)``."""
        return cast("NDArray[np.float32]", self._map("image"))

    @cached_property
    def target(self) -> NDArray[np.int16]:
        """Memory-mapped int16 ``(1, D, H, W)``, -1 unknown."""
        self._refuse_unlabelled()
        return cast("NDArray[np.int16]", self._map("target"))

    @cached_property
    def foreground(self) -> NDArray[np.int32]:
        """Some foreground voxels ``(n, 3)``, spread evenly over the labels."""
        self._refuse_unlabelled()
        return cast("NDArray[np.int32]", self._map("foreground"))

    @property
    def shape(self) -> Shape:
        """Shape ``(D, H, W)`` of what is stored, on the training grid."""
        d, h, w = self.image.shape[1:]
        return (d, h, w)

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Place of what is stored in the whole case on the training grid."""
        d, h, w = (slice(first, first + n) for first, n in zip(self.origin, self.shape, strict=True))
        return (d, h, w)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Affine of what is stored (voxel centres of the corners aligned as resampling does)."""
        scale = np.array(self.spacing) / np.array(self.native_spacing)
        matrix = np.diag([*scale, 1.0])
        matrix[:3, 3] = (scale - 1) / 2 + scale * np.array(self.origin)
        return np.asarray(self.native_affine @ matrix)

    def truth(self) -> LabelMap:
        """Return the target as a label map on the training grid."""
        return LabelMap(self.target[0], self.spacing, self.affine)

    def case(self) -> Case:
        """Return the preprocessed case."""
        return Case(self.ref.id, self.image, self.spacing, self.affine, self.truth() if self.labelled else None)

    def derived(self, key: str) -> Mapping[str, NDArray[np.float32]]:
        """Return the memory-mapped derived maps ``(c, D, H, W)`` that were stored under ``key``."""
        folder = self.folder / f"derived-{key}"
        return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}

    def _refuse_unlabelled(self) -> None:
        if not self.labelled:
            raise PluginError(f"Case {self.ref.id} is unlabelled here; its labels must not be read.")

    def _map(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")


class Cache:
    """Stores preprocessed cases of one dataset under one recipe.

    Args:
        root: folder of all caches.
        dataset: a prepared dataset.
        recipe: its ``spacing``, ``label_resampling``, ``crop`` and ``normalisation`` are used.
        spacing: training grid in mm, for a dataset that must follow another's; None = as ``settle_spacing`` finds.
        code: digest of the dataset's source where no release stands for it.
        note: told in a sentence what was damaged and is made again.
    """

    def __init__(
        self,
        root: Path,
        dataset: Dataset,
        recipe: Recipe,
        spacing: tuple[float, float, float] | None = None,
        code: str = "",
        note: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.note = note
        self.dataset, self.task, self.recipe, self.spacing, self.code = dataset, dataset.task, recipe, spacing, code
        self.folder = root / self.task.name

    def settle_spacing(self, refs: Sequence[CaseRef]) -> None:
        """Fix the training grid from the training cases (``median``) or from the recipe's numbers."""
        if self.recipe.spacing == "median":
            d, h, w = np.median([self.dataset.load(ref).spacing for ref in refs], axis=0).tolist()
            self.spacing = (d, h, w)
        else:
            self.spacing = self.recipe.millimetres()

    def store(self, ref: CaseRef, *, labelled: bool, scored: bool = False) -> StoredCase:
        """Return a preprocessed case, preprocessing it now if it is not there yet.

        Args:
            ref: the case.
            labelled: False keeps the truth out, whether or not the dataset has one.
            scored: the truth is checked, because scoring will read it, but it is kept out all the same.
        """
        identity = {
            "version": CACHE_VERSION,
            "dataset": [self.task.name, self.task.revision, self.dataset.version, self.code],
            "case": [ref.id, ref.stamp],
            "spacing": self.spacing,
            "crop": self.recipe.crop,
            "normalisation": self.recipe.normalisation,
            "labelled": labelled,
            "scored": scored,
        }
        if labelled and self.recipe.label_resampling != "nearest":
            identity["label_resampling"] = self.recipe.label_resampling
        folder = self.folder / f"{ref.id}-{fingerprint(identity)[:16]}"
        if not self._is_usable(folder, f"case {ref.id}"):
            case = self.dataset.load(ref) if labelled or scored else load_bare(self.dataset, ref)
            check_case(case, ref, self.task, labelled=labelled or scored)
            label_dtype = _label_dtype(case if labelled or scored else None, len(self.task.labels))
            write_sealed(folder, lambda into: self._preprocess(case, into, labelled, label_dtype))
        meta = json.loads((folder / "meta.json").read_text())
        return StoredCase(
            ref,
            folder,
            tuple(meta["spacing"]),
            tuple(meta["grid_shape"]),
            tuple(meta["origin"]),
            tuple(meta["native_shape"]),
            tuple(meta["native_spacing"]),
            np.array(meta["native_affine"]),
            meta["label_dtype"],
            meta["digest"],
            labelled,
            tuple(meta["native_voxels"]),
            tuple(meta["grid_voxels"]),
        )

    def derive(self, case: StoredCase, method: Method, code: str = "") -> str:
        """Compute and store a method's derived maps of a labelled case; returns the key for ``case.derived``.

        Args:
            case: the case.
            method: its version and parameters are part of the key.
            code: digest of the method's source where no release stands for it; part of the key.
        """
        key = fingerprint([method.name, method.version, to_json(method, content_only=True), code])[:16]
        folder = case.folder / f"derived-{key}"
        if not self._is_usable(folder, f"maps that method {method.name} derived from case {case.ref.id}"):
            maps = dict(method.derive(case.truth()))

            def write(into: Path) -> None:
                for name, array in maps.items():
                    try:
                        safe_name(name, f"Method {method.name}: derived map")
                    except UsageError as error:
                        raise PluginError(str(error)) from error
                    volume = np.asarray(array, dtype=np.float32)
                    volume = volume[None] if volume.ndim == 3 else volume
                    where = f"Method {method.name}, case {case.ref.id}: derived map {name!r}"
                    if volume.ndim != 4 or volume.shape[1:] != case.shape:
                        raise PluginError(
                            f"{where} has shape {np.shape(array)}; expected (D, H, W) or (c, D, H, W), {case.shape}."
                        )
                    if not np.isfinite(volume).all():
                        raise PluginError(f"{where} has values that are NaN or infinite; expected finite ones.")
                    np.save(into / f"{name}.npy", volume)

            write_sealed(folder, write)
        return key

    def _is_usable(self, folder: Path, what: str) -> bool:
        """Return whether a cached folder is there and intact; a damaged one is noted."""
        usable = is_intact(folder)
        if not usable and folder.exists():
            self.note(f"The cached {what} was damaged ({folder}); it is made again.")
        return usable

    def _preprocess(self, case: Case, into: Path, labelled: bool, label_dtype: str) -> None:
        image, spacing = case.image, case.spacing
        target = case.truth.array.astype(np.int16) if labelled and case.truth is not None else None
        native_voxels = [] if target is None else label_voxels(target, len(self.task.labels))
        if self.spacing is not None:
            factors = np.array(case.spacing) / np.array(self.spacing)
            shape = tuple(max(1, round(n * factor)) for n, factor in zip(image.shape[1:], factors, strict=True))
            image = np.stack([resample(channel, shape, linear=True) for channel in image])
            target = None if target is None else self._resampled_labels(target, shape)
            spacing = self.spacing
        grid_shape = image.shape[1:]
        box = centre(grid_shape, self.recipe.crop or (0, 0, 0))
        image, target = image[(slice(None), *box)], None if target is None else target[box]
        np.save(into / "image.npy", np.stack([_normalise(c, self.recipe.normalisation) for c in image]))
        if target is not None:
            np.save(into / "target.npy", target[None])
            np.save(into / "foreground.npy", _foreground(target, len(self.task.labels)))
        meta = {
            "spacing": list(spacing),
            "grid_shape": list(grid_shape),
            "origin": [axis.start for axis in box],
            "native_shape": list(case.image.shape[1:]),
            "native_spacing": list(case.spacing),
            "native_affine": np.asarray(case.affine).tolist(),
            "label_dtype": label_dtype,
            "native_voxels": native_voxels,
            "grid_voxels": [] if target is None else label_voxels(target, len(self.task.labels)),
            "digest": hashlib.sha256(np.ascontiguousarray(case.image, dtype=np.float32).data).hexdigest()[:32],
        }
        (into / "meta.json").write_text(json.dumps(meta))

    def _resampled_labels(self, target: NDArray[np.int16], shape: tuple[int, ...]) -> NDArray[np.int16]:
        if self.recipe.label_resampling == "area" and target.shape != shape:
            return resample_by_area(target, shape)
        return resample(target, shape, linear=False)


def load_bare(dataset: Dataset, ref: CaseRef) -> Case:
    """Load a case for the unlabelled path: this is the only way onto it, and the truth stays behind, unlooked at."""
    return replace(dataset.load(ref), truth=None)


def centre(shape: Sequence[int], size: Shape) -> tuple[slice, ...]:
    """Return the centred box of ``size`` in ``shape``; an axis of size 0, or shorter than its size, is kept whole."""
    kept = [min(n, wanted or n) for n, wanted in zip(shape, size, strict=True)]
    return tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(shape, kept, strict=True))


def check_case(case: Case, ref: CaseRef, task: Task, *, labelled: bool) -> None:
    """Check what a dataset returned.

    Raises:
        DataInvalid: names the case, what was expected and what was found.
    """
    image = case.image
    where = f"Dataset {task.name}, case {ref.id}"
    if image.ndim != 4 or image.shape[0] != len(task.channels) or image.size == 0:
        expected = f"({len(task.channels)}, D, H, W) for channels {', '.join(task.channels)}"
        raise DataInvalid(f"{where}: expected an image of shape {expected}, found {image.shape}.")
    if not np.isfinite(image).all():
        raise DataInvalid(
            f"{where}: {int((~np.isfinite(image)).sum())} intensities are NaN or infinite; mend the file."
        )
    if len(case.spacing) != 3 or not all(0 < value < 1e4 for value in case.spacing):
        raise DataInvalid(f"{where}: expected three positive spacings in mm, found {case.spacing}; mend the header.")
    if not labelled:
        return
    if case.truth is None:
        raise DataInvalid(f"{where}: expected a label map, found none; remove the case or add its labels.")
    array = case.truth.array
    if array.shape != image.shape[1:]:
        raise DataInvalid(f"{where}: image {image.shape[1:]} and label map {array.shape} differ in shape.")
    if array.dtype.kind not in "iub":
        raise DataInvalid(f"{where}: expected whole numbers as labels, found {array.dtype}; round them in the file.")
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < UNKNOWN or high >= len(task.labels):
        raise DataInvalid(f"{where}: expected labels 0 to {len(task.labels) - 1}, found {low} to {high}.")


def geometry_of(cases: Sequence[StoredCase]) -> Geometry:
    """Return the geometry of the training cases on the training grid."""
    shapes = np.array([case.shape for case in cases])
    spacings = np.array([case.spacing for case in cases])
    median = [int(value) for value in np.median(shapes, axis=0)]
    spacing = [float(value) for value in np.median(spacings, axis=0)]
    largest = [int(value) for value in shapes.max(axis=0)]
    return Geometry(
        (median[0], median[1], median[2]),
        (spacing[0], spacing[1], spacing[2]),
        (largest[0], largest[1], largest[2]),
    )


def resample(volume: NDArray[Any], shape: Sequence[int], *, linear: bool) -> NDArray[Any]:
    """Resample ``(D, H, W)`` to ``shape`` with the outer voxel edges aligned (linear or nearest neighbour)."""
    if tuple(volume.shape) == tuple(shape):
        return volume
    import torch

    tensor = torch.from_numpy(np.array(volume, dtype=np.float32))[None, None]
    mode = "trilinear" if linear else "nearest-exact"
    out = torch.nn.functional.interpolate(tensor, size=tuple(shape), mode=mode, align_corners=False if linear else None)
    return out[0, 0].numpy().astype(volume.dtype)


def _label_dtype(case: Case | None, labels: int) -> str:
    """Return the dtype of predictions: that of the truth if it can hold all labels, else the smallest that can."""
    if case is not None and case.truth is not None:
        dtype = case.truth.array.dtype
        if dtype.kind in "iu" and dtype.itemsize <= 4 and np.iinfo(dtype).max >= labels - 1:
            return str(dtype.name)
    return "uint8" if labels <= 256 else "uint16"


def _normalise(channel: NDArray[np.float32], how: str) -> NDArray[np.float32]:
    """Clip to the 0.5th and 99.5th percentile, then z-score or scale to [0, 1]; a constant channel becomes 0.

    Where so little differs from the rest that the percentiles coincide, nothing is clipped.
    """
    if how == "none":
        return channel.astype(np.float32)
    low, high = np.percentile(channel, _CLIP)
    if low == high:
        low, high = channel.min(), channel.max()
    if low == high:
        return np.zeros(channel.shape, dtype=np.float32)
    clipped = np.clip(channel.astype(np.float64), low, high)
    if how == "unit":
        scaled = (clipped - low) / max(high - low, 1e-8)
    else:
        scaled = (clipped - clipped.mean()) / max(float(clipped.std()), 1e-8)
    return cast("NDArray[np.float32]", scaled.astype(np.float32))


def _foreground(target: NDArray[np.int16], labels: int) -> NDArray[np.int32]:
    """Return at most FOREGROUND_SAMPLES foreground voxels, an equal share per label, evenly spaced."""
    positions = np.flatnonzero(target > 0)
    values = target.reshape(-1)[positions]
    per_label = max(1, FOREGROUND_SAMPLES // max(labels - 1, 1))
    picked = []
    for label in np.unique(values):
        own = positions[values == label]
        picked.append(own[np.linspace(0, len(own) - 1, min(per_label, len(own))).astype(int)])
    flat = np.concatenate(picked) if picked else np.zeros(0, dtype=int)
    return np.stack(np.unravel_index(flat, target.shape), axis=1).astype(np.int32)
