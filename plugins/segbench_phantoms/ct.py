"""From the tissues of a chest to a CT image in Hounsfield units."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from segbench_phantoms.geometry import Array, RandomField
from segbench_phantoms.grid import Grid
from segbench_phantoms.tissues import Codes, Tissue, painted
from segbench_phantoms.torso import Tissue as Code

FAT, SOFT = -100.0, 40.0
TISSUES = {
    Code.AIR: Tissue(-1000.0, 0.0, 0.0),
    Code.TABLE: Tissue(-120.0, 20.0, 60.0),
    Code.FAT: Tissue(FAT, 8.0, 5.0),
    Code.MUSCLE: Tissue(50.0, 10.0, 6.0),
    Code.LUNG: Tissue(-850.0, 30.0, 25.0),
    Code.LUNG_VESSEL: Tissue(0.0, 60.0, 40.0),
    Code.CORTEX: Tissue(520.0, 60.0, 60.0),
    Code.MARROW: Tissue(170.0, 40.0, 40.0),
    Code.CANAL: Tissue(32.0, 8.0, 6.0),
    Code.MEDIASTINUM: Tissue(-80.0, 18.0, 14.0),
    Code.STRAND: Tissue(15.0, 22.0, 12.0),
    Code.NODE: Tissue(34.0, 8.0, 8.0),
    Code.LIVER: Tissue(56.0, 7.0, 7.0),
    Code.SPLEEN: Tissue(48.0, 6.0, 5.0),
    Code.STOMACH: Tissue(24.0, 18.0, 12.0),
    Code.VEIN: Tissue(41.0, 6.0, 2.0),
    Code.ARTERY: Tissue(41.0, 6.0, 2.0),
    Code.HEART: Tissue(44.0, 8.0, 3.0),
    Code.CHAMBER: Tissue(40.0, 6.0, 2.0),
    Code.AIRWAY_WALL: Tissue(20.0, 12.0, 10.0),
    Code.TRACHEA: Tissue(-985.0, 8.0, 5.0),
    Code.ESOPHAGUS: Tissue(34.0, 12.0, 6.0),
    Code.ESOPHAGUS_AIR: Tissue(-700.0, 80.0, 60.0),
    Code.AORTA: Tissue(42.0, 6.0, 2.0),
    Code.CALCIUM: Tissue(420.0, 60.0, 80.0),
}
BLOOD = frozenset({Code.VEIN, Code.ARTERY, Code.CHAMBER, Code.AORTA})


def render(entropy: tuple[int, ...], grid: Grid, codes: Codes, noise: float, contrast: float) -> Array:
    """Return the image of a chest.

    Args:
        entropy: non-negative integers that fix all randomness.
        grid: sampling of the chest.
        codes: (D, H, W) of `torso.Tissue`.
        noise: standard deviation of the noise as a fraction of the contrast of soft tissue to fat.
        contrast: Hounsfield units that a contrast agent adds to blood.

    Returns:
        float32 (D, H, W) in Hounsfield units, -1024 to 3071.
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(2)]
    table = [Tissue(one.mean + contrast * (code in BLOOD), one.sd, one.spread) for code, one in sorted(TISSUES.items())]
    texture = RandomField(streams[0], 9.0).sample(grid.axes())
    image = painted(codes, table, texture, (0.35, 0.5, 0.5), streams[0])
    grain = streams[1].standard_normal(grid.size, dtype=np.float32)
    grain = gaussian_filter(grain, (0.0, 0.55, 0.7), radius=1)  # the reconstruction kernel correlates the noise
    grain *= np.float32(noise * (SOFT - FAT) / grain.std())
    image += grain
    return np.asarray(np.clip(image, -1024.0, 3071.0, out=image), np.float32)
