"""Score predictions made anywhere against references: find pairs, score them in parallel, write one run.

The run's identity is a hash of the request and of the bytes of every file, so an evaluation of the same files is a
no-op, an interrupted one goes on where it was, and changed predictions are another run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from segbench.contracts import FinishedRun, Metric
from segbench.errors import DataMissing, UsageError, safe_name
from segbench.evaluation.asked import Arm, Supervision, check_choices, design_of
from segbench.evaluation.deciding import classes_of, with_probabilities
from segbench.evaluation.finished import EvaluationResult as EvaluationResult
from segbench.evaluation.finished import finished, of_metrics, write
from segbench.evaluation.identity import described, hashes_of, identity
from segbench.evaluation.labelling import Labels, codes_of, structures_found, task_of
from segbench.evaluation.layouts import Kind, Layout, find_pairs
from segbench.evaluation.likeness import Template, departures, grouped, restricted, template_of
from segbench.evaluation.own_names import OwnNames, names_beside
from segbench.evaluation.owntruths import dataset_of, of_dataset
from segbench.evaluation.scope import dataset_name, metrics_of, scope_of, values_of_layers
from segbench.evaluation.selection import Selection, selected, selection_of
from segbench.files.colours import Colour, written
from segbench.files.images import read_label_map
from segbench.host import Catalogue, load_catalogue
from segbench.params import fingerprint, to_json
from segbench.records import DIGESTS
from segbench.results import SCORES, run_folder
from segbench.scoring.cases import Setting, unsettle
from segbench.scoring.decisions import chain_of
from segbench.scoring.geometry import Mode
from segbench.scoring.metrics import prepare_metrics
from segbench.scoring.pairs import Pair
from segbench.scoring.pipeline import Progress
from segbench.scoring.probabilities import Deciding
from segbench.scoring.references import forget, values_in_file
from segbench.scoring.rows import Design
from segbench.scoring.stored import Known, add_scores, decided, lacking, stamps_of
from segbench.scoring.workers import WorkerDied, each
from segbench.types import Choice

OnMissing = Literal["worst", "skip", "fail"]
SMALL = 1 << 25
"""Bytes of references below which starting processes takes longer than looking through them."""
MANY = 1000
"""References from which on starting processes pays however small they are."""


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
    again: dict[str, Any] = {
        "predictions": _absolute(predictions),
        "references": _absolute(references),
        "labels": labels,
        "regions": regions,
        "ignore_label": ignore_label,
        "on_missing": on_missing,
        "geometry": geometry,
        "layout": layout,
        "one_hot": one_hot,
        "cases": cases,
        "split": _absolute(split) if isinstance(split, str | Path) else split,
        "network": network,
        "arm": arm,
        "seed": seed,
        "fold": fold,
        "supervision": supervision,
    }
    again |= {"like": _absolute(like.folder)} if like else {}
    again |= {} if decision is None else {"decision": [to_json(_choice(one)) for one in decision]}
    safe_name(name, "method")
    check_choices(on_missing=(on_missing, OnMissing), geometry=(geometry, Mode), layout=(layout, Kind))
    if jobs < 1:
        raise UsageError(f"jobs {jobs}: expected at least 1.")
    said = design_of(network=network, arm=arm, seed=seed, fold=fold, supervision=supervision)
    catalogue = load_catalogue() if catalogue is None else catalogue
    template = template_of(like) if like is not None else None
    dataset = dataset_name(dataset, template)
    chosen, notes = metrics_of(metrics, template, catalogue)
    where = None if references is None else Path(references)
    found = _pairs(Path(predictions), where, layout, selection_of(cases, split, fold), fold, template)
    found = _without_missing(found, on_missing)
    found = replace(found, problems=(*notes, *found.problems))
    chain = None if decision is None else chain_of([_choice(one) for one in decision], catalogue)
    found = with_probabilities(found, chain) if chain else found
    one_hot = one_hot or bool(template and template.one_hot)
    named_by = None if where is None else _names(found, where, labels, regions, template)
    scope = scope_of(labels, regions, ignore_label, found, template, named_by)
    found = replace(found, words=f"{found.words}; named by {named_by.words}") if named_by else found
    layers = values_of_layers(scope, found, labels, template)
    hashes = hashes_of(found.pairs, jobs)
    if template and references is None:
        hashes = [
            (f"{template.task.revision}/{pair.case}", one) for pair, (_, one) in zip(found.pairs, hashes, strict=True)
        ]
    wanted: dict[str, Any] = {"name": name, "on_missing": on_missing, "geometry": geometry}
    wanted |= {"structures": list(scope.structures.items()), **said, **(template.identity if template else {})}
    wanted |= {"decision": [chain.text, chain.key]} if chain else {}
    wanted |= {"colours": {written(colour): value for colour, value in scope.colours.items()}} if scope.colours else {}
    wanted |= {"one_hot": True} if one_hot else {}
    wanted |= {"named_by": fingerprint(named_by.names)[:12]} if named_by else {}
    revision, run_id, request = identity(dataset, wanted, scope.ignore, found, hashes)
    folder = run_folder(Path(results).expanduser(), dataset, name, run_id)
    known = finished(folder, dataset, found)
    scores: Known = known.scores if known else {}
    lesson = template.lesson if template else ""
    todo = lacking(scores, chain.text if chain else "", chosen, catalogue, lesson)
    if known and not todo:
        table = of_metrics(known.result.table, chosen)
        return replace(known.result, table=table, seconds=time.monotonic() - begun)
    structures = scope.structures
    if not structures:
        structures = structures_found(_survey(found.pairs, jobs, scope.colours, one_hot) - {scope.ignore})
        structures = named_by.structures(structures) if named_by else structures
    task = scope.task or task_of(dataset, revision, structures)
    task = replace(task, name=dataset, revision=revision)
    stamps = stamps_of(todo, catalogue, lesson)
    prepare_metrics(todo, task, template.lessons if template else lambda: iter(()), {})
    values = scope.known.union(*structures.values())
    setting = Setting(task, tuple(todo), geometry, scope.ignore, values, scope.strict, asked=scope.by_hand)
    setting = replace(setting, colours=scope.colours, one_hot=one_hot, layers=layers)
    setting = replace(setting, codes=() if scope.task else codes_of(structures))
    design = Design(run_id, dataset, revision, name, source="external", synthetic=task.synthetic, **said)
    if template and references is None:
        setting = replace(setting, dataset=dataset_of(template))
    if chain:
        classes = classes_of(task, found.declaration, found.pairs, setting.codes)
        setting = replace(setting, deciding=Deciding(chain, classes))
        design = decided(design, chain.text)
    what = (folder, scores, design, found.pairs, setting, stamps)
    try:
        scored = add_scores(*what, jobs=jobs, catalogue=catalogue, progress=progress)
    finally:
        forget()
    problems = (*(known.result.problems if known else found.problems), *scored.problems)
    problems += tuple(departures(template, found.pairs, scored.outcomes, todo)) if template else ()
    table, seconds = of_metrics(scored.table, chosen), time.monotonic() - begun
    problems = tuple(dict.fromkeys(problems))
    result = EvaluationResult(run_id, folder, table, problems, task, found.words, len(found.pairs), False, seconds)
    folds = sorted({fold or 0 if pair.fold is None else pair.fold for pair in found.pairs})
    request |= {"network": network, "arm": arm, "seed": seed, "supervision": supervision}
    request |= {"fold": folds[0] if len(folds) == 1 else folds}
    request |= {"structures": list(structures.items()), "layout": found.words, "scores": scored.known}
    request |= {"again": again, DIGESTS: {SCORES: scored.digest}}
    request["metrics"] = _listed(known.metrics if known else [], [described(metric) for metric in chosen])
    request |= {"like": template.run.run_id} if template else {}
    write(result, request, retry=scored.passing, catalogue=catalogue)
    return result


def _choice(one: Choice | Mapping[str, Any]) -> Choice:
    return one if isinstance(one, Choice) else Choice(**one)


def _absolute(path: str | Path | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


def _listed(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return descriptions of metrics, those of today in place of earlier ones of the same name."""
    return list({str(one["name"]): one for one in (*before, *now)}.values())


