"""The cases of folders as subjects of an audit: label maps, or one file per structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.evaluation.auditing import Subject
from segbench.evaluation.matching import Layout
from segbench.evaluation.own_names import names_of_all, table_beside
from segbench.files.images import read_label_map
from segbench.files.segments import plain_name
from segbench.files.tables import read_names
from segbench.names import first_few
from segbench.scoring.layers import Layer, Overlaps, read_layers
from segbench.types import LabelMap


def subjects_of(found: Layout, with_truth: bool, values: Mapping[str, int]) -> tuple[Subject, ...]:
    """Return the cases of a layout.

    Args:
        found: the pairs.
        with_truth: whether the references are read too.
        values: structure -> its value, where each structure has a file of its own.
    """
    subjects = []
    for pair in found.pairs:
        truth = _reader(pair.truth, pair.truth_layers, values, "reference") if with_truth else None
        predicted = partial(_refuse, pair.fault or f"no prediction for {pair.truth.name}")
        if not pair.fault and pair.predicted is not None:
            predicted = _reader(pair.predicted, pair.predicted_layers, values, "prediction")
        subjects.append(Subject(pair.case, predicted, truth))
    return tuple(subjects)


def with_own_names(found: Layout, folders: Sequence[Path], wanted: Sequence[str]) -> tuple[Layout, list[str]]:
    """Return the layout with names of label values where nothing declares any, and notes.

    The names that the files give their segments go before those of a table beside them (FreeSurfer's, ITK-SNAP's,
    3D Slicer's), which is gone by if it names every label that is wanted; case, spaces and hyphens do not matter there.

    Args:
        found: the pairs.
        folders: the label maps, those whose table counts first.
        wanted: labels that have to be named.
    """
    if found.declaration.structures:
        return found, []
    files = {path for pair in found.pairs for path in (pair.truth, pair.predicted) if path and not pair.fault}
    if own := names_of_all(files):
        return replace(found, declaration=replace(found.declaration, structures=own.names)), []
    table = next((path for folder in folders if (path := table_beside(folder))), None)
    if table is None:
        return found, []
    names: dict[str, tuple[int, ...]] = {}
    for name, values in read_names(table).items():
        names[plain_name(name)] = (*names.get(plain_name(name), ()), *values)
    named = {label: names[plain_name(label)] for label in wanted if len(names.get(plain_name(label), ())) == 1}
    if lacking := [label for label in wanted if label not in named]:
        return found, [f"  note    all: {table} has no value of its own for {first_few(lacking)}; it is not gone by"]
    return replace(found, declaration=replace(found.declaration, source=table, structures=named)), []


def require_one_kind(found: Layout) -> None:
    """Refuse label maps beside one file per structure, where nobody says which value is which.

    Raises:
        UsageError: if one side has the first and the other the second.
    """
    for pair in found.pairs:
        if pair.predicted is not None and bool(pair.truth_layers) != bool(pair.predicted_layers):
            layers = pair.truth_layers or pair.predicted_layers
            sides = ("references", "predictions") if pair.truth_layers else ("predictions", "references")
            raise UsageError(
                f"The {sides[0]} have one file per structure ({first_few(name for name, _ in layers)}), the {sides[1]} "
                f"are label maps: expected to be told which value is which. Say --labels {layers[0][0]}=VALUE,..."
            )


def _reader(path: Path, layers: tuple[Layer, ...], values: Mapping[str, int], role: str) -> partial[LabelMap]:
    return partial(_of_layers, layers, values, role) if layers else partial(read_label_map, path)


def _of_layers(layers: tuple[Layer, ...], values: Mapping[str, int], role: str) -> LabelMap:
    overlaps = Overlaps(max(values.values(), default=0) + 1)
    found = read_layers(layers, values, overlaps, role)
    if overlaps.sets:
        names = {value: name for name, value in values.items()}
        both = " and ".join(sorted(names[value] for value in next(iter(overlaps.sets))))
        raise DataInvalid(
            f"{role}: expected one structure per voxel, found voxels that are {both}: an audit needs one label per "
            f"voxel. Make the files disjoint."
        )
    return found


def _refuse(reason: str) -> LabelMap:
    raise DataMissing(reason)
