"""``segbench run``: train, predict and score one or several configurations."""

from __future__ import annotations

import contextlib
import math
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli import console
from segbench.cli.application import app
from segbench.errors import EXIT_SOME_FAILED, DataMissing, Incompatible, PluginError, UsageError, did_you_mean
from segbench.params import merged, parse_assignments
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.config import Recipe, RunConfig
    from segbench.host import Catalogue
    from segbench.runner import Outcome, Sources

SPLIT_ROLES = ("train", "val", "test")
PARTS = ("dataset", "unlabelled", "network", "method", "metric", "recipe", "study")
COUNTS = {"seed": 0, "seeds": 1, "fold": 0, "folds": 0, "epochs": 1}
"""Options that are whole numbers, and the least they may be."""
NAMES = ("dataset", "unlabelled", "network", "recipe", "device", "precision")
LISTS = ("method", "arm", "metric")
OPTIONS = (*NAMES, *LISTS, *COUNTS)


@app.command("run")
def run_command(
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Method; repeat to compare several.", show_default=False)
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Dataset; a phantom if none is named.")] = None,
    unlabelled: Annotated[
        str | None, typer.Option("--unlabelled", help="Dataset whose cases are seen without their labels.")
    ] = None,
    network: Annotated[
        str | None, typer.Option("--network", "-n", help="Network; a small one if none is named.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="method, control or placebo; repeat for several.", show_default=False),
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="fair, or a study's protocol.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Metric; repeat.  [default: all that are on]")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs, in place of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="First seed.  [default: 0]")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Number of seeds.  [default: 1]")] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", min=0, help="Fold; all of them if only --folds is given.")
    ] = None,
    folds: Annotated[int | None, typer.Option("--folds", min=2, help="Cross-validation over patients.")] = None,
    split: Annotated[Path | None, typer.Option("--split", help="JSON with train, val and test lists of cases.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.  [default: auto]")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, 32-true, bf16-mixed or 16-mixed.  [default: auto]")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="PART.KEY=VALUE, e.g. dataset.cases=8; see `segbench info`.", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with the same settings.")] = None,
    out: Annotated[Path, typer.Option("--out", "--results", help="Folder that holds the results of all runs.")] = Path(
        "results"
    ),
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A made-up miniature and a few steps: do the parts work?")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")] = False,
    as_json: console.Json = False,
    plugins: console.Plugins = None,
) -> None:
    """Train, predict, score and store; a finished run is left alone, an unfinished one is resumed."""
    from segbench.assembly import Sources

    catalogue = console.catalogue(plugins)
    settings = _read_config(config)
    given = {
        "dataset": dataset,
        "unlabelled": unlabelled,
        "network": network,
        "method": method,
        "arm": arm,
        "recipe": recipe,
        "metric": metric,
        "seed": seed,
        "seeds": seeds,
        "fold": fold,
        "folds": folds,
        "epochs": epochs,
        "device": device,
        "precision": precision,
    }
    settings.update({key: value for key, value in given.items() if value is not None})
    parameters = merged(settings.pop("set", {}), parse_assignments(assignments or []))
    cells = plan_cells(catalogue, settings, parameters, {"split": read_split(split), "smoke": smoke})
    sources = Sources(catalogue, out)
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        outcomes = [_cell(cell, sources, dry_run, as_json, len(cells) > 1) for cell in cells]
    if as_json:
        console.print_json({"runs": outcomes})
    if any(outcome["status"] in ("failed", "incompatible") or outcome.get("failed_scores") for outcome in outcomes):
        raise typer.Exit(EXIT_SOME_FAILED)


