"""A reference with the prediction made for it, and what a reader must know of such a case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segbench.types import CaseRef

ProblemKind = Literal["missing", "failed", "extra", "labels", "truth", "note"]


@dataclass(frozen=True)
class CaseProblem:
    """Something about one case that a reader must know.

    Attributes:
        case: the case, or "" if it concerns all.
        kind: "missing" or "failed" (its scores say so too), "extra": a prediction nobody asked for, "labels": values
            the task does not know, "truth": another truth or metric than that of the run it shall stand beside,
            "note": done or overlooked on request.
        what: the matter in words.
        rater: whose reference, where there are several.
        metric: that failed, where it is not the whole case.
    """

    case: str
    kind: ProblemKind
    what: str
    rater: str | None = None
    metric: str = ""

    @property
    def grave(self) -> bool:
        """Whether the evaluation is less than complete because of it."""
        return self.kind != "note"


@dataclass(frozen=True)
class Pair:
    """One reference and the prediction made for it.

    Attributes:
        case: safe as a name, unique per rater.
        group: the patient, as far as the names tell.
        truth: the reference file; with ``ref`` merely its name.
        predicted: the prediction file, or None.
        fault: why the pair cannot be scored although files exist; "" if it can.
        rater: who drew the reference, where there are several.
        ref: the case of ``Setting.dataset`` whose truth is the reference, if it is no file.
        probabilities: the archive that a decision makes the prediction of; the file ``predicted`` beside it, if it is
            another one, says the grid.
        truth_layers, predicted_layers: structure and file, where each structure has a file of its own; ``truth`` and
            ``predicted`` are then the folder of these.
        fold: to which the prediction belongs, where its folder says so; None = that of the whole evaluation.
    """

    case: str
    group: str
    truth: Path
    predicted: Path | None
    fault: str = ""
    rater: str | None = None
    ref: CaseRef | None = None
    fold: int | None = None
    probabilities: Path | None = None
    truth_layers: tuple[tuple[str, Path], ...] = ()
    predicted_layers: tuple[tuple[str, Path], ...] = ()
