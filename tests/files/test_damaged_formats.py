"""Ten thousand damaged pictures, segmentations and archives: a named error or the right numbers, soon, nothing else."""

from __future__ import annotations

import io
import logging
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.errors import SegbenchError
from segbench.files.images import read_label_map

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


def flip(content: bytearray, generator: random.Random, other: bytes) -> None:
    for _ in range(generator.choice((1, 1, 2, 8))):
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)


def flip_in_header(content: bytearray, generator: random.Random, other: bytes) -> None:
    for _ in range(generator.choice((1, 1, 2, 4))):
        content[generator.randrange(min(200, len(content)))] = generator.randrange(256)


def cut(content: bytearray, generator: random.Random, other: bytes) -> None:
    del content[generator.randrange(len(content)) :]


def remove(content: bytearray, generator: random.Random, other: bytes) -> None:
    start = generator.randrange(len(content))
    del content[start : start + generator.choice((1, 2, 16))]


def swap(content: bytearray, generator: random.Random, other: bytes) -> None:
    """Exchange two blocks, or put in their place what stands there in another file."""
    length = generator.choice((1, 2, 4, 16))
    first, second = (generator.randrange(max(1, len(content) - length)) for _ in range(2))
    one, two = content[first : first + length], content[second : second + length]
    content[first : first + length], content[second : second + length] = two, one
    if generator.random() < 0.3:
        content[first : first + length] = other[first : first + length]


def extreme(content: bytearray, generator: random.Random, other: bytes) -> None:
    start = generator.randrange(min(200, len(content)))
    value = generator.choice((b"\xff\xff", b"\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff"))
    content[start : start + len(value)] = value


DAMAGES: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    *(flip, flip, flip_in_header, flip_in_header),
    *(cut, remove, swap, extreme),
)


def as_others_read(path: Path) -> np.ndarray | None:
    """Return the pixels as Pillow alone reads them, all frames; None if it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                pages = []
                for index in range(getattr(image, "n_frames", 1)):
                    image.seek(index)
                    pages.append(np.asarray(image.convert("L") if image.mode == "1" else image))
                return np.stack(pages)
    except Exception:
        return None


@pytest.mark.slow
def test_ten_thousand_damaged_files(tmp_path: Path) -> None:
    generator = random.Random(0)
    files = originals(tmp_path)
    whole = {path: path.read_bytes() for path in files}
    expected = {path: read_label_map(path) for path in files}
    read, refused, apart, slowest = 0, 0, 0, (0.0, "")
    for index in range(NUMBER):
        path = files[index % len(files)]
        content = bytearray(whole[path])
        generator.choice(DAMAGES)(content, generator, whole[generator.choice(files)])
        path.write_bytes(content)
        begun = time.process_time()
        try:
            found = read_label_map(path)
        except SegbenchError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            read += 1
            same = np.array_equal(found.array, expected[path].array)
            if path.suffix in CHECKED or path.name == "gzip.seg.nrrd":
                assert same or bytes(content) == whole[path], f"damage {index} of {path.name}"
            elif not same and path.suffix in (".bmp", ".gif", ".tif"):  # no checksum: such a file says other pixels
                theirs = as_others_read(path)
                apart += theirs is None or not np.array_equal(theirs.reshape(-1), found.array.reshape(-1))
            assert min(found.spacing) > 0 and found.array.dtype.kind in "iu"
        slowest = max(slowest, (time.process_time() - begun, f"{index} of {path.name}"))
        path.write_bytes(whole[path])
    words = "%d damaged files: %d refused, %d read, %d not as Pillow reads them, at most %.3f s (%s)"
    logging.getLogger(__name__).info(words, NUMBER, refused, read, apart, *slowest)
    assert apart < NUMBER / 200  # tags of TIFF that became others, which the two libraries take differently
    assert refused > NUMBER / 4 and read > NUMBER / 20 and slowest[0] < 5, slowest
