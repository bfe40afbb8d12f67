"""NonAdjLoss (Ganaye et al. 2018): labels that never touch in anatomy shall not touch in a segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Figure, Method, Metric, Network, Prior, Study, hookimpl

if TYPE_CHECKING:
    from segbench_nonadj.adjacency import penalty as penalty
    from segbench_nonadj.adjacency import soft_adjacency as soft_adjacency
    from segbench_nonadj.contact import contacts as contacts
    from segbench_nonadj.prior_file import read_prior as read_prior
    from segbench_nonadj.prior_file import write_prior as write_prior

_HOME = {
    "penalty": "adjacency",
    "soft_adjacency": "adjacency",
    "contacts": "contact",
    "read_prior": "prior_file",
    "write_prior": "prior_file",
}
__all__ = ["contacts", "penalty", "read_prior", "soft_adjacency", "write_prior"]


@hookimpl
def segbench_methods() -> list[type[Method]]:
    """Return the method ``nonadj``."""
    from segbench_nonadj.method import NonAdjLoss

    return [NonAdjLoss]


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    """Return the metrics ``forbidden_pairs`` and ``forbidden_contacts``."""
    from segbench_nonadj.metric import ForbiddenContacts, ForbiddenPairs

    return [ForbiddenPairs, ForbiddenContacts]


@hookimpl
def segbench_networks() -> list[type[Network]]:
    """Return the network ``modsegnet``."""
    from segbench_nonadj.modsegnet import ModSegNet

    return [ModSegNet]


@hookimpl
def segbench_priors() -> list[type[Prior]]:
    """Return the prior ``adjacency``."""
    from segbench_nonadj.prior_part import AdjacencyPrior

    return [AdjacencyPrior]


@hookimpl
def segbench_figures() -> list[type[Figure]]:
    """Return the figure ``adjacency``."""
    from segbench_nonadj.figure import AdjacencyFigure

    return [AdjacencyFigure]


@hookimpl
def segbench_studies() -> list[type[Study]]:
    """Return the study ``ganaye2018``."""
    from segbench_nonadj.study import Ganaye2018

    return [Ganaye2018]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'segbench_nonadj' has no public name {name!r}")
    import importlib

    return getattr(importlib.import_module(f"segbench_nonadj.{_HOME[name]}"), name)
