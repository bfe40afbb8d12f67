"""Figures of any run: ``history``, the course of training."""

from __future__ import annotations

from segbench import Figure, hookimpl


@hookimpl
def segbench_figures() -> list[type[Figure]]:
    """Return the figure ``history``."""
    from segbench_figures.history import History

    return [History]
