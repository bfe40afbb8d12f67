"""nnU-Net raw folders: ``DatasetXXX_Name/{dataset.json, imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz}``.

Source: Isensee et al., nnU-Net, Nature Methods 18, 203-211 (2021), https://doi.org/10.1038/s41592-020-01008-z, and
documentation/dataset_format.md of github.com/MIC-DKFZ/nnUNet. Read are regions, the ignore label, the folds of
``splits_final.json`` (where nnU-Net keeps it: ``nnunet_folds.py``), the ``dataset`` map with paths elsewhere, several
channels, and dataset.json of version 1.
Differences: predictions are label maps, never overlapping region maps, so ``regions_class_order`` is checked but not
needed. A sidecar ``CASE.json`` with the spacing of a TIFF is not read.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from segbench import (
    UNKNOWN,
    CaseFiles,
    DataInvalid,
    DataMissing,
    Task,
    case_id,
    content_revision,
    first_few,
    folder_task_name,
    parameter,
    visible,
)
from segbench_decathlon import folder as folders
from segbench_decathlon.nnunet_folds import folds_of
from segbench_decathlon.nnunet_labels import read_labels
from segbench_decathlon.task_folder import TaskFolder

_KIND = "an nnU-Net raw folder (DatasetXXX_Name with dataset.json, imagesTr and labelsTr)"
_PICTURES = (".png", ".bmp", ".tif", ".tiff", ".jpg")
"""Formats of which one file may hold several channels."""


@dataclasses.dataclass
class NNUNet(TaskFolder):
    """An nnU-Net raw folder of version 2 (or 1)."""

    name: ClassVar[str] = "nnunet"
    summary: ClassVar[str] = "any nnU-Net raw folder, with regions, ignore label and its own folds"
    source: ClassVar[str] = "https://doi.org/10.1038/s41592-020-01008-z"
    bibtex: ClassVar[str] = (
        "@article{isensee2021nnunet, title={nnU-Net: a self-configuring method for deep learning-based biomedical "
        "image segmentation}, author={Isensee, Fabian and Jaeger, Paul F. and Kohl, Simon A. A. and Petersen, Jens and "
        "Maier-Hein, Klaus H.}, journal={Nature Methods}, volume={18}, pages={203--211}, year={2021}, "
        "doi={10.1038/s41592-020-01008-z}}"
    )
    kind: ClassVar[str] = _KIND
    remedy: ClassVar[str] = (
        "Convert your data as documentation/dataset_format.md of github.com/MIC-DKFZ/nnUNet says (the data keep their "
        "own licence)."
    )

    splits: Path | None = parameter(
        None, "splits_final.json; none = the one in the raw folder, else the one that nnU-Net keeps, if any"
    )
    folds_: list[dict[str, list[str]]] = dataclasses.field(init=False, repr=False, default_factory=list)

    def prepare(self, root: Path) -> None:
        """Find the folder, read dataset.json and the folds, and check that every file is there.

        Raises:
            DataMissing: no folder; says what is expected.
            DataInvalid: a folder, dataset.json or splits_final.json that is not as it should be.
        """
        folder = self.locate(folders.DESCRIPTION)
        where = folder / folders.DESCRIPTION
        description = _version_two(folder, folders.read_description(folder))
        labels = read_labels(description, where)
        channels = tuple(folders.texts_by_index(description.get("channel_names"), f"{where}: channel_names"))
        ending = description.get("file_ending", ".nii.gz")
        if not isinstance(ending, str) or not re.fullmatch(r"(\.[A-Za-z0-9]+)+", ending) or not channels:
            found = f"{ending!r} and {len(channels)} channels"
            raise DataInvalid(f"{where}: expected a file_ending such as .nii.gz and channel_names, found {found}.")
        entries = _mapped(folder, description["dataset"]) if "dataset" in description else None
        if entries is None:
            entries = _listed(folder, ending, len(channels))
        if self.use_test_images:
            entries |= _unlabelled(folder, ending, len(channels), entries)
        folders.check_files(entries, where)
        self.cases_ = entries
        self.values_ = {value: value for value in range(len(labels.names))}
        if labels.ignore is not None:
            self.values_[labels.ignore] = UNKNOWN
        self.folds_, note = folds_of(folder, self.splits, entries)
        facts = [labels.names, channels, {name: list(values) for name, values in labels.regions.items()}, labels.ignore]
        self.task_ = Task(
            name=folder_task_name(self.name, folder),
            revision=content_revision(json.dumps(facts, sort_keys=True), entries),
            labels=labels.names,
            channels=channels,
            regions=labels.regions,
            notes=(note,),
        )

    def folds(self) -> Sequence[Mapping[str, Sequence[str]]]:
        """Return the folds of splits_final.json."""
        return self.folds_

    def forge(self, root: Path) -> NNUNet:
        """Write a made-up raw folder with two channels and a region below ``root``; see ``forging.py``."""
        from segbench_decathlon.forging import forge_nnunet

        return dataclasses.replace(self, path=forge_nnunet(root), splits=None, group_pattern="")


def _version_two(folder: Path, description: dict[str, Any]) -> dict[str, Any]:
    """Return a dataset.json of version 2; one of version 1 (``modality``, value -> name) is turned round.

    Raises:
        DataInvalid: a folder of the Medical Segmentation Decathlon, which looks like version 1 but is not.
    """
    if "channel_names" in description or "modality" not in description:
        return description
    images = folder / "imagesTr"
    if not any(re.search(r"_\d{4}\.nii\.gz$", path.name) for path in images.glob("[!._]*_????.nii.gz")):
        raise DataInvalid(
            f"{folder / folders.DESCRIPTION}: expected {_KIND}, found a folder of the Medical Segmentation Decathlon "
            f"(modality, and images without _0000). Run with --dataset decathlon."
        )
    names = folders.texts_by_index(description["labels"], f"{folder / folders.DESCRIPTION}: labels")
    labels = {name: value for value, name in enumerate(folders.unique_names(names))}
    return {"labels": labels, "channel_names": description["modality"], "file_ending": ".nii.gz"}


def _mapped(folder: Path, table: object) -> dict[str, CaseFiles]:
    """Read the ``dataset`` map: paths relative to the folder, absolute, or with $VARIABLES; never a case's name."""
    where = folder / folders.DESCRIPTION
    if not isinstance(table, dict):
        raise DataInvalid(f'{where}: expected an object "dataset", found {type(table).__name__}. Mend it.')
    entries = {}
    for name, item in table.items():
        images = item.get("images") if isinstance(item, dict) else None
        label = item.get("label") if isinstance(item, dict) else None
        texts = [*images, label] if isinstance(images, list) and images else [None]
        if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
            raise DataInvalid(f'{where}: case {name!r}: expected {{"images": [...], "label": ...}}, found {item!r}.')
        *found, truth = (folder / os.path.expandvars(str(text)) for text in texts)
        entries[case_id(name, where)] = CaseFiles(tuple(found), truth)
    return entries


