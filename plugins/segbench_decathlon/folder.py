"""What task folders of both layouts share: finding one, reading its dataset.json, checking and loading its cases."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench import (
    UNKNOWN,
    Case,
    CaseRef,
    DataInvalid,
    DataMissing,
    LabelMap,
    Task,
    UsageError,
    patient_of,
    read_image,
    read_label_map,
    safe_name,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DESCRIPTION = "dataset.json"
MOST_LABELS = 10_000
SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """The files of one case: an image file per channel (or one for all), and a label map unless it is unlabelled."""

    images: tuple[Path, ...]
    label: Path | None


def some(names: Iterable[object]) -> str:
    """Return the first few names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def locate(path: Path | None, kind: str, remedy: str) -> Path:
    """Return the folder with a dataset.json: ``path`` itself, or the only such folder in it.

    Args:
        path: what the user set.
        kind: what is looked for, in words.
        remedy: what to download, from where, under which terms, and how to say where it is.

    Raises:
        DataMissing: nothing set, or nothing there.
        DataInvalid: a folder that is no such folder, or holds several.
    """
    if path is None:
        raise DataMissing(f"Expected {kind}, but dataset.path is not set. {remedy}")
    path = path.expanduser()
    try:
        if not path.is_dir():
            found = "a file" if path.exists() else "nothing"
            raise DataMissing(f"Expected {kind} at {path}, found {found} there. {remedy}")
        if (path / DESCRIPTION).is_file():
            return path.resolve()
        inner = sorted(entry.parent for entry in path.glob(f"*/{DESCRIPTION}") if not hidden(entry.parent.name))
    except OSError as error:
        raise DataInvalid(f"{path}: expected a readable folder, found: {error.strerror}. Check its rights.") from error
    if len(inner) == 1:
        return inner[0].resolve()
    found = f"several task folders ({some(entry.name for entry in inner)})" if inner else f"no {DESCRIPTION}"
    raise DataInvalid(f"{path}: expected {kind}, found {found}. Name one task folder: --set dataset.path=DIR.")


def hidden(name: str) -> bool:
    """Whether a file is none of the data: AppleDouble ``._x``, ``.DS_Store``, ``_x``."""
    return name.startswith((".", "_"))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataInvalid: unreadable, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataInvalid(f"{path}: expected JSON, found: {error}. Get an intact copy.") from error


def read_description(folder: Path) -> dict[str, Any]:
    """Read dataset.json and check that it is an object with labels.

    Raises:
        DataInvalid: unreadable, no JSON, or without labels.
    """
    path = folder / DESCRIPTION
    description = read_json(path)
    if not isinstance(description, dict) or not isinstance(description.get("labels"), dict):
        raise DataInvalid(f'{path}: expected an object with "labels", found none. Get an intact copy.')
    return description


def case_name(text: str, where: Path) -> str:
    """Return a case's id if it is safe as a file name, else raise ``DataInvalid``."""
    try:
        return safe_name(text, "case")
    except UsageError as error:
        raise DataInvalid(f"{where}: {error}") from error


def plain(text: object) -> str:
    """Return a name of a label or channel as one short line that every terminal and file can show."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text).strip())[:100]


def texts_by_index(table: object, where: str) -> list[str]:
    """Turn ``{"0": "a", "1": "b"}`` (keys 0, 1, ... in any order) into ``["a", "b"]``.

    Raises:
        DataInvalid: keys that are not 0, 1, ..., n - 1.
    """
    if isinstance(table, dict) and all(re.fullmatch(r"\d{1,5}", str(key)) for key in table):
        by_index = {int(key): plain(value) or f"label {key}" for key, value in table.items()}
        if sorted(by_index) == list(range(len(by_index))):
            return [by_index[index] for index in range(len(by_index))]
    raise DataInvalid(f'{where}: expected keys "0", "1", ... without a gap, found {table!r}. Mend it.')


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with the value appended where a name occurs twice."""
    return tuple(f"{name} ({value})" if names.count(name) > 1 else name for value, name in enumerate(names))


