"""The folds of nnU-Net's results: ``fold_N/validation``, and which cases belong to each, predicted or not.

What a fold predicted is said by ``validation/summary.json``, which nnU-Net writes last; before that by
``splits_final.json``, which lies in ``$nnUNet_preprocessed/DATASET`` (or beside the raw data or the results).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.errors import DataInvalid, UsageError
from segbench.evaluation.matching import Layout, missing_of
from segbench.files.documents import read_json
from segbench.files.filenames import bare, case_name, stem
from segbench.files.splits import SplitList, read_splits
from segbench.names import first_few
from segbench.scoring.pairs import CaseProblem

SUMMARY = "summary.json"
SPLITS = "splits_final.json"
PREPROCESSED = "nnUNet_preprocessed"
_FOLD = re.compile(r"fold_(\d+|all)")


@dataclass(frozen=True)
class Fold:
    """One fold of a trainer's results.

    Attributes:
        folder: ``fold_N``.
        number: N; None for ``fold_all``, which was validated on what it was trained on.
    """

    folder: Path
    number: int | None

    @property
    def validation(self) -> Path:
        """Where its predictions are."""
        return self.folder / "validation"


def find_folds(predictions: Path, wanted: int | None = None) -> list[Fold]:
    """Return the folds if ``predictions`` is a fold, its ``validation``, or holds several; empty if it is none of it.

    Args:
        predictions: a folder.
        wanted: take this one only.

    Raises:
        UsageError: if there are folds, but not this one, or of several trainings.
    """
    path = predictions.resolve()
    if path.name == "validation" and _FOLD.fullmatch(path.parent.name):
        named = [path.parent]
    elif _FOLD.fullmatch(predictions.name) and (predictions / "validation").is_dir():
        named = [predictions]
    else:
        named = _folders_of(predictions)
    folds = [Fold(folder, None if folder.name == "fold_all" else int(folder.name[5:])) for folder in named]
    folds.sort(key=lambda fold: -1 if fold.number is None else fold.number)
    if wanted is None or not folds:
        return folds
    chosen = [fold for fold in folds if fold.number == wanted]
    if not chosen:
        there = ", ".join(fold.folder.name for fold in folds)
        raise UsageError(f"--fold {wanted}: {predictions} holds {there}. Name one of these, or another folder.")
    return chosen


def _folders_of(results: Path) -> list[Path]:
    """Return the fold folders of a trainer's results, or of the only trainer in a dataset's results."""
    for pattern in ("fold_*", "*/fold_*"):
        named = [one for one in results.glob(pattern) if _FOLD.fullmatch(one.name)]
        named = [one for one in named if (one / "validation").is_dir() and not one.is_symlink()]
        trainers = sorted({one.parent.name for one in named})
        if len(trainers) > 1:
            raise UsageError(f"{results} holds folds of {len(trainers)} trainings: {first_few(trainers)}. Name one.")
        if named:
            return [one for one in named if one.name != "fold_all"] or named
    return []


def within_folds(found: Layout, folds: Sequence[Fold], references: Path, splits: SplitList | None = None) -> Layout:
    """Leave out references of other folds, and give every pair its fold.

    Args:
        found: all references with the predictions of these folds.
        folds: at least one.
        references: as it was named.
        splits: folds to go by instead of what nnU-Net left behind.
    """
    root = references.parent if references.name.startswith("labels") else references
    problems: list[CaseProblem] = []
    listed, where = (splits, "the split asked for") if splits is not None else _splits(root, folds[0], problems)
    fold_of: dict[str, Fold] = {}
    sources = []
    for fold in folds:
        cases, source = _expected(fold, listed, where, problems, asked=splits is not None)
        sources.append(source)
        fold_of |= dict.fromkeys(cases, fold)
    kept = []
    for pair in found.pairs:
        listed_in = fold_of.pop(pair.case, None)
        its = _predicting(pair.predicted, folds) or listed_in
        if its is not None or pair.fault:
            kept.append(replace(pair, fold=its.number if its else None))
    for case, fold in sorted(fold_of.items()):
        what = f"belongs to {fold.folder.name}, but has neither a reference nor a prediction here; it is not scored"
        if not any(problem.case == case or stem(Path(problem.case)) == case for problem in found.problems):
            problems.append(CaseProblem(case, "missing", what))
    names = ", ".join(fold.folder.name for fold in folds)
    by = " and ".join(dict.fromkeys(sources))
    words = f"{found.words}; {len(kept)} of {len(found.pairs)} references belong to {names} (judged by {by})"
    others = [problem for problem in found.problems if problem.kind != "missing"]
    return replace(found, words=words, pairs=tuple(kept), problems=(*problems, *others, *missing_of(kept)))


def _predicting(path: Path | None, folds: Sequence[Fold]) -> Fold | None:
    return next((fold for fold in folds if path is not None and path.parent == fold.validation), None)


def _expected(
    fold: Fold, splits: SplitList | None, where: str, problems: list[CaseProblem], *, asked: bool
) -> tuple[set[str], str]:
    """Return the cases of a fold, and what says so."""
    validated = None if asked else _summarised(fold.validation / SUMMARY, problems)
    listed = None
    if splits is not None and fold.number is not None:
        try:
            listed = {case_name(case) for case in splits.cases("val", fold.number)}
        except UsageError as error:
            problems.append(CaseProblem("", "failed", f"{error} It is not gone by"))
    if validated is None:
        return (
            (listed, where)
            if listed is not None
            else (set(), "the predictions present: a missing one cannot be noticed")
        )
    if listed is None or listed == validated:
        return validated, SUMMARY
    whole = listed > validated  # else the list is of another training, which has other folds
    what = (
        f"{fold.folder.name}: {SUMMARY} speaks of {len(validated)} cases and {where} of {len(listed)}; they differ in "
        f"{first_few(sorted(listed ^ validated))}. Those of {where if whole else SUMMARY} count"
    )
    problems.append(CaseProblem("", "note", what))
    return (listed, where) if whole else (validated, SUMMARY)


def _summarised(path: Path, problems: list[CaseProblem]) -> set[str] | None:
    """Return the cases that a ``summary.json`` of nnU-Net version 2 or 1 speaks of; None if there is none."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        if "metric_per_case" in content:
            files = [entry["prediction_file"] for entry in content["metric_per_case"]]
        else:
            files = [entry["test"] for entry in content["results"]["all"]]
        names = [re.split(r"[\\/]", file)[-1] for file in files]
    except (LookupError, TypeError, DataInvalid) as error:
        what = f"{path} is no summary of nnU-Net's ({type(error).__name__}: {error}); it is not gone by"
        problems.append(CaseProblem("", "note", what))
        return None
    return {case_name(stem(Path(name)) or bare(name)) for name in names}


