"""A plan: the cells of a command as a value, each with identity, folder, state and what must come first.

A plan is one JSON document, so that whoever starts processes (a shell, GNU parallel, Snakemake, SLURM, Ray) can run its
cells one by one, on this machine or on others that see the same folders. What a cell is asked to do is written out in
full: running it needs neither the command nor the file it came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.assembly import Parts, Sources, assemble, folder_of, settled
from segbench.config import RunConfig
from segbench.errors import DataInvalid, DataMissing, SegbenchError, UsageError
from segbench.failures import debugging, failure_of
from segbench.locks import holder
from segbench.params import fingerprint, make, to_json
from segbench.planning import title
from segbench.standing import state_of

if TYPE_CHECKING:
    from segbench.host import Catalogue

FORMAT = 1
FINISHED = "finished already"
RUNNING = "running"
IMPOSSIBLE = ("incompatible", "failed")
"""States of cells that cannot even begin; ``reason`` says why."""
STATES = (FINISHED, "to be scored", "to be resumed", "to be run", RUNNING, *IMPOSSIBLE)


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a plan.

    Attributes:
        config: what is to be run, complete.
        id: identity of the training, also the name of its folder; "" if the cell cannot be put together.
        folder: of its results; None likewise.
        state: one of STATES, when the plan was looked at.
        reason: why it is incompatible or failed, or who is running it; else "".
        after: ids of cells that train a helper this one would otherwise train again.
        exit_code: of a command that ends with this reason; not part of a file.
    """

    config: RunConfig
    id: str = ""
    folder: Path | None = None
    state: str = ""
    reason: str = ""
    after: tuple[str, ...] = ()
    exit_code: int = 0

    @property
    def open(self) -> bool:
        """Whether there is something to do."""
        return self.state != FINISHED and self.state not in IMPOSSIBLE

    @property
    def key(self) -> str:
        """What tells the cell from the others of its plan."""
        return self.id or fingerprint(to_json(self.config))

    @property
    def title(self) -> str:
        """The cell in a few words."""
        return title(self.config)


