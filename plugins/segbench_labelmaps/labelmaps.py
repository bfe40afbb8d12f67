"""Any folder of label maps as a dataset whose intensities are synthesised; see ``synthesis.py``.

Structures that are not asked for stay visible in the image and are background in the truth, as extra-cerebral tissue
is in a head.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import (
    Case,
    CaseFiles,
    CaseRef,
    DataInvalid,
    DataMissing,
    FolderDataset,
    LabelMap,
    Task,
    UsageError,
    case_id,
    content_revision,
    folder_task_name,
    parameter,
    patient_of,
    read_label_map,
    tell_notes,
)
from segbench_labelmaps.names import find_table, read_table
from segbench_labelmaps.synthesis import Appearance, synthesise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_LABELS = 65_535


@dataclasses.dataclass
class LabelMaps(FolderDataset):
    """A folder of label maps, with intensities synthesised from them."""

    name: ClassVar[str] = "labelmaps"
    summary: ClassVar[str] = "any folder of real label maps, intensities synthesised from them"
    source: ClassVar[str] = "https://doi.org/10.1016/j.media.2023.102789"
    bibtex: ClassVar[str] = (
        "@article{billot2023synthseg, title={SynthSeg: Segmentation of brain MRI scans of any contrast and resolution "
        "without retraining}, author={Billot, Benjamin and others}, journal={Medical Image Analysis}, volume={86}, "
        "pages={102789}, year={2023}, doi={10.1016/j.media.2023.102789}}"
    )
    kind: ClassVar[str] = "a folder of label maps"
    remedy: ClassVar[str] = (
        "Put label maps (.nii.gz, one integer per voxel) into one folder, for example the training_label_maps of "
        "https://github.com/BBillot/SynthSeg (Apache-2.0)."
    )

    path: Path | None = parameter(None, "the folder of label maps", content=False)
    pattern: str = parameter("*.nii.gz", "which files below the folder are label maps (** = folders at any depth)")
    labels: str = parameter("all", "structures to segment: all, table (those of the table), or values such as 17,53")
    table: Path | None = parameter(
        None, "CSV of values and names; none = a *labels*.csv beside the maps", content=False
    )
    contrast: Literal["t1", "random"] = parameter("t1", "t1 = one modality; random = another contrast for each case")
    noise: float = parameter(4.0, "sd of the noise, where white matter is about 110", low=0)
    bias: float = parameter(0.1, "sd of the logarithm of the bias field", low=0, high=2)
    blur: float = parameter(0.6, "sd of the partial volume blur, voxels", low=0, high=10)
    seed: int = parameter(0, "seed of the intensities", low=0)
    group_pattern: str = parameter("", "regular expression whose first group in a case id is the patient; '' = the id")
    chosen_: tuple[int, ...] = dataclasses.field(init=False, repr=False, default=())
    names_: dict[int, str] = dataclasses.field(init=False, repr=False, default_factory=dict)

    def prepare(self, root: Path) -> None:
        """Find the maps and settle which values are segmented.

        Raises:
            DataMissing: no folder, or none of the files asked for.
            DataInvalid: names that collide, a table or label maps that cannot be read.
            UsageError: ``labels`` or ``pattern`` that mean nothing.
        """
        folder = self.locate()
        files = _find(folder, self.pattern)
        table = self.table.expanduser() if self.table else find_table(folder)
        names = read_table(table) if table else {}
        values = self._chosen(files, names)
        labels = ["background", *(names.get(value, f"label {value}") for value in values)]
        twice = {name for name in labels if labels.count(name) > 1}
        labels = [
            f"{name} ({value})" if name in twice else name for name, value in zip(labels, (0, *values), strict=True)
        ]
        self.cases_ = {case: CaseFiles((), path) for case, path in files.items()}
        self.chosen_, self.names_ = values, names
        look = (self.version, self.contrast, self.noise, self.bias, self.blur, self.seed, values, labels)
        self.task_ = Task(
            name=folder_task_name(self.name, folder),
            revision=content_revision(repr((look, sorted(names.items()))), self.cases_),
            labels=tuple(labels),
            channels=("synthesised T1" if self.contrast == "t1" else "synthesised",),
            synthetic=True,
            notes=("intensities synthesised from real label maps",),
        )

    def _chosen(self, files: dict[str, Path], names: dict[int, str]) -> tuple[int, ...]:
        """Return the values to segment in ascending order, background left out."""
        wish = self.labels.strip().lower()
        if wish == "table":
            if not names:
                raise DataMissing(
                    "labels=table: expected a table of labels, found none. Set --set dataset.table=FILE.csv."
                )
            values = {value for value in names if value > 0}
        elif wish == "all":
            values = {value for path in files.values() for value in _present(path)} - {0}
        elif re.fullmatch(r"\d+(\s*,\s*\d+)*", wish):
            values = {int(part) for part in wish.split(",")} - {0}
        else:
            raise UsageError(f"labels: expected all, table or values such as 17,53, found {self.labels!r}.")
        if not values or max(values) > MOST_LABELS:
            raise DataInvalid(
                f"{self.path}: expected structures with values from 1 to {MOST_LABELS}, found "
                f"{max(values) if values else 'background only'}. Check --set dataset.labels= and the label maps."
            )
        return tuple(sorted(values))

    def refs(self) -> Sequence[CaseRef]:
        """Return the cases by name.

        Raises:
            UsageError: see ``segbench.patient_of``.
        """
        return [dataclasses.replace(ref, group=patient_of(ref.id, self.group_pattern)) for ref in super().refs()]

    def load(self, ref: CaseRef) -> Case:
        """Read one label map and synthesise its image.

        Raises:
            DataInvalid: an unreadable map, or values below 0 or above 65535.
        """
        import numpy as np

        label = self.files_of(ref).label
        assert label is not None
        label_map = _read(label)
        tell_notes(ref.id, label_map)
        table = np.zeros(max(int(label_map.array.max()), self.chosen_[-1]) + 1, dtype=np.int32)
        table[list(self.chosen_)] = np.arange(1, len(self.chosen_) + 1)
        table = table.astype(np.uint8 if len(self.chosen_) < 256 else np.int32)
        look = Appearance(self.contrast, self.noise, self.bias, self.blur, self.seed)
        image = synthesise(label_map.array, self.names_, ref.id, look)
        spacing = (label_map.spacing[0], label_map.spacing[1], label_map.spacing[2])
        affine = label_map.affine if label_map.affine is not None else np.diag([*spacing, 1.0])
        truth: NDArray[np.integer[Any]] = table[label_map.array]
        return Case(ref.id, image[None], spacing, affine, LabelMap(truth, spacing, affine))

    def forge(self, root: Path) -> LabelMaps:
        """Write made-up label maps and their table below ``root``; see ``forging.py``."""
        from segbench_labelmaps.forging import forge

        return dataclasses.replace(
            self, path=forge(root), pattern="*.nii.gz", labels="all", table=None, group_pattern=""
        )


def _find(folder: Path, pattern: str) -> dict[str, Path]:
    """Return case -> file, by name; the id is the file's name without its ending."""
    parts = PurePosixPath(pattern).parts
    if not parts or ".." in parts or PurePosixPath(pattern).is_absolute():
        raise UsageError(f"pattern: expected a pattern of files inside the folder such as *.nii.gz, found {pattern!r}.")
    try:
        found = sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith((".", "_")))
    except ValueError as error:
        raise UsageError(
            f"pattern: expected a pattern of files such as *.nii.gz, found {pattern!r} ({error})."
        ) from error
    if not found:
        raise DataMissing(
            f"{folder}: expected label maps {pattern}, found none. Check dataset.path and dataset.pattern."
        )
    files: dict[str, Path] = {}
    for path in found:
        case = case_id(re.sub(r"\.(nii|nii\.gz|mgz|mha|mhd|nrrd|hdr|img)$", "", path.name), path)
        if case in files:
            raise DataInvalid(
                f"{folder}: expected different names, found {files[case]} and {path}. Narrow dataset.pattern."
            )
        files[case] = path
    return files


def _read(path: Path) -> LabelMap:
    label_map = read_label_map(path)
    low, high = int(label_map.array.min()), int(label_map.array.max())
    if low < 0 or high > MOST_LABELS:
        raise DataInvalid(f"{path}: expected labels from 0 to {MOST_LABELS}, found {low} to {high}. Is it a label map?")
    return label_map


def _present(path: Path) -> list[int]:
    import numpy as np

    return [int(value) for value in np.flatnonzero(np.bincount(_read(path).array.ravel()))]
