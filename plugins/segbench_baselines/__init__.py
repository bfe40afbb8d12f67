"""The pixel losses as methods: ``ce``, ``dice`` and ``ce_dice``, which every prior has to beat."""

from __future__ import annotations

from segbench import Method, hookimpl


@hookimpl
def segbench_methods() -> list[type[Method]]:
    """Return the three baselines."""
    from segbench_baselines.method import CrossEntropy, CrossEntropyDice, Dice

    return [CrossEntropy, Dice, CrossEntropyDice]
