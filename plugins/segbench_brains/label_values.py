"""What the values of stored label maps mean: value -> index among the labels of a task, or -1 where nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from segbench import UNKNOWN, UsageError, did_you_mean


@dataclass(frozen=True)
class LabelValues:
    """An explicit table of the values that may occur; any other value is an error.

    Attributes:
        names: of the labels; the index is the value in truths, 0 is background.
        index: stored value -> index in ``names``, or -1 = unknown.
    """

    names: tuple[str, ...]
    index: Mapping[int, int]


def label_values(
    structures: Mapping[int, str],
    *,
    ignored: Iterable[int] = (),
    same: Mapping[int, int] | None = None,
    chosen: Iterable[int] | None = None,
) -> LabelValues:
    """Return the table of a protocol.

    Args:
        structures: value -> name; labels are numbered 1..K in ascending order of the values.
        ignored: values whose voxels are unknown.
        same: value -> value of the structure that it also stands for.
        chosen: values of the structures to segment, others become background; None = all.
    """
    kept = sorted(structures if chosen is None else chosen)
    index = dict.fromkeys((0, *structures), 0) | {value: number for number, value in enumerate(kept, start=1)}
    index |= dict.fromkeys(ignored, UNKNOWN)
    index |= {value: index[other] for value, other in (same or {}).items()}
    return LabelValues(("background", *(structures[value] for value in kept)), index)


def choose(structures: Mapping[int, str], wish: str) -> tuple[int, ...]:
    """Return the values that a wish names, in ascending order.

    Args:
        structures: value -> name, e.g. ``{161: "left caudate", 162: "right caudate"}``.
        wish: ``all``, or a comma-separated list of values, names, or names without their side (= both sides).

    Raises:
        UsageError: for an empty wish or a structure that does not exist.
    """
    if wish.strip().lower() == "all":
        return tuple(sorted(structures))
    values: dict[str, set[int]] = {}
    for value, name in structures.items():
        sideless = name.removeprefix("left ").removeprefix("right ")
        for key in (str(value), name.lower(), sideless.lower()):
            values.setdefault(key, set()).add(value)
    chosen: set[int] = set()
    for part in wish.lower().split(","):
        key = " ".join(part.split())
        if key not in values:
            names = [key for key in values if not key.isdigit()]
            raise UsageError(
                f"structures: expected all, or values or names such as 161,162 or left caudate, found {key!r}. "
                f"{did_you_mean(key, names)}"
            )
        chosen |= values[key]
    return tuple(sorted(chosen))
