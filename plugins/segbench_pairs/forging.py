"""Made-up colour pictures: a bright blob with a darker core on a noisy ground, masks of white and of colours."""

from __future__ import annotations

from pathlib import Path

from segbench import LabelMap, write_label_map

CASES = 8
TOML = """images = "images/*.png"
masks = "masks/*.png"
patient = "^(p\\\\d+)"

[labels]
blob = "#ff0000"
core = "#00ff00"
"""


def forge(root: Path) -> Path:
    """Write pictures, masks and ``pairs.toml`` below ``root`` and return their folder."""
    import numpy as np
    from PIL import Image

    folder = root / "forged_pairs"
    for case in range(CASES):
        rng = np.random.default_rng([20150517, case])
        shape = (40 + case % 3, 48 - case % 2)
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        centre = np.array(shape) / 2 + rng.uniform(-4, 4, 2)
        distance = np.hypot((rows - centre[0]) / rng.uniform(10, 13), (columns - centre[1]) / rng.uniform(12, 15))
        labels = ((distance < 1).astype(np.uint8) + (distance < 0.5))[None]
        ground = np.array([[60, 40, 90], [180, 70, 60], [110, 150, 70]])[labels[0]]
        pixels = np.clip(ground + rng.normal(0, 12, (*shape, 3)), 0, 255).astype(np.uint8)
        name = f"p{case // 2:02d}_{case % 2}"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
        mask = LabelMap(labels, (1.0, 1.0, 1.0), unit="px")
        write_label_map(folder / "masks" / f"{name}_mask.png", mask, {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 255, 0)})
    (folder / "pairs.toml").write_text(TOML, encoding="utf-8")
    return folder
