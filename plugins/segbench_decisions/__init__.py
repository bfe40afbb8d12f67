"""Decisions: from probabilities to label maps."""

from __future__ import annotations

from segbench import Decision, hookimpl


@hookimpl
def segbench_decisions() -> list[type[Decision]]:
    """Return the decisions."""
    from segbench_decisions.argmax import Argmax
    from segbench_decisions.components import LargestComponent
    from segbench_decisions.holes import FillHoles
    from segbench_decisions.rank_dice import RankDice
    from segbench_decisions.threshold import Threshold

    return [Argmax, Threshold, RankDice, LargestComponent, FillHoles]
