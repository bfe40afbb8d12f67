"""Ten thousand damaged NIfTI files: a named error or the right numbers, soon, and nothing else."""

from __future__ import annotations

import gzip
import logging
import random
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segbench.files.images import read_label_map
from segbench.types import LabelMap

from .damage import as_others_read, damaged, read_damaged

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


def inside(path: Path, index: int) -> bool:
    """Whether the damage is done before compression, so that the checksum is right."""
    return index % 3 == 0 and path.suffix == ".gz"


def damage(path: Path, content: bytes, index: int, generator: random.Random) -> bytes:
    if inside(path, index):
        return gzip.compress(damaged(gzip.decompress(content), generator), 1)
    return damaged(content, generator)


def agrees(found: LabelMap, path: Path) -> bool | None:
    """Return whether nibabel reads the same labels, but for rounding that a note tells; None if it refuses the file."""
    theirs = as_others_read(path)
    if theirs is None:
        return None
    values = theirs.reshape(-1).astype(np.float64)
    if any("slope" in note for note in found.notes):
        values = np.rint(values)
    return bool(np.array_equal(found.array.reshape(-1), values))


@pytest.mark.slow
def test_ten_thousand_damaged_files(tmp_path: Path) -> None:
    files = originals(tmp_path)
    expected = {path: read_label_map(path) for path in files}

    def judge(path: Path, found: LabelMap, content: bytes, words: str) -> str:
        if path.suffix == ".gz" and not inside(path, int(words.split()[1])):  # the checksum allows no other numbers
            assert np.array_equal(found.array, expected[path].array) and found.spacing == expected[path].spacing, words
            return "read"
        same = agrees(found, path)
        assert same is not False, words
        return "read by us alone" if same is None else "read"

    outcomes = read_damaged(files, NUMBER, damage, judge)
    logging.getLogger(__name__).info(str(outcomes))
    assert outcomes.counts["refused"] > NUMBER / 4 and outcomes.counts["read"] > NUMBER / 20, outcomes
    assert outcomes.slowest[0] < 5, outcomes
