"""From the tissues of a pelvis to a T2-weighted MR image."""

from __future__ import annotations

import numpy as np

from segbench_phantoms.geometry import Array, RandomField
from segbench_phantoms.grid import Grid
from segbench_phantoms.pelvis import GLAND
from segbench_phantoms.pelvis import Tissue as Code
from segbench_phantoms.tissues import Codes, Tissue, bias_field, painted, rician

MUSCLE, FAT = 48.0, 165.0
TISSUES = {
    Code.FAT: Tissue(FAT, 14.0, 14.0),
    Code.MUSCLE: Tissue(MUSCLE, 7.0, 6.0),
    Code.CORTEX: Tissue(16.0, 5.0, 3.0),
    Code.MARROW: Tissue(118.0, 16.0, 16.0),
    Code.WALL: Tissue(58.0, 8.0, 8.0),
    Code.URINE: Tissue(205.0, 5.0, 22.0),
    Code.RECTUM_WALL: Tissue(84.0, 14.0, 10.0),
    Code.GAS: Tissue(6.0, 2.0, 2.0),
    Code.STOOL: Tissue(88.0, 26.0, 24.0),
    Code.VEIN: Tissue(134.0, 18.0, 14.0),
    Code.PLEXUS: Tissue(116.0, 20.0, 12.0),
    Code.VESICLE: Tissue(158.0, 16.0, 22.0),
    Code.BULB: Tissue(100.0, 9.0, 14.0),
    Code.LEVATOR: Tissue(60.0, 8.0, 8.0),
    Code.CAPSULE: Tissue(74.0, 10.0, 10.0),
    Code.PERIPHERAL: Tissue(132.0, 16.0, 15.0),
    Code.LESION: Tissue(88.0, 10.0, 10.0),
    Code.CENTRAL: Tissue(88.0, 12.0, 10.0),
    Code.NODULE: Tissue(118.0, 14.0, 14.0),
    Code.NODULE_RIM: Tissue(68.0, 8.0, 8.0),
    Code.STROMA: Tissue(56.0, 8.0, 6.0),
}


def render(entropy: tuple[int, ...], grid: Grid, codes: Codes, noise: float, contrast: float) -> Array:
    """Return the image of a pelvis.

    Args:
        entropy: non-negative integers that fix all randomness.
        grid: sampling of the pelvis.
        codes: (D, H, W) of `pelvis.Tissue`.
        noise: standard deviation of the noise as a fraction of the contrast of fat to muscle.
        contrast: factor on the contrast of the gland to muscle.

    Returns:
        Strictly positive float32 (D, H, W), arbitrary units.
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(2)]
    axes = grid.axes()
    table = [
        Tissue(MUSCLE + contrast * (one.mean - MUSCLE), one.sd, one.spread) if code in GLAND else one
        for code, one in sorted(TISSUES.items())
    ]
    image = painted(codes, table, RandomField(streams[0], 6.0).sample(axes), (0.4, 0.7, 0.7), streams[0])
    image *= bias_field(axes, streams[0], 70.0, 0.2)
    image = rician(image, np.float32(noise * (FAT - MUSCLE)), streams[1])
    gain = np.float32(np.exp(streams[0].normal(0.0, 0.2)))
    return np.asarray(np.maximum(image * gain, np.float32(1e-3)), np.float32)
