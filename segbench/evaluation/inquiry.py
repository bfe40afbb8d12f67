"""What is found of an evaluation before anything is scored: its pairs, its structures, its identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from segbench.contracts import Metric
from segbench.errors import DataMissing
from segbench.evaluation.asked import Asked
from segbench.evaluation.deciding import with_probabilities
from segbench.evaluation.identity import hashes_of, identity
from segbench.evaluation.layouts import Layout, find_pairs
from segbench.evaluation.likeness import Template, grouped, restricted, template_of
from segbench.evaluation.own_names import OwnNames, names_beside
from segbench.evaluation.owntruths import of_dataset
from segbench.evaluation.reopening import without_image
from segbench.evaluation.scope import Scope, dataset_name, metrics_of, scope_of, values_of_layers
from segbench.evaluation.selection import selected, selection_of
from segbench.files.colours import written
from segbench.host import Catalogue
from segbench.params import fingerprint
from segbench.scoring.decisions import Chain, chain_of
from segbench.scoring.pairs import CaseProblem


@dataclass(frozen=True)
class Inquiry:
    """An evaluation that is understood.

    Attributes:
        asked: what for.
        dataset: what the data are called.
        template: of the run beside which it shall stand, or None.
        metrics: those asked for.
        found: the pairs and what is wrong with them.
        chain: of decisions, or None where label maps stay as they are.
        named_by: who names structures that nobody declared.
        scope: what is looked for.
        layers: structure -> value, of files that hold one structure each.
        one_hot: whether files may hold one binary volume per label.
        revision: of the references.
        run_id: identity of all of it.
        request: what the identity is of.
    """

    asked: Asked
    dataset: str
    template: Template | None
    metrics: tuple[Metric, ...]
    found: Layout
    chain: Chain | None
    named_by: OwnNames | None
    scope: Scope
    layers: Mapping[str, int]
    one_hot: bool
    revision: str = ""
    run_id: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)

    @property
    def decided_by(self) -> str:
        """Text of the chain; "" for none or the default."""
        return self.chain.text if self.chain else ""

    @property
    def lesson(self) -> str:
        """Digest of what metrics may learn from; "" without a run."""
        return self.template.lesson if self.template else ""

    @property
    def of_dataset(self) -> Template | None:
        """The run whose dataset's own truths are the references, or None where files are."""
        return self.template if self.asked.references is None else None


def inquire(asked: Asked, catalogue: Catalogue, jobs: int) -> Inquiry:
    """Find out what an evaluation is of; reads names, headers and bytes of files, but scores nothing.

    Args:
        asked: what for.
        catalogue: where metrics and decisions come from.
        jobs: threads that hash.

    Raises:
        SegbenchError: see ``folders.evaluate``.
    """
    template = template_of(asked.like) if asked.like is not None else None
    dataset = dataset_name(asked.dataset, template)
    metrics, notes = metrics_of(asked.metrics, template, catalogue)
    found = _without_missing(_pairs(asked, template), asked.on_missing)
    notes = [*notes, *(without_image(asked.images, found.pairs) if asked.images is not None else [])]
    found = replace(found, problems=(*notes, *found.problems))
    chain = None if asked.decision is None else chain_of(asked.decision, catalogue)
    found = with_probabilities(found, chain) if chain else found
    named_by = _names(asked, found, template)
    found = _without_nameless(found, named_by) if named_by else found
    scope = scope_of(asked.labels, asked.regions, asked.ignore_label, found, template, named_by)
    found = replace(found, words=f"{found.words}; named by {named_by.words}") if named_by else found
    layers = values_of_layers(scope, found, asked.labels, template)
    one_hot = asked.one_hot or bool(template and template.one_hot)
    inquiry = Inquiry(asked, dataset, template, metrics, found, chain, named_by, scope, layers, one_hot)
    revision, run_id, request = identity(dataset, _wanted(inquiry), scope.ignore, found, _hashes(inquiry, jobs))
    return replace(inquiry, revision=revision, run_id=run_id, request=request)


def _hashes(inquiry: Inquiry, jobs: int) -> Sequence[tuple[str, str | None]]:
    hashes, own = hashes_of(inquiry.found.pairs, jobs), inquiry.of_dataset
    if own is None:
        return hashes
    cases = [f"{own.task.revision}/{pair.case}" for pair in inquiry.found.pairs]
    return [(case, predicted) for case, (_, predicted) in zip(cases, hashes, strict=True)]


def _wanted(inquiry: Inquiry) -> dict[str, Any]:
    """Return what makes scores of the same files others, less the metrics."""
    asked, scope = inquiry.asked, inquiry.scope
    wanted: dict[str, Any] = {"name": asked.name, "on_missing": asked.on_missing, "geometry": asked.geometry}
    wanted |= {"structures": list(scope.structures.items()), **asked.said}
    wanted |= inquiry.template.identity if inquiry.template else {}
    wanted |= {"decision": [inquiry.chain.text, inquiry.chain.key]} if inquiry.chain else {}
    wanted |= {"colours": {written(colour): value for colour, value in scope.colours.items()}} if scope.colours else {}
    wanted |= {"one_hot": True} if inquiry.one_hot else {}
    return wanted | ({"named_by": fingerprint(inquiry.named_by.names)[:12]} if inquiry.named_by else {})


def _pairs(asked: Asked, template: Template | None) -> Layout:
    """Return the pairs of the cases asked for, else of those that the run scored, else of all."""
    selection = selection_of(asked.cases, asked.split, asked.fold)
    if asked.references is None:
        return selected(of_dataset(asked.predictions, template, asked.fold), selection)
    found = find_pairs(asked.predictions, asked.references, asked.layout, asked.fold, selection.splits)
    if selection.cases is None and selection.splits is None:
        return restricted(found, template) if template else found
    return grouped(selected(found, selection), template) if template else selected(found, selection)


def _names(asked: Asked, found: Layout, template: Template | None) -> OwnNames | None:
    """Return names of structures that nobody declared, if they are needed."""
    told = found.declaration.structures or isinstance(asked.labels, Mapping)
    if asked.references is None or template or told or (asked.labels is None and asked.regions):
        return None
    return names_beside(found.pairs, asked.references)


def _without_nameless(found: Layout, named_by: OwnNames) -> Layout:
    """Return the layout with the cases as failed whose files name nothing where all others are told apart by names."""
    pairs, problems = [], []
    for pair in found.pairs:
        files = [path for path in (pair.truth, pair.predicted) if path in named_by.nameless]
        if files and not pair.fault:
            fault = f"{files[0].name} names no segments, and the values of the others are told by names alone"
            problems.append(CaseProblem(pair.case, "failed", fault, pair.rater))
            pair = replace(pair, fault=fault)
        pairs.append(pair)
    return replace(found, pairs=tuple(pairs), problems=(*found.problems, *problems))


def _without_missing(found: Layout, on_missing: str) -> Layout:
    """Leave missing cases out, or refuse them, if asked to."""
    missing = [pair for pair in found.pairs if pair.predicted is None and not pair.fault]
    if not missing or on_missing == "worst":
        return found
    if on_missing == "fail":
        names = ", ".join(pair.case for pair in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise DataMissing(
            f"{len(missing)} of {len(found.pairs)} references have no prediction: {names}. Supply them, or say "
            f"--on-missing worst (they count as the worst) or --on-missing skip."
        )
    problems = tuple(
        replace(one, kind="note", what=f"{one.what}; left out as asked") if one.kind == "missing" else one
        for one in found.problems
    )
    kept = tuple(pair for pair in found.pairs if pair.predicted is not None or pair.fault)
    return replace(found, pairs=kept, problems=problems)
