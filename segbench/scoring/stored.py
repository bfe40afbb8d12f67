"""The scores a run has and those it lacks: metrics are added to a run, and no training is repeated for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.contracts import Dataset
from segbench.errors import DataInvalid
from segbench.host import Catalogue
from segbench.params import fingerprint
from segbench.results import SCORES, read_scores, write_scores
from segbench.scoring.cases import Outcome, Setting
from segbench.scoring.metrics import prepare_metrics, version_of
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.scoring.pipeline import Progress, score_pairs
from segbench.scoring.rows import Design, rows_of
from segbench.scoring.totals import in_all
from segbench.types import CaseRef, LabelMap, Task

if TYPE_CHECKING:
    import pyarrow as pa

    from segbench.contracts import Metric

Known = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Part ``scores`` of a record: decision -> metric -> what was asked, the version its rows carry, its edited code."""


@dataclass(frozen=True)
class Scoring:
    """A run's scores brought up to date.

    Attributes:
        table: all rows of the run.
        known: part ``scores`` of the record.
        added: metrics that were computed now.
        problems: everything about single cases that a reader must know.
        passing: whether the same command may succeed better another time.
        outcomes: of the pairs, by the metrics that were computed now.
        digest: of ``scores.parquet``, for the record.
    """

    table: pa.Table
    known: Known
    added: tuple[str, ...]
    problems: tuple[CaseProblem, ...] = ()
    passing: bool = False
    outcomes: Sequence[Outcome] = ()
    digest: str = ""


def lacking(
    known: Known, decision: str, metrics: Sequence[Metric], catalogue: Catalogue, lesson: str = ""
) -> list[Metric]:
    """Return the metrics of which a run has no scores, or scores by another version, prior or edited code.

    Args:
        known: part ``scores`` of the run's record.
        decision: whose label maps are scored, "" = the default one's.
        metrics: wanted, not prepared.
        catalogue: to see whether the code of a metric has been edited.
        lesson: names what a metric that learns would learn from, where the run does not fix that.
    """
    there, asked = known.get(decision, {}), stamps_of(metrics, catalogue, lesson)
    return [metric for metric in metrics if asked[metric.name] != _without_version(there.get(metric.name))]


def _stamp(metric: Metric, catalogue: Catalogue, lesson: str) -> dict[str, str]:
    offered = metric.name in catalogue.entries["metrics"]
    stamp = {"asked": version_of(metric), "code": catalogue.code("metrics", metric.name) if offered else ""}
    return stamp | ({"lesson": lesson} if lesson and metric.learns else {})


def _without_version(entry: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (entry or {}).items() if key != "version"}


def stamps_of(metrics: Sequence[Metric], catalogue: Catalogue, lesson: str = "") -> dict[str, dict[str, str]]:
    """Return what is asked of metrics that are not prepared yet, for ``add_scores``; arguments as for ``lacking``."""
    return {metric.name: _stamp(metric, catalogue, lesson) for metric in metrics}


@dataclass(frozen=True)
class Subject:
    """Predictions of one training by one decision: whatever scoring needs of them.

    Attributes:
        folder: of the run.
        predictions: folder of the label maps.
        design: of the rows, the decision's included.
        task, dataset: what was segmented; the dataset is prepared.
        test: the predicted cases.
        pool: all training cases of the split, from whose truths metrics learn.
    """

    folder: Path
    predictions: Path
    design: Design
    task: Task
    dataset: Dataset
    test: Sequence[CaseRef]
    pool: Sequence[CaseRef]

    def pairs(self) -> list[Pair]:
        """Return the test cases with the files of their predictions."""
        files = {ref: self.predictions / f"{ref.id}.nii.gz" for ref in self.test}
        return [
            Pair(ref.id, ref.group, Path(ref.id), file if file.is_file() else None, ref=ref)
            for ref, file in files.items()
        ]

    def truths(self) -> Iterator[LabelMap]:
        """Yield the truths of the pool on their own grids.

        Raises:
            DataInvalid: a training case has no truth.
        """
        for ref in self.pool:
            truth = self.dataset.load_truth(ref)
            if truth is None:
                raise DataInvalid(f"Dataset {self.task.name}: training case {ref.id} has no truth.")
            yield truth


