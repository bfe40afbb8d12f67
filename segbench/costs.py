"""What trainings cost, from the records of their runs: seconds, memory, parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from segbench.collection import kept_runs
from segbench.errors import DataInvalid


@dataclass(frozen=True)
class Cost:
    """Means over the runs of one competitor; None where no run recorded it.

    Attributes:
        method: its name.
        runs: how many there are.
        seconds: of preparation and training.
        memory: peak, bytes.
        parameters: of the network.
        energy: joules of the training, all counters of the machine together.
    """

    method: str
    runs: int
    seconds: float | None
    memory: float | None
    parameters: float | None
    energy: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return any(one is not None for one in (self.seconds, self.memory, self.parameters, self.energy))


def seconds_of(record: Mapping[str, Any]) -> Mapping[str, float]:
    """Return stage -> seconds of a run; older evaluations wrote one number, which is that of scoring."""
    seconds = record.get("seconds")
    if isinstance(seconds, Mapping):
        return {str(stage): float(spent) for stage, spent in seconds.items() if isinstance(spent, int | float)}
    return {"score": float(seconds)} if isinstance(seconds, int | float) else {}


def cost_of(method: str, records: Sequence[Mapping[str, Any]]) -> Cost:
    """Return what the runs of a method cost, given their records."""
    spent = [seconds_of(one) for one in records]
    seconds = [one.get("prepare", 0.0) + one["train"] for one in spent if "train" in one]
    memory = [float(one["peak_memory_bytes"]) for one in records if one.get("peak_memory_bytes")]
    parameters = [float(one["parameters"]) for one in records if isinstance(one.get("parameters"), int)]
    counted = (one.get("energy_joules") for one in records)
    energy = [float(sum(joules.values())) for joules in counted if isinstance(joules, Mapping) and joules]
    return Cost(method, len(records), _mean(seconds), _mean(memory), _mean(parameters), _mean(energy))


def records_in(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return run -> record of what results hold, see ``collection.kept_runs``; what cannot be read is left out."""
    found: dict[str, Mapping[str, Any]] = {}
    for run in kept_runs(path, []):
        with contextlib.suppress(DataInvalid):  # whoever reads the scores says so
            found[run.run_id] = run.record
    return found


def costs_by_method(runs: Mapping[str, Sequence[str]], records: Mapping[str, Mapping[str, Any]]) -> dict[str, Cost]:
    """Return method -> cost of those of which something is known.

    Args:
        runs: method -> its runs.
        records: run -> record.
    """
    found = (cost_of(method, [records[run] for run in its if run in records]) for method, its in runs.items())
    return {one.method: one for one in found if one.known}


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
