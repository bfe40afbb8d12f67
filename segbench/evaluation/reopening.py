"""The label maps of a finished evaluation read once more, just as they were scored: for pictures of them.

Its record says where the files lay and what was in them; whatever is gone or has changed since is said, not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from segbench.errors import DataInvalid, DataMissing
from segbench.evaluation.identity import hashes_of
from segbench.evaluation.labelling import codes_of, task_of
from segbench.files.colours import parse_colour
from segbench.files.filenames import bare, files_in
from segbench.files.images import read_volume
from segbench.host import Catalogue
from segbench.names import first_few
from segbench.scoring.cases import as_scored
from segbench.scoring.decisions import chain_of
from segbench.scoring.geometry import compare
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.scoring.probabilities import Deciding
from segbench.scoring.setting import Setting
from segbench.types import Case, CaseRef, Choice, LabelMap, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segbench.contracts import Dataset

FILES, CLASSES = "files", "classes"
"""Parts of a record: where the files of each case lay; names of the classes that a decision decided between."""


def files_of(pairs: Iterable[Pair]) -> list[dict[str, Any]]:
    """Return part ``files`` of a record: the files of each pair, by their absolute paths."""
    return [
        {
            "case": pair.case,
            "rater": pair.rater,
            "reference": _paths(pair.truth_layers) or (None if pair.ref else _path(pair.truth)),
            "prediction": _paths(pair.predicted_layers) or _path(pair.predicted),
            "probabilities": _path(pair.probabilities),
        }
        for pair in pairs
    ]


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _paths(layers: Sequence[tuple[str, Path]]) -> dict[str, str]:
    return {name: str(path.absolute()) for name, path in layers}


class Model(Protocol):
    """What is asked of the run that an evaluation was scored like: see ``StoredRun``."""

    @property
    def dataset(self) -> Dataset: ...

    @property
    def case_ids(self) -> Sequence[str]: ...

    def case(self, case_id: str) -> Case: ...

    def refs(self, case_ids: Sequence[str]) -> Sequence[CaseRef]: ...


@dataclass(frozen=True)
class Reopened:
    """A finished evaluation whose label maps can be read again.

    Attributes:
        record: its ``run.json``, which has a part ``files``.
        catalogue: for the decisions that made label maps of probabilities.
        model: the dataset and cases of the run that it was scored like, if that was trained here; else None.
    """

    record: Mapping[str, Any]
    catalogue: Catalogue
    model: Model | None = None

    def compared(self, case: str) -> tuple[LabelMap, LabelMap, Task]:
        """Return prediction and reference of a case on the grid of the reference, and the task in their values.

        Raises:
            DataMissing: the record does not say where the files lay, or they are gone, or there was no prediction.
            DataInvalid: the files have changed since, or cannot be read.
        """
        pair = self._pair(case)
        setting = replace(self._setting, dataset=self.model.dataset) if self.model and pair.ref else self._setting
        return as_scored(pair, setting)

    def image(self, case: str, like: LabelMap) -> NDArray[np.float32] | None:
        """Return the first channel of a case's image ``(D, H, W)`` in the axes of a label map; None if none is known.

        Raises:
            DataMissing, DataInvalid: an image that is gone, cannot be read, or lies on another grid.
        """
        folder = self.record["again"].get("images")
        if folder is None:
            whole = self.model.case(case) if self.model and case in self.model.case_ids else None
            fits = whole is not None and whole.image.shape[1:] == like.array.shape
            return whole.image[0] if whole is not None and fits else None
        file = image_file(Path(folder), case)
        if file is None:
            raise DataMissing(f"{folder} holds no image of case {case}.")
        volume = read_volume(file)
        grid = LabelMap(np.zeros(volume.array.shape[1:], np.uint8), volume.spacing, volume.affine, unit=volume.unit)
        array: NDArray[np.float32] = volume.array[0]
        if like.array.ndim == 2 and len(array) == 1:
            array = array[0]
            grid = LabelMap(grid.array[0], grid.spacing[1:], unit=grid.unit)
        found = compare(grid, like) if array.ndim == like.array.ndim else None
        if found is not None and found.axes:
            turned: NDArray[np.float32] = np.flip(array.transpose(found.axes), found.flips)
            return turned
        if array.shape != like.array.shape:
            raise DataInvalid(f"image {file}: expected the reference's grid {like.array.shape}, found {array.shape}.")
        return array

    @cached_property
    def _setting(self) -> Setting:
        record = self.record
        structures = {str(name): tuple(values) for name, values in record["structures"]}
        task, codes = task_of(record["dataset"], record["revision"], structures), codes_of(structures)
        ignore, geometry = record.get("ignore_label"), record.get("geometry", "strict")
        known = frozenset(value for values in structures.values() for value in values)
        setting = Setting(task, (), geometry, ignore, known, strict_labels=False, codes=codes)
        colours = {parse_colour(colour): int(value) for colour, value in record.get("colours", {}).items()}
        layers = {name: values[0] for name, values in structures.items() if len(values) == 1}
        setting = replace(setting, colours=colours, one_hot=bool(record.get("one_hot")), layers=layers)
        if "decision" not in record["again"]:
            return setting
        chain = chain_of([Choice(**one) for one in record["again"]["decision"]], self.catalogue)
        classes = replace(task, labels=tuple(record[CLASSES]), regions={})
        return replace(setting, deciding=Deciding(chain, classes))

    def _pair(self, case: str) -> Pair:
        where = next((one for one in self.record[FILES] if one["case"] == case), None)
        if where is None:
            raise DataMissing("its record does not name the case.")
        if where["prediction"] is None:
            raise DataMissing("there was no prediction to score.")
        for path in _every(where):
            if not path.exists():
                raise DataMissing(f"{path} is gone.")
        ref = None
        if where["reference"] is None:
            if self.model is None:
                raise DataMissing("the run that it was scored like, whose dataset holds the truth, is gone.")
            (ref,) = self.model.refs([case])
        pair = Pair(case, case, *_sides(where, case), rater=where["rater"], ref=ref, **_layers(where))
        if where["probabilities"]:
            pair = replace(pair, probabilities=Path(where["probabilities"]))
        self._require_same(pair)
        return pair

    def _require_same(self, pair: Pair) -> None:
        """Refuse files whose bytes are not those that were scored."""
        said = next(one for one in self.record["cases"] if (one["case"], one["rater"]) == (pair.case, pair.rater))
        if pair.ref is not None:
            pair = replace(pair, truth=cast("Path", pair.predicted))  # its dataset answers for the truth
        ((truth, predicted),) = hashes_of([pair], 1)
        if predicted != said["prediction"]:
            raise DataInvalid("its prediction has changed since it was scored. Evaluate it again.")
        if pair.ref is None and truth != said["reference"]:
            raise DataInvalid("its reference has changed since it was scored. Evaluate it again.")


def _every(where: Mapping[str, Any]) -> Iterable[Path]:
    for role in ("reference", "prediction", "probabilities"):
        found = where[role]
        yield from map(Path, found.values() if isinstance(found, Mapping) else [found] if found else [])


def _sides(where: Mapping[str, Any], case: str) -> tuple[Path, Path]:
    """Return the files, or the folder of them, of reference and prediction."""
    reference, prediction = (
        Path(next(iter(found.values()))).parent if isinstance(found, Mapping) else Path(found or case)
        for found in (where["reference"], where["prediction"])
    )
    return reference, prediction


def _layers(where: Mapping[str, Any]) -> dict[str, Any]:
    names = {"truth_layers": where["reference"], "predicted_layers": where["prediction"]}
    return {
        name: tuple((structure, Path(path)) for structure, path in found.items())
        for name, found in names.items()
        if isinstance(found, Mapping)
    }


def without_image(images: str | Path, pairs: Sequence[Pair]) -> list[CaseProblem]:
    """Return a note on cases of which a folder holds no image.

    Raises:
        DataMissing: there is no such folder, or it holds none at all.
    """
    folder = Path(images)
    if not folder.is_dir():
        raise DataMissing(f"--images: expected a folder at {folder}, found none. Check the path.")
    lacking = sorted({pair.case for pair in pairs if image_file(folder, pair.case) is None})
    if not lacking:
        return []
    if len(lacking) == len({pair.case for pair in pairs}):
        there = first_few(list(files_in(folder).names), 3) or "no image"
        raise DataMissing(
            f"--images {folder}: expected images named as the cases ({first_few(lacking, 3)}), found {there}. Rename "
            f"them as CASE or CASE_0000, or leave the option out: label maps are drawn alone."
        )
    what = f"--images: no image of {len(lacking)} cases ({first_few(lacking)}); their label maps are drawn alone"
    return [CaseProblem("", "note", what)]


def image_file(folder: Path, case: str) -> Path | None:
    """Return the image of a case, its first channel: ``CASE.*``, ``CASE_0000.*`` (nnU-Net), or in a folder ``CASE``.

    Args:
        folder: of images.
        case: as it was scored.
    """
    names = files_in(folder).names
    for name in (case, f"{case}_0000"):
        if name in names:
            return names[name][0]
    alike = [name for name in names if bare(name, channel=True) == bare(case, channel=True)]
    if alike:
        return names[alike[0]][0]
    own = folder / case
    inside = files_in(own).names if own.is_dir() else {}
    images = [name for name in inside if bare(name) == name]
    return inside[images[0]][0] if images else None
