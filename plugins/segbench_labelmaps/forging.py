"""Made-up label maps: an ellipsoid "brain" with a core and two lateral structures, values as odd as FreeSurfer's."""

from __future__ import annotations

from pathlib import Path

from segbench import LabelMap, write_label_map

CASES = 8
SPACING = (2.0, 2.0, 2.0)
TABLE = "label,name\n2,white matter\n3,cortex\n17,left hippocampus\n53,right hippocampus\n"


def forge(root: Path) -> Path:
    """Write the label maps and ``forged_labels.csv`` below ``root`` and return their folder."""
    import numpy as np

    folder = root / "forged_labelmaps"
    shape = (20, 28, 26)
    grid = np.stack(np.meshgrid(*[np.arange(length) for length in shape], indexing="ij"), axis=-1)
    for case in range(CASES):
        rng = np.random.default_rng([20230101, case])
        centre = np.array(shape) / 2 + rng.uniform(-1, 1, 3)
        array = np.zeros(shape, dtype=np.uint8)
        parts = ((3, (8.5, 12, 11), 0.0), (2, (6, 9, 8), 0.0), (17, (3, 4, 2.5), -4.0), (53, (3, 4, 2.5), 4.0))
        for value, radii, side in parts:
            distance = (grid - centre - (0, 0, side)) / (np.array(radii) * rng.uniform(0.9, 1.1))
            array[(distance**2).sum(axis=-1) <= 1] = value
        write_label_map(folder / f"forged_{case:02d}.nii.gz", LabelMap(array, SPACING))
    (folder / "forged_labels.csv").write_text(TABLE, encoding="utf-8")
    return folder
