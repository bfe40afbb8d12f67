"""Geometric constraints (Lambert et al. 2021): true area and edges in the training of a network, by ADMM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Method, Metric, Network, Study, hookimpl

if TYPE_CHECKING:
    from segbench_geometric.operators import edge_detector as edge_detector
    from segbench_geometric.operators import weighted_total_variation as weighted_total_variation
    from segbench_geometric.splitting import douglas_rachford as douglas_rachford

_HOME = {
    "douglas_rachford": "splitting",
    "edge_detector": "operators",
    "weighted_total_variation": "operators",
}
__all__ = ["douglas_rachford", "edge_detector", "weighted_total_variation"]


@hookimpl
def segbench_methods() -> list[type[Method]]:
    """Return the method ``geometric``."""
    from segbench_geometric.method import Geometric

    return [Geometric]


@hookimpl
def segbench_networks() -> list[type[Network]]:
    """Return the network ``sunet``."""
    from segbench_geometric.network import SUNet

    return [SUNet]


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    """Return the metrics ``slice_area_error``, ``weighted_tv_excess`` and ``extra_components``."""
    from segbench_geometric.metric import ExtraComponents, SliceAreaError, WeightedTVExcess

    return [SliceAreaError, WeightedTVExcess, ExtraComponents]


@hookimpl
def segbench_studies() -> list[type[Study]]:
    """Return the study ``lambert2021-table1``."""
    from segbench_geometric.study import Table1

    return [Table1]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'segbench_geometric' has no public name {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"segbench_geometric.{_HOME[name]}"), name)
    globals()[name] = value
    return value
