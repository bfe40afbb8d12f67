"""The cells of a command: methods x arms x folds x seeds, each a complete configuration, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segbench.config import HELD_OUT
from segbench.errors import UsageError, did_you_mean
from segbench.files.splits import ROLES, SplitList
from segbench.scoring.decisions import chain_named
from segbench.training.live import reporters_of
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.config import Recipe, RunConfig
    from segbench.host import Catalogue

PARTS = ("dataset", "unlabelled", "network", "method", "decision", "metric", "recipe", "study", "reporter")


def plan_cells(
    catalogue: Catalogue,
    settings: Mapping[str, Any],
    parameters: Mapping[str, Any],
    common: Mapping[str, Any],
    splits: SplitList | None = None,
    notes: list[str] | None = None,
) -> list[RunConfig]:
    """Return the configurations a command asks for: methods x arms x folds x seeds.

    A method without one of the arms, such as a baseline without a control, is left out of that arm.

    Args:
        catalogue: to know parts and studies.
        settings: options by name (see OPTIONS); methods, arms and metrics may be lists, and the decisions of a chain.
        parameters: part -> parameters, from ``--set``.
        common: further fields of ``RunConfig``.
        splits: what ``--split`` lists.
        notes: receives a sentence for each method that is left out of an arm.

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
    metrics = metric_choices(catalogue, asked, metric_parameters)
    decision = chain_named(settings.get("decision"), parameters.get("decision"))
    arms = _listed(settings.get("arm")) or ["method"]
    having = _having(catalogue, methods, arms, [] if notes is None else notes)
    folds, which = _folds_asked(settings, splits)
    first = settings.get("seed", 0)
    return [
        RunConfig(
            chosen["dataset"],
            chosen["network"],
            _choice(catalogue, "method", name, parameters),
            metrics,
            decision,
            arm=arm,
            recipe=recipe,
            recipe_name=recipe_name,
            base=base,
            seed=seed,
            fold=fold,
            folds=folds,
            split=split_listed(splits, fold),
            device=settings.get("device", "auto"),
            precision=settings.get("precision", "auto"),
            unlabelled=_choice(catalogue, "unlabelled", unlabelled, parameters) if unlabelled else None,
            **common,
        )
        for name, arm in having
        for fold in which
        for seed in range(first, first + settings.get("seeds", 1))
    ]


def _choice(catalogue: Catalogue, part: str, name: str, parameters: Mapping[str, Any]) -> Choice:
    """Return a choice with its parameters checked and in canonical form."""
    kind = "datasets" if part == "unlabelled" else part + "s"
    return catalogue.settle(kind, Choice(name, parameters.get(part, {})))


def metric_choices(catalogue: Catalogue, names: list[str], parameters: Mapping[str, Any]) -> tuple[Choice, ...]:
    """Return the metrics named; parameters of a metric that is not among them are a mistake."""
    return _choices(catalogue, "metric", names, parameters)


def reporter_choices(catalogue: Catalogue, names: Any, parameters: Mapping[str, Any]) -> tuple[Choice, ...]:
    """Return the reporters named; parameters of a reporter that is not among them are a mistake.

    Raises:
        DataMissing: one lacks what it needs.
    """
    choices = _choices(catalogue, "reporter", _listed(names), parameters)
    reporters_of(catalogue, choices)  # which asks them: nothing is trained for a reporter that cannot work
    return choices


def _choices(catalogue: Catalogue, part: str, names: list[str], parameters: Mapping[str, Any]) -> tuple[Choice, ...]:
    """Return the parts named, several of one kind, whose parameters are given by name."""
    for key, values in parameters.items():
        catalogue.entry(part + "s", key)
        if not isinstance(values, Mapping):
            raise UsageError(f"--set {part}.{key}: expected parameters by name ({part}.{key}.KEY=VALUE).")
        if key not in names:
            raise UsageError(f"--set {part}.{key}.…: {key} is not taken here; add --{part} {key}.")
    return tuple(_choice(catalogue, part, name, {part: parameters.get(name, {})}) for name in names)


def _having(catalogue: Catalogue, methods: list[str], arms: list[str], notes: list[str]) -> list[tuple[str, str]]:
    """Return each method with each of the arms that it has; refuse an arm that none of the methods has."""
    own = {name: ("method", *catalogue.arms(name)) for name in methods}
    known = {arm for names in own.values() for arm in names}
    for arm in arms:
        if arm not in known:
            raise UsageError(f"--arm {arm}: {', '.join(methods)} has no such arm. {did_you_mean(arm, known)}")
    for arm in arms:
        if without := [name for name in methods if arm not in own[name]]:
            have = "has" if len(without) == 1 else "have"
            notes.append(f"{', '.join(without)} {have} no arm {arm}: left out there.")
    return [(name, arm) for name in methods for arm in arms if arm in own[name]]


def _named_recipe(catalogue: Catalogue, name: str, parameters: Mapping[str, Any] | None = None) -> Recipe:
    """Return the shared recipe, or that of a study with these parameters."""
    from segbench.config import Recipe

    if name != "fair":
        return catalogue.study(Choice(name, parameters or {})).recipe()
    if parameters:
        raise UsageError("--set study.…: of which study? Name it with --recipe; the recipe fair is nobody's.")
    return Recipe()


def title(cell: RunConfig) -> str:
    """Return a run in a few words."""
    arm = "" if cell.arm == "method" else f":{cell.arm}"
    fold = f", fold {cell.fold}" if cell.folds else ""
    return f"{cell.method.name}{arm} on {cell.dataset.name}, {cell.network.name}, seed {cell.seed}{fold}"


def split_listed(splits: SplitList | None, fold: int) -> Mapping[str, tuple[str, ...]] | None:
    """Return the fixed lists of a run: as a file lists them by role, or one of its folds.

    Of a fold the ``val`` cases are held out to test on, and validation cases are drawn from its ``train`` cases, as for
    the folds that a dataset brings along.

    Raises:
        UsageError: no such fold, a fold without training cases, or other roles than train, val and test.
    """
    if splits is None:
        return None
    if splits.folds:
        return {"train": splits.cases("train", fold), HELD_OUT: splits.cases("val", fold)}
    for role in splits.roles:
        if role not in ROLES:
            known = did_you_mean(role, ROLES)
            raise UsageError(f"{splits.where}: expected lists train, val and test, found {role!r}. {known}")
    return {role: splits.roles.get(role, ()) for role in ROLES}


def _folds_asked(settings: Mapping[str, Any], splits: SplitList | None) -> tuple[int, list[int]]:
    """Return the number of folds, 0 if there are none, and those of them that are asked for."""
    folds = settings.get("folds", 0)
    if splits is not None and splits.folds:
        count = len(splits.folds)
        if folds not in (0, count):
            raise UsageError(f"--folds {folds}: {splits.where} lists {count}. Leave --folds out, or say {count}.")
        if "fold" not in settings and not folds and count > 1:
            raise UsageError(f"{splits.where} lists {count} folds: say which with --fold, or all with --folds {count}.")
        folds = count
    elif splits is not None and (folds or settings.get("fold")):
        option = "--folds" if folds else "--fold"
        raise UsageError(f"{option}: {splits.where} lists one split and no folds. Leave {option} out.")
    return folds, [settings["fold"]] if "fold" in settings else list(range(folds)) if folds else [0]


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return list(dict.fromkeys(value if isinstance(value, list | tuple) else [value]))
