"""Made-up scans in the native layout of SegTHOR: tubes and a ball in Hounsfield units, quirks included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segbench import LabelMap, write_image, write_label_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAIN, TEST = 8, 2
SPACING = (2.5, 2.0, 2.0)
_MEANS = (-60.0, 35.0, 45.0, -950.0, 50.0)


def scan(patient: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return a CT and its labels ``(D, H, W)``; the aorta is a cane: up, over the arch, and down."""
    import numpy as np

    rng = np.random.default_rng([20190105, patient])
    shape = (20 + patient % 3, 40, 42)
    grid = np.stack(np.meshgrid(*[np.arange(length) for length in shape], indexing="ij"), axis=-1)
    middle = np.array([0, *shape[1:]]) / 2 + np.array([0, *rng.uniform(-2, 2, 2)])
    depth, row, column = np.moveaxis(grid - middle, -1, 0)
    radius = rng.uniform(0.9, 1.1)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[(depth - 6) ** 2 + (row + 5) ** 2 + (column - 3) ** 2 < (6.5 * radius) ** 2] = 2
    labels[np.hypot(row + 4, column + 4) < 2.2 * radius] = 3
    labels[np.hypot(row - 3, column + 3) < 2.0 * radius] = 1
    arch = np.abs(np.hypot(row - 2, column - 4) - 6) < 2  # seen from above, the arch joins both legs
    legs = np.minimum(np.hypot(row - 8, column - 4), np.hypot(row + 4, column - 4) + 50 * (depth < 9)) < 2.6 * radius
    labels[legs | (arch & (depth > shape[0] - 5) & (column > 4))] = 4
    body = np.hypot(row, column) < 18
    image = np.where(body, np.array(_MEANS)[labels], -1000) + rng.normal(0, 20, shape)
    return image.clip(-1024, 3071).astype(np.int16), labels


def forge(root: Path) -> Path:
    """Write ``SegTHOR`` with ``train`` and ``test`` below ``root`` and return it."""
    import numpy as np

    folder = root / "SegTHOR"
    for patient in range(1, TRAIN + 1):
        image, labels = scan(patient)
        inner = folder / "train" / f"Patient_{patient:02d}"
        stored = image.astype(np.int32) if patient % 2 else image
        write_image(inner / f"{inner.name}.nii.gz", stored, SPACING)
        write_label_map(inner / "GT.nii.gz", LabelMap(labels, SPACING))
        (inner / "._GT.nii.gz").write_bytes(b"\0\5\x16\7AppleDouble")
    write_label_map(folder / "train" / "Patient_03" / "GT2.nii.gz", LabelMap(np.full((2, 2, 2), 9, np.uint8), SPACING))
    for patient in range(41, 41 + TEST):
        write_image(folder / "test" / f"Patient_{patient}.nii.gz", scan(patient)[0], SPACING)
        (folder / "test" / f"._Patient_{patient}.nii.gz").write_bytes(b"\0\5\x16\7AppleDouble")
    (folder / "train" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return folder
