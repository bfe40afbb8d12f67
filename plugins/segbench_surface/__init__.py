"""Surface distances of segmentations in mm: the table of contents of the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import hookimpl

if TYPE_CHECKING:
    from segbench import Metric
    from segbench_surface.distances import SurfaceDistances as SurfaceDistances
    from segbench_surface.distances import surface_distances as surface_distances

__all__ = ["SurfaceDistances", "segbench_metrics", "surface_distances"]


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    """Return the surface distance metrics."""
    from segbench_surface.metric import (
        AverageSymmetricSurfaceDistance,
        HausdorffDistance,
        HausdorffDistance95,
        HausdorffDistance95Pooled,
        HausdorffPercentile,
        MeanAverageSurfaceDistance,
        MeanSurfaceDistance,
    )
    from segbench_surface.tolerance import NormalisedSurfaceDistance, NormalisedSurfaceDistanceSurfel

    return [
        HausdorffDistance,
        HausdorffDistance95,
        HausdorffPercentile,
        HausdorffDistance95Pooled,
        AverageSymmetricSurfaceDistance,
        MeanAverageSurfaceDistance,
        MeanSurfaceDistance,
        NormalisedSurfaceDistance,
        NormalisedSurfaceDistanceSurfel,
    ]


def __getattr__(name: str) -> Any:
    if name in ("SurfaceDistances", "surface_distances"):
        from segbench_surface import distances

        return getattr(distances, name)
    raise AttributeError(f"module 'segbench_surface' has no attribute {name!r}")
