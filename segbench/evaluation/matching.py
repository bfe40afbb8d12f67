"""Files of predictions and of references brought together by their names; what does not fit is a named problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.evaluation.declarations import Declaration
from segbench.files.filenames import Files, bare, case_name
from segbench.scoring.pairs import CaseProblem, Pair


@dataclass(frozen=True)
class Layout:
    """Everything found out about two folders.

    Attributes:
        words: what was recognised, one sentence.
        pairs: sorted by case and rater.
        problems: sorted likewise.
        declaration: what the folders say about their labels.
    """

    words: str
    pairs: tuple[Pair, ...]
    problems: tuple[CaseProblem, ...]
    declaration: Declaration = field(default_factory=Declaration)


def match(predicted: Files, truths: Files, words: str) -> Layout:
    """Pair by exact name first, then by the name without a known suffix such as ``_pred`` or ``_seg``."""
    images = len(predicted.names) + len(truths.names)
    predicted, truths = predicted.without_images(), truths.without_images()
    images -= len(predicted.names) + len(truths.names)
    loose: dict[str, list[Path]] = {}
    for name, paths in predicted.names.items():
        if name not in truths.names:
            loose.setdefault(bare(name, channel=True), []).extend(paths)
    pairs: dict[str, Pair] = {}
    taken: set[Path] = set()
    for name, paths in truths.names.items():
        candidates = predicted.names.get(name) or loose.get(name) or loose.get(bare(name)) or []
        taken.update(candidates)
        fault = _fault(candidates, "prediction", predicted) or _fault(paths, "reference", truths)
        case = case_name(name if name in predicted.names else bare(name))
        if case in pairs:
            fault = f"two references are one case: {pairs[case].truth.name} and {paths[0].name}. Keep one."
        pairs[case] = Pair(case, case, paths[0], candidates[0] if candidates and not fault else None, fault)
    problems = [*missing_of(pairs.values()), *_renamed(truths.names, pairs.values())]
    problems += [CaseProblem(pair.case, "failed", pair.fault) for pair in pairs.values() if pair.fault]
    if images:
        problems.append(CaseProblem("", "note", f"{images} files were taken for images: a segmentation is beside them"))
    problems += [
        CaseProblem(path.name, "extra", "a prediction without a reference; not scored")
        for paths in predicted.names.values()
        for path in paths
        if path not in taken
    ]
    return Layout(words, ordered(pairs.values()), tuple(sorted(problems, key=lambda one: one.case)))


def _fault(paths: Sequence[Path], role: str, files: Files) -> str:
    if len(paths) > 1:
        names = ", ".join(f"{path.parent.name}/{path.name}" for path in paths)
        apart = role == "reference" and len({path.parent for path in paths}) > 1
        advice = "Keep one, or say --raters if each folder is one rater's" if apart else "Keep one"
        return f"{len(paths)} files claim to be its {role}: {names}. {advice}."
    return f"its {role} {paths[0].name} {files.faults[paths[0]]}" if paths and paths[0] in files.faults else ""


def _renamed(names: Mapping[str, object], pairs: Iterable[Pair]) -> list[CaseProblem]:
    known = set(names) | {bare(name) for name in names}
    return [
        CaseProblem(pair.case, "note", f"scored under this name because {pair.truth.name!r} is not safe as a name")
        for pair in pairs
        if pair.case not in known
    ]


def ordered(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return pairs sorted by case and rater."""
    return tuple(sorted(pairs, key=lambda pair: (pair.case, pair.rater or "")))


def missing_of(pairs: Iterable[Pair]) -> tuple[CaseProblem, ...]:
    """Return a problem for each case that was not predicted."""
    return tuple(
        CaseProblem(pair.case, "missing", f"no prediction for {pair.truth.name}", pair.rater)
        for pair in pairs
        if pair.predicted is None and not pair.fault
    )
