"""The options that say which cells are meant, shared by the commands that run them and those that list them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.errors import DataMissing, UsageError, did_you_mean
from segbench.params import merged, parse_assignments

if TYPE_CHECKING:
    from segbench.config import RunConfig
    from segbench.host import Catalogue
    from segbench.types import Choice

COUNTS = {"seed": 0, "seeds": 1, "fold": 0, "folds": 0, "epochs": 1}
"""Options that are whole numbers, and the least they may be."""
NAMES = ("dataset", "unlabelled", "network", "recipe", "device", "precision")
LISTS = ("method", "arm", "metric", "decision", "reporter")
OPTIONS = (*NAMES, *LISTS, *COUNTS)

Methods = Annotated[
    list[str] | None, typer.Option("--method", "-m", help="Method; repeat to compare several.", show_default=False)
]
Dataset = Annotated[str | None, typer.Option("--dataset", "-d", help="Dataset; a phantom if none is named.")]
Unlabelled = Annotated[
    str | None, typer.Option("--unlabelled", help="Dataset whose cases are seen without their labels.")
]
Network = Annotated[str | None, typer.Option("--network", "-n", help="Network; a small one if none is named.")]
Arms = Annotated[
    list[str] | None, typer.Option("--arm", help="method, control or placebo; repeat for several.", show_default=False)
]
Recipe = Annotated[str | None, typer.Option("--recipe", help="fair, or a study's protocol.")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="Metric; repeat.  [default: all that are on]")]
Decisions = Annotated[
    list[str] | None,
    typer.Option(
        "--decision",
        help="From probabilities to labels: NAME or NAME+NAME, or one after the other.  [default: the likeliest]",
        show_default=False,
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs, in place of the recipe's.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="First seed.  [default: 0]")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="Number of seeds.  [default: 1]")]
Fold = Annotated[int | None, typer.Option("--fold", min=0, help="Fold; all of them if only --folds is given.")]
Folds = Annotated[int | None, typer.Option("--folds", min=2, help="Cross-validation over patients.")]
SplitFile = Annotated[
    Path | None, typer.Option("--split", help="JSON: train, val and test cases, or nnU-Net's splits_final.json.")
]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.  [default: auto]")]
Precision = Annotated[
    str | None, typer.Option("--precision", help="auto, 32-true, bf16-mixed or 16-mixed.  [default: auto]")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="PART.KEY=VALUE, e.g. dataset.cases=8; see `segbench info`.", show_default=False),
]
Settings = Annotated[Path | None, typer.Option("--config", help="TOML file with the same settings.")]
Reporters = Annotated[
    list[str] | None,
    typer.Option("--reporter", help="Follows the training, such as live curves; repeat.", show_default=False),
]
Smoke = Annotated[bool, typer.Option("--smoke", help="A made-up miniature and a few steps: do the parts work?")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of each training, recorded.  [default: the cores over --jobs]"),
]
PlanThreads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of each training, one number per plan.  [default: as torch takes]"),
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", help="Plan that `segbench plan --write` made, in place of the options above.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "--results", help="Folder that holds the results of all runs.  [default: results]"),
]


@dataclass(frozen=True)
class Asked:
    """What a command asks for: cells, the parts on offer, where results go, and threads, 0 if nobody said.

    ``notes`` are sentences about methods that were left out; they have been said. ``reporters`` follow the trainings.
    """

    configs: list[RunConfig]
    catalogue: Catalogue
    root: Path
    plugins: tuple[Path, ...]
    threads: int = 0
    notes: tuple[str, ...] = ()
    reporters: tuple[Choice, ...] = ()


def asked(
    given: Mapping[str, Any],
    *,
    plan: Path | None,
    named: list[str] | None = None,
    config: Path | None,
    split: Path | None,
    smoke: bool,
    assignments: list[str] | None,
    out: Path | None,
    threads: int | None,
    plugins: list[Path] | None,
    reporters: list[str] | None = None,
) -> Asked:
    """Return the cells that options, or a plan, mean.

    Args:
        given: options by name (see OPTIONS), None where one was not given.
        plan: file of a plan that says what the others would.
        named: cells of the plan, by position or identity; None = all.
        config, split, smoke, assignments, out, threads, plugins, reporters: the options of these names.

    Raises:
        UsageError: they do not go together, or a cell of the plan does not exist.
        SegbenchError: see ``plan_cells`` and ``read_plan``.
    """
    from segbench.planning import reporter_choices

    if plan is None:
        if named:
            raise UsageError("--cell: of which plan? Name its file with --plan.")
        files = tuple(plugins or ())
        catalogue = console.catalogue(list(files))
        notes: list[str] = []
        settings, parameters = _settings(config, {**given, "reporter": reporters or None}, assignments)
        followers = reporter_choices(catalogue, settings.get("reporter"), parameters.get("reporter", {}))
        configs = _asked_cells(catalogue, split, smoke, settings, parameters, notes)
        for note in notes:
            console.say(note, style="yellow")
        return Asked(configs, catalogue, out or Path("results"), files, threads or 0, tuple(notes), followers)
    parameters = parse_assignments(assignments or [])
    of_reporters = parameters.pop("reporter", {})  # which are no part of what is run
    others = {**given, "config": config, "split": split, "smoke": smoke or None, "set": parameters or None}
    for name, value in others.items():
        if value is not None:
            raise UsageError(f"--{name}: the plan says what is run; leave it out, or make another plan with it.")
    from segbench.sweeps.plan import read_plan

    made = read_plan(plan)
    cells = [made.cell(one) for one in named] if named else made.ordered()
    files = (*made.plugins, *(plugins or ()))
    configs, catalogue = [cell.config for cell in cells], console.catalogue(list(files))
    followers = reporter_choices(catalogue, reporters, of_reporters)
    threads = threads or made.threads
    return Asked(configs, catalogue, out or made.root, files, threads, reporters=followers)


def _settings(
    config: Path | None, given: Mapping[str, Any], assignments: list[str] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return options and parameters; those given on the command line stand above those of the file."""
    settings = _read_config(config)
    settings.update({key: value for key, value in given.items() if value is not None})
    return settings, merged(settings.pop("set", {}), parse_assignments(assignments or []))


