"""``segbench audit``: how label maps made anywhere break prior knowledge, with or without references."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.errors import EXIT_SOME_FAILED, DataMissing, UsageError
from segbench.params import parse_assignments

if TYPE_CHECKING:
    from segbench.contracts import Prior, Table
    from segbench.evaluation.auditing import CaseAudit, Subject
    from segbench.evaluation.labelling import Structures
    from segbench.evaluation.layouts import Layout
    from segbench.host import Catalogue
    from segbench.types import Audit, LabelMap, Task, Violation

SHOWN = 40
"""Cases shown in the table; all are in ``--json`` and ``--csv``."""
WIDE = 4
"""Measures shown side by side."""


@app.command("audit")
def audit_command(
    predictions: Annotated[str, typer.Argument(help="Folder of label maps, one file, or a run (folder or name).")],
    prior: Annotated[Path, typer.Option("--prior", help="File of prior knowledge, see `segbench prior`.")],
    references: Annotated[Path | None, typer.Option("--references", help="Folder of references, or one file.")] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="dataset.json, a table of index and name, or LV=1,RV=2.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Kind of prior, if several know the file.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="prior.KEY=VALUE; repeatable.")] = None,
    layout: Annotated[str, typer.Option("--layout", help="auto, plain, nnunet, msd or bids.")] = "auto",
    worst: Annotated[int, typer.Option("--worst", min=0, help="Number of violations shown.")] = 10,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every measure of every case as CSV.")] = None,
    results: console.ResultsOnly = Path("results"),
    json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Say how label maps made anywhere break prior knowledge, case by case, and where.

    Exit code 0: every case was audited; 1: some could not be (they are listed).
    """
    from segbench.evaluation.auditing import audit_cases
    from segbench.host import blame
    from segbench.priors import prior_of

    catalogue = console.catalogue(plugins)
    made = prior_of(prior, catalogue, kind, **_settings(settings or []))
    origin = catalogue.entry("priors", made.name).origin
    with blame(origin, f"reading {prior}"):
        task, subjects, notes = _task_and_subjects(
            predictions, references, labels, layout, made, prior, results, catalogue
        )
        made.read(prior, task)
    audits: list[CaseAudit] = []
    with console.CaseBar() as progress:
        for one in audit_cases(subjects, made, task, origin):
            audits.append(one)
            progress(len(audits), len(subjects), one.case)
    if csv is not None:
        _write_csv(csv, audits)
    if json:
        console.print_json(_document(made, prior, task, audits))
    else:
        _print(made, audits, worst)
    for note in notes:
        console.say(note)
    for one in audits:
        for problem in one.problems:
            console.say(f"  {'failed' if one.predicted is None else 'note':8}{one.case}: {problem}")
    if any(one.predicted is None for one in audits):
        raise typer.Exit(EXIT_SOME_FAILED)


def _settings(settings: list[str]) -> dict[str, Any]:
    nested = parse_assignments(settings)
    if set(nested) - {"prior"}:
        raise UsageError("--set: expected prior.KEY=VALUE here.")
    return dict(nested.get("prior", {}))


def _task_and_subjects(
    predictions: str,
    references: Path | None,
    labels: str | None,
    layout: str,
    prior: Prior,
    file: Path,
    results: Path,
    catalogue: Catalogue,
) -> tuple[Task, list[Subject], list[str]]:
    """Return what is audited, with which label names, and what a reader must know."""
    from segbench.results import RECORD

    path = Path(predictions).expanduser()
    if not path.exists() or (path / RECORD).is_file():
        if references is not None or labels is not None:
            raise UsageError("A run knows its own references and labels; leave --references and --labels out.")
        return _of_run(predictions, results, catalogue)
    from segbench.evaluation.auditing import audited_task

    found, notes = _files(path, references, layout)
    task, words = audited_task(path.name, _chosen(labels, found), found.declaration, prior, file)
    layout_words = found.words if references is not None else f"{len(found.pairs)} label maps, without references"
    return task, _subjects(found, references is not None), [f"Layout: {layout_words}.", f"Labels: {words}.", *notes]


