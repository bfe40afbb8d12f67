"""Overlap, volume, topology and centre line of segmentations: the table of contents of the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import hookimpl

if TYPE_CHECKING:
    from segbench import Metric


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    """Return the overlap, volume, topology and centre-line metrics."""
    from segbench_overlap.metric import Dice, IoU, Precision, Recall, RelativeVolumeError, Specificity, VolumeError
    from segbench_overlap.shape import (
        BettiOne,
        BettiTwo,
        BettiZero,
        BoundaryIoU,
        CentrelineDice,
        CentroidDistance,
        Components,
    )

    return [
        Dice,
        IoU,
        Precision,
        Recall,
        Specificity,
        VolumeError,
        RelativeVolumeError,
        CentroidDistance,
        BoundaryIoU,
        Components,
        BettiZero,
        BettiOne,
        BettiTwo,
        CentrelineDice,
    ]
