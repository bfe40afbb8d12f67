"""Score predictions made anywhere against references: find pairs, score them in parallel, write one run.

The run's identity is a hash of the request and of the bytes of every file, so an evaluation of the same files is a
no-op, an interrupted one goes on where it was, and changed predictions are another run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segbench.contracts import FinishedRun, Metric
from segbench.errors import UsageError
from segbench.evaluation.asked import Arm, Asked, OnMissing, Supervision
from segbench.evaluation.finished import EvaluationResult as EvaluationResult
from segbench.evaluation.finished import Finished, finished, of_metrics, remember, write
from segbench.evaluation.identity import described
from segbench.evaluation.inquiry import Inquiry, inquire
from segbench.evaluation.labelling import Labels
from segbench.evaluation.layouts import Kind
from segbench.evaluation.likeness import departures
from segbench.evaluation.measured import Measured, measured
from segbench.evaluation.reopening import CLASSES, FILES, files_of
from segbench.host import Catalogue, load_catalogue
from segbench.records import DIGESTS
from segbench.results import SCORES, run_folder
from segbench.scoring.geometry import Mode
from segbench.scoring.metrics import prepare_metrics
from segbench.scoring.pipeline import Progress
from segbench.scoring.references import forget
from segbench.scoring.rows import Design
from segbench.scoring.stored import Scoring, add_scores, decided, lacking, stamps_of
from segbench.types import Choice


def evaluate(
    predictions: str | Path,
    references: str | Path | None = None,
    *,
    name: str,
    dataset: str | None = None,
    like: FinishedRun | None = None,
    labels: Labels | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
    ignore_label: int | None = None,
    metrics: Sequence[str | Choice | Metric] | None = None,
    on_missing: OnMissing = "worst",
    geometry: Mode = "strict",
    layout: Kind = "auto",
    decision: Sequence[Choice | Mapping[str, Any]] | None = None,
    one_hot: bool = False,
    cases: Sequence[str] | None = None,
    split: str | Path | Mapping[str, Any] | Sequence[Any] | None = None,
    network: str = "",
    arm: Arm = "method",
    seed: int = 0,
    fold: int | None = None,
    supervision: Supervision = "",
    images: str | Path | None = None,
    jobs: int = 1,
    results: str | Path = "results",
    catalogue: Catalogue | None = None,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Score predictions against references and write the scores as a run of source "external".

    Args:
        predictions, references: folders (see ``segbench.evaluation.layouts``) or one file each. If ``like`` was
            trained here, its dataset's truths are the references where none are named.
        name: what the leaderboard calls the method.
        dataset: what the leaderboard calls the data.
        like: a finished run beside which the predictions shall stand: its dataset's name, cases with their patients,
            structures, metrics with their parameters, ignore label and training truths count where nothing else is
            asked for; where its truths or metrics turn out to be others, that is a problem.
        labels: values, declared names, or name -> value, values or colour (``#ff0000``; ``ignore`` and ``background``
            may be among them); by default what ``dataset.json`` or a BIDS table declares, else every value found in
            the references, with the names that they or a table of FreeSurfer or ITK-SNAP beside them give.
        regions: name -> values scored as one structure.
        ignore_label: value in the references of voxels that do not count; by default what ``dataset.json`` declares.
        metrics: names, choices with parameters, or metrics; by default all that are on by default.
        on_missing: "worst" writes rows of status "missing", "skip" leaves the case out, "fail" scores nothing.
        geometry: "strict", "tolerant", "voxels" or "resample"; see ``segbench.scoring.geometry``.
        layout: "auto", or one of ``segbench.evaluation.layouts.Kind``.
        one_hot: whether files may hold one binary volume per label (four axes).
        decision: a chain of decisions that makes the label maps from nnU-Net's probabilities (``.npz`` beside or
            instead of the predictions), or refines the label maps; () = the default one; None = they are as they are.
        cases: those that are scored; by default those of ``like``, else all that have a reference.
        split: a split list instead, or a file of it: a run's ``{"train", "val", "test"}``, of which the test cases are
            scored, or nnU-Net's list of folds, of which the val cases of ``fold``.
        network, arm, seed, fold, supervision: of the training behind the predictions, so that they stand beside
            trained runs; ``arm`` is "method", "control" or "placebo", ``supervision`` "masks", "descriptors", "semi",
            "none" or "" if it is not known. Of nnU-Net's results ``fold`` takes the one; without it each row carries
            the fold of its folder.
        images: folder of images behind the references, ``CASE.*`` or ``CASE_0000.*``; pictures of the cases show them,
            nothing else depends on them.
        jobs: number of processes; each holds one case in memory.
        results: root of the results folder.
        catalogue: where metrics come from; by default everything installed.
        progress: see ``Progress``.

    Raises:
        UsageError: if the request makes no sense.
        DataMissing: if there is nothing to score, or a prediction is missing and ``on_missing`` is "fail".
        DataInvalid: if the references as a whole cannot be used.
    """
    begun = time.monotonic()
    if jobs < 1:
        raise UsageError(f"jobs {jobs}: expected at least 1.")
    asked = Asked(
        Path(predictions).expanduser(),
        None if references is None else Path(references).expanduser(),
        name=name,
        dataset=dataset,
        like=like,
        labels=labels,
        regions=regions,
        ignore_label=ignore_label,
        metrics=metrics,
        on_missing=on_missing,
        geometry=geometry,
        layout=layout,
        decision=None
        if decision is None
        else tuple(one if isinstance(one, Choice) else Choice(**one) for one in decision),
        one_hot=one_hot,
        cases=cases,
        split=split,
        network=network,
        arm=arm,
        seed=seed,
        fold=fold,
        supervision=supervision,
        images=None if images is None else Path(images).expanduser(),
    )
    catalogue = load_catalogue() if catalogue is None else catalogue
    inquiry = inquire(asked, catalogue, jobs)
    folder = run_folder(Path(results).expanduser(), inquiry.dataset, name, inquiry.run_id)
    known = finished(folder, inquiry.dataset, inquiry.found)
    todo = lacking(known.scores if known else {}, inquiry.decided_by, inquiry.metrics, catalogue, inquiry.lesson)
    if known and not todo:
        if images is not None:
            remember(folder, again=asked.again())
        table = of_metrics(known.result.table, inquiry.metrics)
        return replace(known.result, table=table, seconds=time.monotonic() - begun)
    what = measured(inquiry, todo, jobs)
    scored = _scored(inquiry, what, todo, known, folder, catalogue, jobs, progress)
    problems = (*(known.result.problems if known else inquiry.found.problems), *scored.problems)
    if inquiry.template:
        problems += tuple(departures(inquiry.template, inquiry.found.pairs, scored.outcomes, todo))
    result = EvaluationResult(
        inquiry.run_id,
        folder,
        of_metrics(scored.table, inquiry.metrics),
        tuple(dict.fromkeys(problems)),
        what.setting.task,
        inquiry.found.words,
        len(inquiry.found.pairs),
        False,
        time.monotonic() - begun,
    )
    write(result, _record(inquiry, what, scored, known), retry=scored.passing, catalogue=catalogue)
    return result


