"""Which prediction belongs to which reference: plain folders, nnU-Net, Decathlon, BIDS, several raters, single files.

Folders of cases and of one file per structure are looked through by ``shelves``. Hidden and AppleDouble files are
passed over, files of no format that is read are said; linked folders are not entered.
Whatever does not fit is a named problem and never stops the others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.evaluation.declarations import Declaration, find_declaration, read_label_table
from segbench.evaluation.folds import find_folds, within_folds
from segbench.evaluation.layered import match_layers
from segbench.evaluation.matching import Layout as Layout
from segbench.evaluation.matching import match, ordered
from segbench.evaluation.overlooked import overlooked, what_is_in
from segbench.evaluation.shelves import Shelf, shelf_of
from segbench.files.filenames import Files, bare, case_name, entities, files_in, stem
from segbench.files.splits import SplitList
from segbench.scoring.pairs import CaseProblem, Pair

Kind = Literal["auto", "plain", "nnunet", "msd", "bids", "raters", "cases", "structures"]
"""How folders are laid out: "cases" has one label map per case, "structures" one file per structure of a case."""


def find_pairs(
    predictions: Path,
    references: Path,
    layout: Kind = "auto",
    fold: int | None = None,
    splits: SplitList | None = None,
) -> Layout:
    """Find the reference and prediction of every case.

    Args:
        predictions, references: folders, or one file each.
        layout: "auto" recognises all but "raters" (one subfolder of references per rater).
        fold: of nnU-Net's results, if they hold several.
        splits: nnU-Net's folds, to go by instead of those it left behind.

    Raises:
        UsageError: if the request makes no sense.
        DataMissing: if a folder is missing or empty, or no prediction fits any reference.
    """
    if layout not in get_args(Kind):
        raise UsageError(f"layout {layout!r}: expected one of {', '.join(get_args(Kind))}.")
    predictions, references = predictions.expanduser(), references.expanduser()
    for path, role in ((predictions, "predictions"), (references, "references")):
        if not path.exists():
            raise DataMissing(f"{role}: nothing is at {path}. Check the path.")
    if references.is_file() or predictions.is_file():
        return _single_files(predictions, references)
    notes: list[CaseProblem] = []
    declaration = _declaration(predictions, references, notes)
    if layout in ("auto", "bids") and (layout == "bids" or any(True for _ in references.rglob("*_dseg.*"))):
        found = _bids(predictions, references)
    elif layout == "raters":
        found = _raters(predictions, references)
    else:
        told = declaration.style if layout == "auto" else layout if layout in ("nnunet", "msd") else ""
        declared = replace(declaration, style=told)
        found = _folders(predictions, references, declared, layout, fold, splits)
    if not found.declaration.structures:
        found = replace(found, declaration=declaration)
    for role, folder in (("predictions", predictions), ("references", references)):
        notes += overlooked(folder, role)
    found = replace(found, problems=(*notes, *found.problems))
    _require_pairs(found, predictions, references)
    return found


def _declaration(predictions: Path, references: Path, notes: list[CaseProblem]) -> Declaration:
    """Look for ``dataset.json`` where nnU-Net and the Decathlon put it."""
    beside = [references, references.parent] if references.name.startswith("labels") else [references]
    depth = 2 if predictions.name == "validation" else int(predictions.name.startswith("fold_"))
    above = [predictions, *list(predictions.resolve().parents)[:depth]]
    try:
        return find_declaration([*beside, *above])
    except DataInvalid as error:
        notes.append(CaseProblem("", "failed", str(error)))
        return Declaration()


def _require_pairs(found: Layout, predictions: Path, references: Path) -> None:
    advice = "Name the folder that holds them."
    predicted = any(pair.predicted or pair.fault for pair in found.pairs)
    if not predicted and not any(problem.kind == "extra" for problem in found.problems):
        raise DataMissing(
            f"No predictions: expected label maps in {predictions}, found {what_is_in(predictions)}. {advice}"
        )
    if not found.pairs:
        raise DataMissing(
            f"No references: expected label maps in {references}, found {what_is_in(references)}. {advice}"
        )
    if all(pair.predicted is None and not pair.fault for pair in found.pairs):
        wanted = ", ".join(pair.truth.name for pair in found.pairs[:3])
        extra = ", ".join(problem.case for problem in found.problems if problem.kind == "extra")[:200] or "none"
        raise DataMissing(
            f"No prediction in {predictions} is named as a reference ({found.words}). References are called {wanted} "
            f"...; predictions found: {extra}. Rename the predictions as the references, or name another folder."
        )


def _single_files(predictions: Path, references: Path) -> Layout:
    if not references.is_file():
        raise UsageError(f"{predictions} is one file but {references} is a folder. Name the one reference file.")
    if predictions.is_file():
        case = case_name(bare(stem(references) or references.stem))
        return Layout("one prediction, one reference", (Pair(case, case, references, predictions),), ())
    name = stem(references) or references.stem
    return match(_all_files(predictions), Files({name: [references]}), "one reference file")


def _folders(
    predictions: Path,
    references: Path,
    declaration: Declaration,
    kind: str,
    fold: int | None,
    splits: SplitList | None,
) -> Layout:
    """Pair files of the same name; the declaration's style says in which subfolders to look."""
    folds = find_folds(predictions, fold)
    if folds:
        predicted = Files.merged(files_in(one.validation).without_archives() for one in folds)
        truths, where = _reference_files(references, predicted, declaration)
        found = match(predicted, truths, f"{_title(declaration)}, references in {where}")
        return within_folds(replace(found, declaration=declaration), folds, references, splits)
    shelf = shelf_of(predictions, structured=_STRUCTURED.get(kind))
    if _listed(references, declaration):
        truths, where = _reference_files(references, shelf.files, declaration)
        found = match(shelf.files, truths, f"{_title(declaration)}, references in {where}")
        return replace(_with_shelves(found, shelf), declaration=declaration)
    other = shelf_of(references, [] if shelf.layers else list(shelf.files.names), structured=_STRUCTURED.get(kind))
    if not other.layers:
        shelf = shelf_of(predictions, list(other.files.names), structured=_STRUCTURED.get(kind))
    where = f"references in {references.name or references}"
    if shelf.layers or other.layers:
        found = match_layers(shelf, other, f"{_title(declaration)}, {where}")
        return found if other.layers else replace(found, declaration=declaration)
    found = match(shelf.files, other.files, f"{_title(declaration)}, {where}")
    return replace(_with_shelves(found, shelf, other), declaration=declaration)


