"""``segbench audit``: how label maps made anywhere break prior knowledge, with or without references."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.cli.audit_report import document, print_report, write_csv
from segbench.errors import EXIT_SOME_FAILED, DataInvalid, DataMissing, UsageError
from segbench.params import parse_assignments

if TYPE_CHECKING:
    from segbench.contracts import Prior
    from segbench.evaluation.auditing import CaseAudit, Material
    from segbench.evaluation.layouts import Layout
    from segbench.host import Catalogue
    from segbench.types import LabelMap


@app.command("audit")
def audit_command(
    predictions: Annotated[str, typer.Argument(help="Folder of label maps, one file, or a run (folder or name).")],
    prior: Annotated[Path, typer.Option("--prior", help="File of prior knowledge, see `segbench prior`.")],
    references: Annotated[Path | None, typer.Option("--references", help="Folder of references, or one file.")] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="LV=1,RV=2; dataset.json or a table of index and name; prior: as it records."),
    ] = None,
    ignore_label: Annotated[int | None, typer.Option("--ignore-label", help="Reference voxels left out.")] = None,
    geometry: Annotated[str, typer.Option("--geometry", help="strict, tolerant, voxels or resample.")] = "strict",
    kind: Annotated[str | None, typer.Option("--kind", help="Kind of prior, if several know the file.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="prior.KEY=VALUE; repeatable.")] = None,
    layout: Annotated[
        str, typer.Option("--layout", help="auto, plain, nnunet, msd, bids, cases or structures.")
    ] = "auto",
    worst: Annotated[int, typer.Option("--worst", min=0, help="Number of violations shown.")] = 10,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every measure of every case as CSV.")] = None,
    results: console.ResultsOnly = Path("results"),
    json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Say how label maps made anywhere break prior knowledge, case by case, and where.

    What each label value means must be said: by --labels, by a dataset.json, a BIDS table or one of FreeSurfer's,
    ITK-SNAP's or 3D Slicer's beside the label maps, or by the prior itself if it records values and the label maps hold
    just these.

    Exit code 0: every case was audited; 1: some could not be (they are listed); 2, 3: nothing was audited.
    """
    from segbench.evaluation.auditing import audit_cases
    from segbench.host import blame
    from segbench.priors import prior_of

    _check_request(csv, geometry)
    catalogue = console.catalogue(plugins)
    made = prior_of(prior, catalogue, kind, **_settings(settings or []))
    origin = catalogue.entry("priors", made.name).origin
    with blame(origin, f"reading {prior}"):
        material = _material(predictions, references, labels, ignore_label, layout, made, prior, results, catalogue)
        material = replace(material, geometry=geometry)  # type: ignore[arg-type]  # checked above
        made.read(prior, material.task)
    audits: list[CaseAudit] = []
    with console.CaseBar() as progress:
        for one in audit_cases(material, made, origin):
            audits.append(one)
            progress(len(audits), len(material.subjects), one.case)
    if csv is not None:
        write_csv(csv, audits)
    if json:
        console.print_json(document(made, prior, material, audits))
    else:
        print_report(made, audits, worst)
    _say(material, audits)
    if any(one.predicted is None for one in audits):
        raise typer.Exit(EXIT_SOME_FAILED)


def _check_request(csv: Path | None, geometry: str) -> None:
    from typing import get_args

    from segbench.cli.prior import check_writable
    from segbench.scoring.geometry import Mode

    if csv is not None:
        check_writable(csv, "--csv", "audit.csv")
    if geometry not in get_args(Mode):
        raise UsageError(f"--geometry {geometry!r}: expected one of {', '.join(get_args(Mode))}.")


def _say(material: Material, audits: list[CaseAudit]) -> None:
    """Say on stderr what was recognised, and everything about single cases that a reader must know."""
    for note in material.notes:
        console.say(note)
    for one in audits:
        for problem in one.problems:
            console.say(f"  {'failed' if one.predicted is None else 'note':8}{one.case}: {problem}")


def _settings(settings: list[str]) -> dict[str, Any]:
    nested = parse_assignments(settings)
    if set(nested) - {"prior"}:
        raise UsageError("--set: expected prior.KEY=VALUE here.")
    return dict(nested.get("prior", {}))


