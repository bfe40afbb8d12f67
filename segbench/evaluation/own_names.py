"""Names of structures that nobody declared: those that references carry themselves, or a table beside them has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.errors import SegbenchError, UsageError
from segbench.evaluation.labelling import Structures
from segbench.files.formats import may_name, names_of
from segbench.files.segments import Names, plain_name
from segbench.files.tables import common_names, find_table, read_names
from segbench.names import first_few
from segbench.scoring.pairs import Pair


@dataclass(frozen=True)
class OwnNames:
    """Names of label values.

    Attributes:
        names: name -> values.
        words: who says so.
        by_name: whether files number their segments each in its own way, so that they are told apart by name alone and
            the values here are no file's.
        nameless: files that then name nothing, so that nobody knows what their values are.
    """

    names: Names
    words: str
    by_name: bool = False
    nameless: frozenset[Path] = frozenset()

    def structure_names(self) -> dict[int, str]:
        """Return value -> name, where one name has one value and no number could be meant by it."""
        single = [(values[0], name) for name, values in self.names.items() if len(values) == 1]
        counts = [value for value, _ in single]
        return {value: name for value, name in single if counts.count(value) == 1 and not name.isdecimal()}

    def structures(self, found: Structures) -> Structures:
        """Return structures found by their values with their names; which values there are stays as it is."""
        named = self.structure_names()
        return {named.get(values[0], name): values for name, values in found.items()}


def names_beside(pairs: Sequence[Pair], references: Path) -> OwnNames | None:
    """Return the names that references carry themselves, else those of the one table beside them, else None.

    Args:
        pairs: of the layout; files that cannot be read are passed over (scoring will say why).
        references: the folder, or one file.

    Raises:
        UsageError: if files number the same names differently and others have no names to go by.
    """
    files = {pair.truth for pair in pairs if not (pair.truth_layers or pair.fault or pair.ref)}
    predicted = {pair.predicted for pair in pairs if pair.predicted and not pair.predicted_layers}
    return names_of_all(files, predicted, some_without=True) or _table(references)


def names_of_all(
    files: Collection[Path], others: Collection[Path] = (), *, some_without: bool = False
) -> OwnNames | None:
    """Return the names that files give their segments, None if none does.

    Args:
        files: label maps.
        others: whose values must be told by the names as well.
        some_without: let single files name nothing, such as damaged ones, as long as others of their side name
            something; they are ``nameless``.

    Raises:
        UsageError: if files number the same names differently and others have no names to go by.
    """
    own = dict(_read(sorted(files)))
    held = [names for names in own.values() if names]
    if not held:
        return None
    names = common_names(held)
    plain = {plain_name(name): values for name, values in names.items()}
    by_name = any(plain[plain_name(name)] != values for one in held for name, values in one.items())
    nameless: frozenset[Path] = frozenset()
    if by_name:
        sides = [side for side in (own, dict(_read(sorted(others)))) if side]
        without = [path for side in sides for path, one in side.items() if not one]
        if without and not (some_without and all(any(side.values()) for side in sides)):
            raise UsageError(
                f"labels: expected one value per name, found files that number {first_few(names)} each in its own way "
                f"(or let them overlap) and {len(without)} without names, such as {without[0].name}. Say which value "
                f"is which there: --labels {next(iter(names))}=VALUE,..."
            )
        nameless = frozenset(without)
    return OwnNames(names, "the files themselves", by_name, nameless)


def _read(paths: Iterable[Path]) -> Iterable[tuple[Path, Names]]:
    for path in paths:
        try:
            yield path, names_of(path) if may_name(path) else {}
        except (SegbenchError, OSError, MemoryError):
            continue


def table_beside(folder: Path) -> Path | None:
    """Return the one table of labels beside label maps, or beside their folder if that is called ``labels...``."""
    folder = folder if folder.is_dir() else folder.parent
    places = (folder, folder.parent) if folder.name.startswith("labels") else (folder,)
    return next((path for place in places if (path := find_table(place)) is not None), None)


def _table(references: Path) -> OwnNames | None:
    path = table_beside(references)
    return OwnNames(read_names(path), path.name) if path is not None else None
