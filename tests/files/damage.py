"""Ways to damage a file, and the loop that reads thousands of damaged ones."""

from __future__ import annotations

import io
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from segbench.errors import SegbenchError
from segbench.files.images import read_label_map
from segbench.types import LabelMap

HEADER = 200
"""Bytes at the beginning that are damaged more often."""
Damage = Callable[[bytearray, random.Random, int], None]
"""Damages a content in place, within the first bytes that it is told where that makes sense."""


def flip(content: bytearray, generator: random.Random, limit: int) -> None:
    """Flip some bits."""
    for _ in range(generator.choice((1, 1, 2, 8))):
        content[generator.randrange(limit)] ^= 1 << generator.randrange(8)


def overwrite(content: bytearray, generator: random.Random, limit: int) -> None:
    """Replace some bytes."""
    for _ in range(generator.choice((1, 2, 8, 64))):
        content[generator.randrange(limit)] = generator.randrange(256)


def cut(content: bytearray, generator: random.Random, limit: int) -> None:
    """Drop the end."""
    del content[generator.randrange(len(content)) :]


def extend(content: bytearray, generator: random.Random, limit: int) -> None:
    """Add bytes at the end."""
    content += generator.randbytes(generator.choice((1, 7, 300, 9000)))


def remove(content: bytearray, generator: random.Random, limit: int) -> None:
    """Drop some bytes."""
    start = generator.randrange(limit)
    del content[start : start + generator.choice((1, 2, 16))]


def swap(content: bytearray, generator: random.Random, limit: int) -> None:
    """Exchange two blocks."""
    length = generator.choice((1, 2, 4, 16))
    first, second = (generator.randrange(max(1, len(content) - length)) for _ in range(2))
    one, two = content[first : first + length], content[second : second + length]
    content[first : first + length], content[second : second + length] = two, one


def extreme(content: bytearray, generator: random.Random, limit: int) -> None:
    """Put an extreme number where lengths, types and scales are kept."""
    start = generator.randrange(min(HEADER, len(content)))
    numbers = (b"\xff\xff", b"\x00\x80", b"\x00\x00", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\xff\x7f")
    value = generator.choice((*numbers, b"\xff\xff\xff\xff"))
    content[start : start + len(value)] = value


DAMAGES: tuple[Damage, ...] = (flip, flip, overwrite, overwrite, extreme, extreme, cut, extend, remove, swap)


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Return a damaged content; two in three times damaged where its header is."""
    found = bytearray(content)
    limit = len(found) if generator.random() < 1 / 3 else min(2 * HEADER, len(found))
    generator.choice(DAMAGES)(found, generator, limit)
    return bytes(found)


def as_others_read(path: Path) -> np.ndarray | None:
    """Return the voxels as nibabel or Pillow alone reads them, in our order; None if it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.name.endswith((".nii", ".nii.gz")):
                return np.asarray(nibabel.load(path).dataobj).T
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                pages = []
                for index in range(getattr(image, "n_frames", 1)):
                    image.seek(index)
                    pages.append(np.asarray(image.convert("L") if image.mode == "1" else image))
                return np.stack(pages)
    except Exception:
        return None


@dataclass
class Outcomes:
    """What came of reading damaged files.

    Attributes:
        counts: outcome -> files.
        slowest: CPU seconds of one file, and which.
    """

    counts: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")

    def __str__(self) -> str:
        found = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.most_common())
        return f"{self.counts.total()} damaged files: {found}; at most {self.slowest[0]:.3f} s ({self.slowest[1]})"


def read_damaged(
    files: Sequence[Path],
    number: int,
    damage: Callable[[Path, bytes, int, random.Random], bytes],
    judge: Callable[[Path, LabelMap, bytes, str], str],
) -> Outcomes:
    """Damage one file after the other, read it and put it back: it is refused by name, or what is read is judged.

    Args:
        files: undamaged.
        number: of damaged files.
        damage: returns the damaged content of a file: path, content, number, generator.
        judge: returns the outcome of what was read: path, label map, damaged content, and words for a failure.
    """
    generator, outcomes = random.Random(0), Outcomes()
    whole = {path: path.read_bytes() for path in files}
    for index in range(number):
        path = files[index % len(files)]
        content, words = damage(path, whole[path], index, generator), f"damage {index} of {path.name}"
        path.write_bytes(content)
        begun = time.process_time()
        try:
            found = read_label_map(path)
        except SegbenchError as error:
            assert str(path) in str(error), words
            outcomes.counts["refused"] += 1
        else:
            assert min(found.spacing) > 0 and found.array.dtype.kind in "iu", words
            assert found.affine is None or np.isfinite(found.affine).all(), words
            outcomes.counts[judge(path, found, content, words)] += 1
        outcomes.slowest = max(outcomes.slowest, (time.process_time() - begun, words))
        path.write_bytes(whole[path])
    return outcomes
