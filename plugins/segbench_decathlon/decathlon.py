"""Task folders of the Medical Segmentation Decathlon: ``TaskXX_Name/{imagesTr,labelsTr,imagesTs,dataset.json}``.

Source: Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13, 4128 (2022),
https://doi.org/10.1038/s41467-022-30695-9. Quirks that are met: 4-D images with channels last (tasks 01 and 05), float
labels, NaN ``scl_slope``, the key ``relase`` of task 04, AppleDouble files beside the real ones, unpadded ids.
Cases keep the order of ``training`` in dataset.json, on which published splits by shuffling depend.
"""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from segbench import (
    CaseFiles,
    DataInvalid,
    DataMissing,
    Task,
    case_id,
    content_revision,
    first_few,
    folder_task_name,
    visible,
)
from segbench_decathlon import folder as folders
from segbench_decathlon.task_folder import TaskFolder

_PROSTATE = (
    "Medical Segmentation Decathlon task 05 has a known label fault: prostate_18 and prostate_32 carry the whole gland "
    "as one class."
)


@dataclasses.dataclass
class Decathlon(TaskFolder):
    """A task folder of the Medical Segmentation Decathlon."""

    name: ClassVar[str] = "decathlon"
    summary: ClassVar[str] = "any task folder of the Medical Segmentation Decathlon"
    source: ClassVar[str] = "https://doi.org/10.1038/s41467-022-30695-9"
    bibtex: ClassVar[str] = (
        "@article{antonelli2022medical, title={The Medical Segmentation Decathlon}, author={Antonelli, Michela and "
        "others}, journal={Nature Communications}, volume={13}, pages={4128}, year={2022}, "
        "doi={10.1038/s41467-022-30695-9}}"
    )
    kind: ClassVar[str] = "a task folder of the Medical Segmentation Decathlon (dataset.json, imagesTr, labelsTr)"
    remedy: ClassVar[str] = (
        "Download for example https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar (other tasks "
        "likewise as TaskXX_Name.tar; licence CC-BY-SA 4.0, no login) and unpack it."
    )

    def prepare(self, root: Path) -> None:
        """Find the folder, read dataset.json and check that every file it lists is there.

        Raises:
            DataMissing: no folder; says what to download.
            DataInvalid: a folder or dataset.json that is not as it should be.
        """
        folder = self.locate(folders.DESCRIPTION)
        description = folders.read_description(folder)
        where = folder / folders.DESCRIPTION
        if "channel_names" in description:
            raise DataInvalid(f"{where}: expected {self.kind}, found an nnU-Net folder. Run with --dataset nnunet.")
        names = folders.texts_by_index(description["labels"], f"{where}: labels")
        if not 2 <= len(names) <= folders.MOST_LABELS:
            raise DataInvalid(f"{where}: expected background and at least one label, found {len(names)}. Mend it.")
        entries = _training(folder, description)
        if self.use_test_images:
            entries |= _unlabelled(folder, description, entries)
        folders.check_files(entries, where)
        _report_strays(folder, entries)
        labels = folders.unique_names(names)
        channels = tuple(folders.texts_by_index(description.get("modality") or {"0": "image"}, f"{where}: modality"))
        self.cases_ = entries
        self.task_ = Task(
            name=folder_task_name(self.name, folder),
            revision=content_revision(json.dumps([labels, channels]), entries),
            labels=labels,
            channels=channels,
            notes=(_PROSTATE,) if folder.name.lower().startswith("task05") else (),
        )

    def forge(self, root: Path) -> Decathlon:
        """Write a made-up task with two labels below ``root``; see ``forging.py``."""
        from segbench_decathlon.forging import forge_decathlon

        return dataclasses.replace(self, path=forge_decathlon(root), group_pattern="")


def _inside(folder: Path, listed: object, where: Path) -> Path:
    """Resolve a path of dataset.json without leaving the task folder (links made by the user are followed)."""
    text = listed if isinstance(listed, str) else ""
    parts = PurePosixPath(text.replace("\\", "/")).parts
    if not parts or "\0" in text or ".." in parts or PurePosixPath(text).is_absolute() or ":" in parts[0]:
        raise DataInvalid(f"{where}: expected paths inside the task folder, found {listed!r}. Do not trust this copy.")
    return folder.joinpath(*parts)


def _identity(path: Path, where: Path) -> str:
    return case_id(re.sub(r"\.(nii|nii\.gz|mha|nrrd)$", "", path.name), where)


def _training(folder: Path, description: dict[str, Any]) -> dict[str, CaseFiles]:
    where = folder / folders.DESCRIPTION
    listed = description.get("training")
    if not isinstance(listed, list):
        raise DataInvalid(f'{where}: expected a list "training", found {type(listed).__name__}. Get an intact copy.')
    entries: dict[str, CaseFiles] = {}
    for item in listed:
        if not isinstance(item, dict) or not {"image", "label"} <= item.keys():
            raise DataInvalid(
                f'{where}: expected {{"image": ..., "label": ...}} in "training", found {item!r}. Mend it.'
            )
        image, label = (_inside(folder, item[key], where) for key in ("image", "label"))
        if image.name.startswith((".", "_")):  # AppleDouble files were listed in some copies
            continue
        name = _identity(image, where)
        if name in entries:
            raise DataInvalid(f"{where}: expected every case once, found {name!r} twice. Mend the list.")
        entries[name] = CaseFiles((image,), label)
    return entries


def _unlabelled(folder: Path, description: dict[str, Any], entries: dict[str, CaseFiles]) -> dict[str, CaseFiles]:
    """Return the test images: those listed, or those in imagesTs where none is listed."""
    where = folder / folders.DESCRIPTION
    listed = description.get("test") or []
    if not isinstance(listed, list):
        raise DataInvalid(f'{where}: expected a list "test", found {type(listed).__name__}. Mend it.')
    images = [_inside(folder, item.get("image") if isinstance(item, dict) else item, where) for item in listed]
    found = {_identity(image, where): CaseFiles((image,)) for image in images or _on_disk(folder / "imagesTs")}
    if clash := sorted(set(found) & set(entries)):
        raise DataInvalid(f"{where}: expected test cases apart from training cases, found {first_few(clash)} in both.")
    if not found:
        raise DataMissing(
            f"{folder}: expected images in imagesTs, found none. Run with --set dataset.use_test_images=false."
        )
    return found


def _on_disk(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.name.endswith((".nii.gz", ".nii"))]


def _report_strays(folder: Path, entries: dict[str, CaseFiles]) -> None:
    """Warn of images and labels on the disk that dataset.json does not list."""
    listed = {path for entry in entries.values() for path in (*entry.images, entry.label)}
    strays = [path for name in ("imagesTr", "labelsTr") for path in _on_disk(folder / name) if path not in listed]
    if strays:
        warnings.warn(
            f"{folder}: {len(strays)} files are not listed in {folders.DESCRIPTION} and are left out: "
            f"{first_few(path.relative_to(folder) for path in strays)}",
            UserWarning,
            stacklevel=3,
        )
