"""What an evaluation looks for: the structures, label values and metrics asked for, of a run, or declared by files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from segbench.contracts import Metric
from segbench.errors import UsageError, safe_name
from segbench.evaluation.asked import chosen_metrics
from segbench.evaluation.declarations import Declaration, labels_of_colours
from segbench.evaluation.labelling import Labels, Structures, chosen_structures, codes_of
from segbench.evaluation.layouts import Layout
from segbench.evaluation.likeness import Template, metrics_like
from segbench.evaluation.own_names import OwnNames
from segbench.files.colours import Colour, is_colour
from segbench.host import Catalogue
from segbench.names import first_few
from segbench.scoring.pairs import CaseProblem
from segbench.types import Choice, Task


@dataclass(frozen=True)
class Scope:
    """What is looked for in the label maps.

    Attributes:
        structures: name -> label values; empty if the files decide.
        ignore: label of voxels that do not count, or None.
        known: label values that are asked for or declared.
        strict: whether other values are a fault.
        task: a run's, where nothing else was asked for.
        by_hand: whether somebody named the structures for this scoring.
        colours: colour -> label value, where labels are told by colours.
    """

    structures: Structures
    ignore: int | None
    known: frozenset[int]
    strict: bool
    task: Task | None = None
    by_hand: bool = False
    colours: Mapping[Colour, int] = field(default_factory=dict)


def scope_of(
    labels: Labels | None,
    regions: Mapping[str, Sequence[int]] | None,
    ignore_label: int | None,
    found: Layout,
    template: Template | None,
    named_by: OwnNames | None = None,
) -> Scope:
    """Return what is asked for, else what the run was scored by, else what the folders declare.

    Args:
        labels, regions, ignore_label: as asked for.
        found: the layout and what it declares.
        template: of a run.
        named_by: names for labels asked for, and all that is scored where files are told apart by these names alone.
    """
    declared = found.declaration
    colours = template.colours if template and labels is None and regions is None else declared.colours
    if isinstance(labels, Mapping):
        labels, declared, colours = _by_colours(labels, declared)
    if colours and regions:
        raise UsageError("--regions: expected label values, found labels told by colours. Leave the regions out.")
    of_run = template.ignore if template else None
    ignore = next((value for value in (ignore_label, of_run, declared.ignore) if value is not None), None)
    named = frozenset(value for values in declared.structures.values() for value in values)
    if template is not None and labels is None and regions is None:
        structures: Structures = template.structures
        if not template.trained:
            return Scope(structures, ignore, named.union(*structures.values()), bool(named), colours=colours)
        known = named | frozenset(range(1, len(template.task.labels)))
        return Scope(structures, ignore, known, True, template.task)
    lookup = declared
    if named_by is not None and not declared.structures and not isinstance(labels, Mapping):
        words = any(isinstance(label, str) for label in labels or ())
        if words or (named_by.by_name and labels is None and regions is None):
            lookup = replace(declared, structures=named_by.names)
        elif not named_by.by_name:
            single = {name: (value,) for value, name in named_by.structure_names().items()}
            lookup = replace(declared, structures=single if labels else {})
    structures = chosen_structures(labels, regions, lookup)
    by_hand = labels is not None or regions is not None
    known = named | {value for values in structures.values() for value in values}
    return Scope(structures, ignore, known, not by_hand or bool(declared.structures), by_hand=by_hand, colours=colours)


def _by_colours(
    labels: Mapping[str, int | str | Sequence[int]], declared: Declaration
) -> tuple[Labels, Declaration, Mapping[Colour, int]]:
    """Return labels told by colours as values, with the declaration of these; values as they are, without colours."""
    if not any(is_colour(value) for value in labels.values()):
        return labels, replace(declared, colours={}), {}
    structures, ignore, colours = labels_of_colours(labels)
    values = {name: value for name, (value, *_) in structures.items()}
    return values, replace(declared, structures={}, ignore=ignore, colours=colours), colours


def dataset_name(dataset: str | None, template: Template | None) -> str:
    """Return what the data are called: as asked, else as the run calls them."""
    if dataset is None and template is None:
        raise UsageError("Which data are these? Name the dataset (--dataset), or a run to be scored like (--like).")
    name = dataset if dataset is not None or template is None else template.task.name
    return safe_name(str(name), "dataset")


def metrics_of(
    metrics: Sequence[str | Choice | Metric] | None, template: Template | None, catalogue: Catalogue
) -> tuple[tuple[Metric, ...], list[CaseProblem]]:
    """Return the metrics asked for, else those of the run, else the default ones; and notes."""
    if template is None or metrics is not None:
        return chosen_metrics(metrics, catalogue, may_learn=template is not None), []
    made, notes = metrics_like(template, catalogue)
    return tuple(made), notes


def values_of_layers(scope: Scope, found: Layout, labels: object, template: Template | None) -> dict[str, int]:
    """Return structure -> value for files that hold one structure each, {} if there are none.

    Raises:
        UsageError: if the other side has label maps, and nobody says which value is which structure.
    """
    layered = [pair for pair in found.pairs if pair.truth_layers or pair.predicted_layers]
    if not layered:
        return {}
    mixed = [pair for pair in layered if pair.truth_layers and pair.predicted and not pair.predicted_layers]
    if mixed and not isinstance(labels, Mapping) and template is None:
        names = [name for name, _ in mixed[0].truth_layers]
        raise UsageError(
            f"The references have one file per structure ({first_few(names)}), the predictions are label maps: "
            f"expected to be told which value is which, found no names. Say --labels {names[0]}=VALUE,..."
        )
    if codes_of(scope.structures):
        raise UsageError("Files of one structure each: expected values that are small. Number them 1, 2, ... instead.")
    return {name: values[0] for name, values in scope.structures.items() if len(values) == 1}
