"""Which structures of a task get a signature."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from segbench import Structure, Task

SIDES = ("left ", "right ")


def chosen_structures(task: Task, names: Sequence[str], most: int) -> list[Structure]:
    """Return the labels that are named, with or without their side, in the order of their values.

    Args:
        task: gives the labels.
        names: as in ``task.labels``, or without ``left`` and ``right``; empty = the first ``most`` labels.
        most: see ``names``.
    """
    labels = [Structure(name, (value,), value) for value, name in enumerate(task.labels) if value > 0]
    if names:
        return [label for label in labels if not set(names).isdisjoint(_keys(label.name))]
    if len(labels) > most:
        logging.getLogger(__name__).warning(
            "shape_signature: %d labels; only the first %d get a signature. Name others: method.structures=NAME,NAME",
            len(labels),
            most,
        )
    return labels[:most]


def unknown_names(task: Task, names: Sequence[str]) -> list[str]:
    """Return the names that no label has, with or without its side."""
    known = {key for name in task.labels[1:] for key in _keys(name)}
    return [name for name in names if name not in known]


def another(structure: Structure, among: Sequence[Structure]) -> Structure | None:
    """Return the next structure, the list closing in a ring, that is not the same one on the other side; or None."""
    place = list(among).index(structure)
    for other in (*among[place + 1 :], *among[:place]):
        if _sideless(other.name) != _sideless(structure.name):
            return other
    return None


def _keys(name: str) -> set[str]:
    return {name, _sideless(name)}


def _sideless(name: str) -> str:
    for side in SIDES:
        name = name.removeprefix(side)
    return name