@dataclass(frozen=True)
class Plan:
    """The cells of a command.

    Attributes:
        cells: in the order of the command; those of one training are one cell.
        root: folder of all results.
        plugins: single files that are loaded as plugins.
        threads: of each training, one number for the whole plan; sums in another order differ in their last bits.
    """

    cells: tuple[PlannedCell, ...]
    root: Path
    plugins: tuple[Path, ...] = ()
    threads: int = 1

    def __len__(self) -> int:
        return len(self.cells)

    def cell(self, named: str) -> PlannedCell:
        """Return the cell of a position (from 0) or an identity (its first four digits at least).

        Raises:
            UsageError: there is none, or more than one.
        """
        if named.isdecimal() and len(named) < 12 and int(named) < len(self.cells):
            return self.cells[int(named)]
        found = [cell for cell in self.cells if len(named) >= 4 and cell.id.startswith(named)]
        if len(found) != 1:
            what = "several cells are" if found else "no cell is"
            raise UsageError(
                f"--cell {named}: {what} called so; expected a position from 0 to {len(self.cells) - 1}, or the first "
                f"digits (four at least) of an id. `segbench plan --plan FILE` lists both."
            )
        return found[0]

    def ordered(self) -> tuple[PlannedCell, ...]:
        """Return the cells, those that must come first before the others."""
        return tuple(sorted(self.cells, key=lambda cell: bool(cell.after)))

    def looked_at(self, sources: Sources) -> Plan:
        """Return the same plan with the states of now."""
        return look((cell.config for cell in self.cells), sources, plugins=self.plugins, threads=self.threads)

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON values; paths are absolute, for it may be run from another folder."""
        return {
            "segbench_plan": FORMAT,
            "results": str(self.root.absolute()),
            "plugins": [str(path.absolute()) for path in self.plugins],
            "threads": self.threads,
            "cells": [_entry(index, cell) for index, cell in enumerate(self.cells)],
        }


def _entry(index: int, cell: PlannedCell) -> dict[str, Any]:
    config = cell.config
    return {
        "index": index,
        "id": cell.id,
        "state": cell.state,
        "reason": cell.reason,
        "after": list(cell.after),
        "title": cell.title,
        "dataset": config.dataset.name,
        "network": config.network.name,
        "method": config.method.name,
        "arm": config.arm,
        "seed": config.seed,
        "fold": config.fold,
        "folder": None if cell.folder is None else str(cell.folder.absolute()),
        "config": to_json(config),
    }


def look(configs: Iterable[RunConfig], sources: Sources, *, plugins: Sequence[Path] = (), threads: int = 1) -> Plan:
    """Return the plan of some configurations: each is put together and looked for on disk; nothing is trained.

    Args:
        configs: of the cells; those that are the same training become one cell.
        sources: datasets that are prepared already, and the root of all results.
        plugins, threads: see ``Plan``.
    """
    cells: dict[str, PlannedCell] = {}
    leaders: dict[str, str] = {}
    for config in configs:
        cell, common = _look(config, sources)
        leader = leaders.setdefault(common, cell.id) if common else ""
        if leader not in ("", cell.id):
            cell = replace(cell, after=(leader,))
        cells.setdefault(cell.key, cell)
    return Plan(tuple(cells.values()), sources.root, tuple(plugins), threads)


def _look(config: RunConfig, sources: Sources) -> tuple[PlannedCell, str]:
    """Return a cell, and what names the helper its method would train; "" if it trains none that others use too."""
    try:
        config = settled(config, sources.catalogue)
        parts = assemble(config, sources.catalogue, sources.root, sources)
        folder = folder_of(config, parts, sources.root)
        state = state_of(folder, parts, sources.catalogue)
    except Exception as error:  # whatever is wrong with a cell is its row
        debugging(error)
        failure = failure_of(error)
        return PlannedCell(config, state=failure.status, reason=failure.reason, exit_code=failure.exit_code), ""
    by = holder(folder) if state != FINISHED else None
    state, reason = (state, "") if by is None else (RUNNING, f"by {by}")
    return PlannedCell(config, folder.name, folder, state, reason), _common(config, parts, sources.catalogue)


def _common(config: RunConfig, parts: Parts, catalogue: Catalogue) -> str:
    """Return what names the helper training of a run: what its method says of it, and what the method would see."""
    from segbench.host import blame

    with blame(catalogue.entry("methods", config.method.name).origin, "saying what runs share"):
        shared = parts.method.shares()
    if shared is None:
        return ""
    recipe = to_json(config.recipe)
    seen = [recipe[name] for name in ("spacing", "label_resampling", "crop")]
    cases = [ref.id for ref in parts.splits.train]
    method = [parts.method.name, parts.method.version, parts.data["code"].get("method", "")]
    task = [parts.task.name, parts.task.revision]
    return fingerprint([method, dict(shared), task, cases, seen, config.seed, config.fold])


def write_plan(plan: Plan, file: Path) -> None:
    """Write a plan as JSON; the file appears whole."""
    from segbench.results import write_json

    write_json(file, plan.document())


def read_plan(file: Path) -> Plan:
    """Read a plan; its states are those of the day it was made.

    Raises:
        DataMissing: there is no such file.
        DataInvalid: it is no plan, or not as segbench writes it.
    """
    if not file.is_file():
        raise DataMissing(f"--plan {file}: expected a plan, found no file. Make one with `segbench plan ... --write`.")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(f"--plan {file}: expected a JSON document, found {error}.") from error
    if not isinstance(document, Mapping) or document.get("segbench_plan") != FORMAT:
        raise DataInvalid(
            f"--plan {file}: expected a plan of format {FORMAT} (`segbench plan ... --write FILE`), found another."
        )
    try:
        cells = tuple(_cell(entry) for entry in document["cells"])
        plugins = tuple(Path(path) for path in document["plugins"])
        return Plan(cells, Path(document["results"]), plugins, int(document["threads"]))
    except (SegbenchError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataInvalid(f"--plan {file}: it cannot be read: {error}. Make the plan again.") from error


def _cell(entry: Mapping[str, Any]) -> PlannedCell:
    folder = entry["folder"]
    return PlannedCell(
        make(RunConfig, entry["config"], "configuration"),
        str(entry["id"]),
        None if folder is None else Path(folder),
        str(entry["state"]),
        str(entry["reason"]),
        tuple(map(str, entry["after"])),
    )
