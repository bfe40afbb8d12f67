"""What only all cases together show: structures that no reference has, and how many voxels were left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segbench.errors import DataInvalid
from segbench.names import first_few
from segbench.scoring.cases import Outcome, Setting
from segbench.scoring.pairs import CaseProblem
from segbench.types import Structure


def in_all(outcomes: Sequence[Outcome], setting: Setting) -> tuple[list[Outcome], tuple[CaseProblem, ...]]:
    """Return the outcomes without scores of structures that no reference has, and what to say of all cases.

    Where both masks are empty an overlap is perfect: a structure that exists nowhere, as by a wrong label value, would
    be perfect in every case. Whether it is scored depends on the references alone, and so is the same for every method.

    Args:
        outcomes: of all cases.
        setting: what was asked for.

    Raises:
        DataInvalid: if no structure of a folder is left; a run has no rows then, and a problem for each.
    """
    read = [outcome for outcome in outcomes if outcome.values is not None]
    values = {value for outcome in read for value in outcome.values or ()}
    problems = []
    if left_out := sum(outcome.left_out for outcome in read):
        some = sum(outcome.left_out > 0 for outcome in read)
        why = "unknown in the dataset" if setting.ignore is None else f"ignore label {setting.ignore}"
        what = f"{left_out} voxels are left out ({why}) in {some} of {len(outcomes)} references"
        problems.append(CaseProblem("", "note", what))
    nowhere = [one for one in setting.task.structures if not values & set(setting.stored(one.values))] if read else []
    if not nowhere:
        return list(outcomes), tuple(problems)
    nothing_left = len(nowhere) == len(setting.task.structures)
    shown = f"their label values are {first_few(sorted(values), 12)}"
    if nothing_left and setting.dataset is None:  # else nobody named values
        wanted = ", ".join(_named(one, setting) for one in nowhere[:8])
        raise DataInvalid(
            f"None of the structures asked for ({wanted}) is in any of {len(read)} references; {shown}. "
            f"Correct --labels or the file that names them."
        )
    kept = [_without(outcome, {one.name for one in nowhere}) for outcome in outcomes]
    for one in nowhere:
        predicted = sum(_predicted(outcome, one.name) for outcome in outcomes)
        falsely = f", although {predicted} predictions have it" if predicted else ""
        what = f"{_named(one, setting)} is in none of {len(read)} references and is not scored{falsely}; {shown}"
        problems.append(CaseProblem("", "labels" if setting.asked or predicted or nothing_left else "note", what))
    return kept, tuple(problems)


def _named(structure: Structure, setting: Setting) -> str:
    return f"{structure.name} = {', '.join(map(str, setting.stored(structure.values)))}"


def _without(outcome: Outcome, names: set[str]) -> Outcome:
    return replace(outcome, scores=[score for score in outcome.scores if score[1] not in names])


def _predicted(outcome: Outcome, name: str) -> bool:
    return any(score[1] == name and score[4] == "truth_empty" for score in outcome.scores)