def _pairs(
    predictions: Path,
    references: Path | None,
    layout: Kind,
    selection: Selection,
    fold: int | None,
    template: Template | None,
) -> Layout:
    """Return the pairs of the cases asked for, else of those that the run scored, else of all."""
    if references is None:
        return selected(of_dataset(predictions, template, fold), selection)
    found = find_pairs(predictions, references, layout, fold, selection.splits)
    if selection.cases is None and selection.splits is None:
        return restricted(found, template) if template else found
    return grouped(selected(found, selection), template) if template else selected(found, selection)


def _names(
    found: Layout,
    references: Path,
    labels: Labels | None,
    regions: Mapping[str, Sequence[int]] | None,
    template: Template | None,
) -> OwnNames | None:
    """Return names of structures that nobody declared, if they are needed."""
    if template or found.declaration.structures or isinstance(labels, Mapping) or (labels is None and regions):
        return None
    return names_beside(found.pairs, references.expanduser())


def _without_missing(found: Layout, on_missing: str) -> Layout:
    """Leave missing cases out, or refuse them, if asked to."""
    missing = [pair for pair in found.pairs if pair.predicted is None and not pair.fault]
    if not missing or on_missing == "worst":
        return found
    if on_missing == "fail":
        names = ", ".join(pair.case for pair in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise DataMissing(
            f"{len(missing)} of {len(found.pairs)} references have no prediction: {names}. Supply them, or say "
            f"--on-missing worst (they count as the worst) or --on-missing skip."
        )
    problems = tuple(
        replace(one, kind="note", what=f"{one.what}; left out as asked") if one.kind == "missing" else one
        for one in found.problems
    )
    kept = tuple(pair for pair in found.pairs if pair.predicted is not None or pair.fault)
    return replace(found, pairs=kept, problems=problems)


def _survey(pairs: Sequence[Pair], jobs: int, colours: Mapping[Colour, int], one_hot: bool) -> set[int]:
    """Return every value that occurs in the references."""
    files = list(dict.fromkeys(pair.truth for pair in pairs if not pair.fault))
    found: set[int] = set()
    forget()
    look = partial(values_in_file, colours=colours, one_hot=one_hot, keep=jobs == 1)  # other processes could not see it
    if len(files) < MANY and sum(path.stat().st_size for path in files if path.is_file()) < SMALL:
        jobs = 1
    for _, values in each(look, files, jobs, unsettle, ()):
        found |= set() if isinstance(values, WorkerDied) else values
    if files and not found:
        read_label_map(files[0], None, colours, one_hot=one_hot)  # raises, and so says why, if it cannot be read
    return found
