"""The hooks of a segbench plugin: no arguments, no order, each returns a list of classes."""

from __future__ import annotations

import pluggy

from segbench.contracts import Dataset, Decision, Figure, Method, Metric, Network, Prior, Reporter, Study

GROUP = "segbench"
"""Entry-point group and pluggy project name."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def segbench_datasets() -> list[type[Dataset]]:
    """Return dataset classes."""
    raise NotImplementedError


@hookspec
def segbench_networks() -> list[type[Network]]:
    """Return network classes."""
    raise NotImplementedError


@hookspec
def segbench_methods() -> list[type[Method]]:
    """Return method classes."""
    raise NotImplementedError


@hookspec
def segbench_decisions() -> list[type[Decision]]:
    """Return decision classes."""
    raise NotImplementedError


@hookspec
def segbench_metrics() -> list[type[Metric]]:
    """Return metric classes."""
    raise NotImplementedError


@hookspec
def segbench_studies() -> list[type[Study]]:
    """Return study classes."""
    raise NotImplementedError


@hookspec
def segbench_priors() -> list[type[Prior]]:
    """Return prior classes."""
    raise NotImplementedError


@hookspec
def segbench_figures() -> list[type[Figure]]:
    """Return figure classes."""
    raise NotImplementedError


@hookspec
def segbench_reporters() -> list[type[Reporter]]:
    """Return reporter classes."""
    raise NotImplementedError
