"""Checks of datasets: forged in a temporary folder, then read as any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from segbench.conformance.common import Broken, Check, Skipped, Subject, expect
from segbench.contracts import Dataset
from segbench.errors import DataMissing, SegbenchError, safe_name
from segbench.params import describe
from segbench.types import UNKNOWN, Case, CaseRef, LabelMap, Split

CASES = 4
"""Cases read per dataset; unlabelled ones are always among them if there are any."""


def _forged(subject: Subject) -> Dataset:
    """Return the forged miniature, prepared; made once per examination."""
    if "forged" not in subject.memo:
        dataset: Dataset = subject.make().forge(subject.folder / "forged")
        dataset.prepare(subject.folder / "root")
        subject.memo["forged"] = dataset
    forged: Dataset = subject.memo["forged"]
    return forged


def _some(dataset: Dataset) -> list[CaseRef]:
    refs = list(dataset.refs())
    unlabelled = [ref for ref in refs if ref.split == "unlabelled"]
    return [ref for ref in refs if ref.split != "unlabelled"][: CASES - 1] + unlabelled[:1]


def forges_a_miniature(subject: Subject) -> None:
    """``forge`` writes into the folder it is given and returns a dataset of this class that works."""
    dataset = _forged(subject)
    expect(isinstance(dataset, subject.cls), f"forge() returned {dataset!r}, expected {subject.cls.__name__}")
    expect(bool(dataset.refs()), "the forged dataset has no case")


def missing_data_are_named(subject: Subject) -> None:
    """A folder that is not there raises DataMissing with its path; nothing else needs to be installed or fetched."""
    if "path" not in {key for key, _, _, _ in describe(subject.cls)}:
        raise Skipped("it has no parameter `path`")
    nowhere = subject.folder / "nowhere"
    try:
        subject.make({"path": str(nowhere)}).prepare(subject.folder / "root")
    except DataMissing as error:
        expect(str(nowhere) in str(error), f"the message does not name the folder: {error}")
    except SegbenchError as error:
        raise Broken(f"expected DataMissing, found {type(error).__name__}: {error}") from error
    else:
        raise Broken("prepare() accepted a folder that does not exist")


def task_is_consistent(subject: Subject) -> None:
    """Labels begin with the background, names are unique, regions are made of labels, the revision is said."""
    task = _forged(subject).task
    expect(bool(task.revision), "task.revision is empty; results of different contents could not be told apart")
    expect(len(task.labels) > 1, f"expected background and at least one label, found {task.labels}")
    expect(len(set(task.labels)) == len(task.labels), f"label names are not unique: {task.labels}")
    expect(bool(task.channels), "task.channels is empty")
    strange = {value for values in task.regions.values() for value in values} - set(range(len(task.labels)))
    expect(not strange, f"regions name the labels {sorted(strange)}, which do not exist")


def case_names_are_safe_and_unique(subject: Subject) -> None:
    """Ids can be file names, occur once, and have a group and a known split."""
    refs = _forged(subject).refs()
    ids = [ref.id for ref in refs]
    expect(len(set(ids)) == len(ids), "two cases have the same id")
    for ref in refs:
        safe_name(ref.id, "case")
        expect(bool(ref.group), f"{ref.id}: no group; give the patient, or the id itself")
        expect(ref.split in get_args(Split), f"{ref.id}: split {ref.split!r} is none of {', '.join(get_args(Split))}")


def listing_is_deterministic(subject: Subject) -> None:
    """The same data list the same cases in the same order, from a fresh object too."""
    from segbench.params import to_json

    dataset = _forged(subject)
    first = list(dataset.refs())
    expect(list(dataset.refs()) == first, "refs() changed between two calls")
    again = subject.make(to_json(dataset))
    again.prepare(subject.folder / "root")
    expect(list(again.refs()) == first, "a second object with the same parameters lists other cases")
    expect(again.task == dataset.task, "a second object with the same parameters has another task")


def groups_keep_to_one_split(subject: Subject) -> None:
    """No patient is in two of the dataset's own splits, and own folds name known cases and split by patient."""
    dataset = _forged(subject)
    refs = {ref.id: ref for ref in dataset.refs()}
    seen: dict[str, str] = {}
    for ref in refs.values():
        if ref.split in ("train", "val", "test"):
            expect(seen.setdefault(ref.group, ref.split) == ref.split, f"patient {ref.group} is in two splits")
    for index, fold in enumerate(dataset.folds()):
        parts: Sequence[set[str]] = [set(fold["train"]), set(fold["val"])]
        unknown = sorted((parts[0] | parts[1]) - refs.keys())
        expect(not unknown, f"fold {index} names unknown cases: {', '.join(unknown[:3])}")
        both = {refs[one].group for one in parts[0]} & {refs[one].group for one in parts[1]}
        expect(not both, f"fold {index}: patients on both sides: {', '.join(sorted(both)[:3])}")


