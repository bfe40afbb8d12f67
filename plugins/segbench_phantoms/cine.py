"""From the tissues of a short-axis stack to a bright-blood cine MR image."""

from __future__ import annotations

import numpy as np

from segbench_phantoms.cardiac import Tissue as Code
from segbench_phantoms.geometry import Array, RandomField
from segbench_phantoms.grid import Grid
from segbench_phantoms.tissues import Labels, Tissue, bias_field, painted, rician

MUSCLE, BLOOD = 72.0, 190.0
TISSUES = {
    Code.AIR: Tissue(3.0, 1.0, 1.0),
    Code.LUNG: Tissue(22.0, 8.0, 5.0),
    Code.LUNG_VESSEL: Tissue(85.0, 25.0, 12.0),
    Code.FAT: Tissue(172.0, 22.0, 16.0),
    Code.MUSCLE: Tissue(66.0, 10.0, 6.0),
    Code.LIVER: Tissue(88.0, 7.0, 12.0),
    Code.STOMACH: Tissue(112.0, 26.0, 16.0),
    Code.BLOOD: Tissue(BLOOD, 20.0, 10.0),
    Code.ATRIAL_WALL: Tissue(92.0, 12.0, 6.0),
    Code.PERICARDIUM: Tissue(48.0, 8.0, 5.0),
    Code.RV: Tissue(182.0, 24.0, 13.0),
    Code.TRABECULA: Tissue(118.0, 12.0, 10.0),
    Code.MYO: Tissue(MUSCLE, 9.0, 6.0),
    Code.LV: Tissue(BLOOD, 20.0, 12.0),
    Code.PAPILLARY: Tissue(86.0, 10.0, 8.0),
}
FLOW = frozenset({Code.BLOOD, Code.RV, Code.LV})
"""Tissues whose brightness the parameter `contrast` moves."""


def render(entropy: tuple[int, ...], phase: int, grid: Grid, codes: Labels, noise: float, contrast: float) -> Array:
    """Return the image of a stack.

    Args:
        entropy: non-negative integers that fix the patient's tissues.
        phase: the noise and the brightness of slices differ between phases.
        grid: sampling of the stack.
        codes: (D, H, W) of `cardiac.Tissue`.
        noise: standard deviation of the noise as a fraction of the contrast of blood to muscle.
        contrast: factor on the contrast of blood to muscle.

    Returns:
        Strictly positive float32 (D, H, W), arbitrary units.
    """
    patient, stack = np.random.default_rng(entropy), np.random.default_rng((*entropy, phase))
    axes = grid.axes()
    table = [
        Tissue(MUSCLE + contrast * (one.mean - MUSCLE), one.sd, one.spread) if code in FLOW else one
        for code, one in sorted(TISSUES.items())
    ]
    image = painted(codes.astype(np.uint8), table, RandomField(stack, 9.0).sample(axes), (0.42, 0.55, 0.55), patient)
    image *= bias_field(axes, patient, 70.0, 0.2)
    image *= np.exp(stack.normal(0.0, 0.08, (grid.size[0], 1, 1))).astype(np.float32)
    image = rician(image, np.float32(noise * (BLOOD - MUSCLE)), stack)
    return np.asarray(np.maximum(image * np.float32(np.exp(patient.normal(0.0, 0.15))), np.float32(1e-3)), np.float32)
