"""Made-up miniatures in the native layouts, quirks included: ellipsoids made of cells around points."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench_brains import braincolor, cma, loni, mrbrains_values
from segbench_brains.air import LAYOUT, SIZES, read_air, to_standard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape = tuple[int, int, int]
_Grid = tuple[Shape, tuple[float, float, float]]
APPLE_DOUBLE = b"\0\5\x16\7AppleDouble"


def head(case: int, values: Sequence[int], shape: Shape) -> NDArray[np.int16]:
    """Return a label map in file order ``(X, Y, Z)``: each voxel of an ellipsoid takes the value of the nearest point.

    Args:
        case: heads of different cases differ a little.
        values: one point each, at the same place in all cases up to a small shift.
        shape: voxels.
    """
    import numpy as np

    same, own = np.random.default_rng([20120101, len(values)]), np.random.default_rng([20120102, case])
    points = same.normal(size=(len(values), 3))
    points *= same.uniform(size=(len(values), 1)) ** (1 / 3) / np.linalg.norm(points, axis=1, keepdims=True)
    points += own.normal(0, 0.02, points.shape)
    grid = np.stack(np.meshgrid(*[np.linspace(-1.25, 1.25, length) for length in shape], indexing="ij"), axis=-1)
    nearest = ((grid[..., None, :] - points) ** 2).sum(axis=-1).argmin(axis=-1)
    labels: NDArray[np.int16] = np.where((grid**2).sum(axis=-1) <= 1, np.array(values, np.int16)[nearest], 0)
    return labels


def look(labels: NDArray[Any], seed: int) -> NDArray[np.int16]:
    """Return an image of a label map: an intensity per value, and noise."""
    import numpy as np

    rng = np.random.default_rng([20120103, seed])
    means = np.where(labels > 0, 60 + (labels * 37) % 101, 5)
    image: NDArray[np.int16] = np.clip(means + rng.normal(0, 4, labels.shape), 0, 4095).astype(np.int16)
    return image


def write_nifti(path: Path, array: NDArray[Any], zooms: Sequence[float]) -> None:
    """Write an array in file order; LAS, as the real scans are."""
    import nibabel
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-zooms[0], zooms[1], zooms[2], 1.0])), path)


def write_pair(stem: Path, array: NDArray[Any], zooms: Sequence[float], *, compress: bool = True) -> None:
    """Write ``stem.hdr`` and ``stem.img.gz`` (or ``.img``) in Analyze 7.5, with a trailing axis of length one."""
    import nibabel

    stem.parent.mkdir(parents=True, exist_ok=True)
    header = nibabel.AnalyzeHeader()
    header.set_data_dtype(array.dtype)
    header.set_data_shape((*array.shape, 1))
    header.set_zooms((*zooms, 1.0))
    stem.with_name(f"{stem.name}.hdr").write_bytes(header.binaryblock)
    voxels = array.tobytes(order="F")
    if compress:
        stem.with_name(f"{stem.name}.img.gz").write_bytes(gzip.compress(voxels, 1, mtime=0))
    else:
        stem.with_name(f"{stem.name}.img").write_bytes(voxels)


def write_air(path: Path, matrix: NDArray[np.float64], standard: _Grid, reslice: _Grid, order: str = ">") -> None:
    """Write a transform of AIR 5; ``matrix`` is e, grids are ``(shape, zooms)`` in file order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = (b"native.img", b"delineation.img", b"made up")
    fields: list[Any] = [*matrix.ravel().tolist(), names[0], 16, *standard[0], *standard[1]]
    fields += [names[1], 16, *reslice[0], *reslice[1], names[2]]
    path.write_bytes(struct.pack(order + LAYOUT, *fields).ljust(SIZES[0], b"\0"))


def forge_miccai2012(root: Path) -> Path:
    """Write eight scans with values to be ignored, AppleDouble files, and one image that is there twice."""
    import numpy as np

    folder = root / "miccai2012"
    values = [*braincolor.STRUCTURES, 42, 43, 63, 64]
    parts = {"training": ("1000", "1001", "1002", "1006", "1013", "1014"), "testing": ("1003", "1128")}
    for part, subjects in parts.items():
        for subject in subjects:
            labels = head(int(subject), values, (24, 26, 24))
            image = look(labels, int(subject))
            write_nifti(folder / f"{part}-images" / f"{subject}_3.nii.gz", image, (1, 1, 1))
            write_nifti(folder / f"{part}-labels" / f"{subject}_3_glm.nii.gz", labels.astype(np.uint8), (1, 1, 1))
            (folder / f"{part}-images" / f"._{subject}_3.nii.gz").write_bytes(APPLE_DOUBLE)
    write_nifti(folder / "training-images" / "1001_3.nii", look(head(1001, values, (24, 26, 24)), 1001), (1, 1, 1))
    return folder


def forge_ibsr(root: Path) -> Path:
    """Write seven heads with a fourth axis, both ``.nii`` and ``.nii.gz`` of one, and one as Analyze pairs."""
    import numpy as np

    folder = root / "IBSR_nifti_stripped"
    values = sorted({*cma.STRUCTURES, *cma.IGNORED, *cma.SAME} - {9})
    zooms = (0.9375, 1.5, 0.9375)
    for number in (1, 2, 3, 11, 12, 14, 15):
        case = f"IBSR_{number:02d}"
        labels = head(number, values, (24, 16, 24))
        tissues = np.where(labels > 0, 1 + labels % 3, 0).astype(np.uint8)
        image = look(labels, number)
        whole = np.where(labels > 0, image, image + 20).astype(np.int16)
        files: dict[str, NDArray[Any]] = {
            "ana": whole,
            "ana_strip": image,
            "seg_ana": labels.astype(np.uint8),
            "segTRI_ana": tissues,
        }
        for name, array in files.items():
            write_nifti(folder / case / f"{case}_{name}.nii.gz", array[..., None], zooms)
        if number == 1:
            write_nifti(folder / case / f"{case}_ana.nii", whole[..., None], zooms)
        if number == 15:
            _as_analyze(folder / case, case, files, zooms)
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return folder


