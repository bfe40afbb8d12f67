"""What a run's record may say: one schema, checked whenever a record is read, whoever wrote it.

Only what segbench itself uses of a record is described; everything else may stand beside it. A record without a part is
an older one, or that of predictions made elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from segbench.errors import DataInvalid

_Count = Annotated[int, Meta(ge=0)]
_Amount = Annotated[float, Meta(ge=0)]
_Name = Annotated[str, Meta(min_length=1)]


class _Choice(Struct):
    name: _Name
    parameters: dict[str, Any] = {}


class _Recipe(Struct):
    epochs: _Count


class _Config(Struct):
    dataset: _Choice | None = None
    network: _Choice | None = None
    method: _Choice | None = None
    unlabelled: _Choice | None = None
    metrics: list[_Choice | str] | None = None
    decision: list[_Choice | str] | None = None
    recipe: _Recipe | None = None
    recipe_name: str = ""
    arm: str = "method"
    seed: int = 0
    fold: int = 0
    folds: _Count = 0
    smoke: bool = False
    split: dict[str, list[str]] | None = None


class _Task(Struct):
    name: _Name
    revision: str
    labels: Annotated[list[str], Meta(min_length=1)]
    channels: list[str] = []
    regions: dict[str, list[int]] = {}
    synthetic: bool = False
    notes: list[str] = []


class _Training(Struct):
    epochs: _Count = 0
    steps: _Count = 0
    skipped_steps: _Count = 0
    best_epoch: int = -1
    stopped: str = ""
    fault: str = ""


class _Lender(Struct):
    dataset: _Name
    revision: str
    cases: list[str] = []
    synthetic: bool = False


class _Problem(Struct):
    case: str
    kind: str
    what: str
    rater: str | None = None
    metric: str = ""


class _Record(Struct):
    run_id: _Name
    source: str = ""
    status: str = ""
    name: str = ""
    dataset: str = ""
    dataset_revision: str = ""
    revision: str = ""
    variant: str = ""
    supervision: str = ""
    layout: str = ""
    config: _Config | None = None
    identity: dict[str, Any] | None = None
    local: dict[str, dict[str, Any]] | None = None
    task: _Task | None = None
    network: dict[str, Any] | str | None = None
    method: dict[str, Any] | str | None = None
    parameters: _Count | None = None
    splits: dict[str, list[str]] | None = None
    training: _Training | None = None
    unlabelled: _Lender | None = None
    structures: list[tuple[str, list[int]]] | None = None
    metrics: list[_Choice | str] | None = None
    ignore_label: int | None = None
    geometry: str = ""
    colours: dict[str, int] | None = None
    decisions: dict[str, str] | None = None
    scores: dict[str, dict[str, dict[str, str]]] | None = None
    failed_scores: _Count | None = None
    problems: list[_Problem] | None = None
    seconds: dict[str, _Amount] | _Amount | None = None
    peak_memory_bytes: _Count | None = None
    hardware: dict[str, str | float | bool | None] | None = None
    versions: dict[str, str | None] | None = None
    plugins: dict[str, str] | None = None
    git_commit: str | None = None
    verification: dict[str, list[str]] | None = None
    seeds: list[int] | None = None
    rows: _Count | None = None


def check_record(record: Mapping[str, Any], where: Path, advice: str) -> None:
    """Check what a run's record says.

    Args:
        record: as it was read.
        where: what it is called in messages.
        advice: what to do if it is none.

    Raises:
        DataInvalid: a part of it is not what segbench writes; says which.
    """
    try:
        msgspec.convert(record, _Record)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise DataInvalid(f"{where} is not as segbench writes it: {_in_words(error)}. {advice}") from error


def _in_words(error: Exception) -> str:
    """Return msgspec's message, its path first and in the words of the record: ``config.recipe: expected ...``."""
    what, at, path = str(error).partition(" - at `")
    return f"{path.rstrip('`').removeprefix('$.')}: {what[0].lower()}{what[1:]}" if at else what