class Remembered(Dataset):
    """A dataset that keeps the truths it was asked for, up to ``BYTES``: runs that share it are scored quicker.

    What is derived from a truth (surfaces, say) is kept with it. Other processes get the dataset without.
    """

    BYTES = 1 << 28

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.kept, self.size = dataset, dict[CaseRef, LabelMap | None](), 0

    def load_truth(self, ref: CaseRef) -> LabelMap | None:
        """Return a truth, kept or read."""
        if ref in self.kept:
            return self.kept[ref]
        truth = self.dataset.load_truth(ref)
        size = 0 if truth is None else truth.array.nbytes
        if self.size + size <= self.BYTES:
            self.kept[ref], self.size = truth, self.size + size
        return truth

    def __getstate__(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "kept": {}, "size": 0}


def score_subject(
    subject: Subject,
    known: Known,
    metrics: Sequence[Metric],
    *,
    jobs: int,
    catalogue: Catalogue,
    progress: Progress | None = None,
) -> Scoring | None:
    """Score what a training's predictions lack; None if they lack nothing.

    Args:
        subject: the predictions.
        known: part ``scores`` of the run's record.
        metrics: wanted, not prepared.
        jobs, catalogue, progress: see ``score_pairs``.

    Raises:
        PluginError: a metric failed while it was prepared.
    """
    todo = lacking(known, subject.design.decision, metrics, catalogue)
    if not todo:
        return None
    stamps = stamps_of(todo, catalogue)
    offered = catalogue.entries["metrics"]
    origins = {metric.name: offered[metric.name].origin for metric in todo if metric.name in offered}
    prepare_metrics(todo, subject.task, subject.truths, origins)
    values = frozenset(range(len(subject.task.labels)))
    setting = Setting(subject.task, tuple(todo), "tolerant", None, values, False, subject.dataset)
    arguments = (subject.folder, known, subject.design, subject.pairs(), setting, stamps)
    return add_scores(*arguments, jobs=jobs, catalogue=catalogue, progress=progress)


def add_scores(
    folder: Path,
    known: Known,
    design: Design,
    pairs: Sequence[Pair],
    setting: Setting,
    stamps: Mapping[str, Mapping[str, str]],
    *,
    jobs: int,
    catalogue: Catalogue,
    progress: Progress | None = None,
) -> Scoring:
    """Score pairs by the metrics of a setting and put the rows in place of what the run had of these metrics.

    ``scores.parquet`` is replaced whole; the caller then writes the record, and removes the journal.

    Args:
        folder: of the run.
        known: part ``scores`` of its record; {} for a new run.
        design: of the rows.
        pairs, setting: what is scored; the metrics are prepared.
        stamps: of the metrics, from before they were prepared (``stamps_of``).
        jobs, catalogue, progress: see ``score_pairs``.
    """
    key = fingerprint([design.decision, {name: dict(stamp) for name, stamp in stamps.items()}])[:12]
    outcomes = score_pairs(pairs, setting, folder, key, jobs=jobs, catalogue=catalogue, progress=progress)
    outcomes, of_all = in_all(outcomes, setting)
    names = tuple(metric.name for metric in setting.metrics)
    rows = rows_of(design, pairs, outcomes, setting.metrics)
    table = _merged(folder / SCORES, rows, design.decision, names) if known else rows
    digest = write_scores(folder, table)
    passing = any(outcome.passing for outcome in outcomes)
    entries = {metric.name: {**stamps[metric.name], "version": version_of(metric)} for metric in setting.metrics}
    mine = {**known.get(design.decision, {}), **entries}
    problems = (*of_all, *_problems(outcomes))
    return Scoring(table, {**known, design.decision: mine}, names, problems, passing, outcomes, digest)


def _problems(outcomes: Sequence[Outcome]) -> tuple[CaseProblem, ...]:
    return tuple(problem for outcome in outcomes for problem in outcome.problems)


def _merged(file: Path, rows: pa.Table, decision: str, metrics: Sequence[str]) -> pa.Table:
    """Return a file's rows, those of a decision by some metrics replaced."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not file.is_file():
        return rows
    old = read_scores(file)
    same = pc.and_(
        pc.equal(old.column("decision").cast(pa.string()), decision),
        pc.is_in(old.column("metric").cast(pa.string()), value_set=pa.array(list(metrics), pa.string())),
    )
    return pa.concat_tables([old.filter(pc.invert(same)), rows]).unify_dictionaries()


def decided(design: Design, text: str) -> Design:
    """Return the design of label maps that another decision made; what a decision changes is part of the variant."""
    word = f"decision={text}" if text else ""
    return replace(design, decision=text, variant=" ".join(part for part in (design.variant, word) if part))