def _scan(folder: Path, ending: str, channels: int) -> dict[str, tuple[Path, ...]]:
    """Return case -> channel files of an images folder; a case lacks no channel between 0 and ``channels``."""
    pattern = re.compile(rf"(.+)_(\d{{4}}){re.escape(ending)}")
    found: dict[str, dict[int, Path]] = {}
    for path in visible(folder):
        if match := pattern.fullmatch(path.name):
            found.setdefault(case_id(match[1], folder), {})[int(match[2])] = path
    for case, files in found.items():
        one = ending.lower() in _PICTURES and sorted(files) == [0]
        if not one and sorted(files) != list(range(channels)):
            raise DataInvalid(
                f"case {case}: expected {channels} channels {case}_0000{ending} to _{channels - 1:04d}{ending} in "
                f"{folder}, found {', '.join(f'_{channel:04d}' for channel in sorted(files))}. "
                f"Complete the images or mend channel_names."
            )
    return {case: tuple(files[channel] for channel in sorted(files)) for case, files in found.items()}


def _listed(folder: Path, ending: str, channels: int) -> dict[str, CaseFiles]:
    images = _scan(folder / "imagesTr", ending, channels)
    labels = folder / "labelsTr"
    truths = {
        case_id(path.name.removesuffix(ending), labels): path for path in visible(labels) if path.name.endswith(ending)
    }
    bare, lost = sorted(set(images) - set(truths)), sorted(set(truths) - set(images))
    if bare or lost:
        raise DataInvalid(
            f"{folder}: expected one label map for every case, found images without label: "
            f"{first_few(bare) or 'none'}; labels without image: {first_few(lost) or 'none'} "
            f"(CASE_0000{ending} in imagesTr and CASE{ending} in labelsTr). "
            f"Complete the folder, or move unlabelled images to imagesTs."
        )
    return {case: CaseFiles(images[case], truths[case]) for case in images}


def _unlabelled(folder: Path, ending: str, channels: int, entries: dict[str, CaseFiles]) -> dict[str, CaseFiles]:
    images = _scan(folder / "imagesTs", ending, channels)
    if clash := sorted(set(images) & set(entries)):
        raise DataInvalid(f"{folder}: expected test cases apart from training cases, found {first_few(clash)} in both.")
    if not images:
        raise DataMissing(
            f"{folder}: expected images in imagesTs, found none. Run with --set dataset.use_test_images=false."
        )
    return {case: CaseFiles(files) for case, files in images.items()}
