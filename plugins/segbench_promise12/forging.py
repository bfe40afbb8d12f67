"""Made-up prostates in Zenodo's layout of PROMISE12, quirks included; headers are written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAINING, TEST = 10, 3
SPACING = (3.6, 1.0, 1.0)
_TYPES = {"int16": "MET_SHORT", "int8": "MET_CHAR", "uint8": "MET_UCHAR"}


def prostate(part: str, number: int) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """Return an image and its mask ``(D, H, W)``: an ellipsoid of low contrast in a noisy pelvis."""
    import numpy as np

    rng = np.random.default_rng([20120112, number, part == "training"])
    shape = (9 + number % 3, 34, 34)
    grid = np.stack(np.meshgrid(*[np.arange(length) for length in shape], indexing="ij"), axis=-1)
    centre = np.array(shape) / 2 + rng.uniform(-1, 1, 3)
    radii = np.array([3.2, 8, 9]) * rng.uniform(0.8, 1.15, 3)
    mask = ((((grid - centre) / radii) ** 2).sum(axis=-1) <= 1).astype(np.int8)
    image = 250 * rng.uniform(0.7, 1.3) + 90 * mask + rng.normal(0, 30, shape)
    return image.clip(0).astype(np.int16), mask


def write_metaimage(path: Path, array: NDArray[Any], spacing: tuple[float, float, float]) -> None:
    """Write ``.mhd`` and ``.raw``.

    Args:
        path: of the header.
        array: int16, int8 or uint8 ``(D, H, W)``.
        spacing: mm, ``(D, H, W)``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = path.with_suffix(".raw")
    lines = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": False,
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "-20.5 10 3.25",
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(str(size) for size in reversed(spacing)),
        "DimSize": " ".join(str(length) for length in reversed(array.shape)),
        "ElementType": _TYPES[array.dtype.name],
        "ElementDataFile": raw.name,
    }
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()), encoding="ascii")
    raw.write_bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())


def forge(root: Path) -> Path:
    """Write ``PROMISE12`` with ``training_data`` and ``test_data`` below ``root`` and return it."""
    folder = root / "PROMISE12"
    for part, count in (("training", TRAINING), ("test", TEST)):
        inner = folder / f"{part}_data"
        for number in range(count):
            image, mask = prostate(part, number)
            write_metaimage(inner / f"Case{number:02d}.mhd", image, SPACING)
            write_metaimage(inner / f"Case{number:02d}_segmentation.mhd", mask, SPACING)
            (inner / f"._Case{number:02d}.mhd").write_bytes(b"\0\5\x16\7AppleDouble")
        (inner / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    write_metaimage(folder / "livechallenge_test_data" / "Case00.mhd", prostate("live", 0)[0], SPACING)
    (folder / "LICENSE.TXT").write_text("Made-up data in the layout of PROMISE12.\n", encoding="utf-8")
    return folder
