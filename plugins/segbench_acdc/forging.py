"""Made-up patients in the official layout of ACDC: short-axis stacks with a myocardial ring round the LV and a RV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segbench import LabelMap, write_image, write_label_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAINING = {1: (1, 12), 2: (1, 9), 3: (11, 3), 4: (1, 14), 5: (1, 13), 6: (1, 16), 7: (4, 11), 19: (1, 10)}
"""Patient -> (ED, ES); some of each part of the published list, some whose ED frame is not the first."""
TESTING = {101: (1, 14), 102: (6, 2)}
SPACING = (10.0, 1.5, 1.5)
_MEANS = (60.0, 150.0, 90.0, 160.0)


def frame(patient: int, phase: str) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return an image and its labels ``(D, H, W)``; at end-systole the cavities are smaller and the wall is thicker."""
    import numpy as np

    rng = np.random.default_rng([20180518, patient])
    shape = (6 + patient % 2, 36, 34)
    centre = np.array(shape[1:]) / 2 + rng.uniform(-2, 2, 2)
    outer = rng.uniform(8, 9.5)
    inner = outer - (2.5 if phase == "ED" else 4)
    depth, row, column = np.meshgrid(*[np.arange(length, dtype=float) for length in shape], indexing="ij")
    row, column = row - centre[0], column - centre[1]
    scale = np.where(depth >= 1, 1 - 0.09 * depth, 0)  # no heart in the basal slice, smaller towards the apex
    distance, right = np.hypot(row, column), np.hypot(row, column + 9)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[(right < 6.5 * scale) & (depth < shape[0] - 1)] = 1
    labels[distance < outer * scale] = 2
    labels[distance < inner * scale] = 3
    image = np.array(_MEANS)[labels] * rng.uniform(0.9, 1.1) + rng.normal(0, 10, shape)
    return image.clip(0).astype(np.int16), labels


def forge(root: Path) -> Path:
    """Write ``database`` below ``root``, quirks included, and return it."""
    database = root / "database"
    for part, patients in (("training", TRAINING), ("testing", TESTING)):
        for patient, numbers in patients.items():
            _write_patient(
                database / part / f"patient{patient:03d}", patient, dict(zip(("ED", "ES"), numbers, strict=True))
            )
        (database / part / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (database / "MANDATORY_CITATION.md").write_text("Made-up data in the layout of ACDC.\n", encoding="utf-8")
    (root / "__MACOSX" / "training" / "patient001").mkdir(parents=True, exist_ok=True)
    return database


def _write_patient(folder: Path, patient: int, numbers: dict[str, int]) -> None:
    import numpy as np

    images = []
    for phase, number in numbers.items():
        image, labels = frame(patient, phase)
        stem = f"{folder.name}_frame{number:02d}"
        write_image(folder / f"{stem}.nii.gz", image if patient % 3 else image.astype(np.float32), SPACING)
        write_label_map(folder / f"{stem}_gt.nii.gz", LabelMap(labels, SPACING))
        (folder / f"._{stem}_gt.nii.gz").write_bytes(b"\0\5\x16\7AppleDouble")
        images.append(image)
    write_image(folder / f"{folder.name}_4d.nii.gz", np.stack(images), SPACING)
    lines = [
        f"ED: {numbers['ED']}",
        f"ES: {numbers['ES']}",
        "Group: NOR",
        "Height: 170.0",
        "NbFrame: 20",
        "Weight: 70.0",
    ]
    (folder / "Info.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
