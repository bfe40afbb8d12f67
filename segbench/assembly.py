"""The parts of a run, put together before any work starts: datasets prepared, cases split, misfits found."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from segbench import results
from segbench.config import RunConfig
from segbench.contracts import UNLABELLED, Dataset, Method, Metric, Network
from segbench.errors import Incompatible, SegbenchError
from segbench.host import Catalogue, Origin, blame
from segbench.litter import leave, room
from segbench.params import fingerprint, has_parameter
from segbench.scoring.decisions import Chain, chain_of
from segbench.training.sampling import ROLES, Splits, split_cases
from segbench.types import CaseRef, Choice, LabelMap, Task

METHOD_ARM = "method"


@dataclass(frozen=True)
class Source:
    """A prepared dataset.

    Attributes:
        dataset, task, refs, folds: the dataset and what it says of itself.
        cache: folder of preprocessed cases.
        code: digest of the dataset's source where no release stands for it.
        origin: the plugin it comes from; named when it fails.
    """

    dataset: Dataset
    task: Task
    refs: tuple[CaseRef, ...]
    folds: Sequence[Mapping[str, Sequence[str]]]
    cache: Path
    origin: Origin
    code: str = ""

    @cached_property
    def lent(self) -> Mapping[CaseRef, CaseRef]:
        """All cases, lent to another dataset as unlabelled ones: under the name of this dataset -> as they are here."""
        name = self.task.name
        return {
            replace(ref, id=f"{name}+{ref.id}", group=f"{name}+{ref.group}", split="unlabelled"): ref
            for ref in self.refs
        }


@dataclass(frozen=True)
class Sources:
    """The datasets prepared so far: the cells of one command share them.

    Attributes:
        catalogue: the parts on offer.
        root: of all results; datasets keep files of their own in ``.data`` below it, preprocessed cases in ``.cache``.
    """

    catalogue: Catalogue
    root: Path
    found: dict[str, Source] = field(default_factory=dict, repr=False)
    inert: dict[str, str | None] = field(default_factory=dict, repr=False)

    def prepared(self, choice: Choice, *, smoke: bool = False) -> Source:
        """Return a prepared dataset; with ``smoke`` its forged miniature, which lasts as long as this object."""
        key = json.dumps([choice.name, dict(choice.parameters), dict(choice.local), smoke], sort_keys=True)
        if key not in self.found:
            self.found[key] = self._prepare(choice, smoke)
        return self.found[key]

    def _prepare(self, choice: Choice, smoke: bool) -> Source:
        dataset = self.catalogue.dataset(choice)
        origin = self.catalogue.entry("datasets", choice.name).origin
        with blame(origin, f"preparing dataset {choice.name}"):
            cache = self.root / ".cache"
            if smoke:
                forge = room("smoke")
                dataset, cache = dataset.forge(forge), forge / ".cache"
                weakref.finalize(dataset, leave, forge)
            dataset.prepare(self.root / ".data")
            code = self.catalogue.code("datasets", choice.name)
            return Source(dataset, dataset.task, tuple(dataset.refs()), dataset.folds(), cache, origin, code)


@dataclass(frozen=True)
class Parts:
    """The parts of a run, constructed and found to fit together.

    Attributes:
        source: the dataset.
        unlabelled: another dataset that lends unlabelled cases, or None.
        splits: ``unlabelled`` holds what the method will see of such cases.
        chain: how probabilities become labels.
        data: what determines the training besides the configuration; see ``RunConfig.identity``.
    """

    source: Source
    unlabelled: Source | None
    network: Network
    method: Method
    metrics: tuple[Metric, ...]
    splits: Splits
    chain: Chain
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dataset(self) -> Dataset:
        """The dataset."""
        return self.source.dataset

    @property
    def task(self) -> Task:
        """What is to be segmented."""
        return self.source.task


def settled(config: RunConfig, catalogue: Catalogue) -> RunConfig:
    """Return the same configuration with every choice in canonical form, so that equal runs have one identity."""
    return replace(
        config,
        dataset=catalogue.settle("datasets", config.dataset),
        network=catalogue.settle("networks", config.network),
        method=catalogue.settle("methods", config.method),
        metrics=tuple(catalogue.settle("metrics", metric) for metric in config.metrics),
        decision=tuple(catalogue.settle("decisions", decision) for decision in config.decision),
        unlabelled=catalogue.settle("datasets", config.unlabelled) if config.unlabelled else None,
    )


def folder_of(config: RunConfig, parts: Parts, root: Path) -> Path:
    """Return the folder of a training."""
    base = root / ".smoke" if config.smoke else root
    run_id = config.run_id(**parts.data)
    return results.run_folder(base, parts.task.name, config.method.name, run_id)


def _data(config: RunConfig, parts: Parts, catalogue: Catalogue) -> dict[str, Any]:
    """Return what determines a training besides its configuration; see ``RunConfig.identity``."""
    from segbench.training.device import resolved

    named = {"dataset": parts.dataset, "network": parts.network, "method": parts.method}
    versions = {role: part.version for role, part in named.items()}
    codes = {role: catalogue.code(role + "s", part.name) for role, part in named.items()}
    if parts.unlabelled:
        other = parts.unlabelled
        versions["unlabelled"] = f"{other.dataset.version}@{other.task.revision}"
        codes["unlabelled"] = catalogue.code("datasets", other.dataset.name)
    device, precision = resolved(config.device, config.precision)
    cases = {role: [ref.id for ref in getattr(parts.splits, role)] for role in ROLES}
    return {
        "cases": fingerprint(cases)[:12],
        **{"revision": parts.task.revision, "versions": versions, "device": device, "precision": precision},
        "code": {role: code for role, code in codes.items() if code},
    }


def assemble(config: RunConfig, catalogue: Catalogue, root: Path, sources: Sources | None = None) -> Parts:
    """Construct the parts of a run and check that they fit together, before any work starts.

    Args:
        config: the run.
        catalogue: the parts on offer.
        root: of all results.
        sources: datasets that are prepared already, if several runs share them.

    Raises:
        Incompatible: says in words why they do not.
    """
    sources = sources or Sources(catalogue, root)
    network = catalogue.network(config.network)
    method = catalogue.method(_armed(config, catalogue))
    metrics = tuple(catalogue.metric(choice) for choice in config.metrics) or tuple(
        catalogue.metric(Choice(name)) for name in catalogue.defaults("metrics")
    )
    if network.dims not in method.dims:
        dims = " and ".join(f"{dim}D" for dim in sorted(method.dims))
        raise Incompatible(f"Method {method.name} works in {dims}, network {config.network.name} in {network.dims}D.")
    source = sources.prepared(config.dataset, smoke=config.smoke)
    with blame(catalogue.entry("methods", config.method.name).origin, f"looking at task {source.task.name}"):
        reason = method.incompatible(source.task)
    if reason:
        raise Incompatible(f"Method {method.name} cannot work on dataset {source.task.name}: {reason}")
    other = sources.prepared(config.unlabelled, smoke=config.smoke) if config.unlabelled else None
    if other is not None:
        _check_other(source.task, other.task, method, config.smoke)
    splits = split_cases(source.refs, config, source.folds)
    nothing = UNLABELLED in method.needs and other is None and not splits.unlabelled
    if config.smoke and nothing and len(splits.train) > 1:
        splits = replace(splits, train=splits.train[:-1], unlabelled=splits.train[-1:])  # a miniature may have none
    if not config.smoke and (reason := _inert(config, method, splits, source, sources)):  # a miniature is made up
        raise Incompatible(f"Method {method.name} cannot act on dataset {source.task.name}: {reason}")
    chosen = _unlabelled(config, method, splits, source.task, other)
    chain = chain_of(config.decision, catalogue)
    parts = Parts(source, other, network, method, metrics, replace(splits, unlabelled=chosen), chain)
    return replace(parts, data=_data(config, parts, catalogue))


def _inert(config: RunConfig, method: Method, splits: Splits, source: Source, sources: Sources) -> str | None:
    """Return why the prior of a method cannot act on the training cases, or None; looked at once per split."""
    cases = [ref.id for ref in splits.train]
    choices = [[one.name, dict(one.parameters), dict(one.local)] for one in (config.dataset, config.method)]
    key = json.dumps([choices, config.arm, cases], sort_keys=True)
    if key not in sources.inert:
        truths = _readable_truths(source.dataset, splits.train)
        with blame(sources.catalogue.entry("methods", config.method.name).origin, f"looking at {source.task.name}"):
            sources.inert[key] = method.inert(source.task, truths)
    return sources.inert[key]


def _readable_truths(dataset: Dataset, refs: Sequence[CaseRef]) -> Iterator[LabelMap]:
    """Yield the truths of some cases; one that cannot be read is said to be when the run needs it."""
    for ref in refs:
        try:
            truth = dataset.load_truth(ref)
        except SegbenchError:
            continue
        if truth is not None:
            yield truth


def _armed(config: RunConfig, catalogue: Catalogue) -> Choice:
    """Return the method's choice with the overrides of the arm."""
    if config.arm == METHOD_ARM:
        return config.method
    arms = catalogue.arms(config.method.name)
    if config.arm not in arms:
        known = ", ".join([METHOD_ARM, *sorted(arms)])
        raise Incompatible(f"Method {config.method.name} has no arm {config.arm!r}; it has: {known}.")
    return replace(config.method, parameters={**config.method.parameters, **arms[config.arm]})