def _as_analyze(home: Path, case: str, arrays: dict[str, NDArray[Any]], zooms: Sequence[float]) -> None:
    """Replace the NIfTI files of a head by pairs in the layout of version 1."""
    for name, array in arrays.items():
        (home / f"{case}_{name}.nii.gz").unlink()
        part = "segmentation" if name.startswith("seg") else "images"
        write_pair(home / part / "analyze" / f"{case}_{name}", array, zooms, compress=False)


def _channels(labels: NDArray[Any], seed: int, stems: Iterable[str]) -> dict[str, NDArray[np.int16]]:
    return {stem: look(labels, 10 * seed + number) for number, stem in enumerate(stems)}


def forge_mrbrains13(root: Path) -> Path:
    """Write five labelled heads, two without labels, and T1_1mm on a grid of its own."""
    import numpy as np

    folder = root / "MRBrainS13DataNii"
    zooms = (0.958, 0.958, 3.0)
    for part, count in (("TrainingData", 5), ("TestData", 2)):
        for number in range(1, count + 1):
            home = folder / part / str(number)
            labels = head(number + len(part), list(mrbrains_values.STRUCTURES), (24, 24, 16))
            images = _channels(labels, number, ("T1", "T1_IR", "T2_FLAIR"))
            for stem, image in images.items():
                write_nifti(home / f"{stem}.nii", image, zooms)
            write_nifti(home / "T1_1mm.nii", images["T1"].repeat(3, axis=2), (0.958, 0.958, 1.0))
            if part == "TrainingData":
                table = np.array([0, 2, 2, 3, 3, 1, 1, 0, 0], np.uint8)
                write_nifti(home / "LabelsForTraining.nii", labels.astype(np.uint8), zooms)
                write_nifti(home / "LabelsForTesting.nii", table[labels], zooms)
    return folder


def forge_mrbrains18(root: Path) -> Path:
    """Write five of the seven heads in ``training/training``, with lesions, ``orig/`` and AppleDouble files."""
    import numpy as np

    folder = root / "training"
    zooms = (0.958, 0.958, 3.0)
    values = [*mrbrains_values.STRUCTURES, *sorted(mrbrains_values.PATHOLOGY)]
    for number, name in enumerate(("1", "4", "5", "070", "148")):
        home = folder / "training" / name
        labels = head(number, values, (24, 24, 16))
        for stem, image in _channels(labels, number, ("reg_T1", "reg_IR", "FLAIR")).items():
            write_nifti(home / "pre" / f"{stem}.nii.gz", image, zooms)
        write_nifti(home / "orig" / "T1.nii.gz", look(labels, number).repeat(2, axis=2), (0.958, 0.958, 1.5))
        write_nifti(home / "segm.nii.gz", labels.astype(np.float32), zooms)
        (home / "._segm.nii.gz").write_bytes(APPLE_DOUBLE)
    strange = root / "training" / "__MACOSX" / "1"
    strange.mkdir(parents=True)
    (strange / "segm.nii.gz").write_bytes(APPLE_DOUBLE)
    return folder


def forge_lpba40(root: Path) -> Path:
    """Write eight heads in both spaces as Analyze pairs with compressed voxels; native space is turned and scaled."""
    import numpy as np

    folder = root / "LPBA40"
    drawn: _Grid = ((24, 26, 24), (1.0, 1.0, 1.0))
    scanned: _Grid = ((30, 18, 32), (0.86, 1.5, 0.86))
    for number in (1, 2, 3, 4, 14, 16, 11, 12):
        case = f"S{number:02d}"
        labels = head(number, list(loni.STRUCTURES), drawn[0])
        home = folder / "delineation_space" / case
        write_pair(home / f"{case}.delineation.skullstripped", look(labels, number), drawn[1])
        write_pair(home / f"{case}.delineation.structure.label", labels.astype(np.uint8), drawn[1])
        native = folder / "native_space" / case
        air = native / "transforms" / f"{case}.delineation.to.native.air"
        write_air(air, turned(0.02 * number, drawn, scanned), scanned, drawn)
        shape, zooms = scanned[0][::-1], scanned[1][::-1]
        moved = to_standard(np.ascontiguousarray(labels.T), read_air(air), shape, zooms, air).T
        write_pair(native / f"{case}.native.mri", look(moved, number), scanned[1])
        write_pair(native / f"{case}.native.brain.mask", (moved > 0).astype(np.uint8) * 255, scanned[1])
    (folder / "delineation_space" / "lpba40.label.xml").write_text("<labelset/>\n", encoding="utf-8")
    return folder


def turned(angle: float, drawn: _Grid, scanned: _Grid) -> NDArray[np.float64]:
    """Return e of a transform that turns by ``angle`` (radians, about Z) and lays the middles of two grids together."""
    import numpy as np

    voxel = min(scanned[1])
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) * voxel / np.array(drawn[1])[:, None]
    middle = (np.array(scanned[0]) - 1) / 2 * np.array(scanned[1]) / voxel
    e = np.eye(4)
    e[:3, :3] = turn.T
    e[3, :3] = (np.array(drawn[0]) - 1) / 2 - turn @ middle
    return e