def plan_cells(
    catalogue: Catalogue, settings: Mapping[str, Any], parameters: Mapping[str, Any], common: Mapping[str, Any]
) -> list[RunConfig]:
    """Return the configurations a command asks for: methods x arms x folds x seeds.

    Args:
        catalogue: to know parts and studies.
        settings: options by name (see OPTIONS); methods, arms and metrics may be lists.
        parameters: part -> parameters, from ``--set``.
        common: further fields of ``RunConfig``.

    Raises:
        UsageError: for names, parameters or numbers that do not exist or do not fit.
    """
    from segbench.config import DEVICES, PRECISIONS, RunConfig, changed_recipe

    for part, values in parameters.items():
        if part not in PARTS:
            raise UsageError(f"--set {part}.…: no such part. {did_you_mean(part, PARTS)}")
        if not isinstance(values, Mapping):
            raise UsageError(f"--set {part}: expected parameters by name (KEY=VALUE), found {values!r}.")
    for option, known in (("device", DEVICES), ("precision", PRECISIONS)):
        if settings.get(option, "auto") not in known:
            raise UsageError(f"--{option} {settings[option]!r}: expected one of {', '.join(known)}.")
    methods = _listed(settings.get("method"))
    if not methods:
        raise UsageError("Which method? Name one with --method; `segbench list methods` shows all.")
    recipe_name = str(settings.get("recipe", "fair"))
    base = _named_recipe(catalogue, recipe_name)
    own = _named_recipe(catalogue, recipe_name, parameters.get("study", {}))
    epochs = {"epochs": settings["epochs"]} if "epochs" in settings else {}
    recipe = changed_recipe(own, {**parameters.get("recipe", {}), **epochs})
    names = {part: settings.get(part) or catalogue.default(part + "s") for part in ("dataset", "network")}
    chosen = {part: _choice(catalogue, part, str(name), parameters) for part, name in names.items()}
    unlabelled = settings.get("unlabelled")
    if not unlabelled and "unlabelled" in parameters:
        raise UsageError("--set unlabelled.…: which dataset? Name it with --unlabelled.")
    metric_parameters = parameters.get("metric", {})
    asked = _listed(settings.get("metric")) or (catalogue.defaults("metrics") if metric_parameters else [])
    metrics = _metrics(catalogue, asked, metric_parameters)
    arms = _listed(settings.get("arm")) or ["method"]
    _check_arms(catalogue, methods, arms)
    folds = settings.get("folds", 0)
    which = [settings["fold"]] if "fold" in settings else list(range(folds)) if folds else [0]
    first = settings.get("seed", 0)
    return [
        RunConfig(
            chosen["dataset"],
            chosen["network"],
            _choice(catalogue, "method", name, parameters),
            metrics,
            arm=arm,
            recipe=recipe,
            recipe_name=recipe_name,
            base=base,
            seed=seed,
            fold=fold,
            folds=folds,
            device=settings.get("device", "auto"),
            precision=settings.get("precision", "auto"),
            unlabelled=_choice(catalogue, "unlabelled", unlabelled, parameters) if unlabelled else None,
            **common,
        )
        for name in methods
        for arm in arms
        for fold in which
        for seed in range(first, first + settings.get("seeds", 1))
    ]


def _choice(catalogue: Catalogue, part: str, name: str, parameters: Mapping[str, Any]) -> Choice:
    """Return a choice with its parameters checked and in canonical form."""
    kind = "datasets" if part == "unlabelled" else part + "s"
    return catalogue.settle(kind, Choice(name, parameters.get(part, {})))


def _metrics(catalogue: Catalogue, names: list[str], parameters: Mapping[str, Any]) -> tuple[Choice, ...]:
    """Return the metrics named; parameters of a metric that is not among them are a mistake."""
    for key, values in parameters.items():
        catalogue.entry("metrics", key)
        if not isinstance(values, Mapping):
            raise UsageError(f"--set metric.{key}: expected parameters by name (metric.{key}.KEY=VALUE).")
        if key not in names:
            raise UsageError(f"--set metric.{key}.…: {key} is not computed here; add --metric {key}.")
    return tuple(_choice(catalogue, "metric", name, {"metric": parameters.get(name, {})}) for name in names)


def _check_arms(catalogue: Catalogue, methods: list[str], arms: list[str]) -> None:
    """Refuse an arm that none of the methods has; in a sweep, a method without it is a row later."""
    known = {"method"}.union(*(getattr(catalogue.entry("methods", name).cls, "arms", {}) for name in methods))
    for arm in arms:
        if arm not in known:
            raise UsageError(f"--arm {arm}: {', '.join(methods)} has no such arm. {did_you_mean(arm, known)}")


def _named_recipe(catalogue: Catalogue, name: str, parameters: Mapping[str, Any] | None = None) -> Recipe:
    """Return the shared recipe, or that of a study with these parameters."""
    from segbench.config import Recipe

    if name != "fair":
        return catalogue.study(Choice(name, parameters or {})).recipe()
    if parameters:
        raise UsageError("--set study.…: of which study? Name it with --recipe; the recipe fair is nobody's.")
    return Recipe()


def _cell(cell: RunConfig, sources: Sources, dry_run: bool, as_json: bool, sweep: bool) -> dict[str, Any]:
    """Run one configuration; in a sweep, parts that do not fit or plugins that fail are a row, not the end."""
    try:
        return _dry(cell, sources, as_json) if dry_run else _run(cell, sources, as_json)
    except (Incompatible, PluginError) as error:
        if not sweep:
            raise
        status = "incompatible" if isinstance(error, Incompatible) else "failed"
        console.say(f"{title(cell)}: {status}. {error}", style="yellow")
        return {**_axes(cell), "status": status, "reason": str(error)}


