"""Predictions of a trained run's cases, scored against the truths of its own dataset: no references need be named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from segbench.contracts import Dataset
from segbench.errors import DataMissing, UsageError
from segbench.evaluation.folds import find_folds
from segbench.evaluation.likeness import Template, grouped
from segbench.evaluation.matching import Layout, match
from segbench.evaluation.overlooked import overlooked, what_is_in
from segbench.evaluation.shelves import shelf_of
from segbench.files.filenames import Files, files_in
from segbench.names import first_few
from segbench.types import CaseRef


class _Trained(Protocol):
    """A run that knows its dataset."""

    @property
    def dataset(self) -> Dataset: ...

    def refs(self, case_ids: Sequence[str]) -> Sequence[CaseRef]: ...


def dataset_of(template: Template) -> Dataset:
    """Return the prepared dataset of a run.

    Raises:
        DataMissing: if it is not here any more.
    """
    return cast("_Trained", template.run).dataset


def of_dataset(predictions: Path, template: Template | None, fold: int | None) -> Layout:
    """Pair predictions with the cases that a run scored.

    Args:
        predictions: folder of label maps, or nnU-Net's results.
        template: of the run.
        fold: of nnU-Net's results, if they hold several.

    Raises:
        UsageError: without a run that was trained here.
        DataMissing: if no prediction is named as a case of the run.
    """
    if template is None or not template.trained:
        raise UsageError("Which references? Name their folder, or a run that was trained here (--like RUN).")
    predictions = predictions.expanduser()
    if not predictions.is_dir():
        raise DataMissing(f"predictions: expected a folder at {predictions}, found none. Check the path.")
    folds = find_folds(predictions, fold)
    files = Files.merged(files_in(one.validation).without_archives() for one in folds)
    files = files if folds else shelf_of(predictions, list(template.groups)).files
    truths = Files({case: [Path(case)] for case in sorted(template.groups)})
    run = template.run.run_id
    found = match(files, truths, f"references: the truths of the {len(template.groups)} cases of run {run}")
    if not any(pair.predicted or pair.fault for pair in found.pairs):
        there = ", ".join(files.names)[:200] or what_is_in(predictions)
        raise DataMissing(
            f"No prediction in {predictions} is named as a case of run {run} "
            f"({first_few(sorted(template.groups), 3)}); found: {there}. Rename the predictions as the cases, or name "
            f"the references."
        )
    refs = {ref.id: ref for ref in cast("_Trained", template.run).refs(list(template.groups))}
    pairs = tuple(replace(pair, case=str(pair.truth), ref=refs[str(pair.truth)]) for pair in found.pairs)
    problems = (*overlooked(predictions, "predictions"), *found.problems)
    if len(folds) == 1:
        pairs = tuple(replace(pair, fold=folds[0].number) for pair in pairs)
    return grouped(replace(found, pairs=pairs, problems=problems), template)