def _asked_cells(
    catalogue: Catalogue,
    split: Path | None,
    smoke: bool,
    settings: Mapping[str, Any],
    parameters: Mapping[str, Any],
    notes: list[str],
) -> list[RunConfig]:
    """Return the cells that options and parameters mean."""
    from segbench.files.splits import read_splits
    from segbench.planning import plan_cells

    splits = read_splits(split) if split is not None else None
    return plan_cells(catalogue, settings, parameters, {"smoke": smoke}, splits, notes)


def _read_config(path: Path | None) -> dict[str, Any]:
    """Read ``--config``: option names at the top level, parameters in tables such as ``[set.dataset]``."""
    if path is None:
        return {}
    if not path.is_file():
        raise DataMissing(f"--config {path}: expected a TOML file, found none.")
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: not valid TOML: {error}.") from error
    for key, value in settings.items():
        if key not in (*OPTIONS, "set"):
            raise UsageError(f"--config {path}: unknown key {key!r}. {did_you_mean(key, [*OPTIONS, 'set'])}")
        if (expected := _unlike(key, value)) is not None:
            raise UsageError(f"--config {path}: {key}: expected {expected}, found {value!r}.")
    return settings


def _unlike(key: str, value: Any) -> str | None:
    """Return what a setting should have been, or None if it is that."""
    if key == "set":
        return None if isinstance(value, Mapping) else "tables such as [set.dataset]"
    if key in COUNTS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return None if whole and value >= COUNTS[key] else f"a whole number from {COUNTS[key]}"
    listed = value if isinstance(value, list) and key in LISTS else [value]
    return None if all(isinstance(one, str) for one in listed) else "a name"