def _material(
    predictions: str,
    references: Path | None,
    labels: str | None,
    ignore: int | None,
    layout: str,
    prior: Prior,
    file: Path,
    results: Path,
    catalogue: Catalogue,
) -> Material:
    """Return what is audited, with which label names, and what a reader must know."""
    from segbench.results import RECORD

    path = Path(predictions).expanduser()
    if not path.exists() or (path / RECORD).is_file():
        if references is not None or labels is not None or ignore is not None:
            raise UsageError(
                f"{predictions} is {'a run' if path.exists() else 'no file or folder, so it would be a run'}, which "
                f"knows its own references and labels. Leave --references, --labels and --ignore-label out, or name "
                f"label maps."
            )
        return _of_run(predictions, results, catalogue)
    from segbench.evaluation.audit_labels import audited_task
    from segbench.evaluation.auditing import Material, values_held
    from segbench.evaluation.subjects import require_one_kind, subjects_of, with_own_names

    found, notes = _files(path, references, layout)
    if labels is None:
        _require_sound(found)
        require_one_kind(found)
        folders = [one.expanduser() for one in (references, path) if one is not None]
        found, said = with_own_names(found, folders, prior.labels(file)[1:])
        notes += said
    ignore = found.declaration.ignore if ignore is None else ignore
    declared = {name: values[0] for name, values in found.declaration.structures.items()}
    subjects = subjects_of(found, references is not None, declared)
    held = partial(values_held, subjects, ignore)
    task, known, words = audited_task(path.name, labels, found.declaration, prior, file, held)
    values = {one.name: one.values[0] for one in task.structures}
    subjects = subjects_of(found, references is not None, values)
    layout_words = found.words if references is not None else f"{len(found.pairs)} label maps, without references"
    notes = [f"Layout: {layout_words}.", f"Labels: {words}.", *notes]
    return Material(subjects, task, known, ignore, notes=tuple(notes))


def _require_sound(found: Layout) -> None:
    """Refuse a description of the labels that is there but cannot be read, if nothing else says what they mean."""
    for problem in found.problems:
        if problem.kind == "failed" and not problem.case:
            raise DataInvalid(problem.what)


def _of_run(text: str, results: Path, catalogue: Catalogue) -> Material:
    from segbench.evaluation.auditing import Material, Subject
    from segbench.runs import find_runs, open_run
    from segbench.types import UNKNOWN

    try:
        folders = find_runs(text, results)
    except DataMissing as error:
        raise DataMissing(f"{text}: expected a folder of label maps, one file or a run, found none. {error}") from error
    if len(folders) > 1:
        raise UsageError(f"{text} holds {len(folders)} runs; name one of them.")
    run = open_run(folders[0], catalogue)
    notes = [f"Run: {run.title} on {run.task.name}, {run.folder}"]
    truth: Any = _truth
    try:
        run.case(run.case_ids[0])
    except (DataMissing, IndexError) as error:
        truth = None
        notes.append(f"Without references: {error}")
    subjects = tuple(
        Subject(case, partial(run.prediction, case), partial(truth, run, case) if truth else None)
        for case in run.case_ids
    )
    known = frozenset(range(1, len(run.task.labels)))
    return Material(subjects, run.task, known, UNKNOWN, notes=tuple(notes))


def _truth(run: Any, case: str) -> LabelMap:
    truth: LabelMap | None = run.case(case).truth
    if truth is None:
        raise DataMissing(f"case {case} has no truth.")
    return truth


def _files(path: Path, references: Path | None, layout: str) -> tuple[Layout, list[str]]:
    """Pair predictions and references; without references a folder is its own."""
    from segbench.evaluation.layouts import find_pairs

    try:
        found = find_pairs(path, references or path, layout)  # type: ignore[arg-type]  # checked there
    except DataMissing as error:
        if references is not None:
            raise
        raise DataMissing(
            f"predictions: expected label maps (.nii.gz, say) in {path}, found none. Name the folder that holds them."
        ) from error
    told = ("missing", "failed") if references else ("missing", "failed", "extra")  # failed cases are said beside them
    return found, [f"  {one.kind:8}{one.case or 'all'}: {one.what}" for one in found.problems if one.kind not in told]
