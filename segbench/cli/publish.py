"""``segbench submit`` and ``verify``: hand a run over, and check one that was handed over."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli.application import app
from segbench.cli.console import Json, Plugins, ResultsOnly, catalogue, print_json, say, stderr, stdout
from segbench.errors import EXIT_VERIFICATION, UsageError

if TYPE_CHECKING:
    from segbench.host import Catalogue
    from segbench.publishing.admission import Admission
    from segbench.publishing.verification import Report

SHOWN = 30
_DONE = {
    "added": "Added",
    "marks raised": "Already there; marked as re-scored now",
    "unchanged": "Already there, nothing was written",
}


@app.command("submit")
def submit(
    run: Annotated[
        str,
        typer.Argument(help="A run's folder, or the first digits of its name; --results may be boards."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write.  [default: DATASET-METHOD-RUN.zip]", show_default=False)
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Folder of the predictions, if the run keeps none.")
    ] = None,
    enclose: Annotated[bool, typer.Option("--enclose", help="Put the predictions in, not only their hashes.")] = False,
    decision: Annotated[
        str, typer.Option("--decision", help="Whose label maps, as the leaderboard calls it.  [default: the run's own]")
    ] = "",
    results: ResultsOnly = Path("results"),
    json: Json = False,
) -> None:
    """Pack a finished run: scores, record, and the SHA-256 of every prediction."""
    from segbench.publishing.submissions import pack
    from segbench.runs import find_kept

    found = find_kept(run, results)
    if len(found) > 1:
        one = found[0].folder or found[0].run_id
        raise UsageError(f"{run} holds {len(found)} runs; a submission is one. Name one, such as {one}.")
    packed = pack(found[0], out, predictions, enclose, decision)
    if json:
        print_json(asdict(packed))
        return
    what = "enclosed" if packed.enclosed else "named by their hashes"
    stdout().print(
        f"{packed.path}: {packed.about['method']} on {packed.about['dataset']}, "
        f"{packed.predictions} predictions {what}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if not packed.predictions:
        stderr().print(
            "Without predictions nobody can verify the scores: they stay self-reported. "
            "Name their folder: --predictions FOLDER.",
            markup=False,
        )


@app.command("verify")
def verify(
    submission: Annotated[Path, typer.Argument(help="File of `segbench submit`, or published boards.")],
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="Folder of the predictions, if none are enclosed; of a board, results."),
    ] = None,
    references: Annotated[
        Path | None, typer.Option("--references", help="Folder of the references, to compute the scores again.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="Also add the run to these results if it verifies.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes.")] = 1,
    json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Check hashes and structure of a submission, or the files of published boards, and score them again; mark what is
    self-reported and re-scored.

    Exit code 0: nothing differs; 5: something does (a table says what).
    """
    from segbench.publishing.admission import add_to_results
    from segbench.publishing.verification import verify as check
    from segbench.results import published_boards

    offered = catalogue(plugin) if references is not None else None
    if boards := published_boards(submission):
        if results is not None:
            raise UsageError(f"--results: the runs of {submission} are results already: --results {submission}.")
        _verify_boards(boards, predictions, references, offered, jobs, json)
        return
    report = check(submission, predictions, references, offered, jobs)
    added = add_to_results(report, results) if results is not None and not report.differences else None
    if json:
        print_json(_document(report, added))
    else:
        _print(report, added)
    if report.differences:
        raise typer.Exit(EXIT_VERIFICATION)


def _verify_boards(
    folders: list[Path],
    predictions: Path | None,
    references: Path | None,
    offered: Catalogue | None,
    jobs: int,
    json: bool,
) -> None:
    from segbench.publishing.verification import verify_board

    boards = [verify_board(folder, predictions, references, offered, jobs) for folder in folders]
    if json:
        found = [
            {"board": str(one.board), "stale": one.stale, "runs": [_document(report, None) for report in one.runs]}
            for one in boards
        ]
        print_json({"boards": found})
    else:
        for one in boards:
            stale = one.stale.removeprefix(f"{one.board.name}: ")
            count = f"{len(one.runs)} run{'' if len(one.runs) == 1 else 's'}"
            told = f"{one.board}: {stale or 'page, scores and records belong together'}; {count}"
            stdout().print(told, markup=False, highlight=False, soft_wrap=True)
            for report in one.runs:
                if references is not None or report.differences:
                    _print(report, None)
        if references is None:
            say("Scores were not computed again: give --references DIR and --predictions DIR.")
    if any(one.differs for one in boards):
        raise typer.Exit(EXIT_VERIFICATION)


def _document(report: Report, added: Admission | None) -> dict[str, Any]:
    return {
        **report.about,
        "state": report.state,
        "rescored": list(report.rescored),
        "self_reported": list(report.self_reported),
        "rows": {"rescored": report.rows[0], "self_reported": report.rows[1]},
        "differences": [asdict(one) for one in report.differences],
        "notes": list(report.notes),
        "folder": None if added is None else str(added.folder),
        "results": None if added is None else added.done,
    }


def _print(report: Report, added: Admission | None) -> None:
    console = stdout()

    def line(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    line(f"{report.about['method']} on {report.about['dataset']}, run {report.about['run_id']}: {report.state}")
    for count, word, names in zip(
        report.rows, ("re-scored", "self-reported"), (report.rescored, report.self_reported), strict=True
    ):
        if count:
            line(f"  {count} values {word}: {', '.join(names)}")
    for note in report.notes:
        line(note)
    if added is not None:
        line(f"{_DONE[added.done]}: {added.folder}")
    if report.differences:
        console.print(_table(report))
        if len(report.differences) > SHOWN:
            line(f"... and {len(report.differences) - SHOWN} more (--json lists all)")


def _table(report: Report) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("what", "case", "label", "metric", "submitted", "found"):
        table.add_column(head, overflow="fold")
    for one in report.differences[:SHOWN]:
        cells = (one.what, one.case, one.label, one.metric, one.reported, one.found)
        table.add_row(*(Text(cell) for cell in cells))
    return table
