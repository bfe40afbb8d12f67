"""What a case's pictures are made from: its image, if there is one, the truth, and every method's label map.

Runs trained here keep their predictions and know their dataset; evaluations know where their files lay, and what was in
them; imported tables know neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segbench.boxes import values_of
from segbench.errors import DataInvalid, DataMissing, SegbenchError
from segbench.evaluation.reopening import FILES, Reopened
from segbench.reporting.competitors import Runs
from segbench.runs import StoredRun, open_run, predictions_folder
from segbench.scoring.naming import recoded
from segbench.types import LabelMap, Task

Volume = NDArray[np.uint8]
UNKNOWN = 255
"""Code of a voxel whose label is not known; other codes are indices into ``Material.combinations``."""


@dataclass(frozen=True)
class Material:
    """One case on the grid ``(D, H, W)`` of its truth.

    Attributes:
        case: its name.
        structures: names of what was scored.
        combinations: code -> indices of the structures that a voxel of this code belongs to; code 0 is none.
        truth: codes.
        predictions: method -> codes.
        image: first channel, or None.
        spacing, affine: of the grid, in the order of the array; the affine may be None.
    """

    case: str
    structures: tuple[str, ...]
    combinations: tuple[tuple[int, ...], ...]
    truth: Volume
    predictions: Mapping[str, Volume]
    image: NDArray[np.float32] | None
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64] | None

    @cached_property
    def wrong(self) -> NDArray[np.uint8]:
        """Number of methods that are wrong at a voxel."""
        different = [(one != self.truth) & (self.truth != UNKNOWN) for one in self.predictions.values()]
        count: NDArray[np.uint8] = np.sum(different, axis=0, dtype=np.uint8)
        return count


@dataclass(frozen=True)
class _Read:
    """Label maps of one run and case: values, and which of them are a structure."""

    predicted: NDArray[np.integer[Any]]
    truth: LabelMap
    structures: Mapping[str, tuple[int, ...]]
    image: NDArray[np.float32] | None = None


def gather_material(case: str, runs: Runs, methods: Sequence[str], notes: list[str]) -> Material | None:
    """Return what is there of a case; None if nothing can be shown, ``notes`` says why.

    Args:
        case: its name.
        runs: of the board; the first of a method that scored the case is taken.
        methods: in the order of the board.
        notes: collects what cannot be shown of which method.
    """
    found: dict[str, _Read] = {}
    for method in methods:
        run = next((run for run in runs.of.get(method, ()) if case in run.case_ids), None)
        if run is None:
            continue
        if not keeps_label_maps(run):
            note = f"{method}: scores only; imported tables, published boards and older evaluations know no label maps."
            notes += [] if note in notes else [note]
            continue
        try:
            read = _read(run, case, notes)
        except (SegbenchError, OSError) as error:
            notes.append(f"{method}, case {case}: {error}")
            continue
        first = next(iter(found.values()), read)
        if read.truth.array.shape != first.truth.array.shape or read.predicted.shape != read.truth.array.shape:
            notes.append(f"{method}, case {case}: its label maps lie on another grid.")
            continue
        found[method] = read
    return _material(case, found) if found else None


def keeps_label_maps(run: StoredRun) -> bool:
    """Return whether a run knows where its label maps are, or were."""
    return run.kept.folder is not None and ("config" in run.record or FILES in run.record)


def _read(run: StoredRun, case: str, notes: list[str]) -> _Read:
    """Read the label maps of a run.

    Raises:
        SegbenchError: they are not here (any more), in words.
    """
    if "config" in run.record:
        return _trained(run, case)
    reopened = Reopened(run.record, run.catalogue, _model(run))
    predicted, truth, task = reopened.compared(case)
    try:
        image = reopened.image(case, truth)
    except SegbenchError as error:
        image = None
        notes.append(f"{run.title}, case {case}: drawn without its image: {error}")
    return _Read(predicted.array, truth, _values(task), image)


def _trained(run: StoredRun, case: str) -> _Read:
    key = str(run.record.get("decisions", {}).get(run.decision, ""))
    if not (predictions_folder(run.folder, run.decision, key) / f"{case}.nii.gz").is_file():
        raise DataMissing("the run keeps no prediction of it.")
    loaded = run.case(case)
    if loaded.truth is None:
        raise DataInvalid("its dataset has no truth any more.")
    shape = loaded.truth.array.shape
    image = loaded.image[0] if loaded.image.shape[1:] == shape else loaded.image[0].reshape(shape)
    truth = LabelMap(loaded.truth.array, loaded.spacing, loaded.affine)
    return _Read(run.prediction(case).array.reshape(shape), truth, _values(run.task), image)


def _model(run: StoredRun) -> StoredRun | None:
    """Return the run that an evaluation was scored like, if it was trained and is still here."""
    like = run.record["again"].get("like")
    try:
        model = open_run(Path(like), run.catalogue, datasets=run.datasets) if like else None
    except SegbenchError:
        return None
    return model if model is not None and "config" in model.record else None


def _values(task: Task) -> dict[str, tuple[int, ...]]:
    return {one.name: one.values for one in task.structures}


def _material(case: str, found: Mapping[str, _Read]) -> Material:
    """Bring the values of all runs to one code: which structures a voxel belongs to."""
    first = next(iter(found.values()))
    names = tuple(dict.fromkeys(name for read in found.values() for name in read.structures))
    codes: dict[tuple[int, ...], int] = {(): 0}
    truth = _coded(first.truth.array, first.structures, names, codes)
    predictions = {method: _coded(one.predicted, one.structures, names, codes) for method, one in found.items()}
    shape = cast("tuple[int, int, int]", (1, *truth.shape)[-3:])
    spacing = cast("tuple[float, float, float]", (1.0, *first.truth.spacing)[-3:])
    image = next((one.image for one in found.values() if one.image is not None), None)
    return Material(
        case,
        names,
        tuple(codes),
        truth.reshape(shape),
        {method: one.reshape(shape) for method, one in predictions.items()},
        None if image is None else image.reshape(shape),
        spacing,
        first.truth.affine if truth.ndim == 3 else None,
    )


def _coded(
    array: NDArray[np.integer[Any]],
    structures: Mapping[str, tuple[int, ...]],
    names: Sequence[str],
    codes: dict[tuple[int, ...], int],
) -> Volume:
    """Return the code of each voxel; sets of structures that are new get the next code, beyond 254 they are none."""
    labels = LabelMap(array, ())
    table: dict[int, int] = {}
    for value in sorted(values_of(labels)):
        if value <= 0:
            table[value] = 0 if value == 0 else UNKNOWN
            continue
        members = tuple(k for k, name in enumerate(names) if value in structures.get(name, ()))
        table[value] = codes.setdefault(members, len(codes)) if members in codes or len(codes) < UNKNOWN else 0
    return recoded(labels, table).array.astype(np.uint8)
