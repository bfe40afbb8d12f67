"""NonAdjLoss (Ganaye et al. 2018): labels that never touch in anatomy shall not touch in a segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Method, Metric, hookimpl

if TYPE_CHECKING:
    from segbench_nonadj.adjacency import penalty as penalty
    from segbench_nonadj.adjacency import soft_adjacency as soft_adjacency
    from segbench_nonadj.contact import contacts as contacts
    from segbench_nonadj.prior import read_prior as read_prior
    from segbench_nonadj.prior import write_prior as write_prior

_HOME = {
    "penalty": "adjacency",
    "soft_adjacency": "adjacency",
    "contacts": "contact",
    "read_prior": "prior",
    "write_prior": "prior",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'segbench_nonadj' has no public name {name!r}")
    import importlib

    return getattr(importlib.import_module(f"segbench_nonadj.{_HOME[name]}"), name)
