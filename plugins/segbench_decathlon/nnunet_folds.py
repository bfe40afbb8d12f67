"""The folds of an nnU-Net dataset: ``splits_final.json``, which nnU-Net writes beside the preprocessed data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from segbench import CaseFiles, DataInvalid, DataMissing, first_few, read_json

SPLITS = "splits_final.json"
PREPROCESSED = "nnUNet_preprocessed"
"""nnU-Net's folder of preprocessed data, and the environment variable that says where it is."""


def folds_of(
    folder: Path, asked: Path | None, entries: Mapping[str, CaseFiles]
) -> tuple[list[dict[str, list[str]]], str]:
    """Return the folds, and a sentence on where they come from.

    Args:
        folder: ``nnUNet_raw/DatasetXXX_Name``.
        asked: the file to read; None = the first that is found in ``folder``, in ``$nnUNet_preprocessed`` or in the
            ``nnUNet_preprocessed`` beside ``nnUNet_raw``.
        entries: the cases.

    Raises:
        DataMissing: the file asked for is not there.
        DataInvalid: a file that is no list of folds of these cases.
    """
    if asked is not None:
        path = asked.expanduser()
        if not path.is_file():
            raise DataMissing(f"{path}: expected {SPLITS}, found nothing there. Check --set dataset.splits=.")
        return _read_folds(path, entries), "Folds: those of the file dataset.splits."
    told = os.environ.get(PREPROCESSED)
    places = {"the raw folder": folder}
    places |= {f"${PREPROCESSED}": Path(told).expanduser() / folder.name} if told else {}
    places[f"the {PREPROCESSED} beside the raw folders"] = folder.parent.parent / PREPROCESSED / folder.name
    for words, place in places.items():
        if (place / SPLITS).is_file():
            found = _read_folds(place / SPLITS, entries)
            return found, f"Folds: the {len(found)} of {SPLITS} in {words}."
    return [], f"Folds: none of nnU-Net's, for there is no {SPLITS} in {' or '.join(places)}."


def _read_folds(path: Path, entries: Mapping[str, CaseFiles]) -> list[dict[str, list[str]]]:
    """Read and check splits_final.json: a list of ``{"train": ids, "val": ids}`` of labelled cases, disjoint."""
    content = read_json(path)
    known = {case for case, entry in entries.items() if entry.label}
    folds = content if isinstance(content, list) else [content]
    for index, fold in enumerate(folds):
        parts = [fold.get(part) if isinstance(fold, dict) else None for part in ("train", "val")]
        if not all(isinstance(part, list) and part and all(isinstance(case, str) for case in part) for part in parts):
            raise DataInvalid(f'{path}: expected [{{"train": [ids], "val": [ids]}}, ...], found another fold {index}.')
        train, val = (set(part or ()) for part in parts)
        if unknown := sorted((train | val) - known):
            raise DataInvalid(f"{path}: expected labelled cases, found {first_few(unknown)} in fold {index}. Mend it.")
        if both := sorted(train & val):
            raise DataInvalid(f"{path}: expected train and val apart, found {first_few(both)} in both (fold {index}).")
    return [{"train": list(fold["train"]), "val": list(fold["val"])} for fold in folds]