def _of_run(text: str, results: Path, catalogue: Catalogue) -> tuple[Task, list[Subject], list[str]]:
    from segbench.evaluation.auditing import Subject
    from segbench.runs import find_runs, open_run

    folders = find_runs(text, results)
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
    subjects = [
        Subject(case, partial(run.prediction, case), partial(truth, run, case) if truth else None)
        for case in run.case_ids
    ]
    return run.task, subjects, notes


def _truth(run: Any, case: str) -> LabelMap:
    truth: LabelMap | None = run.case(case).truth
    if truth is None:
        raise DataMissing(f"case {case} has no truth.")
    return truth


def _files(path: Path, references: Path | None, layout: str) -> tuple[Layout, list[str]]:
    """Pair predictions and references; without references a folder is its own."""
    from segbench.evaluation.layouts import find_pairs

    found = find_pairs(path, references or path, layout)  # type: ignore[arg-type]  # checked there
    told = ("missing", "failed") if references else ("missing", "failed", "extra")  # failed cases are said beside them
    return found, [f"  {one.kind:8}{one.case or 'all'}: {one.what}" for one in found.problems if one.kind not in told]


def _subjects(found: Layout, with_truth: bool) -> list[Subject]:
    from segbench.evaluation.auditing import Subject
    from segbench.files.images import read_label_map

    subjects = []
    for pair in found.pairs:
        truth = partial(read_label_map, pair.truth) if with_truth else None
        if pair.fault or pair.predicted is None:
            subjects.append(
                Subject(pair.case, partial(_refuse, pair.fault or f"no prediction for {pair.truth.name}"), truth)
            )
        else:
            subjects.append(Subject(pair.case, partial(read_label_map, pair.predicted), truth))
    return subjects


def _refuse(reason: str) -> LabelMap:
    raise DataMissing(reason)


def _chosen(labels: str | None, found: Layout) -> Structures:
    """Return the labels that ``--labels`` says: a file, or text as ``evaluate`` takes it."""
    from segbench.evaluation.declarations import read_label_file
    from segbench.evaluation.labelling import chosen_structures, parse_labels

    if labels is None:
        return {}
    if Path(labels).expanduser().is_file():
        declared = read_label_file(Path(labels).expanduser()).structures
        return {name: values for name, values in declared.items() if len(values) == 1}
    return chosen_structures(parse_labels(labels), None, found.declaration)


def _measures(audits: list[CaseAudit]) -> list[str]:
    """Return the names of the measures in the order in which the prior gives them."""
    return list(dict.fromkeys(name for one in audits if one.predicted for name in one.predicted.measures))


def _print(prior: Prior, audits: list[CaseAudit], worst: int) -> None:
    """Print the measures of every case, their means, and the worst violations."""
    from segbench.cli.sheets import draw_sheet

    good = [one for one in audits if one.predicted is not None]
    if good:
        draw_sheet(_measure_sheet(prior, good), console.stdout())
    if good and worst:
        draw_sheet(_worst_sheet(good, worst), console.stdout())


def _measure_sheet(prior: Prior, audits: list[CaseAudit]) -> Table:
    """Return the measures case by case, the reference's own in brackets, and their means."""
    from segbench.contracts import Table
    from segbench.evaluation.auditing import means

    every, beside = _measures(audits), any(one.truth is not None for one in audits)
    names = every[:WIDE]
    predicted = means([one.predicted for one in audits if one.predicted is not None])
    truth = means([one.truth for one in audits if one.truth is not None])
    ordered = sorted(audits, key=lambda one: -_first(one, names)) if len(audits) > SHOWN else audits
    rows = [
        (one.case, *(_pair(_value(one.predicted, name), _value(one.truth, name)) for name in names))
        for one in ordered[:SHOWN]
    ]
    rows.append(("mean", *(_pair(predicted.get(name), truth.get(name)) for name in names)))
    title = f"Prior {prior.name}, {len(audits)} cases; lower is better"
    rest = [f"{len(every) - WIDE} more measures"] if len(every) > WIDE else []
    rest += [f"{len(audits) - SHOWN} more cases"] if len(audits) > SHOWN else []
    notes = (f"{' and '.join(rest)} in --json and --csv.",) if rest else ()
    return Table(title + ("; in brackets: the reference's own" if beside else ""), ("case", *names), tuple(rows), notes)


