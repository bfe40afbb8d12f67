"""An MR-like image out of a label map: a Gaussian per structure, partial volume, a smooth bias field, noise.

Source: Billot et al., SynthSeg, Medical Image Analysis 86, 102789 (2023), https://doi.org/10.1016/j.media.2023.102789,
section 3.2. Differences: nothing is deformed (the truth stays the real anatomy), and besides SynthSeg's random
contrast there is a T1-like one whose means are the same for all cases up to a small variation, so that a dataset is one
modality.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AIR = 2.0
TISSUES: tuple[tuple[str, float], ...] = (
    (r"cerebell\w* (white|wm)|cerebral white|white matter|corpus callosum|\bwm\b", 110.0),
    (r"ventral ?dc", 98.0),
    (r"ventricle|csf|lateral vent|fluid|vessel|choroid", 28.0),
    (r"brain.?stem|pons|midbrain|medulla", 100.0),
    (r"pallidum", 101.0),
    (r"thalamus", 94.0),
    (r"caudate", 82.0),
    (r"putamen", 88.0),
    (r"accumbens", 80.0),
    (r"hippocampus", 75.0),
    (r"amygdala", 73.0),
    (r"cerebell", 70.0),
    (r"cortex|gyrus|lobe|sulcus|pole|cuneus|insula|operculum|\bgm\b|gr[ae]y", 68.0),
)
"""Mean intensity by name in a T1-weighted image where white matter is 110; the first pattern that fits counts."""


@dataclass(frozen=True)
class Appearance:
    """How images look. Intensities run from about 0 to 150.

    Attributes:
        contrast: "t1" = means by tissue, the same for all cases up to 2 %; "random" = means drawn anew for each case.
        noise: sd of the noise added last.
        bias: sd of the logarithm of the bias field.
        blur: sd of the partial volume blur, voxels.
        seed: of everything random.
    """

    contrast: str
    noise: float
    bias: float
    blur: float
    seed: int


def _generator(seed: int, *words: object) -> np.random.Generator:
    import numpy as np

    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return np.random.default_rng([seed, *digest[:16]])


def _sideless(name: str) -> str:
    """Return a structure's name without its side: both sides are one tissue."""
    return re.sub(r"\b(left|right|lh|rh|ctx)\b", "", name.lower().replace("-", " ").replace("_", " ")).strip()


def mean_of(value: int, name: str, seed: int) -> float:
    """Return the T1-like mean of a structure: by its name, or drawn from the seed where the name tells nothing."""
    if value == 0:
        return AIR
    tissue = _sideless(name)
    jitter = float(_generator(seed, "tissue", tissue).uniform(-3, 3))
    for pattern, mean in TISSUES:
        if re.search(pattern, tissue):
            return mean + jitter
    return float(_generator(seed, "unnamed", tissue).uniform(20, 130))


def _means(values: NDArray[np.integer[Any]], names: dict[int, str], case: str, look: Appearance) -> NDArray[np.float64]:
    """Return the mean of every value, float64 ``(len(values),)``."""
    import numpy as np

    if look.contrast == "random":
        drawn = {
            tissue: _generator(look.seed, "contrast", case, tissue).uniform(10, 140)
            for tissue in {_sideless(names.get(int(value), f"label {value}")) for value in values}
        }
        means = [drawn[_sideless(names.get(int(value), f"label {value}"))] if value else AIR for value in values]
        return np.array(means)
    base = np.array([mean_of(int(value), names.get(int(value), f"label {value}"), look.seed) for value in values])
    variation = _generator(look.seed, "variation", case).normal(0, 0.02, len(values))
    return base * np.where(values == 0, 1.0, 1.0 + variation)


def bias_field(shape: tuple[int, ...], sd: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth positive field of a few cosines per axis, ``shape``, with ``sd`` of its logarithm."""
    import numpy as np

    orders = 4
    bases = [np.cos(np.pi * np.outer(np.arange(orders), (np.arange(n) + 0.5) / n)).astype(np.float32) for n in shape]
    weights = rng.normal(size=(orders, orders, orders)).astype(np.float32)
    weights /= 1 + np.add.outer(np.add.outer(np.arange(orders) ** 2, np.arange(orders) ** 2), np.arange(orders) ** 2)
    weights[0, 0, 0] = 0
    field = np.einsum("ijk,id->djk", weights, bases[0])
    field = np.einsum("djk,jh->dhk", field, bases[1])
    field = field @ bases[2]  # (D, H, W)
    spread = float(field.std())
    exponent = field * np.float32(sd / spread if spread > 0 else 0.0)
    return np.asarray(np.exp(exponent), dtype=np.float32)


def synthesise(
    array: NDArray[np.integer[Any]], names: dict[int, str], case: str, look: Appearance
) -> NDArray[np.float32]:
    """Return an image of a label map, the same for the same seed, case and label map.

    Args:
        array: all structures that shall be seen, integer ``(D, H, W)``, not negative.
        names: value -> name, as far as known.
        case: the case's id.
        look: contrast, noise, bias, blur and seed.

    Returns:
        float32 ``(D, H, W)``.
    """
    import numpy as np
    from scipy import ndimage

    rng = _generator(look.seed, "case", case)
    values = np.flatnonzero(np.bincount(array.ravel()))
    table = np.zeros(int(values[-1]) + 1, dtype=np.float32)
    spread = np.zeros_like(table)
    table[values] = _means(values, names, case, look)
    spread[values] = np.where(values == 0, 0.5, rng.uniform(2.0, 5.0, len(values)))
    image: NDArray[np.float32] = rng.standard_normal(array.shape, dtype=np.float32)
    image *= spread[array]
    image += table[array]
    if look.blur > 0:
        image = ndimage.gaussian_filter(image, look.blur, truncate=3.0, mode="nearest")
    if look.bias > 0:
        image *= bias_field(array.shape, look.bias, rng)
    if look.noise > 0:
        image += look.noise * rng.standard_normal(array.shape, dtype=np.float32)
    return image
