"""Files of predictions and of references brought together by their names; what does not fit is a named problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segbench.errors import DataInvalid
from segbench.evaluation.declarations import Declaration
from segbench.files.filenames import Files, bare, case_name
from segbench.scoring.pairs import CaseProblem, Pair

_ROLE = re.compile(
    r"(?:img|image|label|labels|seg|segmentation|mask|pred|prediction|gt|truth|case|volume|patient)[._-]?(\d+)",
    re.IGNORECASE,
)
"""A name that says its role and a number: BTCV's ``img0007`` and ``label0007``, KiTS' ``prediction_00007``."""


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
    """Pair by exact name, else without a suffix such as ``_pred`` or ``_0000``, else by number (``img7``, ``label7``).

    Raises:
        DataInvalid: if the references are named as the channels of images.
    """
    images = len(predicted.names) + len(truths.names)
    predicted, truths = predicted.without_images(), truths.without_images()
    images -= len(predicted.names) + len(truths.names)
    _refuse_channels(truths)
    loose: dict[str, list[Path]] = {}
    for name, paths in predicted.names.items():
        if name not in truths.names:
            loose.setdefault(bare(name, channel=True), []).extend(paths)
    numbered, by_number = _by_number(truths, predicted), list[tuple[Path, Path]]()
    pairs: dict[str, Pair] = {}
    taken: set[Path] = set()
    for name, paths in truths.names.items():
        short = bare(name, channel=True)
        candidates = predicted.names.get(name) or loose.get(name) or loose.get(bare(name)) or loose.get(short) or []
        candidates = candidates or predicted.names.get(short) or []
        if not candidates and name in numbered:
            candidates = numbered[name]
            by_number.append((paths[0], candidates[0]))
        taken.update(candidates)
        fault = _fault(candidates, "prediction", predicted) or _fault(paths, "reference", truths)
        case = case_name(name if name in predicted.names else short)
        if case in pairs:
            fault = f"two references are one case: {pairs[case].truth.name} and {paths[0].name}. Keep one."
        pairs[case] = Pair(case, case, paths[0], candidates[0] if candidates and not fault else None, fault)
    problems = [*missing_of(pairs.values()), *_renamed(truths.names, pairs.values())]
    problems += [CaseProblem(pair.case, "failed", pair.fault) for pair in pairs.values() if pair.fault]
    if by_number:
        truth, found = by_number[0]
        what = f"{len(by_number)} cases are paired by their number, such as {truth.name} with {found.name}"
        problems.append(CaseProblem("", "note", what))
    if images:
        problems.append(CaseProblem("", "note", f"{images} files were taken for images: a segmentation is beside them"))
    problems += [
        CaseProblem(path.name, "extra", "a prediction without a reference; not scored")
        for paths in predicted.names.values()
        for path in paths
        if path not in taken
    ]
    return Layout(words, ordered(pairs.values()), tuple(sorted(problems, key=lambda one: one.case)))


def _refuse_channels(truths: Files) -> None:
    """Refuse references ``X_0000``, ``X_0001``: what nnU-Net calls the channels of images."""
    cores = {name[:-5] for name in truths.names if re.search(r"_0000$", name)}
    if second := sorted(core for core in cores if f"{core}_0001" in truths.names):
        raise DataInvalid(
            f"references: expected label maps, found {second[0]}_0000 and {second[0]}_0001, which is how nnU-Net names "
            f"the channels of an image. Name the folder of the label maps (labelsTr, say)."
        )


def _by_number(truths: Files, predicted: Files) -> dict[str, list[Path]]:
    """Return reference -> predictions where names differ in their role alone: ``label0007`` and ``img0007``."""
    numbers = [_numbers(files) for files in (truths, predicted)]
    if any(len(one) != len(files.names) for one, files in zip(numbers, (truths, predicted), strict=True)):
        return {}
    return {name: predicted.names[numbers[1][key]] for key, name in numbers[0].items() if key in numbers[1]}


def _numbers(files: Files) -> dict[str, str]:
    """Return the number of each name without its role; names without one, or with that of another, are left out."""
    found: dict[str, str] = {}
    for name in files.names:
        match_ = _ROLE.fullmatch(bare(name, channel=True))
        if match_ and match_[1] not in found:
            found[match_[1]] = name
    return found


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
