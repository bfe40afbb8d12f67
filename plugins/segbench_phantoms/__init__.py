"""Embedded, synthetic datasets: they need no download and are made from a seed."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the phantoms."""
    from segbench_phantoms.brain import Brain
    from segbench_phantoms.heart import Heart
    from segbench_phantoms.prostate import Prostate
    from segbench_phantoms.thorax import Thorax

    return [Brain, Heart, Prostate, Thorax]
