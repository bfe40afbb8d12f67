"""Made-up miniatures in the native layouts: a noisy image of two touching half-ellipsoids, a few seconds to learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench import LabelMap, write_image, write_label_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CASES = 8
UNLABELLED = 2
SPACING = (1.5, 1.0, 1.0)


def volume(case: int, channels: int = 1) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return an image ``(C, D, H, W)`` and its labels ``(D, H, W)``: 0, 1 (upper half), 2 (lower half)."""
    import numpy as np

    rng = np.random.default_rng([20180405, case])
    shape = (16 + case % 3, 26 + case % 4, 24)
    grid = np.stack(np.meshgrid(*[np.arange(length) for length in shape], indexing="ij"), axis=-1)
    centre = np.array(shape) / 2 + rng.uniform(-1.5, 1.5, 3)
    radii = np.array([4.5, 8.5, 6.5]) * rng.uniform(0.85, 1.15, 3)
    inside = (((grid - centre) / radii) ** 2).sum(axis=-1) <= 1
    labels = np.where(inside, np.where(grid[..., 1] < centre[1], 1, 2), 0).astype(np.uint8)
    means = np.array([40.0, 110.0, 80.0])[labels] * rng.uniform(0.9, 1.1)
    image = means + rng.normal(0, 8, (channels, *shape))
    return image.astype(np.float32), labels


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def forge_decathlon(root: Path) -> Path:
    """Write ``Task99_Forged`` below ``root``, quirks included, and return it."""
    import numpy as np

    folder = root / "Task99_Forged"
    names = [f"forged_{number}" for number in range(CASES + UNLABELLED)]
    for number, name in enumerate(names):
        image, labels = volume(number)
        part = "imagesTr" if number < CASES else "imagesTs"
        write_image(folder / part / f"{name}.nii.gz", image, SPACING)
        if number < CASES:
            stored = labels if number else labels.astype(np.int16)
            write_label_map(folder / "labelsTr" / f"{name}.nii.gz", LabelMap(stored, SPACING))
            (folder / "labelsTr" / f"._{name}.nii.gz").write_bytes(b"\0\5\x16\7AppleDouble")
    (folder / "imagesTr" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    training = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names[:CASES]]
    _write_json(
        folder / "dataset.json",
        {
            "name": "Forged",
            "description": "made-up ellipsoids",
            "licence": "CC0",
            "relase": "1.0",
            "tensorImageSize": "3D",
            "modality": {"0": "MRI"},
            "labels": {"0": "background", "1": "upper", "2": "lower"},
            "numTraining": CASES,
            "numTest": UNLABELLED,
            "training": training,
            "test": [f"./imagesTs/{name}.nii.gz" for name in names[CASES:]],
        },
    )
    return folder


def forge_nnunet(root: Path) -> Path:
    """Write ``Dataset999_Forged`` with two channels, a region and folds below ``root``, and return it."""
    folder = root / "Dataset999_Forged"
    names = [f"forged_{number:03d}" for number in range(CASES + UNLABELLED)]
    for number, name in enumerate(names):
        image, labels = volume(number, channels=2)
        part = "imagesTr" if number < CASES else "imagesTs"
        for channel in range(2):
            write_image(folder / part / f"{name}_{channel:04d}.nii.gz", image[channel : channel + 1], SPACING)
        if number < CASES:
            write_label_map(folder / "labelsTr" / f"{name}.nii.gz", LabelMap(labels, SPACING))
    _write_json(
        folder / "dataset.json",
        {
            "channel_names": {"0": "T1", "1": "T2"},
            "labels": {"background": 0, "whole": [1, 2], "lower": 2},
            "regions_class_order": [1, 2],
            "numTraining": CASES,
            "file_ending": ".nii.gz",
            "licence": "CC0",
        },
    )
    folds = [{"train": names[: CASES // 2], "val": names[CASES // 2 : CASES]}]
    folds += [{"train": fold["val"], "val": fold["train"]} for fold in folds]
    (folder / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")
    return folder
