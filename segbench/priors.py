"""Files of prior knowledge: learnt from a dataset's training truths, and given back to the kind that wrote them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from segbench.atomic import atomically
from segbench.config import Recipe, RunConfig
from segbench.contracts import Dataset, Metric, Prior
from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.evaluation.asked import chosen_metrics
from segbench.evaluation.layouts import Kind, find_pairs
from segbench.host import Catalogue, blame
from segbench.litter import temporary
from segbench.training.sampling import split_cases
from segbench.types import Case, CaseRef, Choice, Task

Which = Literal["train", "all"]
Progress = Callable[[int, int], None]
"""Called with cases done and cases in all."""


@dataclass(frozen=True)
class Source:
    """What a prior is learnt from.

    Attributes:
        dataset: by its parameters.
        recipe: its ``labelled`` and ``split_seed`` are used.
        seed, fold, folds, split: as in ``RunConfig``; with the same values a run trains on the same cases.
        which: "train": the labelled training cases of that run; "all": every labelled case.
    """

    dataset: Choice
    recipe: Recipe
    seed: int = 0
    fold: int = 0
    folds: int = 0
    split: Mapping[str, tuple[str, ...]] | None = None
    which: Which = "train"


@dataclass(frozen=True)
class Learnt:
    """A prior that has been learnt, and from what."""

    prior: Prior
    task: Task
    case_ids: tuple[str, ...]


def learn_prior(
    choice: Choice, source: Source, catalogue: Catalogue, root: Path, progress: Progress | None = None
) -> Learnt:
    """Learn a prior from the truths of a dataset.

    Args:
        choice: kind of prior with its parameters.
        source: what to learn from.
        catalogue: the parts on offer.
        root: results root, below which datasets keep files of their own.
        progress: see ``Progress``.

    Raises:
        SegbenchError: data that are missing, cases without truth, a split that leaves nothing.
    """
    prior, dataset = catalogue.prior(choice), catalogue.dataset(source.dataset)
    origin = catalogue.entry("datasets", source.dataset.name).origin
    with blame(origin, f"preparing dataset {source.dataset.name}"):
        dataset.prepare(root / ".data")
        task, refs, folds = dataset.task, dataset.refs(), dataset.folds()
    if source.which == "all":
        chosen = tuple(ref for ref in refs if ref.split != "unlabelled")
    else:
        config = RunConfig(
            source.dataset,
            Choice(""),
            Choice(""),
            recipe=source.recipe,
            seed=source.seed,
            fold=source.fold,
            folds=source.folds,
            split=source.split,
        )
        chosen = split_cases(refs, config, folds).train
    with blame(catalogue.entry("priors", choice.name).origin, f"learning prior {choice.name}"):
        prior.learn(task, _cases(dataset, chosen, task, progress))
    return Learnt(prior, task, tuple(ref.id for ref in chosen))


def _cases(dataset: Dataset, refs: Sequence[CaseRef], task: Task, progress: Progress | None) -> Iterator[Case]:
    for index, ref in enumerate(refs):
        case = dataset.load(ref)
        if case.truth is None:
            raise DataInvalid(f"Dataset {task.name}: case {ref.id} has no truth to learn from. Leave it out (--split).")
        yield case
        if progress is not None:
            progress(index + 1, len(refs))


def write_prior(prior: Prior, path: Path, catalogue: Catalogue) -> None:
    """Write a prior so that its file appears whole or not at all."""
    with temporary("prior") as folder:
        draft = folder / path.name  # the ending may decide on the format
        with blame(catalogue.entry("priors", prior.name).origin, f"writing {path}"):
            prior.write(draft)
        if not draft.is_file():
            raise DataInvalid(f"prior {prior.name} wrote no file {path.name}; expected one file.")
        atomically(path, lambda part: shutil.copyfile(draft, part))


def recognised_kinds(path: Path, catalogue: Catalogue) -> list[str]:
    """Return the kinds of prior a file looks like.

    Raises:
        DataMissing: if there is no such file.
        DataInvalid: if no kind knows it.
    """
    if not path.is_file():
        raise DataMissing(f"prior {path}: expected a file, found none. Write one with `segbench prior KIND`.")
    kinds = []
    for kind in catalogue.names("priors"):
        with blame(catalogue.entry("priors", kind).origin, f"looking at {path}"):
            if catalogue.prior(Choice(kind)).recognises(path):
                kinds.append(kind)
    if not kinds:
        offered = ", ".join(catalogue.names("priors")) or "none is installed"
        raise DataInvalid(
            f"prior {path}: no kind of prior knows this file (on offer: {offered}). `segbench info prior KIND` says "
            f"what a file looks like."
        )
    return kinds


def prior_of(path: Path, catalogue: Catalogue, kind: str | None = None, **parameters: object) -> Prior:
    """Return the prior, not yet read, that a file belongs to.

    Args:
        path: the file.
        catalogue: the kinds on offer.
        kind: needed where several know the file.
        **parameters: of the prior.

    Raises:
        DataMissing, DataInvalid: as ``recognised_kinds``.
        UsageError: if several kinds know the file.
    """
    kinds = recognised_kinds(path, catalogue) if kind is None else [kind]
    if len(kinds) > 1:
        raise UsageError(f"prior {path} may be {' or '.join(kinds)}; say which with --kind.")
    return catalogue.prior(Choice(kinds[0], parameters))


def metrics_reading(kinds: Sequence[str], catalogue: Catalogue) -> list[str]:
    """Return the metrics whose parameter ``prior`` takes files of these kinds of prior."""
    metrics: dict[str, type[Metric]] = {
        name: entry.cls for name, entry in catalogue.entries["metrics"].items() if issubclass(entry.cls, Metric)
    }
    return sorted(name for name, cls in metrics.items() if cls.prior_kind and cls.prior_kind in kinds)


def with_priors(
    files: Sequence[Path], metrics: Sequence[Choice] | None, catalogue: Catalogue, *, add: bool
) -> list[Choice]:
    """Return metrics for ``evaluate`` with each prior given to those that read its kind.

    Args:
        files: of prior knowledge.
        metrics: chosen ones; None = those that are on by default.
        catalogue: the parts on offer.
        add: whether metrics that read these priors are computed besides.

    Raises:
        DataMissing, DataInvalid: as ``recognised_kinds``.
        UsageError: if no metric reads one of them.
    """
    chosen = [Choice(one.name) for one in chosen_metrics(None, catalogue)] if metrics is None else list(metrics)
    for file in files:
        kinds = recognised_kinds(file, catalogue)
        readers = metrics_reading(kinds, catalogue)
        if add:
            known = {choice.name for choice in chosen}
            chosen += [Choice(name) for name in readers if name not in known]
        if not any(choice.name in readers for choice in chosen):
            names = ", ".join(readers) or "there is none; see `segbench audit`"
            raise UsageError(
                f"--prior {file}: no metric computed here reads a prior of {kinds[0]} (they are: {names})."
            )
        chosen = [
            replace(choice, parameters={"prior": str(file), **choice.parameters}) if choice.name in readers else choice
            for choice in chosen
        ]
    return chosen


def labels_of_prior(
    prior: Path, predictions: Path, references: Path, layout: Kind, catalogue: Catalogue
) -> dict[str, int] | None:
    """Return the labels whose values a prior records, unless the folders declare theirs.

    Args:
        prior: the file.
        predictions, references, layout: as for ``evaluate``.
        catalogue: the kinds on offer.

    Raises:
        DataInvalid: neither says which value is what.
    """
    if find_pairs(predictions, references, layout).declaration.structures:
        return None
    values = prior_of(prior, catalogue, recognised_kinds(prior, catalogue)[0]).values(prior)
    if not values:
        raise DataInvalid(
            f"--prior {prior}: expected to be told which label value is what, found no --labels, no dataset.json or "
            f"BIDS table beside the label maps, and no values in the prior. Say --labels NAME=VALUE,... or FILE."
        )
    return {name: value for name, value in values.items() if value > 0}
