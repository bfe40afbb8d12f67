"""Any folder of images with masks beside them as a dataset: DRIVE, ISIC, GlaS, Kvasir-SEG, 3D folders of pairs.

What is where, and what stands for which label, is said by ``pairs.toml`` in the folder or by options; see README.md.
Where nothing says what a pixel measures, lengths are in pixels.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from segbench import (
    Case,
    CaseFiles,
    CaseRef,
    DataInvalid,
    FolderDataset,
    LabelMap,
    Task,
    content_revision,
    first_few,
    folder_task_name,
    parameter,
    patient_of,
    read_case,
    read_label_map,
    write_label_map,
)
from segbench_pairs.channels import channel_names, select
from segbench_pairs.matching import files_of, images_by_case, masks_by_case, safe_cases, stem
from segbench_pairs.rules import LOSSY, Rules, read_mask, rules_by_values, rules_of
from segbench_pairs.settings import FILE, Settings, parse_labels, parse_spacing, settings_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PICTURES = (".png", ".bmp", ".tif", ".tiff")
_OPTIONS = ("images", "masks", "labels", "ignore", "case", "patient", "test", "spacing", "channels", "unlabelled")


@dataclasses.dataclass
class Pairs(FolderDataset):
    """A folder of images with masks beside them."""

    name: ClassVar[str] = "pairs"
    summary: ClassVar[str] = "any folder of images with masks beside them (DRIVE, ISIC, ...)"
    kind: ClassVar[str] = "a folder of images with masks beside them"
    remedy: ClassVar[str] = (
        "Put images into images/ and masks of the same names into masks/, or write pairs.toml (see the README)."
    )

    images: tuple[str, ...] | None = parameter(None, "patterns of the images, one per channel file; images/*")
    masks: str | None = parameter(None, "pattern of the masks; masks/*")
    labels: str | None = parameter(
        None, "what stands for a label: vessel=255, polyp=>=128, disc=#ff0000; none = values"
    )
    ignore: str | None = parameter(None, "value or colour of pixels that do not count")
    case: str | None = parameter(None, "regular expression whose first group in both file names is the case")
    patient: str | None = parameter(None, "regular expression whose first group in a case's id is the patient")
    test: str | None = parameter(None, "pattern of the images that are the dataset's own test cases")
    spacing: str | None = parameter(None, "file, px, or mm per pixel such as 0.5,0.5; file")
    channels: tuple[str, ...] | None = parameter(None, "grey, red, green, blue; none = all that files have")
    unlabelled: bool | None = parameter(None, "offer images without a mask as unlabelled cases; false")
    rules_: Rules | None = dataclasses.field(init=False, repr=False, default=None)
    settings_: Settings = dataclasses.field(init=False, repr=False, default_factory=Settings)

    def prepare(self, root: Path) -> None:
        """Find images and masks, and settle labels and channels.

        Raises:
            DataMissing: no folder, or no file that fits a pattern.
            DataInvalid: files that do not pair, masks whose values say nothing, a ``pairs.toml`` that is none.
            UsageError, UnknownName: settings that mean nothing.
        """
        folder = self._folder()
        given = {name: getattr(self, name) for name in _OPTIONS if getattr(self, name) is not None}
        if "labels" in given:
            given["labels"] = parse_labels(given["labels"])
        self.settings_ = settings = settings_of(folder, given)
        parse_spacing(settings.spacing)
        self.cases_ = self._cases(folder, settings)
        labelled = [files.label for files in self.cases_.values() if files.label is not None]
        if settings.labels is not None:
            self.rules_ = rules_of(settings.labels, settings.ignore)
        else:
            self.rules_ = rules_by_values({value for path in labelled for value in _values(path)}, folder)
        channels = channel_names(settings.channels, next(iter(self.cases_.values())).images)
        rules = self.rules_
        facts = (
            rules,
            settings.spacing,
            channels,
            settings.ignore,
            {key: one.group for key, one in self.cases_.items()},
        )
        self.task_ = Task(
            name=folder_task_name(self.name, folder),
            revision=content_revision(repr(facts), self.cases_),
            labels=rules.names,
            channels=channels,
        )

    def _folder(self) -> Path:
        """Return the folder itself, or the one below it that holds ``pairs.toml``."""
        path = self.path.expanduser() if self.path else None
        marked = path is not None and not (path / FILE).is_file() and any(path.glob(f"*/{FILE}"))
        return self.locate(FILE) if marked else self.locate()

    def _cases(self, folder: Path, settings: Settings) -> dict[str, CaseFiles]:
        groups = [files_of(folder, pattern, "images") for pattern in settings.images]
        masks = files_of(folder, settings.masks, "masks")
        groups = [[path for path in files if path not in set(masks)] for files in groups]
        images = images_by_case(folder, groups, settings.case)
        drawn = masks_by_case(folder, images, masks, settings.case)
        bare = sorted(images.keys() - drawn.keys())
        if bare and not settings.unlabelled:
            raise DataInvalid(
                f"{folder}: expected a mask for every image, found none for {first_few(bare)}. Complete the masks, say "
                f"what both names share (--set dataset.case=REGEX), or --set dataset.unlabelled=true."
            )
        held = set(files_of(folder, settings.test, "test")) if settings.test else set()
        ids = safe_cases(folder, images)
        return {
            ids[key]: CaseFiles(
                files,
                drawn.get(key),
                split="test" if files[0] in held else "train" if held else "",
                group=patient_of(ids[key], settings.patient),
            )
            for key, files in images.items()
        }

    def load(self, ref: CaseRef) -> Case:
        """Read one image and its mask.

        Raises:
            DataInvalid: see ``segbench.read_case``.
        """
        import numpy as np

        files, rules = self.files_of(ref), self._rules()
        case = read_case(
            ref.id,
            files,
            self.task,
            rules.coded(),
            read_label=partial(read_mask, rules=rules),
            select=partial(select, wanted=self.task.channels, case=ref.id),
        )
        wish = parse_spacing(self.settings_.spacing)
        if wish is None:
            return case
        spacing = (1.0, 1.0, 1.0) if isinstance(wish, str) else wish
        affine: NDArray[np.float64] = np.diag([*spacing, 1.0])[[2, 1, 0, 3]] * np.array([[-1.0], [-1.0], [1.0], [1.0]])
        truth = case.truth
        if truth is not None:
            truth = LabelMap(truth.array, spacing, affine, unit="px" if wish == "px" else "mm")
        return dataclasses.replace(case, spacing=spacing, affine=affine, truth=truth)

    def write_prediction(self, ref: CaseRef, predicted: LabelMap, folder: Path) -> None:
        """Write a prediction as the masks look: their name, values or colours, without loss."""
        import numpy as np

        rules, mask = self._rules(), self.files_of(ref).label
        name = stem(mask) if mask else ref.id
        ending = "".join(mask.name[len(name) :]).lower() if mask else ".png"
        slices = predicted.array.shape[0] if predicted.array.ndim == 3 else 1
        if ending in LOSSY or ending == ".gif":
            ending = ".png"
        elif ending not in (*_PICTURES, ".nii", ".nii.gz"):
            ending = ".nii.gz"
        ending = ".nii.gz" if slices > 1 and ending in (".png", ".bmp") else ending
        if rules.colours:
            colours = {index: colour for colour, index in rules.colours.items() if index >= 0}
            write_label_map(folder / f"{name}{ending}", predicted, colours={0: (0, 0, 0)} | colours)
            return
        back = rules.back()
        table = np.zeros(max(back) + 1, dtype=np.uint8 if max(back.values()) < 256 else np.uint16)
        table[list(back)] = list(back.values())
        written = predicted.with_array(table[predicted.array])
        if ending in _PICTURES and predicted.spacing == (1.0, 1.0, 1.0):
            written = dataclasses.replace(written, unit="px")
        write_label_map(folder / f"{name}{ending}", written)

    def _rules(self) -> Rules:
        assert self.rules_ is not None, "prepare() comes first"
        return self.rules_

    def forge(self, root: Path) -> Pairs:
        """Write made-up colour pictures with white masks below ``root``; see ``forging.py``."""
        from segbench_pairs.forging import forge

        cleared: dict[str, Any] = dict.fromkeys(_OPTIONS)
        return dataclasses.replace(self, path=forge(root), **cleared)


def _values(path: Path) -> set[int]:
    import numpy as np

    return {int(value) for value in np.unique(read_label_map(path).array)}
