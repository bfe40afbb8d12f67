"""Lists of cases: those of a run (``{"train": [], "val": [], "test": []}``) and nnU-Net's ``splits_final.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.errors import DataMissing, UsageError
from segbench.files.documents import read_json

ROLES = ("train", "val", "test")
"""Roles of cases in a run's list; the folds of nnU-Net have the first two."""
EXPECTED = '{"train": [CASE, ...], "val": [...], "test": [...]}, or nnU-Net\'s list of folds [{"train": [], "val": []}]'


@dataclass(frozen=True)
class SplitList:
    """What a split list says: either ``roles`` or ``folds``.

    Attributes:
        where: what it is called in messages.
        roles: role -> cases.
        folds: of each fold: role -> cases.
    """

    where: str
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folds: tuple[Mapping[str, tuple[str, ...]], ...] = ()

    def cases(self, role: str, fold: int | None = None) -> tuple[str, ...]:
        """Return the cases of a role, of a fold if there are folds.

        Raises:
            UsageError: no such fold, or no case has this role.
        """
        part = self.roles if fold is None else self.fold(fold)
        if not part.get(role):
            of_fold = "" if fold is None else f" in fold {fold}"
            raise UsageError(f"{self.where}: expected a list of cases {role!r}{of_fold}, found none. Correct it.")
        return part[role]

    def fold(self, fold: int) -> Mapping[str, tuple[str, ...]]:
        """Return one fold.

        Raises:
            UsageError: there is none of this number.
        """
        if not 0 <= fold < len(self.folds):
            found = f"lists folds 0 to {len(self.folds) - 1}" if self.folds else "lists one split and no folds"
            raise UsageError(f"--fold {fold}: {self.where} {found}. Name one that it lists, or another file.")
        return self.folds[fold]


def read_splits(split: str | Path | Mapping[str, Any] | Sequence[Any]) -> SplitList:
    """Read a split list, or take one that is read already.

    Raises:
        DataMissing: no such file.
        DataInvalid: the file is no JSON.
        UsageError: it is neither kind of list, or holds something else than names of cases.
    """
    where, content = "split", split
    if isinstance(split, str | Path):
        path, where = Path(split).expanduser(), f"--split {split}"
        if not path.is_file():
            raise DataMissing(f"{where}: expected a JSON file, found none. Check the path.")
        content = read_json(path)
    if isinstance(content, Mapping):
        return SplitList(where, _roles(content, where))
    if not isinstance(content, Sequence) or isinstance(content, str) or not content:
        raise UsageError(f"{where}: expected {EXPECTED}, found another document. Correct it.")
    folds = tuple(_roles(entry, f"{where}, fold {number}") for number, entry in enumerate(content))
    listed = SplitList(where, folds=folds)
    for number in range(len(folds)):
        listed.cases("val", number)
    return listed


def _roles(content: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, Mapping):
        raise UsageError(f"{where}: expected {EXPECTED}, found another document. Correct it.")
    for role, names in content.items():
        listed = isinstance(names, Sequence) and not isinstance(names, str)
        if not listed or not all(isinstance(name, str) for name in names):
            raise UsageError(f"{where}: expected a list of cases {str(role)!r}, found {names!r:.100}. Correct it.")
    return {str(role): tuple(names) for role, names in content.items()}
