"""Cases with one file per structure (TotalSegmentator, SegRap), paired structure by structure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segbench.errors import DataMissing
from segbench.evaluation.declarations import Declaration
from segbench.evaluation.matching import Layout, missing_of, ordered
from segbench.evaluation.shelves import Shelf
from segbench.files.filenames import bare, case_name
from segbench.names import first_few
from segbench.scoring.pairs import CaseProblem, Pair

Layers = Mapping[str, Path]


def match_layers(predicted: Shelf, truths: Shelf, words: str) -> Layout:
    """Pair cases of which one side or both have one file per structure.

    The structures of the references are numbered by name; label maps on the other side need those numbers by
    ``--labels NAME=VALUE``.

    Raises:
        DataMissing: if both sides have such files, but no structure in common.
    """
    names = truths.structures or predicted.structures
    if truths.layers and predicted.layers and not set(names) & set(predicted.structures):
        raise DataMissing(
            f"predictions: expected a file per structure as the references have ({first_few(names)}), found "
            f"{first_few(predicted.structures)}. Name the files alike."
        )
    guesses = {bare(name): name for name in (predicted.layers or predicted.files.names)}
    problems: list[CaseProblem] = []
    pairs, taken = [], set[str]()
    for name in sorted(truths.layers or truths.files.names):
        other = name if name in (predicted.layers or predicted.files.names) else guesses.get(bare(name), "")
        taken.add(other)
        pairs.append(_pair(name, other, truths, predicted, problems))
    spare = sorted(set(predicted.layers or predicted.files.names) - taken)
    problems += [CaseProblem(name, "extra", "a prediction without a reference; not scored") for name in spare]
    if more := sorted(set(predicted.structures) - set(names)):
        what = f"{len(more)} structures were predicted that no reference has; not scored: {first_few(more)}"
        problems.append(CaseProblem("", "note", what))
    if left := truths.images + predicted.images:
        problems.append(CaseProblem("", "note", f"{left} files beside structures were taken for images and left out"))
    problems += missing_of(pairs)
    said = dict.fromkeys(shelf.words for shelf in (truths, predicted) if shelf.words)
    declaration = Declaration("", None, {name: (value,) for value, name in enumerate(names, 1)})
    ordered_problems = tuple(sorted(problems, key=lambda one: one.case))
    return Layout(", ".join([words, *said]), ordered(pairs), ordered_problems, declaration)


def _pair(name: str, other: str, truths: Shelf, predicted: Shelf, problems: list[CaseProblem]) -> Pair:
    case = case_name(bare(name))
    truth, truth_layers, fault = _side(name, truths, "reference")
    found, found_layers, fault_there = _side(other, predicted, "prediction") if other else (None, {}, "")
    fault = fault or fault_there
    if fault:
        problems.append(CaseProblem(case, "failed", fault))
    for structure in sorted(set(truths.structures) - set(truth_layers)) if truth_layers else ():
        what = f"the reference has no file for {structure}; it counts as empty there"
        problems.append(CaseProblem(case, "labels", what))
    lacking = sorted(set(truth_layers) - set(found_layers)) if truth_layers and found_layers else []
    if lacking:
        problems.append(CaseProblem(case, "missing", f"no prediction of {first_few(lacking)}; they count as missed"))
    return Pair(
        case,
        case,
        truth or Path(name),
        None if fault else found,
        fault,
        truth_layers=tuple(sorted(truth_layers.items())),
        predicted_layers=tuple(sorted(found_layers.items())),
    )


def _side(name: str, shelf: Shelf, role: str) -> tuple[Path | None, Layers, str]:
    """Return the file or the folder of a case, its layers, and why it cannot be used."""
    if shelf.layers:
        layers = shelf.layers[name]
        return next(iter(layers.values())).parent, layers, ""
    paths = shelf.files.names[name]
    if len(paths) > 1:
        return None, {}, f"{len(paths)} files claim to be its {role}: {first_few(path.name for path in paths)}."
    fault = shelf.files.faults.get(paths[0], "")
    return paths[0], {}, f"its {role} {paths[0].name} {fault}" if fault else ""
