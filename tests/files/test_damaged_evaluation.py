"""Ten thousand damaged predictions and references go through ``evaluate``: a named row each, and no wrong number."""

from __future__ import annotations

import gzip
import logging
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.evaluation.folders import EvaluationResult, evaluate
from segbench.files.images import read_label_map
from segbench.host import load_catalogue

from . import test_damage as nifti
from . import test_damaged_formats as formats
from .damage import as_others_read, damaged
from .test_segments import LIVER, TUMOUR, dicom_of

nrrd = pytest.importorskip("nrrd")
NUMBER = 10_000
BATCH = 60
"""Cases of one evaluation; one in five has a damaged reference, the others a damaged prediction."""
CATALOGUE = load_catalogue()
CHECKED = (*formats.CHECKED, ".gz")
"""Endings of formats whose checksums leave no room for other numbers."""


def originals(folder: Path) -> dict[Path, str]:
    """Write one file of each kind, and return it with its ending."""
    drawn = formats.originals(folder)
    (folder / "nifti").mkdir()
    plain, compressed = nifti.originals(folder / "nifti")[:2]
    dicom = dicom_of(folder / "segments.dcm", {"Liver": LIVER & ~TUMOUR, "tumour": TUMOUR})
    shutil.copy(compressed, folder / "inside.nii.gz")
    endings = {path: path.suffix for path in (*drawn, plain, dicom)}
    endings |= {path: ".seg.nrrd" for path in drawn if path.name.endswith(".seg.nrrd")}
    return endings | {compressed: ".nii.gz", folder / "inside.nii.gz": ".nii.gz"}


def damage_of(original: Path) -> Callable[[bytes, random.Random], bytes]:
    """Return how a file is damaged: ``inside`` a compressed one before it is compressed."""
    if not original.name.startswith("inside"):
        return damaged
    return lambda content, generator: gzip.compress(damaged(gzip.decompress(content), generator), 1)


def masks_as_others_read(path: Path, values: list[int]) -> dict[str, np.ndarray] | None:
    """Return structure -> flat mask as nibabel, Pillow or pynrrd read it; None if they cannot."""
    if path.name.endswith(".seg.nrrd"):
        try:
            array, header = nrrd.read(str(path))
            numbers = [key.split("_")[0] for key in header if key.endswith("_ID") and key.startswith("Segment")]
            named = {header.get(f"{one}_Name", header[f"{one}_ID"]): header.get(f"{one}_LabelValue") for one in numbers}
            return {name: array.T.reshape(-1) == int(value) for name, value in named.items()}
        except Exception:
            return None
    array = as_others_read(path)
    if array is None:
        return None
    rounded = np.rint(array.astype(np.float64)).reshape(-1)
    return {str(value): rounded == value for value in values}


def dice(predicted: dict[str, np.ndarray], truth: dict[str, np.ndarray], name: str) -> float | None:
    """Return the Dice of a structure; None if the masks differ in size."""
    one, other = predicted.get(name), truth.get(name)
    if one is None or other is None:
        return 1.0 if one is other else 0.0  # another file of the batch names it
    if one.size != other.size:
        return None
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum()) if one.any() or other.any() else 1.0


class Folder:
    """A batch of cases of one format; damages them and judges what an evaluation says of them."""

    def __init__(self, root: Path, original: Path, ending: str, generator: random.Random) -> None:
        self.root, self.original, self.ending = root, original, ending
        self.truth = read_label_map(original)
        self.values = sorted({int(value) for value in np.unique(self.truth.array)} - {0})
        content, do = original.read_bytes(), damage_of(original)
        self.damaged: dict[str, tuple[Path, bool]] = {}
        for number in range(BATCH):
            case, side = f"case{number:02}", "t" if number % 5 == 4 else "p"
            for folder in ("p", "t"):
                path = root / folder / f"{case}{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(do(content, generator) if folder == side else content)
            path = root / side / f"{case}{ending}"
            self.damaged[case] = (path, path.read_bytes() != content)

    def evaluated(self) -> EvaluationResult:
        given: dict[str, Any] = {"name": "m", "dataset": "d", "metrics": ["dice"], "catalogue": CATALOGUE}
        labels = None if self.truth.names else self.values  # files that name their segments are told apart by them
        return evaluate(self.root / "p", self.root / "t", labels=labels, results=self.root / "r", **given)

    def judged(self, result: EvaluationResult) -> Counter[str]:
        """Count the outcomes; every case has its rows, what has no number has a reason, and every number is right."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in result.table.to_pylist():
            rows.setdefault(row["case_id"], []).append(row)
        told = {problem.case for problem in result.problems if problem.kind in ("failed", "missing")}
        counts: Counter[str] = Counter()
        assert set(self.damaged) == set(rows), self.original
        for case, (path, changed) in self.damaged.items():
            failed = {row["status"] in ("failed", "missing") for row in rows[case]}
            assert len(failed) == 1, (path, rows[case])
            if failed == {True}:
                assert case in told and all(row["value"] is None for row in rows[case]), path
                counts["named as failed"] += 1
                continue
            counts[self._right(path, changed, rows[case])] += 1
        return counts

    def _right(self, path: Path, changed: bool, rows: list[dict[str, Any]]) -> str:
        """Return what the values of a case agree with: the undamaged file, or what other libraries read of it."""
        found = {row["label_name"]: row["value"] for row in rows}
        if all(value == 1 for value in found.values()):
            return "as undamaged"
        assert changed, (path, found)
        assert not self.original.name.endswith(CHECKED) or self.original.name.startswith("inside"), (path, found)
        theirs, whole = masks_as_others_read(path, self.values), masks_as_others_read(self.original, self.values)
        if theirs is None or whole is None:
            return "read by us alone"
        same = all(found[name] == pytest.approx(dice(theirs, whole, name), abs=1e-12) for name in found)
        return "other numbers, as others read them" if same else "other numbers than others read"


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_evaluated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "originals").mkdir()
    kinds = originals(tmp_path / "originals")
    generator, done, slowest = random.Random(0), 0, 0.0
    counts: dict[str, Counter[str]] = {original.name: Counter() for original in kinds}
    while done < NUMBER:
        for original, ending in kinds.items():
            folder = Folder(tmp_path / "batch", original, ending, generator)
            begun = time.process_time()
            counts[original.name] += folder.judged(folder.evaluated())
            slowest = max(slowest, time.process_time() - begun)
            shutil.rmtree(tmp_path / "batch")
            done += BATCH
    total = sum(counts.values(), Counter())
    for name, found in counts.items():
        logging.getLogger(__name__).info("%s: %s", name, dict(found))
    logging.getLogger(__name__).info("%d files: %s; at most %.2f s for %d", done, dict(total), slowest, BATCH)
    assert "Traceback" not in "".join(capfd.readouterr())
    assert total["named as failed"] > done / 4 and total["as undamaged"] > done / 20
    assert total["read by us alone"] + total["other numbers than others read"] < done / 200, counts