_STRUCTURED = {"structures": True, "cases": False, "plain": False}


def _title(declaration: Declaration) -> str:
    titles = {"nnunet": "nnU-Net", "msd": "Medical Segmentation Decathlon"}
    return titles.get(declaration.style, "plain folders")


def _with_shelves(found: Layout, *shelves: Shelf) -> Layout:
    """Say how the label maps were found, and what was left."""
    said = dict.fromkeys(shelf.words for shelf in shelves if shelf.words)
    words = ", ".join([found.words, *said])
    left = sum(shelf.images for shelf in shelves)
    note = CaseProblem("", "note", f"{left} files beside segmentations were taken for images and left out")
    return replace(found, words=words, problems=(note, *found.problems) if left else found.problems)


def _listed(references: Path, declaration: Declaration) -> bool:
    """Return whether the folder or its dataset.json says where the references are."""
    return bool(declaration.files) or any((references / name).is_dir() for name in ("labelsTr", "labelsTs"))


def _reference_files(references: Path, predicted: Files, declaration: Declaration) -> tuple[Files, str]:
    """Return the references, choosing among ``labelsTr`` and ``labelsTs`` by which the predictions are named after."""
    choices = [folder for folder in (references / "labelsTr", references / "labelsTs") if folder.is_dir()]
    if choices:
        best = max(choices, key=lambda folder: len(files_in(folder).names.keys() & predicted.names.keys()))
        return files_in(best), best.name
    if declaration.files:
        return Files({name: [path] for name, path in declaration.files.items()}), "dataset.json"
    return _all_files(references), references.name or str(references)


def _all_files(folder: Path) -> Files:
    """Return the label maps in a folder or, if it has none, below it."""
    return shelf_of(folder, structured=False).files


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        child
        for child in folder.iterdir()
        if not child.name.startswith((".", "_"))
        if child.is_dir() and not child.is_symlink()
    )


def _raters(predictions: Path, references: Path) -> Layout:
    """Pair every prediction with the reference of each rater."""
    predicted = _all_files(predictions)
    layouts = {folder.name: match(predicted, files_in(folder), "") for folder in _subfolders(references)}
    layouts = {rater: found for rater, found in layouts.items() if found.pairs}
    pairs = [replace(pair, rater=case_name(rater)) for rater, found in layouts.items() for pair in found.pairs]
    used = {pair.predicted for pair in pairs}
    problems = {
        problem if problem.kind == "extra" else replace(problem, rater=case_name(rater))
        for rater, found in layouts.items()
        for problem in found.problems
        if problem.kind != "extra" or not any(path and path.name == problem.case for path in used)
    }
    words = f"{len(layouts)} raters ({', '.join(layouts)}), references in {references.name}"
    return Layout(words, ordered(pairs), tuple(sorted(problems, key=lambda one: (one.case, one.rater or ""))))


def _bids(predictions: Path, references: Path) -> Layout:
    """Pair files by their BIDS entities other than those that tell derivatives of one image apart."""
    predicted = _by_entities(files_in(predictions, deep=True))
    truths = _by_entities(files_in(references, deep=True, ending="_dseg"))
    found = match(predicted, truths, f"BIDS derivatives, references in {references.name}")
    pairs = tuple(
        replace(pair, group=pair.case.partition("_")[0]) if pair.case.startswith("sub-") else pair
        for pair in found.pairs
    )
    table = next(iter(sorted(references.glob("*dseg.tsv")) or sorted(references.rglob("*_dseg.tsv"))), None)
    return replace(found, pairs=pairs, declaration=read_label_table(table) if table else Declaration())


def _by_entities(files: Files) -> Files:
    return Files.merged(Files({entities(name): paths}, files.faults) for name, paths in files.names.items())
