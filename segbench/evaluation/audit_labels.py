"""Which label value means what in the label maps of an audit; never guessed from an order alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from segbench.contracts import Prior
from segbench.errors import DataInvalid
from segbench.evaluation.declarations import Declaration
from segbench.evaluation.labelling import Structures, labels_asked, task_of
from segbench.names import first_few
from segbench.types import Task

OF_PRIOR = "prior"
"""``--labels prior``: the values are those that the prior records."""


def audited_task(
    name: str, asked: str | None, declared: Declaration, prior: Prior, path: Path, held: Callable[[], set[int]]
) -> tuple[Task, frozenset[int], str]:
    """Return the task whose label names the prior is read with, the values it names, and in words where they come from.

    Args:
        name: what the data are called.
        asked: ``--labels``; goes before all else.
        declared: what the folders say; goes before what the prior records.
        prior: asked for the labels and values of its file if nobody else names them.
        path: the prior's file.
        held: returns the foreground values of the label maps; called only if what the prior records must fit them.

    Raises:
        DataInvalid: if nobody says what the values mean, or the prior records others than the label maps hold.
        SegbenchError: for labels asked for that make no sense.
    """
    if asked is not None and asked != OF_PRIOR:
        return _named(name, labels_asked(asked, declared), "as asked")
    recorded: Structures = {key: (value,) for key, value in prior.values(path).items() if value > 0}
    if asked == OF_PRIOR:
        if not recorded:
            raise DataInvalid(f"--labels prior: {path} records no values. Say {_options(prior.labels(path)[1:])}")
        return _named(name, recorded, "as the prior records them, as asked")
    known = prior.labels(path)[1:]
    single: Structures = {key: values for key, values in declared.structures.items() if len(values) == 1}
    if single and set(known) <= set(single):
        return _named(name, single, f"as {declared.source} names them" if declared.source else "as the files name them")
    if single:
        lacking = [label for label in known if label not in single]
        raise DataInvalid(
            f"prior {path}: expected the labels {first_few(known)}, found no {first_few(lacking)} in "
            f"{declared.source}, which names {first_few(single)}. Say {_options(known)}"
        )
    if not recorded:
        raise DataInvalid(
            f"prior {path}: expected to be told which label value is what, found no --labels, no dataset.json or "
            f"table beside the label maps that names them, and no values in the prior. Say {_options(known)}"
        )
    values, found = {value for (value,) in recorded.values()}, held()
    if found != values:
        raise DataInvalid(
            f"prior {path}: expected label maps with the values it records, {first_few(sorted(values))} "
            f"({first_few(f'{key}={value}' for key, (value,) in recorded.items())}), found "
            f"{first_few(sorted(found)) or 'background only'}. If its values mean the same "
            f"here, say --labels prior, else {_options(known)}"
        )
    return _named(name, recorded, "as the prior records them, whose values are just those of the label maps")


def _named(name: str, structures: Structures, words: str) -> tuple[Task, frozenset[int], str]:
    known = frozenset(value for values in structures.values() for value in values)
    return task_of(name, "", structures), known, words


def _options(labels: Sequence[str]) -> str:
    named = ",".join(f"{label}=VALUE" for label in labels[:3]) + (",..." if len(labels) > 3 else "")
    return f"--labels {named} or --labels FILE (dataset.json, or a table with the columns index and name)."
