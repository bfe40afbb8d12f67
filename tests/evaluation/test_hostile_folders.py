"""Two hundred hostile folders from the command line: every row is there, no number is wrong, no traceback."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from segbench.cli import app

NUMBER = 200
CASES = 5
SPACING = np.diag([1.0, 1.5, 2.0, 1.0])
Damage = Callable[[Path, random.Random], Any]


def save(path: Path, array: np.ndarray, affine: np.ndarray = SPACING) -> None:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def again(change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    return lambda path, generator: save(path, change(voxels(path)))


def placed(*entries: tuple[int, int, float]) -> Damage:
    def damage(path: Path, generator: random.Random) -> None:
        affine = SPACING.copy()
        for row, column, value in entries:
            affine[row, column] = value
        save(path, voxels(path), affine)

    return damage


def bytes_of(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    return lambda path, generator: path.write_bytes(change(path.read_bytes(), generator))


def flipped(content: bytes, generator: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(8):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def into_folder(path: Path, generator: random.Random) -> None:
    path.unlink()
    path.mkdir()


def into_link(target: str) -> Damage:
    def damage(path: Path, generator: random.Random) -> None:
        path.unlink()
        path.symlink_to(target)

    return damage


def into_pipe(path: Path, generator: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def beside(name: str, content: bytes) -> Damage:
    return lambda path, generator: (path.parent / name).write_bytes(content)


def copied(name: str) -> Damage:
    def damage(path: Path, generator: random.Random) -> None:
        if path.is_file():
            (path.parent / name.format(path.name.removesuffix(".nii.gz"))).write_bytes(path.read_bytes())

    return damage


def archived(path: Path, generator: random.Random) -> None:
    array = voxels(path).T
    path.unlink()
    kind = generator.choice(("seg", "probabilities", "object"))
    arrays = {"seg": array, "probabilities": np.zeros((3, *array.shape)), "object": np.array([{}], dtype=object)}
    np.savez(path.with_name(path.name.removesuffix(".nii.gz") + ".npz"), **{kind: arrays[kind]})


DAMAGES: dict[str, Damage] = {
    "gone": lambda path, generator: path.unlink(),
    "empty": bytes_of(lambda content, generator: b""),
    "text": bytes_of(lambda content, generator: b"this is no image"),
    "cut": bytes_of(lambda content, generator: content[: generator.randrange(len(content))]),
    "flipped": bytes_of(flipped),
    "flipped inside": bytes_of(lambda content, generator: gzip.compress(flipped(gzip.decompress(content), generator))),
    "not compressed": bytes_of(lambda content, generator: gzip.decompress(content)),
    "twice compressed": bytes_of(lambda content, generator: gzip.compress(content)),
    "folder": into_folder,
    "dangling": into_link("nowhere.nii.gz"),
    "loop": into_link("."),
    "device": into_link("/dev/null"),
    "pipe": into_pipe,
    "nan": again(lambda array: np.where(array == 1, np.nan, array).astype(np.float32)),
    "infinite": again(lambda array: np.where(array == 1, np.inf, array).astype(np.float32)),
    "floats": again(lambda array: array.astype(np.float64)),
    "halves": again(lambda array: (array / 2).astype(np.float32)),
    "complex": again(lambda array: array.astype(np.complex64)),
    "four axes": again(lambda array: np.stack([array, array], axis=-1)),
    "one more axis": again(lambda array: array[..., None]),
    "slice": again(lambda array: array[:, :, 0]),
    "shape": again(lambda array: array[:-1]),
    "turned": again(lambda array: np.swapaxes(array, 0, 2)),
    "background": again(lambda array: np.zeros_like(array)),
    "unknown labels": again(lambda array: np.where(array == 2, 77, array).astype(np.int16)),
    "negative": again(lambda array: np.where(array == 2, -3, array).astype(np.int16)),
    "huge labels": again(lambda array: np.where(array == 2, 2_000_000_000, array).astype(np.int32)),
    "elsewhere": placed((0, 3, 40.0)),
    "other voxels": placed((2, 2, 2.5)),
    "mirrored": placed((0, 0, -1.0)),
    "sheared": placed((0, 1, 0.4)),
    "archive": archived,
    "extra": copied("extra_{}.nii.gz"),
    "doubled": copied("{}.nii"),
    "suffixed": copied("{}_pred.nii.gz"),
    "strange name": copied("[red] {} ö\n'.nii.gz"),
    "hidden": copied("._{}.nii.gz"),
    "bad json": beside("dataset.json", b'{"labels": {"a": '),
    "odd json": beside("dataset.json", b'{"labels": {"a": "one", "b": [1, null]}}'),
    "other files": beside("notes.txt", b"\xff\xfe"),
}


def dice_by_hand(predicted: Path, truth: Path, label: int) -> float | None:
    """Return the Dice by nibabel and NumPy, or None where the pair has no such number."""
    try:
        images = [nibabel.load(path) for path in (predicted, truth)]
        masks = [np.asarray(image.dataobj) == label for image in images]
    except Exception:
        return None
    if masks[0].shape != masks[1].shape and masks[0].squeeze().shape == masks[1].squeeze().shape:
        masks = [mask.squeeze() for mask in masks]
    if masks[0].shape != masks[1].shape or not np.allclose(images[0].affine, images[1].affine, atol=1e-3):
        return None
    total = int(masks[0].sum() + masks[1].sum())
    return 2 * int((masks[0] & masks[1]).sum()) / total if total else 1.0


def make(folder: Path, generator: random.Random) -> tuple[Path, Path, list[str]]:
    """Write two folders and damage some of their files."""
    draw = np.random.default_rng(generator.randrange(1 << 30))
    predicted, truth = folder / "p", folder / "t"
    for part in (predicted, truth):
        part.mkdir(parents=True)
        for case in range(CASES):
            save(part / f"c{case}.nii.gz", draw.integers(0, 3, (5, 6, 4)).astype(np.uint8))
    done = []
    for case in generator.sample(range(CASES), generator.choice((1, 2, 3))):
        side = truth if generator.random() < 0.3 else predicted
        name = generator.choice(list(DAMAGES))
        DAMAGES[name](side / f"c{case}.nii.gz", generator)
        done.append(f"{side.name}/c{case}: {name}")
    return predicted, truth, done


def check_rows(folder: Path, predicted: Path, truth: Path) -> int:
    """Check every row of the scores; return how many numbers were confirmed."""
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    cases = {row["case_id"] for row in rows}
    assert len(rows) == len(cases) * len({row["label_name"] for row in rows}) * 2
    confirmed = 0
    for row in rows:
        value = float(row["value"]) if row["value"] else None
        assert (value is not None) or row["status"] != "ok"
        assert value is None or math.isfinite(value)
        if row["metric"] != "dice" or value is None or not row["label"]:
            continue
        names = [f"{row['case_id']}.nii.gz"]
        theirs = dice_by_hand(predicted / names[0], truth / names[0], int(row["label"]))
        if theirs is not None and row["status"] not in ("missing", "failed"):
            assert value == pytest.approx(theirs, abs=1e-12), row
            confirmed += 1
    return confirmed


@pytest.mark.slow
def test_two_hundred_hostile_folders(tmp_path: Path) -> None:
    generator = random.Random(1)
    codes: dict[int, int] = {}
    confirmed, slowest = 0, 0.0
    for index in range(NUMBER):
        folder = tmp_path / str(index)
        predicted, truth, done = make(folder, generator)
        command = ["evaluate", str(predicted), str(truth), "--name", "m", "--dataset", "d", "--metrics", "dice,hd95"]
        command += ["--labels", "1,2"] if generator.random() < 0.5 else []
        command += ["--geometry", generator.choice(("strict", "tolerant", "resample"))]
        options = ["--json", "--by-case", str(folder / "scores.csv"), "--results", str(folder / "results")]
        begun = time.perf_counter()
        result = CliRunner().invoke(app, [*command, *options])
        slowest = max(slowest, time.perf_counter() - begun)
        codes[result.exit_code] = codes.get(result.exit_code, 0) + 1
        assert result.exit_code in (0, 1, 2, 3), (done, result.output)
        assert "Traceback" not in result.output and "unexpected" not in result.output.lower(), (done, result.output)
        if result.exit_code in (2, 3):
            assert result.output.startswith("Error: "), done
            continue
        document = json.loads(result.stdout)
        assert document["complete"] == (result.exit_code == 0), done
        if "strict" in command:
            confirmed += check_rows(folder, predicted, truth)
    words = "%d folders: exit codes %s, %d numbers confirmed, at most %.2f s each"
    logging.getLogger(__name__).info(words, NUMBER, dict(sorted(codes.items())), confirmed, slowest)
    assert codes[1] > NUMBER / 3 and confirmed > NUMBER and slowest < 20
