"""Scores of a submission computed again from its predictions, in the way that its record says, and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from segbench.errors import DataInvalid, SegbenchError, UsageError
from segbench.params import changes, flattened
from segbench.results import RECORD
from segbench.scoring.geometry import Mode
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.contracts import Metric
    from segbench.host import Catalogue

TOLERANCE = 1e-9
_Key = tuple[str, str, str, str]
_Value = tuple[float | None, str, str]


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the submission says: where, what it says and what was found."""

    what: str
    case: str
    label: str
    metric: str
    reported: str
    found: str


@dataclass(frozen=True)
class Rescored:
    """What computing scores again gave: the metrics, what differs, and what a reader must know."""

    metrics: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Metric:
    name: str
    parameters: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Config:
    metrics: list[_Metric | str] | None = None


@dataclass(frozen=True)
class _Task:
    labels: list[str]
    regions: dict[str, list[int]] | None = None


@dataclass(frozen=True)
class HowScored:
    """The part of a record that says how its scores were computed; the record of a trained run has ``task``."""

    config: _Config = field(default_factory=_Config)
    task: _Task | None = None
    structures: list[tuple[str, list[int]]] | None = None
    metrics: list[_Metric | str] | None = None
    ignore_label: int | None = None
    geometry: Mode = "strict"
    colours: dict[str, int] = field(default_factory=dict)
    one_hot: bool = False

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Metric -> the parameters it was given."""
        chosen = self.config.metrics or self.metrics or []
        return {one.name: one.parameters or {} for one in chosen if isinstance(one, _Metric)}

    def scored(self) -> tuple[Mapping[str, int | str] | None, dict[str, tuple[int, ...]] | None]:
        """Return the labels and regions that were scored.

        Raises:
            UsageError: the record does not say.
        """
        if self.task is not None:
            regions = {name: tuple(members) for name, members in (self.task.regions or {}).items()}
            labels = {name: value for value, name in enumerate(self.task.labels) if value}
            return None if regions else labels, regions or None
        if self.structures is None:
            raise UsageError(
                "The submission does not say which label values were scored, so it cannot be scored again."
            )
        if self.colours:
            return self._by_colours(self.structures), None
        single = {name: values[0] for name, values in self.structures if len(values) == 1}
        several = {name: tuple(values) for name, values in self.structures if len(values) > 1}
        return single or None, several or None

    def _by_colours(self, structures: Sequence[tuple[str, list[int]]]) -> dict[str, str]:
        """Return name -> colour of what was scored, of background and of what was ignored."""
        values = {0: "background", **{values[0]: name for name, values in structures}}
        values |= {self.ignore_label: "ignore"} if self.ignore_label is not None else {}
        told = {values[value]: colour for colour, value in self.colours.items() if value in values}
        order = ["background", *(name for name, _ in structures), "ignore"]
        return {name: told[name] for name in order if name in told}


def how_scored(record: Mapping[str, Any], where: Path) -> HowScored:
    """Return how the scores of a record were computed; ``where`` names the record in the error.

    Raises:
        DataInvalid: it is none that segbench writes.
    """
    import msgspec

    try:
        return msgspec.convert(dict(record), HowScored)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise DataInvalid(
            f"{where}: {RECORD} is not as segbench writes it: {error}. Pack it again with `segbench submit`."
        ) from error


def rescore(
    table: pa.Table, how: HowScored, predictions: Path, references: Path, room: Path, catalogue: Catalogue, jobs: int
) -> Rescored:
    """Compute all scores again that can be computed here.

    Args:
        table: the scores as submitted.
        how: they were computed.
        predictions: folder of the label maps that the submission names, and of no others.
        references: folder of the references.
        room: where results may be written.
        catalogue: where metrics come from.
        jobs: processes.

    Raises:
        UsageError: the record does not say what was scored.
    """
    from segbench.evaluation.folders import evaluate

    metrics, notes = _metrics(sorted(set(table.column("metric").to_pylist())), how, catalogue)
    if not metrics:
        return Rescored((), (), tuple(notes))
    labels, regions = how.scored()
    result = evaluate(
        predictions,
        references,
        name="verify",
        dataset="verify",
        labels=labels,
        regions=regions,
        metrics=metrics,
        ignore_label=None if how.colours else how.ignore_label,
        one_hot=how.one_hot,
        geometry=how.geometry,
        jobs=jobs,
        results=room / "results",
        catalogue=catalogue,
    )
    done = tuple(metric.name for metric in metrics)
    return Rescored(done, tuple(_value_differences(table, result.table, set(done))), tuple(notes))


def _metrics(named: Sequence[str], how: HowScored, catalogue: Catalogue) -> tuple[list[Metric], list[str]]:
    """Return the metrics that can be computed here, with the run's parameters; and notes on these and on the others."""
    metrics, notes = [], []
    for name in named:
        try:
            metric = catalogue.metric(Choice(name, how.parameters.get(name, {})))
        except SegbenchError as error:
            notes.append(f"{name} stays self-reported: {error}")
            continue
        gone = [value for value in vars(metric).values() if isinstance(value, Path) and not value.is_file()]
        if gone:
            notes.append(f"{name} stays self-reported: it was computed with a file that is not here, {gone[0]}.")
        elif metric.learns:
            notes.append(f"{name} stays self-reported: it must see training truths.")
        else:
            metrics.append(metric)
            changed = flattened(changes(metric)[0])
            if changed:
                words = ", ".join(f"{key} = {value}" for key, value in changed.items())
                notes.append(f"{name} was not computed with its default parameters but with {words}.")
    return metrics, notes


def _value_differences(reported: pa.Table, found: pa.Table, metrics: set[str]) -> list[Difference]:
    """Compare two tables of scores, value by value and status by status, to ``TOLERANCE``."""
    ours, theirs = _by_key(found, metrics), _by_key(reported, metrics)
    differences = []
    for key in sorted(ours.keys() | theirs.keys()):
        said, seen = theirs.get(key), ours.get(key)
        if said is None or seen is None or not _equal(said, seen):
            case, rater, label, metric = key
            shown = case + (f" ({rater})" if rater else "")
            differences.append(Difference("value", shown, label, metric, _shown(said), _shown(seen)))
    return differences


def _by_key(table: pa.Table, metrics: set[str]) -> dict[_Key, _Value]:
    names = ["case_id", "rater", "label_name", "metric", "value", "status", "metric_version"]
    rows = zip(*table.select(names).to_pydict().values(), strict=True)
    return {
        (case, rater or "", label, metric): (value, status, version)
        for case, rater, label, metric, value, status, version in rows
        if metric in metrics
    }


def _equal(first: _Value, second: _Value) -> bool:
    (a, *rest), (b, *others) = first, second
    if rest != others:
        return False
    if a is None or b is None:
        return a is b
    return a == b or math.isclose(a, b, rel_tol=0.0, abs_tol=TOLERANCE)


def _shown(one: _Value | None) -> str:
    if one is None:
        return "nothing"
    value, status, version = one
    return f"{'-' if value is None else f'{value:.12g}'} ({status}, version {version})"
