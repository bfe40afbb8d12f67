"""The ``labels`` of an nnU-Net dataset.json: plain labels, regions, and the ignore label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench import DataInvalid
from segbench_decathlon.folder import MOST_LABELS, plain, unique_names


@dataclass(frozen=True)
class Labels:
    """What the values of label maps mean.

    Attributes:
        names: name of every value from 0; a value without a name of its own is "label <value>".
        regions: name -> values; empty unless dataset.json has a region of several values.
        ignore: value of voxels nobody labelled, or None.
    """

    names: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]
    ignore: int | None


def read_labels(description: Mapping[str, Any], where: Path) -> Labels:
    """Read and check the labels.

    Args:
        description: content of dataset.json.
        where: its path, for messages.

    Raises:
        DataInvalid: values that are no whole numbers, no background, an ignore label that is not the highest, a
            ``regions_class_order`` of another length.
    """
    table = {plain(name): _values(plain(name), values, where) for name, values in description["labels"].items()}
    ignore = _ignore(table, where)
    foreground = {name: values for name, values in table.items() if name != "ignore" and values != (0,)}
    if len(foreground) + 1 + (ignore is not None) != len(table) or any(0 in values for values in foreground.values()):
        raise DataInvalid(f'{where}: expected exactly one label "background": 0, found {dict(table)}. Mend labels.')
    if not foreground:
        raise DataInvalid(f"{where}: expected at least one foreground label, found {dict(table)}. Mend labels.")
    count = max(value for values in foreground.values() for value in values)
    single: dict[int, str] = {}
    for name, values in foreground.items():
        if len(values) == 1:
            single.setdefault(values[0], name)
    has_regions = any(len(values) > 1 for values in foreground.values())
    if not has_regions and (len(single) != len(foreground) or len(single) != count):
        found = f"{sorted(values[0] for values in foreground.values())}"
        raise DataInvalid(f"{where}: expected label values 1, 2, ... each once, found {found}. Mend labels.")
    order = description.get("regions_class_order")
    if has_regions and order is not None and (not isinstance(order, list) or len(order) != len(foreground)):
        raise DataInvalid(f"{where}: expected regions_class_order with {len(foreground)} values, found {order!r}.")
    background = next(name for name, values in table.items() if values == (0,))
    names = [background, *(single.get(value, f"label {value}") for value in range(1, count + 1))]
    return Labels(unique_names(names), foreground if has_regions else {}, ignore)


def _values(name: str, values: object, where: Path) -> tuple[int, ...]:
    listed = values if isinstance(values, list) else [values]
    whole = [value for value in listed if isinstance(value, int) and not isinstance(value, bool)]
    if not whole or len(whole) != len(listed) or not all(0 <= value <= MOST_LABELS for value in whole):
        raise DataInvalid(
            f"{where}: label {name!r}: expected whole numbers from 0 to {MOST_LABELS}, found {values!r}. Mend labels."
        )
    return tuple(dict.fromkeys(whole))


def _ignore(table: Mapping[str, tuple[int, ...]], where: Path) -> int | None:
    if "ignore" not in table:
        return None
    others = max((max(values) for name, values in table.items() if name != "ignore"), default=0)
    if len(table["ignore"]) != 1 or table["ignore"][0] <= others:
        found = f"{list(table['ignore'])} beside {others}"
        raise DataInvalid(f"{where}: expected an ignore label above all others, found {found}. Mend labels.")
    return table["ignore"][0]