def _value(audit: Audit | None, name: str) -> float | None:
    return None if audit is None else audit.measures.get(name)


def _first(one: CaseAudit, names: list[str]) -> float:
    return (_value(one.predicted, names[0]) if names else None) or 0.0


def _pair(value: float | None, truth: float | None) -> str:
    return _number(value) + ("" if truth is None else f" ({_number(truth)})")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if value == round(value) else f"{value:.4g}"


def _worst_sheet(audits: list[CaseAudit], worst: int) -> Table:
    """Return the worst violations, with what the reference has of the same."""
    from segbench.contracts import Table

    found, beside = _ordered(audits), any(one.truth is not None for one in audits)
    columns = ("case", "violation", "amount", *(["reference"] if beside else []), "at x, y, z (mm)")
    rows = tuple(
        (
            *(one.case, violation.what, f"{_number(violation.amount)} {violation.unit}".strip()),
            *([_of_truth(one, violation)] if beside else []),
            _place(violation),
        )
        for one, violation in found[:worst]
    )
    title = f"The worst {len(rows)} of {len(found)} violations" if found else "No violation"
    return Table(title, columns if found else (), rows)


def _ordered(audits: list[CaseAudit]) -> list[tuple[CaseAudit, Violation]]:
    """Return all violations, the worst first: by amount if they have one unit, else by their place in their case."""
    found = [
        (place, one, violation)
        for one in audits
        if one.predicted is not None
        for place, violation in enumerate(one.predicted.violations)
    ]
    alike = len({violation.unit for _, _, violation in found}) < 2
    found.sort(key=lambda item: (-item[2].amount, item[1].case) if alike else (item[0], item[1].case))
    return [(one, violation) for _, one, violation in found]


def _of_truth(one: CaseAudit, violation: Violation) -> str:
    """Return how much of the same the reference has."""
    if one.truth is None:
        return "–"
    same = [own.amount for own in one.truth.violations if own.what == violation.what]
    return _number(same[0]) if same else "0"


def _place(violation: Violation) -> str:
    return "" if violation.position is None else ", ".join(f"{value:.1f}" for value in violation.position)


def _document(prior: Prior, file: Path, task: Task, audits: list[CaseAudit]) -> dict[str, Any]:
    from dataclasses import asdict

    from segbench.evaluation.auditing import means

    good = [one for one in audits if one.predicted is not None]
    return {
        "prior": prior.name,
        "file": str(file),
        "labels": list(task.labels),
        "mean": {
            "prediction": means([one.predicted for one in good if one.predicted is not None]),
            "reference": means([one.truth for one in good if one.truth is not None]),
        },
        "cases": [
            {
                "case": one.case,
                "prediction": one.predicted and dict(one.predicted.measures),
                "reference": one.truth and dict(one.truth.measures),
                "violations": [asdict(violation) for violation in one.predicted.violations] if one.predicted else [],
                "problems": list(one.problems),
            }
            for one in audits
        ],
    }


def _write_csv(path: Path, audits: list[CaseAudit]) -> None:
    """Write one row per case: every measure of the prediction and, if there are references, of these."""
    import csv

    from segbench.atomic import atomically

    names = _measures(audits)

    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["case", *names, *(f"reference_{name}" for name in names)])
            for one in audits:
                sides = (one.predicted, one.truth)
                writer.writerow([one.case, *(_value(side, name) for side in sides for name in names)])

    atomically(path, write)