def _scored(
    inquiry: Inquiry,
    what: Measured,
    todo: Sequence[Metric],
    known: Finished | None,
    folder: Path,
    catalogue: Catalogue,
    jobs: int,
    progress: Progress | None,
) -> Scoring:
    """Compute the scores that are lacking."""
    task = what.setting.task
    stamps = stamps_of(todo, catalogue, inquiry.lesson)
    prepare_metrics(todo, task, inquiry.template.lessons if inquiry.template else lambda: iter(()), {})
    design = Design(
        inquiry.run_id,
        inquiry.dataset,
        inquiry.revision,
        inquiry.asked.name,
        source="external",
        synthetic=task.synthetic,
        **inquiry.asked.said,
    )
    design = decided(design, inquiry.chain.text) if inquiry.chain else design
    before = known.scores if known else {}
    try:
        return add_scores(
            *(folder, before, design, inquiry.found.pairs, what.setting, stamps),
            jobs=jobs,
            catalogue=catalogue,
            progress=progress,
        )
    finally:
        forget()


def _record(inquiry: Inquiry, what: Measured, scored: Scoring, known: Finished | None) -> dict[str, Any]:
    """Return what is written of an evaluation beside its result."""
    asked = inquiry.asked
    folds = sorted({asked.fold or 0 if pair.fold is None else pair.fold for pair in inquiry.found.pairs})
    described_now = [described(metric) for metric in inquiry.metrics]
    record = {
        **inquiry.request,
        **{"network": asked.network, "arm": asked.arm, "seed": asked.seed, "supervision": asked.supervision},
        "fold": folds[0] if len(folds) == 1 else folds,
        "structures": list(what.structures.items()),
        "layout": inquiry.found.words,
        "scores": scored.known,
        "again": asked.again(),
        FILES: files_of(inquiry.found.pairs),
        DIGESTS: {SCORES: scored.digest},
        "metrics": _listed(known.metrics if known else [], described_now),
    }
    deciding = what.setting.deciding
    record |= {CLASSES: list(deciding.classes.labels)} if deciding else {}
    return record | ({"like": inquiry.template.run.run_id} if inquiry.template else {})


def _listed(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return descriptions of metrics, those of today in place of earlier ones of the same name."""
    return list({str(one["name"]): one for one in (*before, *now)}.values())
