"""Which decision makes label maps of outside predictions, from which files, and between which classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segbench.errors import Incompatible
from segbench.evaluation.declarations import Declaration
from segbench.evaluation.labelling import Structures, task_of
from segbench.evaluation.matching import Layout
from segbench.files.filenames import stem
from segbench.names import first_few
from segbench.scoring.decisions import Chain
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.scoring.probabilities import holds_probabilities
from segbench.types import Task

ARCHIVE = ".npz"


def with_probabilities(found: Layout, chain: Chain) -> Layout:
    """Return the layout with the archive of probabilities of each case that a chain looks at.

    A chain that only refines labels takes the label map where there is one. A case without what it needs is a fault.

    Raises:
        Incompatible: if the chain needs probabilities and no case has any.
    """
    pairs = tuple(_with_archive(pair, chain) for pair in found.pairs)
    there = sum(pair.probabilities is not None for pair in pairs)
    if chain.needs_probabilities and not there and any(pair.predicted for pair in found.pairs):
        raise Incompatible(
            f"--decision {chain.text}: expected nnU-Net's probabilities ({ARCHIVE} beside the predictions, written by "
            f"--save_probabilities or --npz), found label maps only. They allow decisions that refine labels."
        )
    faults = [
        CaseProblem(new.case, "failed", new.fault, new.rater)
        for old, new in zip(found.pairs, pairs, strict=True)
        if new.fault != old.fault
    ]
    taken = f"probabilities of {there} cases" if there else "label maps"
    words = f"{found.words}; decided by {chain.text or 'the default'} from {taken}"
    return replace(found, words=words, pairs=pairs, problems=(*found.problems, *faults))


def _with_archive(pair: Pair, chain: Chain) -> Pair:
    path = pair.predicted
    if path is None or pair.fault:
        return pair
    alone = path.suffix.lower() == ARCHIVE
    if not alone and not chain.needs_probabilities:
        return pair
    archive = path if alone else path.with_name(stem(path) + ARCHIVE)
    if archive.is_file() and holds_probabilities(archive):
        return replace(pair, probabilities=archive)
    if not chain.needs_probabilities:
        return pair
    return replace(pair, fault=f"decision {chain.text} needs probabilities, and {archive.name} holds none")


def classes_of(task: Task, declared: Declaration, pairs: Sequence[Pair], codes: Sequence[int]) -> Task:
    """Return the classes between which is decided: those declared, else those that are scored.

    Args:
        task: what is scored.
        declared: what the folders say.
        pairs: with their archives.
        codes: see ``labelling.codes_of``.

    Raises:
        Incompatible: if probabilities are of regions, which overlap, or label values are no positions.
    """
    if codes:
        raise Incompatible(
            f"--decision: expected label values 0, 1, 2, ... as decisions make them, found values up to {max(codes)}. "
            f"Leave it out, or renumber the label maps."
        )
    regions = [name for name, values in declared.structures.items() if len(values) > 1]
    if regions and any(pair.probabilities for pair in pairs):
        raise Incompatible(
            f"--decision: {declared.source} declares regions ({first_few(regions)}), so the probabilities are of "
            f"regions that overlap, not of classes between which one decides. Score the label maps beside them."
        )
    named: Structures = {name: values for name, values in declared.structures.items() if len(values) == 1}
    if not named or regions or max(values[0] for values in named.values()) < len(task.labels) - 1:
        return task
    return replace(task_of(task.name, task.revision, named), synthetic=task.synthetic)
