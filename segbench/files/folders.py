"""Datasets that read a folder the user has unpacked: finding it, listing it, and what all of them are as parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from segbench.contracts import Dataset
from segbench.errors import DataInvalid, DataMissing, did_you_mean
from segbench.files.cases import CaseFiles, read_case, read_truth, stamp
from segbench.names import first_few
from segbench.params import parameter
from segbench.types import Case, CaseRef, LabelMap, Task

DEPTH = 3
"""Levels below the folder that was named in which a dataset is looked for."""
_HIDDEN = (".", "_")


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder by name, without ``._x``, ``.DS_Store`` and ``__MACOSX``; empty if there is none.

    Raises:
        DataInvalid: a folder that cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith(_HIDDEN))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataInvalid(
            f"{folder}: expected a readable folder, found: {error.strerror}. Check its rights."
        ) from error


@dataclasses.dataclass
class FolderDataset(Dataset):
    """A dataset that reads a folder; ``prepare`` of a subclass locates it and fills in ``cases_`` and ``task_``.

    Attributes:
        kind: what is looked for, in words.
        remedy: sentences on what to get, from where, under which terms.
        cases_: id -> files, in the order of ``refs``.
        values_: stored value -> label index, see ``read_case``; empty = label maps store the indices.
        task_: the task.
    """

    kind: ClassVar[str]
    remedy: ClassVar[str]

    path: Path | None = parameter(None, "the unpacked data, or a folder that holds them", content=False)
    cases_: dict[str, CaseFiles] = dataclasses.field(init=False, repr=False, default_factory=dict)
    values_: dict[int, int] = dataclasses.field(init=False, repr=False, default_factory=dict)
    task_: Task | None = dataclasses.field(init=False, repr=False, default=None)

    def locate(self, *marks: str) -> Path:
        """Return ``path``, or the only folder at or up to three levels below it in which one of the marks is found.

        Args:
            marks: patterns as for ``Path.glob``, at least one match that is not hidden; none = ``path`` itself.

        Raises:
            DataMissing: no path set, or nothing there.
            DataInvalid: a folder that does not hold what is looked for, or holds it more than once.
        """
        remedy = f"{self.remedy} Run with --set dataset.path=DIR."
        if self.path is None:
            raise DataMissing(f"Expected {self.kind}, but dataset.path is not set. {remedy}")
        path = self.path.expanduser()
        try:
            if not path.is_dir():
                found = "a file" if path.exists() else "nothing"
                raise DataMissing(f"Expected {self.kind} at {path}, found {found} there. {remedy}")
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise DataInvalid(f"{path}: expected a readable folder, found: {error.strerror}. Check it.") from error
        level = [path]
        for _ in range(DEPTH + 1):
            holding = [folder for folder in level if not marks or _holds(folder, marks)]
            if len(holding) == 1:
                return holding[0].resolve()
            if holding:
                found = first_few(folder.relative_to(path) for folder in holding)
                raise DataInvalid(
                    f"{path}: expected {self.kind} once, found it in {found}. Name one: --set dataset.path=DIR."
                )
            level = [child for folder in level for child in visible(folder) if child.is_dir()]
        raise DataInvalid(f"{path}: expected {self.kind}, found no {' or '.join(marks)} in it. {remedy}")

    @property
    def task(self) -> Task:
        """What is to be segmented; valid after ``prepare``."""
        if self.task_ is None:
            raise DataMissing("Expected a prepared dataset, found a fresh one. Call prepare(root) first.")
        return self.task_

    def refs(self) -> Sequence[CaseRef]:
        """Return the cases in the order in which ``prepare`` found them.

        Raises:
            DataInvalid: files that are gone since.
        """
        return [
            CaseRef(case, files.group or case, files.split if files.label else "unlabelled", stamp(case, files))
            for case, files in self.cases_.items()
        ]

    def files_of(self, ref: CaseRef) -> CaseFiles:
        """Return the files of a case.

        Raises:
            DataInvalid: no such case; names those that are close.
        """
        if ref.id not in self.cases_:
            raise DataInvalid(f"case {ref.id!r}: expected a case of {self.name}. {did_you_mean(ref.id, self.cases_)}")
        return self.cases_[ref.id]

    def load(self, ref: CaseRef) -> Case:
        """Read one case.

        Raises:
            DataInvalid: see ``read_case``.
        """
        return read_case(ref.id, self.files_of(ref), self.task, self.values_ or None)

    def load_truth(self, ref: CaseRef) -> LabelMap | None:
        """Read the truth alone; a subclass with a ``load`` of its own gets that one's.

        Raises:
            DataInvalid: see ``read_case``.
        """
        files = self.files_of(ref)
        if type(self).load is not FolderDataset.load or not files.images:
            return self.load(ref).truth
        return read_truth(ref.id, files, self.task, self.values_ or None)


def _holds(folder: Path, marks: Sequence[str]) -> bool:
    return any(
        not any(part.startswith(_HIDDEN) for part in found.relative_to(folder).parts)
        for mark in marks
        for found in folder.glob(mark)
    )
