"""What is measured of an evaluation: its structures, looked up in the references where nobody says, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from segbench.contracts import Metric
from segbench.evaluation.deciding import classes_of
from segbench.evaluation.inquiry import Inquiry
from segbench.evaluation.labelling import Structures, codes_of, structures_found, task_of
from segbench.evaluation.owntruths import dataset_of
from segbench.files.colours import Colour
from segbench.files.images import read_label_map
from segbench.scoring.cases import Setting, unsettle
from segbench.scoring.pairs import Pair
from segbench.scoring.probabilities import Deciding
from segbench.scoring.references import forget, values_in_file
from segbench.scoring.workers import WorkerDied, each

SMALL = 1 << 25
"""Bytes of references below which starting processes takes longer than looking through them."""
MANY = 1000
"""References from which on starting processes pays however small they are."""


@dataclass(frozen=True)
class Measured:
    """What is measured.

    Attributes:
        structures: name -> label values.
        setting: how pairs are scored.
    """

    structures: Structures
    setting: Setting


def measured(inquiry: Inquiry, metrics: Sequence[Metric], jobs: int) -> Measured:
    """Return the structures and how they are scored.

    Args:
        inquiry: what is known of the evaluation.
        metrics: those that are computed.
        jobs: processes that look through references, if these alone say which structures there are.
    """
    scope, found = inquiry.scope, inquiry.found
    structures = scope.structures
    if not structures:
        structures = structures_found(_survey(found.pairs, jobs, scope.colours, inquiry.one_hot) - {scope.ignore})
        structures = inquiry.named_by.structures(structures) if inquiry.named_by else structures
    task = scope.task or task_of(inquiry.dataset, inquiry.revision, structures)
    setting = Setting(
        replace(task, name=inquiry.dataset, revision=inquiry.revision),
        tuple(metrics),
        inquiry.asked.geometry,
        scope.ignore,
        scope.known.union(*structures.values()),
        scope.strict,
        asked=scope.by_hand,
        colours=scope.colours,
        one_hot=inquiry.one_hot,
        layers=inquiry.layers,
        codes=() if scope.task else codes_of(structures),
        dataset=dataset_of(inquiry.of_dataset) if inquiry.of_dataset else None,
    )
    if inquiry.chain:
        classes = classes_of(setting.task, found.declaration, found.pairs, setting.codes)
        setting = replace(setting, deciding=Deciding(inquiry.chain, classes))
    return Measured(structures, setting)


def _survey(pairs: Sequence[Pair], jobs: int, colours: Mapping[Colour, int], one_hot: bool) -> set[int]:
    """Return every value that occurs in the references."""
    files = list(dict.fromkeys(pair.truth for pair in pairs if not pair.fault))
    found: set[int] = set()
    forget()
    look = partial(values_in_file, colours=colours, one_hot=one_hot, keep=jobs == 1)  # other processes could not see it
    if len(files) < MANY and sum(path.stat().st_size for path in files if path.is_file()) < SMALL:
        jobs = 1
    for _, values in each(look, files, jobs, unsettle, ()):
        found |= set() if isinstance(values, WorkerDied) else values
    if files and not found:
        read_label_map(files[0], None, colours, one_hot=one_hot)  # raises, and so says why, if it cannot be read
    return found