def _check_other(task: Task, other: Task, method: Method, smoke: bool) -> None:
    """Refuse a dataset that cannot lend its cases to this one; two miniatures (``smoke``) may well be the same."""
    name = f"Unlabelled dataset {other.name}"
    if UNLABELLED not in method.needs:
        wish = " unless method.unlabelled says how many" if has_parameter(method, "unlabelled") else ""
        raise Incompatible(f"{name}: method {method.name} sees no unlabelled cases{wish}; leave --unlabelled out.")
    if (task.name, task.revision) == (other.name, other.revision) and not smoke:
        raise Incompatible(
            f"{name} is the dataset that is trained and tested on: its test cases must not be seen. Its own unlabelled "
            f"cases are used without --unlabelled; --set recipe.labelled=N makes more of its training cases unlabelled."
        )
    if len(task.channels) != len(other.channels):
        raise Incompatible(
            f"{name} has {len(other.channels)} image channels ({', '.join(other.channels)}), dataset {task.name} has "
            f"{len(task.channels)} ({', '.join(task.channels)}); they must be as many."
        )


def _unlabelled(
    config: RunConfig, method: Method, splits: Splits, task: Task, other: Source | None
) -> tuple[CaseRef, ...]:
    """Return the unlabelled cases that the method will see: those of the other dataset come first.

    A method says how many it wants by ``unlabelled``; 0 means all.
    """
    if UNLABELLED not in method.needs:
        return ()
    there = (*(other.lent if other else ()), *splits.unlabelled)
    if not there:
        raise Incompatible(
            f"Method {method.name} needs unlabelled cases; dataset {task.name} has none. Add some (--unlabelled "
            f"DATASET, --set dataset.unlabelled=N) or label fewer (--set recipe.labelled=N leaves the rest unlabelled)."
        )
    if not config.recipe.unlabelled_ratio:
        raise Incompatible(f"Method {method.name} needs unlabelled cases, but recipe.unlabelled_ratio=0 shows it none.")
    wanted = method.unlabelled or len(there)
    if wanted > len(there) and not config.smoke:
        raise Incompatible(
            f"Method {method.name}: method.unlabelled={wanted}, but there are {len(there)} unlabelled cases. Ask for "
            f"fewer, or add some (--unlabelled DATASET, --set dataset.unlabelled=N, --set recipe.labelled=N)."
        )
    return there[:wanted]
