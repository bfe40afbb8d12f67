"""The runs of a study: cells x seeds, resumable cell by cell.

A finished run is left alone, so the command that was interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.config import RunConfig, changed_recipe
from segbench.contracts import Cell, Study
from segbench.errors import PluginError, UnknownName, did_you_mean
from segbench.failures import debugging, failure_of
from segbench.host import Catalogue, blame
from segbench.runner import assemble, folder_of, run, settled
from segbench.standing import state_of, trained_otherwise
from segbench.types import Choice

if TYPE_CHECKING:
    from segbench.assembly import Sources
    from segbench.training.loop import Reporter

ROLES = ("method", "baseline", "control", "placebo")
"""What a row of a study may be."""


@dataclass(frozen=True)
class Plan:
    """What is asked of a study.

    Attributes:
        study: the study.
        datasets: with their parameters; empty = the study's own.
        seeds: number of seeds; 0 = as the study says (1 for smoke runs).
        only: labels of the rows wanted; empty = all.
        recipe: overrides of the recipe, the same for all cells.
        metrics: parameters of metrics.
        others: further fields of ``RunConfig`` (device, precision, smoke).
        reporters: who follows the trainings.
    """

    study: Study
    datasets: tuple[Choice, ...] = ()
    seeds: int = 0
    only: tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    reporters: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One cell with one seed: finished in ``folder``, or not for a ``reason``.

    Attributes:
        dataset: name of the dataset.
        cell: the row, its configuration complete.
        state: "done", "finished before", "to be run", "to be resumed" or "failed".
        folder: of the run, if it could be named.
        reason: why it failed; "" if it did not.
        differs: precision and device that it was trained in, where they are not those of this machine; "" else.
    """

    dataset: str
    cell: Cell
    state: str
    folder: Path | None = None
    reason: str = ""
    differs: str = ""

    @property
    def finished(self) -> bool:
        """Whether there are results."""
        return self.state in ("done", "finished before")


def planned(plan: Plan, catalogue: Catalogue) -> Iterator[tuple[str, Cell]]:
    """Yield (dataset, cell) for every cell and seed, seeds innermost, each configuration complete.

    Raises:
        PluginError: if the study's cells are not as they should be.
        UnknownName: for a row that does not exist.
    """
    study, seeds = plan.study, plan.seeds or (1 if plan.others.get("smoke") else plan.study.seeds)
    for dataset in plan.datasets or tuple(Choice(name) for name in study.datasets):
        cells = cells_of(study, catalogue.settle("datasets", dataset), catalogue)
        labels = [cell.label for cell in cells]
        for wanted in plan.only:
            if wanted not in labels:
                raise UnknownName(f"Study {study.name} has no row {wanted!r}. {did_you_mean(wanted, labels)}")
        for cell in cells:
            if not plan.only or cell.label in plan.only:
                config = _completed(cell.config, plan, catalogue.defaults("metrics"))
                for seed in range(seeds):
                    yield dataset.name, replace(cell, config=replace(config, seed=seed))


def cells_of(study: Study, dataset: Choice, catalogue: Catalogue) -> Sequence[Cell]:
    """Return the rows of a study on a dataset, checked.

    Raises:
        PluginError: if there is none, two have one label, or a role does not exist.
    """
    with blame(catalogue.entry("studies", study.name).origin, f"listing the cells of study {study.name}"):
        cells = list(study.cells(dataset))
    labels = [cell.label for cell in cells]
    if not cells or len(set(labels)) < len(labels):
        raise PluginError(
            f"Study {study.name}: expected cells with unique labels, found {', '.join(labels) or 'none'}."
        )
    for cell in cells:
        if cell.role not in ROLES:
            raise PluginError(
                f"Study {study.name}: row {cell.label!r}: role {cell.role!r} is none of {', '.join(ROLES)}."
            )
    return cells


def _completed(config: RunConfig, plan: Plan, defaults: Sequence[str]) -> RunConfig:
    """Return a cell's configuration with the study's metrics and what the user changed for all cells alike.

    Metrics that are computed anyway are not asked for: the cell is then the same run as one made without the study.
    """
    metrics = tuple(Choice(name, plan.metrics.get(name, {})) for name in plan.study.metrics) or config.metrics
    if not plan.metrics and {metric.name for metric in metrics} <= set(defaults):
        metrics = ()
    base = config.base or (None if config.recipe_name == "fair" else config.recipe)
    return replace(config, metrics=metrics, recipe=changed_recipe(config.recipe, plan.recipe), base=base, **plan.others)


def look(dataset: str, cell: Cell, sources: Sources, *, stand_in: bool = False) -> Attempt:
    """Say how far a cell is, without training.

    Args:
        dataset: its name.
        cell: the row.
        sources: where everything comes from.
        stand_in: let a run of another precision or device stand in for one of this machine.
    """
    try:
        config = settled(cell.config, sources.catalogue)
        parts = assemble(config, sources.catalogue, sources.root, sources)
        folder = folder_of(config, parts, sources.root)
    except Exception as error:
        debugging(error)
        return Attempt(dataset, cell, "failed", reason=failure_of(error).reason)
    state = state_of(folder, parts, sources.catalogue)
    state = "finished before" if state == "finished already" else state
    if other := trained_otherwise(config, parts, folder):
        differs = f"{other[1]}, not {parts.data['precision']} on {parts.data['device']}"
        state, folder = ("finished before", other[0]) if stand_in else (state, folder)
        return Attempt(dataset, cell, state, folder, differs=differs)
    return Attempt(dataset, cell, state, folder)


def attempt(
    dataset: str, cell: Cell, sources: Sources, reporter: Reporter | None = None, reporters: Sequence[Choice] = ()
) -> Attempt:
    """Run a cell unless it is finished; one that fails says why, so that the others can go on."""
    told: dict[str, Any] = {"reporter": reporter, "reporters": reporters}
    try:
        outcome = run(cell.config, catalogue=sources.catalogue, results_root=sources.root, sources=sources, **told)
    except Exception as error:
        debugging(error)
        return Attempt(dataset, cell, "failed", reason=failure_of(error).reason)
    return Attempt(dataset, cell, "done" if outcome.fresh else "finished before", outcome.folder)