def _axes(cell: RunConfig) -> dict[str, Any]:
    return {"method": cell.method.name, "arm": cell.arm, "seed": cell.seed, "fold": cell.fold}


def title(cell: RunConfig) -> str:
    """Return a run in a few words."""
    arm = "" if cell.arm == "method" else f":{cell.arm}"
    fold = f", fold {cell.fold}" if cell.folds else ""
    return f"{cell.method.name}{arm} on {cell.dataset.name}, {cell.network.name}, seed {cell.seed}{fold}"


def _dry(cell: RunConfig, sources: Sources, as_json: bool) -> dict[str, Any]:
    from segbench.results import is_complete
    from segbench.runner import SMOKE_EPOCHS, assemble, folder_of

    parts = assemble(cell, sources.catalogue, sources.root, sources)
    folder = folder_of(cell, parts, sources.root)
    state = "finished already" if is_complete(folder) else "to be resumed" if folder.exists() else "to be run"
    if not as_json:
        epochs = SMOKE_EPOCHS if cell.smoke else cell.recipe.epochs
        console.say(f"{title(cell)}: {state}", style="bold")
        console.say(f"  data     {parts.task.name}@{parts.task.revision}: {parts.splits}")
        if parts.unlabelled:
            lender = parts.unlabelled.task
            console.say(f"  seen without labels  {lender.name}@{lender.revision}")
        console.say(f"  training {epochs} epochs, recipe {cell.recipe_name}, device {cell.device}")
        console.say(f"  metrics  {', '.join(metric.name for metric in parts.metrics)}", wrap=11)
        console.say(f"  folder   {folder}")
    document = {"run_id": folder.name, "folder": str(folder), **_axes(cell), "status": state}
    return document | {"config": cell.canonical(), "local": cell.local()}


def _run(cell: RunConfig, sources: Sources, as_json: bool) -> dict[str, Any]:
    from segbench.cli.progress import RichReporter
    from segbench.runner import run

    console.say(title(cell), style="bold")
    reporter = RichReporter(console.stderr())
    try:
        outcome = run(cell, catalogue=sources.catalogue, results_root=sources.root, reporter=reporter, sources=sources)
    finally:
        reporter.finish()
    if outcome.fresh and not as_json:
        _summary(outcome)
    if not outcome.fresh:
        console.say(f"Finished before; nothing to do. {outcome.folder}")
    return {
        "run_id": outcome.run_id,
        "folder": str(outcome.folder),
        **_axes(cell),
        "status": "done" if outcome.fresh else "finished before",
        "failed_scores": outcome.failed,
        "seconds": outcome.seconds,
    }


def _summary(outcome: Outcome) -> None:
    """Print the run's mean of each metric, as the leaderboard has it, and where everything is."""
    from rich.table import Table

    from segbench.ranking.means import means_of_run

    means = means_of_run(outcome.folder)
    table = Table("metric", "mean over cases", "undefined", "unit", box=None, padding=(0, 2, 0, 0))
    for one in means.metrics:
        unit = f"{one.unit} {'↑' if one.better == 'higher' else '↓'}".strip()
        mean = "-" if math.isnan(one.mean) else f"{one.mean:.4f}"
        table.add_row(one.metric, mean, str(one.undefined or ""), unit)
    shown = console.stdout()
    shown.print(table)
    if means.synthetic:
        shown.print("[yellow]synthetic phantom[/]: these numbers say nothing about patients", highlight=False)
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in outcome.seconds.items())
    shown.print(f"{seconds}\n{outcome.folder}", highlight=False, markup=False, soft_wrap=True)


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


def read_split(path: Path | None) -> dict[str, tuple[str, ...]] | None:
    """Read the JSON file of ``--split``: lists of cases by role.

    Raises:
        DataMissing: no such file.
        UsageError: other roles, or something else than lists of names.
    """
    if path is None:
        return None
    import json

    if not path.is_file():
        raise DataMissing(f"--split {path}: expected a JSON file, found none.")
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--split {path}: not valid JSON: {error}.") from error
    good = isinstance(lists, dict) and all(
        key in SPLIT_ROLES and isinstance(names, list) and all(isinstance(name, str) for name in names)
        for key, names in lists.items()
    )
    if not good:
        raise UsageError(f'--split {path}: expected {{"train": [CASE, ...], "val": [...], "test": [...]}}.')
    return {role: tuple(lists.get(role, ())) for role in SPLIT_ROLES}


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return list(dict.fromkeys(value if isinstance(value, list | tuple) else [value]))