def cases_keep_the_contract(subject: Subject) -> None:
    """Images are finite float32 (C, D, H, W) with spacing and affine; truths lie on the same grid, in range."""
    dataset = _forged(subject)
    for ref in _some(dataset):
        case = dataset.load(ref)
        expect(case.id == ref.id, f"asked for {ref.id}, got {case.id}")
        _check_image(case, len(dataset.task.channels))
        if ref.split == "unlabelled":
            expect(case.truth is None, f"{ref.id}: an unlabelled case has a truth")
        elif case.truth is not None:
            _check_truth(case, case.truth, len(dataset.task.labels))


def _check_image(case: Case, channels: int) -> None:
    image: Any = case.image
    expect(image.dtype == np.float32, f"{case.id}: image is {image.dtype}, expected float32")
    expect(image.ndim == 4 and image.shape[0] == channels and image.size > 0,
           f"{case.id}: image has shape {image.shape}, expected ({channels}, D, H, W)")  # fmt: skip
    expect(bool(np.isfinite(image).all()), f"{case.id}: image has NaN or infinite voxels")
    positive = len(case.spacing) == 3 and all(np.isfinite(size) and size > 0 for size in case.spacing)
    expect(positive, f"{case.id}: spacing {case.spacing}, expected three positive mm (D, H, W)")
    affine: Any = case.affine
    expect(affine.shape == (4, 4) and np.isfinite(affine).all(), f"{case.id}: affine is no finite 4x4 matrix")
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    expect(np.allclose(sizes, case.spacing, rtol=1e-2),
           f"{case.id}: the affine's voxel size {sizes.round(4)} is not the spacing {case.spacing}")  # fmt: skip


def _check_truth(case: Case, truth: LabelMap, labels: int) -> None:
    array = truth.array
    expect(array.shape == case.image.shape[1:], f"{case.id}: truth {array.shape}, image {case.image.shape[1:]}")
    expect(array.dtype.kind in "iu", f"{case.id}: truth is {array.dtype}, expected integers")
    low, high = int(array.min()), int(array.max())
    expect(low >= UNKNOWN and high < labels, f"{case.id}: labels from {low} to {high}, expected -1 to {labels - 1}")
    expect(tuple(truth.spacing) == tuple(case.spacing), f"{case.id}: truth spacing {truth.spacing} {case.spacing}")


def loading_is_deterministic(subject: Subject) -> None:
    """Loading a case twice gives the same voxels."""
    dataset = _forged(subject)
    for ref in _some(dataset)[:2]:
        first, second = dataset.load(ref), dataset.load(ref)
        expect(np.array_equal(first.image, second.image), f"{ref.id}: the image changed between two loads")
        if first.truth is not None and second.truth is not None:
            expect(np.array_equal(first.truth.array, second.truth.array), f"{ref.id}: the truth changed")


def something_can_be_learnt(subject: Subject) -> None:
    """At least one case has a truth with foreground."""
    dataset = _forged(subject)
    loaded = (dataset.load(ref) for ref in _some(dataset))
    expect(any(case.truth is not None and (case.truth.array > 0).any() for case in loaded), "no case has foreground")


CHECKS: tuple[Check, ...] = (
    forges_a_miniature,
    missing_data_are_named,
    task_is_consistent,
    case_names_are_safe_and_unique,
    listing_is_deterministic,
    groups_keep_to_one_split,
    cases_keep_the_contract,
    loading_is_deterministic,
    something_can_be_learnt,
)
