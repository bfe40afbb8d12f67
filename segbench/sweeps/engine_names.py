"""Engines by the names that a command gives them; what an engine needs is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.errors import UsageError, did_you_mean
from segbench.sweeps.engines import Engine


def engine_named(name: str, jobs: int, address: str | None = None, options: Sequence[str] = ()) -> Engine:
    """Return an engine.

    Args:
        name: "local", "ray" or "slurm".
        jobs: cells at once; 0 = as many as the engine finds room for.
        address: of a running Ray cluster; None = one of this machine, for as long as the sweep lasts.
        options: ``KEY=VALUE`` of the engine's own, such as a SLURM partition.

    Raises:
        UsageError: no such engine, or it is not installed.
    """
    if name == "local":
        from segbench.sweeps.processes import Processes

        return Processes(max(1, jobs))
    if name == "ray":
        from segbench.sweeps.on_ray import Ray

        return Ray(jobs, address)
    if name == "slurm":
        from segbench.sweeps.on_slurm import Slurm

        return Slurm(jobs, options)
    raise UsageError(f"--engine {name}: no such engine. {did_you_mean(name, ('local', 'ray', 'slurm'))}")
