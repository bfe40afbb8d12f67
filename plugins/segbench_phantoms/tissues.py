"""From tissues to brightness: typical values, texture, partial volume, bias field and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from segbench_phantoms.geometry import Array, Points, RandomField

Labels = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]
Code = TypeVar("Code", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Tissue:
    """How bright a tissue is, in the units of the image.

    Args:
        mean: typical brightness.
        sd: of its texture within a patient.
        spread: standard deviation of its mean between patients.
    """

    mean: float
    sd: float
    spread: float


def painted(
    codes: Codes,
    tissues: Sequence[Tissue],
    texture: Array,
    blur: tuple[float, float, float],
    generator: np.random.Generator,
) -> Array:
    """Return the brightness of a map of tissues before noise.

    Args:
        codes: (D, H, W), positions in `tissues`.
        tissues: what the codes mean.
        texture: (D, H, W), standard deviation about 1.
        blur: standard deviation of the slice and pixel profile along z, y, x, voxels.
        generator: source of randomness for the brightness of this patient.
    """
    draws = generator.standard_normal(len(tissues))
    means = np.array([one.mean + one.spread * draw for one, draw in zip(tissues, draws, strict=True)], np.float32)
    sds = np.array([one.sd for one in tissues], np.float32)
    image = means[codes] + sds[codes] * texture
    return np.asarray(gaussian_filter(image, blur, radius=1), np.float32)


def labelled(codes: Codes, values: Mapping[Code, int]) -> Labels:
    """Return the label map of a map of tissues; tissues without a value are background."""
    table = np.zeros(256, np.int16)
    for tissue, value in values.items():
        table[tissue] = value
    return table[codes]


def bias_field(axes: Points, generator: np.random.Generator, knot: float, strength: float) -> Array:
    """Return a smooth positive factor (D, H, W).

    Args:
        axes: world coordinates (mm) along x, y and z.
        generator: source of randomness.
        knot: lattice distance, mm.
        strength: standard deviation of its logarithm.
    """
    return np.asarray(np.exp(np.float32(strength) * RandomField(generator, knot).sample(axes)), np.float32)


def rician(image: Array, deviation: np.float32, generator: np.random.Generator) -> Array:
    """Return the magnitude of an image with complex Gaussian noise of a standard deviation."""
    real = image + deviation * generator.standard_normal(image.shape, dtype=np.float32)
    imaginary = deviation * generator.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.sqrt(real**2 + imaginary**2), np.float32)
