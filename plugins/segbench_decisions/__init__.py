"""Decisions: from probabilities to label maps."""

from __future__ import annotations

from segbench import Decision, hookimpl


@hookimpl
def segbench_decisions() -> list[type[Decision]]:
    """Return the decisions."""
    from segbench_decisions.argmax import Argmax

    return [Argmax]
