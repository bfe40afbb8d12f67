"""Ten thousand damaged NIfTI files: a named error or the right numbers, soon, and nothing else."""

from __future__ import annotations

import gzip
import logging
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segbench.errors import SegbenchError
from segbench.files.images import read_label_map
from segbench.types import LabelMap

NUMBER = 10_000
AFFINE = np.array([[1.1, -0.4, 0.3, -20.0], [0.5, 1.7, -0.6, 31.0], [-0.2, 0.8, 2.3, 7.5], [0.0, 0.0, 0.0, 1.0]])


def originals(folder: Path) -> list[Path]:
    """Write label maps of several types, as nibabel does, plain and compressed, NIfTI-1 and NIfTI-2."""
    drawn = np.random.default_rng(0).integers(0, 4, (6, 7, 8))
    files = []
    for number, dtype in enumerate(("u1", "i2", "f4", ">i4", "i8")):
        for ending in (".nii", ".nii.gz"):
            kind = nibabel.Nifti2Image if number % 2 else nibabel.Nifti1Image
            image = kind(drawn.astype(np.dtype(dtype).newbyteorder("=")), AFFINE, dtype=np.dtype(dtype))
            files.append(folder / f"{number}{ending}")
            nibabel.save(image, files[-1])
    return files


def flip(content: bytearray, generator: random.Random, limit: int) -> None:
    for _ in range(generator.choice((1, 1, 2, 8))):
        content[generator.randrange(limit)] ^= 1 << generator.randrange(8)


def overwrite(content: bytearray, generator: random.Random, limit: int) -> None:
    for _ in range(generator.choice((1, 2, 8, 64))):
        content[generator.randrange(limit)] = generator.randrange(256)


def truncate(content: bytearray, generator: random.Random, limit: int) -> None:
    del content[generator.randrange(len(content)) :]


def extend(content: bytearray, generator: random.Random, limit: int) -> None:
    content += generator.randbytes(generator.choice((1, 7, 300, 9000)))


def remove(content: bytearray, generator: random.Random, limit: int) -> None:
    start = generator.randrange(limit)
    del content[start : start + generator.choice((1, 2, 16))]


def extreme(content: bytearray, generator: random.Random, limit: int) -> None:
    """Put extreme numbers where lengths, types and scales are kept."""
    start = generator.randrange(40, min(limit, 130))
    value = generator.choice((b"\xff\xff", b"\x00\x80", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\xff\x7f"))
    content[start : start + len(value)] = value


DAMAGES: tuple[Callable[[bytearray, random.Random, int], None], ...] = (
    *(flip, flip, overwrite, overwrite, extreme, extreme),
    *(truncate, extend, remove),
)


def as_nibabel_reads(path: Path) -> np.ndarray | None:
    """Return the voxels ``(D, H, W)`` as nibabel reads them, or None if it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nibabel.load(path)
            return np.asarray(image.dataobj).T
    except Exception:
        return None


def agrees(found: LabelMap, path: Path) -> bool | None:
    """Return whether nibabel reads the same labels, but for rounding that a note tells; None if it refuses the file."""
    theirs = as_nibabel_reads(path)
    if theirs is None:
        return None
    values = theirs.reshape(-1).astype(np.float64)
    if any("slope" in note for note in found.notes):
        values = np.rint(values)
    return bool(np.array_equal(found.array.reshape(-1), values))


@pytest.mark.slow
def test_ten_thousand_damaged_files(tmp_path: Path) -> None:
    generator = random.Random(0)
    files = originals(tmp_path)
    whole = {path: path.read_bytes() for path in files}
    expected = {path: read_label_map(path) for path in files}
    read, refused, alone, slowest = 0, 0, 0, 0.0
    for index in range(NUMBER):
        path = files[index % len(files)]
        inside = index % 3 == 0 and path.suffix == ".gz"  # damage before compression, so that the checksum is right
        content = bytearray(gzip.decompress(whole[path]) if inside else whole[path])
        limit = len(content) if generator.random() < 0.3 or (path.suffix == ".gz" and not inside) else 540
        generator.choice(DAMAGES)(content, generator, min(limit, len(content)))
        path.write_bytes(gzip.compress(content, 1) if inside else bytes(content))
        begun = time.perf_counter()
        try:
            found = read_label_map(path)
        except SegbenchError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            read += 1
            if path.suffix == ".gz" and not inside:  # the checksum leaves no room for other numbers
                assert np.array_equal(found.array, expected[path].array) and found.spacing == expected[path].spacing
            else:
                same = agrees(found, path)
                assert same is not False, f"damage {index} of {path.name}"
                alone += same is None
            assert min(found.spacing) > 0 and np.isfinite(found.affine).all() and found.array.dtype.kind in "iu"
        slowest = max(slowest, time.perf_counter() - begun)
    words = "%d damaged files: %d refused, %d read (%d by us alone), at most %.3f s each"
    logging.getLogger(__name__).info(words, NUMBER, refused, read, alone, slowest)
    assert refused > NUMBER / 4 and read > NUMBER / 20 and slowest < 5
