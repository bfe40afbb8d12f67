"""Which of the cases found are scored: those named, or those of a split list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segbench.errors import DataMissing, UsageError, did_you_mean
from segbench.evaluation.matching import Layout
from segbench.files.splits import SplitList, read_splits
from segbench.names import first_few
from segbench.scoring.pairs import CaseProblem


@dataclass(frozen=True)
class Selection:
    """Cases to score.

    Attributes:
        cases: those named or listed; None = all that are found.
        words: what lists them, for messages and the sentence on the layout.
        splits: nnU-Net's list of folds, if there is one; ``cases`` is None if the results of several are gone by it.
    """

    cases: tuple[str, ...] | None = None
    words: str = ""
    splits: SplitList | None = None


def parse_cases(text: str) -> list[str]:
    """Return what ``--cases`` names: cases separated by commas, or the lines of a file.

    Raises:
        UsageError: if it names none, or the file cannot be read.
    """
    path = Path(text).expanduser()
    try:
        found = path.read_text(encoding="utf-8-sig").replace(",", "\n") if path.is_file() else text.replace(",", "\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"--cases {text}: expected a text file of one case a line, found: {error}.") from error
    names = [line.strip() for line in found.splitlines() if line.strip()]
    if not names:
        raise UsageError(f"--cases {text!r}: expected cases such as a,b,c or a file of one case a line, found none.")
    return names


def selection_of(
    cases: Sequence[str] | None, split: str | Path | Mapping[str, Any] | Sequence[Any] | None, fold: int | None
) -> Selection:
    """Return which cases are asked for.

    Args:
        cases: names; go before ``split``.
        split: a run's ``{"train": ids, "val": ids, "test": ids}`` (its test cases are meant; without any, val), or
            nnU-Net's list of folds ``{"train": ids, "val": ids}`` (the val cases of ``fold``), or a file of one of it.
        fold: of a list of folds; None = each that the predictions hold.

    Raises:
        UsageError: if both are given, the split is neither, or lists no case.
        DataInvalid: if the file cannot be read.
    """
    if cases is not None and split is not None:
        raise UsageError("--cases and --split both say which cases are scored. Give one of them.")
    if cases is not None:
        return Selection(_once(cases), "--cases")
    if split is None:
        return Selection()
    listed = read_splits(split)
    if not listed.folds:
        role = next((one for one in ("test", "val") if listed.roles.get(one)), "test")
        return Selection(_once(listed.cases(role)), f"the {role} cases of {listed.where}")
    if fold is None:
        return Selection(None, listed.where, listed)
    return Selection(_once(listed.cases("val", fold)), f"the val cases of fold {fold} of {listed.where}", listed)


def _once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def selected(found: Layout, selection: Selection) -> Layout:
    """Return the layout with just the cases asked for.

    Raises:
        UsageError: if several folds are listed and neither ``--fold`` nor the predictions' folder says which is meant.
        DataMissing: if a case asked for has no reference.
    """
    if selection.cases is None:
        if selection.splits is not None and not any(pair.fold is not None for pair in found.pairs):
            raise UsageError(f"{selection.words} lists {len(selection.splits.folds)} folds: say which with --fold.")
        return found
    wanted, there = set(selection.cases), {pair.case for pair in found.pairs}
    if lacking := [case for case in selection.cases if case not in there]:
        raise DataMissing(
            f"{selection.words}: expected a reference for each case, found none for {len(lacking)} of {len(wanted)}: "
            f"{first_few(lacking)}. {did_you_mean(lacking[0], there)}"
        )
    pairs = tuple(pair for pair in found.pairs if pair.case in wanted)
    problems = [one for one in found.problems if one.case not in there or one.case in wanted]
    problems = [one for one in problems if one.kind != "extra"]
    if others := sorted(there - wanted):
        what = f"{len(others)} references of other cases are left out: {first_few(others)}"
        problems.append(CaseProblem("", "note", what))
    words = f"{found.words}; {selection.words}: {len(wanted)} of {len(there)} cases"
    return replace(found, words=words, pairs=pairs, problems=tuple(problems))
