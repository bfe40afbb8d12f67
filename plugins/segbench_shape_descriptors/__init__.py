"""Shape descriptors (Kervadec et al. 2021): segmentation supervised by a few numbers per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Method, Metric, Network, Prior, Study, hookimpl

if TYPE_CHECKING:
    from segbench_shape_descriptors.descriptors import angle as angle
    from segbench_shape_descriptors.descriptors import central_moment as central_moment
    from segbench_shape_descriptors.descriptors import centroid as centroid
    from segbench_shape_descriptors.descriptors import elongation as elongation
    from segbench_shape_descriptors.descriptors import length as length
    from segbench_shape_descriptors.descriptors import orientation as orientation
    from segbench_shape_descriptors.descriptors import ratio as ratio
    from segbench_shape_descriptors.descriptors import spread as spread
    from segbench_shape_descriptors.descriptors import volume as volume
    from segbench_shape_descriptors.table import learn_table as learn_table
    from segbench_shape_descriptors.table import read_table as read_table
    from segbench_shape_descriptors.table import write_table as write_table

_HOME = {
    "angle": "descriptors",
    "central_moment": "descriptors",
    "centroid": "descriptors",
    "elongation": "descriptors",
    "learn_table": "table",
    "length": "descriptors",
    "orientation": "descriptors",
    "ratio": "descriptors",
    "read_table": "table",
    "spread": "descriptors",
    "volume": "descriptors",
    "write_table": "table",
}
__all__ = [
    "angle",
    "central_moment",
    "centroid",
    "elongation",
    "learn_table",
    "length",
    "orientation",
    "ratio",
    "read_table",
    "spread",
    "volume",
    "write_table",
]


@hookimpl
def segbench_methods() -> list[type[Method]]:
    """Return the method ``shape_descriptors``."""
    from segbench_shape_descriptors.method import ShapeDescriptors

    return [ShapeDescriptors]


@hookimpl
def segbench_networks() -> list[type[Network]]:
    """Return the networks ``enet`` and ``residual_unet``."""
    from segbench_shape_descriptors.networks import ENet, ResidualUNet

    return [ENet, ResidualUNet]


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    """Return the metrics of the constraint, for any method's predictions."""
    from segbench_shape_descriptors.metrics import BoundViolation, CentroidError, LengthError, SpreadError

    return [CentroidError, SpreadError, LengthError, BoundViolation]


@hookimpl
def segbench_priors() -> list[type[Prior]]:
    """Return the prior ``descriptors``."""
    from segbench_shape_descriptors.prior_part import DescriptorPrior

    return [DescriptorPrior]


@hookimpl
def segbench_studies() -> list[type[Study]]:
    """Return the paper's table and its training protocols."""
    from segbench_shape_descriptors.studies import Acdc, Promise12
    from segbench_shape_descriptors.table1 import Table1

    return [Acdc, Promise12, Table1]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'segbench_shape_descriptors' has no public name {name!r}")
    import importlib

    return getattr(importlib.import_module(f"segbench_shape_descriptors.{_HOME[name]}"), name)
