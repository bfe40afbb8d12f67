"""From a label map to a T1-weighted image: tissue contrast, partial volume, texture, bias field and Rician noise.

Brightness is in arbitrary units in which white matter is 110.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from segbench_phantoms.anatomy import Head, Surround
from segbench_phantoms.geometry import Array, RandomField
from segbench_phantoms.grid import Grid
from segbench_phantoms.tissues import Tissue, bias_field, rician

FLUID = Tissue(28.0, 2.0, 2.5)
WHITE = Tissue(110.0, 2.5, 1.5)
GREY = Tissue(76.0, 3.0, 2.5)

# The first entry whose words all occur in a structure's name applies; everything else is cortex.
STRUCTURES: tuple[tuple[tuple[str, ...], Tissue], ...] = (
    (("ventricle",), FLUID),
    (("fluid",), FLUID),
    (("cerebellum", "white"), Tissue(106.0, 3.0, 2.0)),
    (("white",), WHITE),
    (("cerebell",), Tissue(73.0, 5.0, 2.5)),
    (("thalamus",), Tissue(92.0, 3.0, 2.0)),
    (("caudate",), Tissue(79.0, 2.0, 2.0)),
    (("putamen",), Tissue(84.0, 2.0, 2.0)),
    (("pallidum",), Tissue(99.0, 2.5, 2.0)),
    (("brain-stem",), Tissue(101.0, 4.0, 2.0)),
    (("ventral DC",), Tissue(97.0, 4.0, 2.0)),
    (("optic chiasm",), Tissue(98.0, 2.0, 2.0)),
    (("basal forebrain",), Tissue(84.0, 3.0, 2.0)),
)
SURROUND = {
    Surround.AIR: Tissue(1.0, 0.0, 0.0),
    Surround.SCALP: Tissue(100.0, 12.0, 12.0),
    Surround.SKULL: Tissue(14.0, 5.0, 3.0),
    Surround.FLUID: FLUID,
    Surround.MUSCLE: Tissue(60.0, 10.0, 6.0),
}
TEXTURE_KNOT = 5.0
"""Lattice distance of the texture, mm."""
BIAS_KNOT = 70.0
"""Lattice distance of the bias field, mm."""
BIAS = 0.10
"""Standard deviation of the logarithm of the bias field."""
BLUR = 0.45
"""Standard deviation of the slice and pixel profile, voxels."""


def tissue_of(name: str) -> Tissue:
    """Return the tissue of a structure by its name."""
    for words, tissue in STRUCTURES:
        if all(word in name for word in words):
            return tissue
    return GREY


def render(entropy: tuple[int, ...], grid: Grid, head: Head, labels: Sequence[str], noise: float) -> Array:
    """Return the image of a head.

    Args:
        entropy: non-negative integers that fix all randomness.
        grid: sampling of the head.
        head: what lies where.
        labels: names of the label values, 0 is background.
        noise: standard deviation of the noise as a fraction of the contrast of white matter to fluid.

    Returns:
        Strictly positive float32 (D, H, W), arbitrary units.
    """
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(3)]
    means, sds = _tissue_values(labels, streams[0])
    index = np.where(head.labels > 0, head.labels, len(labels) + head.surround.astype(np.int16))
    axes = grid.axes()
    image = gaussian_filter(means[index], BLUR)
    image += gaussian_filter(sds[index], BLUR) * RandomField(streams[1], TEXTURE_KNOT).sample(axes)
    image *= bias_field(axes, streams[1], BIAS_KNOT, BIAS)
    deviation = np.float32(noise * (WHITE.mean - FLUID.mean))
    magnitude = rician(image, deviation, streams[2])
    gain = np.float32(np.exp(streams[0].normal(0.0, 0.15)))
    return np.asarray(np.maximum(magnitude * gain, np.float32(1e-3)), np.float32)


def _tissue_values(labels: Sequence[str], generator: np.random.Generator) -> tuple[Array, Array]:
    """Return brightness and texture per label value, followed by those of the surround.

    Structures of one tissue share one brightness: gyri cannot be told apart by it.
    """
    brightness: dict[Tissue, float] = {}
    for tissue in dict.fromkeys([*(tissue for _, tissue in STRUCTURES), GREY, *SURROUND.values()]):
        brightness[tissue] = tissue.mean + float(generator.normal(0.0, 1.0)) * tissue.spread
    tissues = [tissue_of(name) for name in labels] + [SURROUND[code] for code in Surround]
    means = np.array([brightness[tissue] for tissue in tissues], np.float32)
    return means, np.array([tissue.sd for tissue in tissues], np.float32)
