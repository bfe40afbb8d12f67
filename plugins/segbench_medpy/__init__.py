"""Metrics as MedPy defines them: the table of contents of the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import hookimpl

if TYPE_CHECKING:
    from segbench import Metric


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    """Return the metrics that call MedPy."""
    from segbench_medpy.metric import (
        MedPyASD,
        MedPyASSD,
        MedPyDice,
        MedPyHD,
        MedPyHD95,
        MedPyIoU,
        MedPyPrecision,
        MedPyRecall,
        MedPySpecificity,
    )

    return [
        MedPyDice,
        MedPyIoU,
        MedPyPrecision,
        MedPyRecall,
        MedPySpecificity,
        MedPyHD,
        MedPyHD95,
        MedPyASSD,
        MedPyASD,
    ]