def check_files(entries: Mapping[str, Entry], where: Path) -> None:
    """Raise ``DataInvalid`` unless there are labelled cases and all their files exist."""
    if not any(entry.label for entry in entries.values()):
        raise DataInvalid(f"{where}: expected labelled training cases, found none. Is this the right folder?")
    missing = [
        f"case {name}: {path}"
        for name, entry in entries.items()
        for path in (*entry.images, *([entry.label] if entry.label else []))
        if not _is_file(path)
    ]
    if missing:
        raise DataInvalid(
            f"{where}: expected every file it speaks of, found {len(missing)} missing: {some(missing)}. "
            f"Unpack the whole archive, or take these cases out of {DESCRIPTION}."
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names that are too long, folders that may not be read
        return False


def make_refs(entries: Mapping[str, Entry], group_pattern: str) -> list[CaseRef]:
    """Return the cases by name, in the order of ``entries``.

    Args:
        entries: case id -> files; those without a label become split "unlabelled".
        group_pattern: regular expression whose first group in the case id is the patient; "" = every case its own.

    Raises:
        UsageError: see ``segbench.patient_of``.
    """
    return [
        CaseRef(name, patient_of(name, group_pattern), "" if entry.label else "unlabelled", _stamp(entry))
        for name, entry in entries.items()
    ]


def _stamp(entry: Entry) -> str:
    stats = [path.stat() for path in (*entry.images, *([entry.label] if entry.label else []))]
    return ",".join(f"{stat.st_size}-{stat.st_mtime_ns}" for stat in stats)


def revision(facts: object, entries: Mapping[str, Entry]) -> str:
    """Return 12 hex digits over the labelled cases: ids, sizes of images, bytes of label maps, and ``facts``."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(entries):
        if (label := entries[name].label) is not None:
            sizes = [path.stat().st_size for path in entries[name].images]
            digest.update(f"\n{name} {sizes} ".encode())
            digest.update(hashlib.sha256(label.read_bytes()).digest())
    return digest.hexdigest()[:12]


def load_case(name: str, entry: Entry, task: Task, ignore: int | None = None) -> Case:
    """Read one case and check it against its task.

    Args:
        name: the case's id.
        entry: its files.
        task: gives labels and channels.
        ignore: label value whose voxels are unknown, or None.

    Raises:
        DataInvalid: wrong number of channels, grids that differ, labels out of range; names the case.
    """
    import numpy as np

    parts = [(path, *read_image(path)) for path in entry.images]
    first, image, spacing, affine = parts[0]
    for path, other, other_spacing, other_affine in parts[1:]:
        _check_grid(
            name, (first, image.shape[1:], spacing, affine), (path, other.shape[1:], other_spacing, other_affine)
        )
    image = np.concatenate([part[1] for part in parts]) if len(parts) > 1 else image
    if len(image) != len(task.channels):
        raise DataInvalid(
            f"case {name}: expected {len(task.channels)} channels ({', '.join(task.channels)}), "
            f"found {len(image)} in {first}. Mend {DESCRIPTION} or the image."
        )
    truth = None
    if entry.label is not None:
        truth = read_label_map(entry.label)
        grid = (entry.label, truth.array.shape, truth.spacing, truth.affine)
        _check_grid(name, (first, image.shape[1:], spacing, affine), grid)
        truth = LabelMap(_check_labels(name, entry.label, truth.array, len(task.labels), ignore), spacing, affine)
    return Case(name, image, spacing, affine, truth)


_Grid = tuple[Path, tuple[int, ...], tuple[float, ...], "NDArray[np.float64] | None"]


def _check_grid(name: str, one: _Grid, other: _Grid) -> None:
    """Differing shape or spacing is an error; a differing affine alone is common and a warning, as in nnU-Net."""
    import numpy as np

    remedy = "Resample one onto the other."
    if one[1] != other[1]:
        raise DataInvalid(
            f"case {name}: expected one shape, found {one[1]} in {one[0]} and {other[1]} in {other[0]}. {remedy}"
        )
    if not np.allclose(one[2], other[2], rtol=1e-3, atol=1e-4):
        raise DataInvalid(
            f"case {name}: expected one spacing (mm), found {one[2]} in {one[0]} and {other[2]} in {other[0]}. {remedy}"
        )
    if one[3] is not None and other[3] is not None and not np.allclose(one[3], other[3], rtol=1e-3, atol=1e-2):
        warnings.warn(
            f"case {name}: {one[0].name} and {other[0].name} have the same shape and spacing but differ in origin or "
            f"direction; the image's is used.",
            UserWarning,
            stacklevel=3,
        )


def _check_labels(
    name: str, path: Path, array: NDArray[np.integer[Any]], count: int, ignore: int | None
) -> NDArray[np.integer[Any]]:
    import numpy as np

    ignored = array == ignore if ignore is not None else None
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= count:
        wrong = (array < 0) | (array >= count)
        wrong = wrong if ignored is None else wrong & ~ignored
        if wrong.any():
            raise DataInvalid(
                f"case {name}: expected labels 0 to {count - 1}{'' if ignore is None else f' or {ignore} (ignore)'}, "
                f"found {some(np.unique(array[wrong]))} in {path}. Is it a label map of another task?"
            )
    if ignored is None:
        return array
    known: NDArray[np.integer[Any]] = array.astype(np.int16 if count < np.iinfo(np.int16).max else np.int32)
    known[ignored] = UNKNOWN
    return known
