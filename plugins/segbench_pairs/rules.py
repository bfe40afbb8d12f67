"""What stands for a label in a mask: a value, several, all from one on, or a colour; and the way back for predictions.

``255`` is a value, ``[1, 2]`` (or ``1|2``) several, ``>=128`` all from 128 on (masks saved as JPEG, instance maps with
``>=1``), ``#ff0000`` a colour. Without labels, masks hold the label values themselves, or 0 and 255.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segbench import DataInvalid, LabelMap, UsageError, parse_colour, read_image, read_label_map

LOSSY = (".jpg", ".jpeg")
IGNORED = -1
MOST = 65_535


@dataclass(frozen=True)
class Rules:
    """How pixels of masks become label indices.

    Attributes:
        names: of the labels, background first.
        values: stored value -> label index, or -1 = does not count.
        threshold: (value, label index): every stored value from the value on is the label; None = no such rule.
        colours: colour -> label index, or -1; empty = values count.
    """

    names: tuple[str, ...]
    values: Mapping[int, int] = field(default_factory=dict)
    threshold: tuple[int, int] | None = None
    colours: Mapping[tuple[int, int, int], int] = field(default_factory=dict)

    def coded(self) -> dict[int, int]:
        """Return what ``read_mask`` gives -> label index, or -1 = does not count; for ``segbench.read_case``."""
        if self.threshold is None and not self.colours:
            return dict(self.values)
        return {index: index for index in range(len(self.names))} | {len(self.names): IGNORED}

    def back(self) -> dict[int, int]:
        """Return label index -> the value that predictions are written with."""
        found = {index: value for value, index in sorted(self.values.items(), reverse=True) if index > 0}
        if self.threshold:
            value, index = self.threshold
            found[index] = 255 if 1 < value <= 255 else value
        return {0: 0} | found


def rules_of(labels: Mapping[str, Any], ignore: Any) -> Rules:
    """Return the rules of a table name -> what stands for it.

    Args:
        labels: see the module; the order is that of the label indices.
        ignore: what stands for pixels that do not count, or "".

    Raises:
        UsageError: something that means nothing, one value for two labels, or colours mixed with values.
    """
    names = [name for name in labels if name.strip().lower() != "background"]
    indices = {name: index for index, name in enumerate(names, 1)}
    written = [(indices.get(name, 0), name, one) for name, rule in labels.items() for one in _parts(rule)]
    written += [(IGNORED, "ignore", one) for one in _parts(ignore)] if ignore != "" else []
    values: dict[int, int] = {0: 0}
    colours: dict[tuple[int, int, int], int] = {}
    threshold = None
    for index, name, rule in written:
        text = str(rule).strip()
        if text.startswith("#"):
            colour = parse_colour(text)
            _once(colours, colour, index, name, text)
        elif match := re.fullmatch(r">=\s*(\d+)", text):
            if threshold is not None or index <= 0:
                raise UsageError(f"labels: {name}: expected one label with >=, found {text!r} besides another.")
            threshold = (int(match[1]), index)
        elif text.isdecimal() and int(text) <= MOST:
            if int(text) == 0 and index != 0:
                values.pop(0)
            _once(values, int(text), index, name, text)
        else:
            raise UsageError(f"labels: {name}: expected a value, >=VALUE or a colour such as #ff0000, found {text!r}.")
    if not names or (colours and (threshold or set(values) != {0})):
        raise UsageError(
            "labels: expected at least one label, and either colours or values. Correct labels and ignore."
        )
    return Rules(("background", *names), values, threshold, colours)


def _parts(rule: Any) -> list[Any]:
    if isinstance(rule, list):
        return rule
    return rule.split("|") if isinstance(rule, str) else [rule]


def _once(table: dict[Any, int], key: Any, index: int, name: str, text: str) -> None:
    if table.get(key, index) != index:
        raise UsageError(f"labels: {name}: expected what stands for nothing else, found {text!r} twice. Correct one.")
    table[key] = index


def read_mask(path: Path, rules: Rules) -> LabelMap:
    """Read a mask as what ``Rules.coded`` renumbers.

    Raises:
        DataInvalid: damaged files, colours or JPEG without the rule they need.
    """
    import numpy as np

    unknown = len(rules.names)
    if rules.colours:
        shifted = {colour: (unknown if index == IGNORED else index) + 1 for colour, index in rules.colours.items()}
        found = read_label_map(path, colours=shifted)
        array = np.where(found.array == 0, 1, found.array).astype(np.int32) - 1  # a colour not listed is background
        return replace(found.with_array(array), notes=found.notes)
    if rules.threshold is None:
        return read_label_map(path)
    value, index = rules.threshold
    stored = _greys(path) if path.suffix.lower() in LOSSY else read_label_map(path)
    array = np.where(stored.array >= value, index, 0).astype(np.int32)
    for other, label in rules.values.items():
        array[stored.array == other] = unknown if label == IGNORED else label
    return replace(stored.with_array(array), notes=stored.notes)


def _greys(path: Path) -> LabelMap:
    """Return the greys of a picture that was compressed with loss; colours are averaged."""
    import numpy as np

    image, spacing, affine = read_image(path)
    array = np.rint(image.mean(axis=0)).astype(np.int16)
    return LabelMap(array, spacing, affine, unit="px")


def rules_by_values(found: set[int], where: Path) -> Rules:
    """Return the rules for masks that hold label values themselves, or 0 and 255.

    Args:
        found: values that occur.
        where: for messages.

    Raises:
        DataInvalid: nothing but background, or values that look like no labels.
    """
    inside = sorted(found - {0})
    if inside == [255]:
        return Rules(("background", "foreground"), {0: 0, 255: 1})
    if not inside or inside[-1] > MOST or inside[0] < 0 or len(inside) > 64:
        raise DataInvalid(
            f"{where}: expected masks whose values are labels, found {len(inside)} values besides 0 "
            f"({', '.join(map(str, inside[:5]))}). Say which value or colour is which label: "
            f"--set dataset.labels=vessel=255 (or =>=128, or =#ff0000), or labels in pairs.toml."
        )
    names = ("foreground",) if inside == [1] else tuple(f"label {value}" for value in inside)
    return Rules(("background", *names), {0: 0} | {value: index for index, value in enumerate(inside, 1)})
