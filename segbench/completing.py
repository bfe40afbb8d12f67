"""Scores that finished runs lack, added: for trainings from their dataset, for outside predictions from their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.config import RunConfig
from segbench.contracts import Dataset, Metric
from segbench.errors import DataInvalid, DataMissing
from segbench.host import Catalogue
from segbench.locks import locked
from segbench.params import to_json
from segbench.records import DIGESTS, RECORD, write_record
from segbench.results import SCORES
from segbench.runs import StoredRun, fault_of, known_of, open_run, predictions_folder, read_facts, relocated, variant_of
from segbench.scoring.journal import remove as remove_journal
from segbench.scoring.pipeline import Progress
from segbench.scoring.rows import Design
from segbench.scoring.stored import Remembered, Subject, decided, lacking, score_subject
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.scoring.stored import Known


@dataclass(frozen=True)
class Completed:
    """What was added to a run: its name, the metrics per decision, scores that failed, and why nothing could be done.

    ``skipped`` is a sentence where the run cannot be scored at all (an imported table), else "".
    """

    run_id: str
    folder: Path
    title: str
    added: tuple[str, ...] = ()
    failed: int = 0
    skipped: str = ""


def score(
    folder: Path,
    metrics: Sequence[Choice] = (),
    *,
    dataset: Mapping[str, Any] | None = None,
    datasets: dict[str, Dataset] | None = None,
    catalogue: Catalogue,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Completed:
    """Add what a finished run lacks of some metrics, for the label maps of every decision it has; nothing is trained.

    Args:
        folder: of the run.
        metrics: by their parameters; empty = all that are on by default.
        dataset: parameters of the dataset that say where it lies now, such as ``path``.
        datasets: those that are prepared already, if several runs are scored one after the other.
        catalogue: the parts on offer.
        jobs: processes that score.
        progress: told about cases.

    Raises:
        DataMissing: the run, its dataset or its files are not here.
        DataInvalid: they are not what they were.
        SegbenchError: see ``segbench.errors``; the run stays as it was.
    """
    run = open_run(folder, catalogue, datasets=datasets)
    run = replace(run, record=relocated(run.record, dataset))
    if run.record.get("source") == "imported":
        return Completed(run.run_id, folder, run.title, skipped="an imported table holds no label maps to score")
    if "config" not in run.record:
        return _scored_outside(run, metrics, catalogue, jobs, progress)
    with locked(folder):
        run = replace(run, record=relocated(read_facts(folder), dataset))
        return _scored_training(run, metrics, catalogue, jobs, progress)


def _wanted(metrics: Sequence[Choice], catalogue: Catalogue) -> list[Metric]:
    """Return metrics, constructed anew: what they learn is a run's own."""
    return [catalogue.metric(one) for one in metrics or map(Choice, catalogue.defaults("metrics"))]


def _scored_training(
    run: StoredRun, metrics: Sequence[Choice], catalogue: Catalogue, jobs: int, progress: Progress | None
) -> Completed:
    record: dict[str, Any] = dict(run.record)
    known: Known = known_of(record, run.folder)
    added: list[str] = []
    for decision, key in record.get("decisions", {"": ""}).items():
        wanted = _wanted(metrics, catalogue)
        if not lacking(known, decision, wanted, catalogue):
            continue
        subject = subject_of(run, decision, key)
        scoring = score_subject(subject, known, wanted, jobs=jobs, catalogue=catalogue, progress=progress)
        if scoring is None:
            continue
        known = scoring.known
        added += [f"{name} ({decision})" if decision else name for name in scoring.added]
        status = scoring.table.column("status").to_pylist()
        problems = [*record.get("problems", []), *map(to_json, scoring.problems)]
        record |= {"scores": known, "failed_scores": status.count("failed"), "problems": problems}
        record[DIGESTS] = {**record.get(DIGESTS, {}), SCORES: scoring.digest}
        write_record(run.folder / RECORD, record)
        remove_journal(run.folder)
    return Completed(run.run_id, run.folder, run.title, tuple(added), int(record.get("failed_scores", 0)))


def subject_of(run: StoredRun, decision: str = "", key: str = "") -> Subject:
    """Return the label maps of a finished training by one of its decisions, to be scored.

    Raises:
        DataMissing: the dataset, or a case, or the label maps are not here any more.
    """
    record, task = run.record, run.task
    config = record["config"]
    predictions = predictions_folder(run.folder, decision, key)
    if not predictions.is_dir():
        again = f"segbench predict {run.run_id}" + (f" --decision {decision}" if decision else "")
        raise DataMissing(f"{run.folder} keeps no label maps of decision {decision or 'its own'}. Make them: {again}")
    splits = record["splits"]
    remembered = run.datasets.setdefault(f"truths of {id(run.dataset)}", Remembered(run.dataset))
    design = Design(
        run.run_id,
        task.name,
        task.revision,
        config["method"]["name"],
        network=config["network"]["name"],
        arm=config["arm"],
        seed=config["seed"],
        fold=config["fold"],
        synthetic=task.synthetic,
        supervision=str(record.get("supervision", "")),
        variant=variant_of(record, run.folder),
        build=RunConfig.build(record.get("identity")),
        fault=fault_of(record),
    )
    return Subject(
        run.folder,
        predictions,
        decided(design, decision),
        task,
        remembered,
        run.refs(splits["test"]),
        run.refs(splits.get("pool", splits["train"])),
    )


def _scored_outside(
    run: StoredRun, metrics: Sequence[Choice], catalogue: Catalogue, jobs: int, progress: Progress | None
) -> Completed:
    """Evaluate the same files once more, with other metrics: they are the same run, unless they were changed."""
    from segbench.evaluation.folders import evaluate

    record = run.record
    if "again" not in record:
        raise DataMissing(f"{run.folder} does not say where its files lie. Evaluate them again with these metrics.")
    asked = dict(record["again"])
    like = asked.pop("like", None)
    result = evaluate(
        **asked,
        name=record["name"],
        dataset=record["dataset"],
        like=open_run(Path(like), catalogue) if like else None,
        metrics=list(metrics) or None,
        jobs=jobs,
        results=run.folder.parents[2],
        catalogue=catalogue,
        progress=progress,
    )
    if result.run_id != run.run_id:
        raise DataInvalid(
            f"The files behind {run.folder} have changed since: they are now run {result.run_id} of their own."
        )
    before = {name for known in record["scores"].values() for name in known}
    there = set(result.table.column("metric").unique().to_pylist())
    failed = result.table.column("status").to_pylist().count("failed")
    return Completed(run.run_id, run.folder, run.title, tuple(sorted(there - before)), failed)