def _splits(root: Path, fold: Fold, problems: list[CaseProblem]) -> tuple[SplitList | None, str]:
    """Return the content of the first ``splits_final.json`` found, and its name."""
    path = find_splits(root, fold.folder.resolve().parent)
    if path is None:
        return None, SPLITS
    try:
        listed = read_splits(path)
        if not listed.folds:
            raise DataInvalid(f"{path}: expected a list of folds, found one split.")
    except (DataInvalid, UsageError) as error:
        problems.append(CaseProblem("", "note", f"{error} It is not gone by"))
        return None, SPLITS
    return listed, SPLITS


def find_splits(raw: Path, trainer: Path | None = None) -> Path | None:
    """Return where nnU-Net keeps the folds of a dataset, or None.

    Args:
        raw: ``nnUNet_raw/DATASET``.
        trainer: ``nnUNet_results/DATASET/TRAINER``.
    """
    homes = [raw, *_preprocessed(raw.resolve())]
    if trainer is not None:
        homes += [trainer, *_preprocessed(trainer.parent)]
    return next((path for home in homes if (path := home / SPLITS).is_file()), None)


def _preprocessed(dataset: Path) -> list[Path]:
    """Return the folders in which the preprocessed data of ``nnUNet_raw/DATASET`` may lie."""
    told = os.environ.get(PREPROCESSED)
    roots = [Path(told).expanduser()] if told else []
    return [root / dataset.name for root in (*roots, dataset.parent.parent / PREPROCESSED)]
