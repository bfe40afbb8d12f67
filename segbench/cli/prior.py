"""``segbench prior``: learn a file of prior knowledge from a dataset's training truths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.errors import UsageError, did_you_mean
from segbench.params import make, parse_assignments

PARTS = ("dataset", "prior", "recipe")


@app.command("prior")
def prior_command(
    kind: Annotated[str, typer.Argument(help="Kind of prior; see `segbench list priors`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; one that is there is replaced.")],
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Dataset; a phantom if none is named.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="dataset.KEY=VALUE, prior.KEY=VALUE or recipe.labelled=N.", show_default=False),
    ] = None,
    cases: Annotated[str, typer.Option("--cases", help="train: those a run trains on; all: every labelled one.")] = (
        "train"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the run, if recipe.labelled is set.")] = 0,
    fold: Annotated[int, typer.Option("--fold", min=0, help="Fold, as in run.")] = 0,
    folds: Annotated[int, typer.Option("--folds", min=0, help="Cross-validation over patients, as in run.")] = 0,
    split: Annotated[
        Path | None, typer.Option("--split", help="JSON: train, val and test cases, or nnU-Net's splits_final.json.")
    ] = None,
    results: console.ResultsOnly = Path("results"),
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Learn prior knowledge from training truths and write it as a file to read, edit and audit with."""
    from segbench.config import Recipe
    from segbench.files.splits import read_splits
    from segbench.planning import split_listed
    from segbench.priors import Source, learn_prior, write_prior
    from segbench.types import Choice

    check_writable(out, "--out", "prior.csv")
    catalogue, parameters = console.catalogue(plugins), _parameters(assignments or [])
    catalogue.entry("priors", kind)
    source = Source(
        Choice(dataset or catalogue.default("datasets"), parameters["dataset"]),
        make(Recipe, parameters["recipe"], "recipe"),
        seed=seed,
        fold=fold,
        folds=folds,
        split=split_listed(read_splits(split), fold) if split is not None else None,
        which=_which(cases),
    )
    with console.CaseBar() as progress:
        learnt = learn_prior(Choice(kind, parameters["prior"]), source, catalogue, results, progress)
    write_prior(learnt.prior, out, catalogue)
    count = len(learnt.case_ids)
    what = "labelled" if source.which == "all" else "training"
    if as_json:
        document = {"kind": kind, "file": str(out), "dataset": learnt.task.name, "revision": learnt.task.revision}
        console.print_json({**document, "cases": list(learnt.case_ids), "which": source.which})
        return
    where = f"{learnt.task.name}@{learnt.task.revision}"
    console.say(f"Prior {kind} of {count} {what} case{'s' if count > 1 else ''} of {where}: {out}")
    if source.which == "all":
        console.say("Test cases are among them: do not score these with it.", style="yellow")


def check_writable(path: Path, option: str, example: str) -> None:
    """Refuse a path at which no file can be written, before the work whose result it shall hold is done.

    Args:
        path: of the file.
        option: that names it.
        example: a name for the file, if the path is a folder.

    Raises:
        UsageError: if it is a folder, or lies below a file.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path}: expected a file to write, found a folder. Say {option} {path / example}.")
    for above in path.parents:
        if above.exists():
            if not above.is_dir():
                raise UsageError(
                    f"{option} {path}: expected {above} to be a folder, found a file. Name another place to write."
                )
            return


def _parameters(assignments: list[str]) -> dict[str, Any]:
    nested: dict[str, Any] = parse_assignments(assignments)
    for part in nested:
        if part not in PARTS:
            raise UsageError(f"--set {part}.…: no such part here. {did_you_mean(part, PARTS)}")
    return {part: nested.get(part, {}) for part in PARTS}


def _which(text: str) -> Literal["train", "all"]:
    if text == "train":
        return "train"
    if text == "all":
        return "all"
    raise UsageError(f"--cases {text!r}: expected train or all.")
