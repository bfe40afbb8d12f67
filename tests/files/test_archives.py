"""Label maps in ``.npz`` archives: which array, on which grid, and everything that is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.errors import DataInvalid, DataMissing, SegbenchError
from segbench.files.images import image_header, read_image, read_label_map
from segbench.types import LabelMap

AFFINE = np.array([[0.0, 0, 1, 5], [0, 1.5, 0, 6], [2.0, 0, 0, 7], [0, 0, 0, 1]])
GRID = LabelMap(np.zeros((3, 4, 5), dtype=np.uint8), (2.0, 1.5, 1.0), AFFINE)
LABELS = np.arange(60).reshape(3, 4, 5) % 3


def write(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "f8", ">i4", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_array_lies_on_the_grid_it_is_said_to(tmp_path: Path, dtype: str, order: Any) -> None:
    array = np.asarray(LABELS, dtype=dtype, order=order)
    back = read_label_map(write(tmp_path / "x.npz", anything=array), GRID)
    assert np.array_equal(back.array, array) and back.array.dtype.kind in "iu" and back.array.flags.c_contiguous
    assert back.spacing == GRID.spacing and back.affine is GRID.affine


def test_the_named_array_is_taken_among_several(tmp_path: Path) -> None:
    other = np.ones((2, 2), dtype=np.int16)
    for name in ("segmentation", "seg", "label", "mask", "prediction"):
        back = read_label_map(write(tmp_path / "x.npz", aaa=other, **{name: LABELS}), GRID)
        assert np.array_equal(back.array, LABELS)
    np.savez(tmp_path / "y.npz", LABELS, other)
    assert np.array_equal(read_label_map(tmp_path / "y.npz", GRID).array, LABELS)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"probabilities": np.zeros((3, 3, 4, 5), dtype=np.float16)}, "probabilities"),
        ({"softmax": np.zeros((3, 3, 4, 5), dtype=np.float16)}, "probabilities"),
        ({"seg": np.zeros((3, 3, 4, 5), dtype=np.uint8)}, "argmax"),
        ({"seg": LABELS.T}, "axes run backwards"),
        ({"seg": LABELS[:2]}, r"\(2, 4, 5\)"),
        ({"seg": LABELS / 2}, "integer labels"),
        ({"seg": np.where(LABELS == 1, np.nan, LABELS)}, "nan"),
        ({"seg": np.array([{"a": 1}], dtype=object)}, "never loaded"),
        ({"seg": LABELS.astype(complex)}, "complex"),
        ({"one": LABELS, "two": LABELS}, "found one, two"),
        ({}, "no array"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataInvalid, match=words):
        read_label_map(write(tmp_path / "x.npz", **arrays), GRID)


def test_no_grid_and_no_file_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", seg=LABELS)
    for read in (read_image, image_header):
        with pytest.raises(DataInvalid, match="voxel size"):
            read(path)
    with pytest.raises(DataMissing):
        read_label_map(tmp_path / "none.npz", GRID)


def test_a_reference_without_a_spacing_is_in_pixels(tmp_path: Path) -> None:
    back = read_label_map(write(tmp_path / "x.npz", seg=LABELS))
    assert np.array_equal(back.array, LABELS) and (back.unit, back.spacing) == ("px", (1, 1, 1))
    back = read_label_map(write(tmp_path / "x.npz", seg=LABELS[0]))
    assert np.array_equal(back.array, LABELS[:1]) and back.unit == "px"
    with pytest.raises(DataInvalid, match="argmax"):
        read_label_map(write(tmp_path / "x.npz", seg=np.zeros((3, 3, 4, 5), dtype=np.uint8)))


def test_a_spacing_that_is_declared_counts(tmp_path: Path) -> None:
    back = read_label_map(write(tmp_path / "x.npz", labels=LABELS, spacing=(3.0, 0.5, 0.25)))
    assert np.array_equal(back.array, LABELS) and (back.unit, back.spacing) == ("mm", (3, 0.5, 0.25))
    assert read_label_map(tmp_path / "x.npz", GRID).spacing == (3, 0.5, 0.25)
    assert read_label_map(write(tmp_path / "x.npz", seg=LABELS[0], spacing=[0.5, 0.25])).spacing == (1, 0.5, 0.25)
    for wrong in ([1.0], [1, 2, 3, 4], [0, 1, 1], [np.nan, 1, 1], ["a", "b", "c"]):
        with pytest.raises(DataInvalid, match=r"spacing|numbers"):
            read_label_map(write(tmp_path / "x.npz", seg=LABELS, spacing=wrong))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4, 5), }"
        head = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
        archive.writestr("seg.npy", head + b"\0" * 50_000_000)
    with pytest.raises(DataInvalid, match="480 bytes"):
        read_label_map(path, GRID)


@pytest.mark.slow
def test_random_damage_gives_the_labels_or_a_named_error(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = write(tmp_path / "x.npz", seg=LABELS)
    whole = path.read_bytes()
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(random.integers(1, 5)):
            damaged[random.integers(len(whole))] = random.integers(256)
        path.write_bytes(damaged[: random.integers(1, len(whole))] if random.random() < 0.2 else damaged)
        try:
            found = read_label_map(path, GRID)
        except SegbenchError as error:
            assert str(path) in str(error)
        else:
            assert np.array_equal(found.array, LABELS)
