"""Ten thousand damaged pictures, segmentations and archives: a named error or the right numbers, soon, nothing else."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.files.images import read_label_map
from segbench.types import LabelMap

from .damage import as_others_read, damaged, read_damaged

NUMBER = 10_000
CHECKED = (".png", ".npz")
"""Formats whose checksums leave no room for other numbers."""
LABELS = np.random.default_rng(0).integers(0, 4, (13, 17)).astype(np.uint8)
STACK = np.random.default_rng(1).integers(0, 4, (5, 13, 17)).astype(np.uint8)


def originals(folder: Path) -> list[Path]:
    """Write files of every new format, by the libraries that everybody writes them with."""
    indexed = Image.fromarray(LABELS)
    indexed.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    indexed.save(folder / "indexed.png")
    Image.fromarray(LABELS).save(folder / "grey.png")
    Image.fromarray((LABELS > 0).astype(np.uint8) * 255).convert("1").save(folder / "bits.png")
    Image.fromarray(LABELS).save(folder / "grey.bmp")
    indexed.save(folder / "indexed.gif")
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(folder / "plain.tif", STACK, photometric="minisblack")
    tifffile.imwrite(folder / "strips.tif", STACK, photometric="minisblack", compression="zlib", rowsperstrip=4)
    metadata = {"spacing": 2.0, "unit": "mm", "axes": "ZYX"}
    tifffile.imwrite(folder / "calibrated.tif", STACK, imagej=True, resolution=(2, 2), metadata=metadata)
    Image.fromarray(LABELS).save(folder / "lzw.tif", compression="tiff_lzw")
    np.savez_compressed(folder / "archive.npz", seg=STACK, spacing=(2.0, 1.0, 1.0))
    nrrd = pytest.importorskip("nrrd")
    header = {"space": "left-posterior-superior", "kinds": ["domain"] * 3, "space directions": np.eye(3) * 2}
    header |= {"space origin": np.zeros(3)}
    for number in (1, 2, 3):
        header |= {f"Segment{number}_ID": f"S{number}", f"Segment{number}_Name": f"n{number}"}
        header |= {f"Segment{number}_LabelValue": str(number), f"Segment{number}_Layer": "0"}
    for encoding in ("gzip", "raw"):
        nrrd.write(str(folder / f"{encoding}.seg.nrrd"), np.ascontiguousarray(STACK.T), header | {"encoding": encoding})
    return sorted(folder.iterdir())


@pytest.mark.slow
def test_ten_thousand_damaged_files(tmp_path: Path) -> None:
    files = originals(tmp_path)
    whole = {path: path.read_bytes() for path in files}
    expected = {path: read_label_map(path) for path in files}

    def judge(path: Path, found: LabelMap, content: bytes, words: str) -> str:
        same = np.array_equal(found.array, expected[path].array)
        if path.suffix in CHECKED or path.name == "gzip.seg.nrrd":
            assert same or content == whole[path], words
        elif not same and path.suffix in (".bmp", ".gif", ".tif"):  # no checksum: such a file says other pixels
            theirs = as_others_read(path)
            if theirs is None or not np.array_equal(theirs.reshape(-1), found.array.reshape(-1)):
                return "read otherwise by Pillow"
        return "read"

    def damage(path: Path, content: bytes, index: int, generator: random.Random) -> bytes:
        return damaged(content, generator)

    outcomes = read_damaged(files, NUMBER, damage, judge)
    logging.getLogger(__name__).info(str(outcomes))
    counts = outcomes.counts
    assert counts["read otherwise by Pillow"] < NUMBER / 200  # tags of TIFF that became others, taken differently
    assert counts["refused"] > NUMBER / 4 and counts["read"] > NUMBER / 20 and outcomes.slowest[0] < 5, outcomes
