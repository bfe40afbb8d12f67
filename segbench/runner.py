"""One run, end to end, resumable: dataset -> cache -> train -> predict -> score -> results, the record written last."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench import results
from segbench.config import RunConfig
from segbench.contracts import FIXED_SAMPLES, UNLABELLED, Dataset, Method, Metric, Network
from segbench.errors import DataInvalid, Incompatible, PluginError
from segbench.evaluation.scoring import score_case
from segbench.files.images import write_label_map
from segbench.host import Catalogue, blame, load_catalogue
from segbench.params import to_json
from segbench.results import Row
from segbench.training.sampling import Splits, split_cases
from segbench.types import CaseRef, Choice, LabelMap, Task

if TYPE_CHECKING:
    from segbench.training.cache import Cache, StoredCase
    from segbench.training.loop import Plan, Reporter, Trained

SMOKE_EPOCHS, SMOKE_STEPS = 2, 3
METHOD_ARM = "method"


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes:
        config: as it was run.
        run_id, folder: where the results are.
        fresh: False if it had been finished before and nothing was done.
        failed: number of scores with status failed.
        seconds: stage -> seconds, of this call.
    """

    config: RunConfig
    run_id: str
    folder: Path
    fresh: bool
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """The parts of a run, constructed and found to fit together.

    Attributes:
        splits: ``unlabelled`` holds what the method will see of such cases.
        cache: folder of preprocessed cases.
    """

    dataset: Dataset
    network: Network
    method: Method
    metrics: tuple[Metric, ...]
    task: Task
    splits: Splits
    cache: Path


def run(
    config: RunConfig,
    *,
    catalogue: Catalogue | None = None,
    results_root: str | Path = "results",
    reporter: Reporter | None = None,
) -> Outcome:
    """Train, predict and score one configuration; a finished one is left alone, an unfinished one is resumed.

    Args:
        config: what to run.
        catalogue: the parts on offer; by default all installed plugins.
        results_root: folder of all results; preprocessed cases are cached in ``.cache`` below it.
        reporter: told about progress.

    Raises:
        SegbenchError: see ``segbench.errors``; earlier results stay intact.
    """
    catalogue = catalogue or load_catalogue()
    config = settled(config, catalogue)
    root = Path(results_root)
    parts = assemble(config, catalogue, root)
    folder = folder_of(config, parts, root)
    if results.is_complete(folder):
        return Outcome(config, folder.name, folder, fresh=False)
    from segbench.training.loop import Reporter as Silent

    return _Run(config, catalogue, parts, folder, root, reporter or Silent()).carry_out()


def settled(config: RunConfig, catalogue: Catalogue) -> RunConfig:
    """Return the same configuration with every choice in canonical form, so that equal runs have one identity."""
    return replace(
        config,
        dataset=catalogue.settle("datasets", config.dataset),
        network=catalogue.settle("networks", config.network),
        method=catalogue.settle("methods", config.method),
        metrics=tuple(catalogue.settle("metrics", metric) for metric in config.metrics),
    )


def folder_of(config: RunConfig, parts: Parts, root: Path) -> Path:
    """Return the folder of a run."""
    base = root / ".smoke" if config.smoke else root
    named = {"dataset": parts.dataset, "network": parts.network, "method": parts.method}
    named |= {f"metric.{metric.name}": metric for metric in parts.metrics}
    versions = {role: part.version for role, part in named.items()}
    run_id = config.run_id(parts.task.revision, versions)
    return results.run_folder(base, parts.task.name, config.method.name, run_id)


def assemble(config: RunConfig, catalogue: Catalogue, root: Path) -> Parts:
    """Construct the parts of a run and check that they fit together, before any work starts.

    Raises:
        Incompatible: says in words why they do not.
    """
    network = catalogue.network(config.network)
    method = catalogue.method(_armed(config, catalogue))
    metrics = tuple(catalogue.metric(choice) for choice in config.metrics) or tuple(
        catalogue.metric(Choice(name)) for name in catalogue.defaults("metrics")
    )
    if network.dims not in method.dims:
        dims = " and ".join(f"{dim}D" for dim in sorted(method.dims))
        raise Incompatible(f"Method {method.name} works in {dims}, network {config.network.name} in {network.dims}D.")
    dataset = catalogue.dataset(config.dataset)
    origin = catalogue.entry("datasets", config.dataset.name).origin
    with blame(origin, f"preparing dataset {config.dataset.name}"):
        cache = root / ".cache"
        if config.smoke:
            forge = Path(tempfile.mkdtemp(prefix="segbench-smoke-"))
            dataset, cache = dataset.forge(forge), forge / ".cache"
            weakref.finalize(dataset, shutil.rmtree, forge, ignore_errors=True)
        dataset.prepare(root / ".data")
        task, refs, folds = dataset.task, dataset.refs(), dataset.folds()
    with blame(catalogue.entry("methods", config.method.name).origin, f"looking at task {task.name}"):
        reason = method.incompatible(task)
    if reason:
        raise Incompatible(f"Method {method.name} cannot work on dataset {task.name}: {reason}")
    splits = split_cases(refs, config, folds)
    if UNLABELLED in method.needs and not splits.unlabelled:
        raise Incompatible(
            f"Method {method.name} needs unlabelled cases; dataset {task.name} has none. Add some "
            f"(--set dataset.unlabelled=N) or label fewer (--set recipe.labelled=N leaves the rest unlabelled)."
        )
    wanted = getattr(method, "unlabelled", None) if UNLABELLED in method.needs else 0
    splits = replace(splits, unlabelled=splits.unlabelled[:wanted])
    return Parts(dataset, network, method, metrics, task, splits, cache)


def _armed(config: RunConfig, catalogue: Catalogue) -> Choice:
    """Return the method's choice with the overrides of the arm."""
    if config.arm == METHOD_ARM:
        return config.method
    arms = getattr(catalogue.entry("methods", config.method.name).cls, "arms", {})
    if config.arm not in arms:
        known = ", ".join([METHOD_ARM, *sorted(arms)])
        raise Incompatible(f"Method {config.method.name} has no arm {config.arm!r}; it has: {known}.")
    return replace(config.method, parameters={**config.method.parameters, **arms[config.arm]})


class _Run:
    """A run on its way; ``carry_out`` reads as its story."""

    def __init__(
        self, config: RunConfig, catalogue: Catalogue, parts: Parts, folder: Path, root: Path, reporter: Reporter
    ) -> None:
        self.catalogue, self.parts, self.folder, self.root, self.reporter = catalogue, parts, folder, root, reporter
        self.config = config
        recipe = config.recipe
        if config.smoke:
            recipe = replace(recipe, epochs=SMOKE_EPOCHS, steps_per_epoch=SMOKE_STEPS)
        self.active = replace(config, recipe=recipe)
        self.seconds: dict[str, float] = {}
        self.adapted: Network = parts.network

    def carry_out(self) -> Outcome:
        """Preprocess, train, predict, score, write; the record comes last."""
        from segbench.training import device

        fabric = device.launch(self.config.device, self.config.precision)
        self.folder.mkdir(parents=True, exist_ok=True)
        begin = time.perf_counter()
        cache, train, val, unlabelled, test = self._preprocess()
        self.seconds["preprocess"] = time.perf_counter() - begin
        plan, trained = self._train(cache, train, val, unlabelled, fabric)
        self.seconds["prepare"] = trained.progress.prepare_seconds
        self.seconds["train"] = trained.progress.seconds
        rows = self._evaluate(trained, train, test, fabric.device)
        failed = self._write(rows, trained, plan, device.hardware(fabric.device), device.peak_memory(fabric.device))
        return Outcome(self.config, self.folder.name, self.folder, True, failed, self.seconds)

    def _preprocess(self) -> tuple[Cache, list[StoredCase], list[StoredCase], list[StoredCase], list[StoredCase]]:
        from segbench.training.cache import Cache

        splits = self.parts.splits
        cache = Cache(self.parts.cache, self.parts.dataset, self.config.recipe)
        stages: list[tuple[Sequence[CaseRef], bool, bool]] = [
            (splits.train, True, False),
            (splits.val, True, False),
            (splits.unlabelled, False, False),
            (splits.test, False, True),
        ]
        total, done, stored = sum(len(refs) for refs, _, _ in stages), 0, []
        origin = self.catalogue.entry("datasets", self.config.dataset.name).origin
        with blame(origin, "choosing the training grid"):
            cache.settle_spacing(splits.train)
        for refs, labelled, scored in stages:
            group = []
            for ref in refs:
                with blame(origin, f"loading case {ref.id}"):
                    group.append(cache.store(ref, labelled=labelled, scored=scored))
                done += 1
                self.reporter.progress("Preprocessing", done, total)
            stored.append(group)
        return cache, stored[0], stored[1], stored[2], stored[3]

    def _train(
        self,
        cache: Cache,
        train: list[StoredCase],
        val: list[StoredCase],
        unlabelled: list[StoredCase],
        fabric: Any,
    ) -> tuple[Plan, Trained]:
        from segbench.training.batches import Samples
        from segbench.training.cache import geometry_of
        from segbench.training.loop import Plan
        from segbench.training.loop import train as train_network

        method = self.parts.method
        origin = self.catalogue.entry("methods", method.name).origin
        with blame(origin, "deriving maps from the training truths"):
            keys = {case.ref.id: cache.derive(case, method) for case in train} if _derives(method) else {}
            _check_maps([case.derived(keys[case.ref.id]) for case in train if keys], method)
        config, network_origin = self.active, self.catalogue.entry("networks", self.config.network.name).origin
        with blame(network_origin, f"adapting network {config.network.name}"):
            self.adapted = self.parts.network.adapt(geometry_of(train))
        samples = Samples(
            self.adapted.view,
            train,
            unlabelled,
            config.recipe,
            seed=config.seed,
            fold=config.fold,
            device=fabric.device,
            derived_keys=keys,
            fixed=FIXED_SAMPLES in method.needs,
            mix_unlabelled=UNLABELLED in method.needs,
        )
        plan = Plan(
            config, self.parts.task, self.adapted, method, origin, network_origin, train, val, self.folder, fabric
        )
        return plan, train_network(plan, samples, self.reporter)

    def _evaluate(self, trained: Trained, train: list[StoredCase], test: list[StoredCase], device: Any) -> list[Row]:
        """Predict, write and score the test cases one by one."""
        from segbench.training.inference import predict

        parts, rows = self.parts, list[Row]()
        for metric in parts.metrics:
            with blame(self.catalogue.entry("metrics", metric.name).origin, f"preparing metric {metric.name}"):
                metric.prepare(parts.task, (case.truth() for case in train))
        self.seconds |= {"predict": 0.0, "score": 0.0}
        for index, case in enumerate(test):
            begin = time.perf_counter()
            predicted = predict(trained.forward, case, trained.view, len(parts.task.labels), device)
            write_label_map(self.folder / "predictions" / f"{case.ref.id}.nii.gz", predicted)
            between = time.perf_counter()
            rows += self._score(case.ref, predicted)
            self.seconds["predict"] += between - begin
            self.seconds["score"] += time.perf_counter() - between
            self.reporter.progress("Predicting and scoring", index + 1, len(test))
        return rows

    def _score(self, ref: CaseRef, predicted: LabelMap) -> Iterator[Row]:
        parts, config = self.parts, self.config
        with blame(self.catalogue.entry("datasets", config.dataset.name).origin, f"loading case {ref.id}"):
            truth = parts.dataset.load(ref).truth
        if truth is None:
            raise DataInvalid(f"Dataset {parts.task.name}: test case {ref.id} has no truth to score against.")
        for metric, score in score_case(predicted, truth, parts.task, parts.metrics):
            yield Row(
                run_id=self.folder.name,
                dataset=parts.task.name,
                dataset_revision=parts.task.revision,
                network=config.network.name,
                method=config.method.name,
                arm=config.arm,
                seed=config.seed,
                fold=config.fold,
                case_id=ref.id,
                group=ref.group,
                label=score.structure.label,
                label_name=score.structure.name,
                metric=metric.name,
                metric_version=metric.version,
                unit=metric.unit,
                better=metric.better,
                value=score.value,
                status=score.status,
                synthetic=parts.task.synthetic,
                supervision=parts.method.supervision,
                variant=config.variant(),
            )

    def _write(self, rows: list[Row], trained: Trained, plan: Plan, hardware: dict[str, Any], memory: int) -> int:
        import pyarrow as pa

        from segbench.training.checkpoints import drop_checkpoints, keep_network

        failed, history = sum(row.status == "failed" for row in rows), trained.progress.history
        results.write_table(self.folder / results.SCORES, results.scores_table(rows))
        results.write_table(self.folder / results.HISTORY, pa.Table.from_pylist(history))
        keep_network(self.folder)
        record = {
            "run_id": self.folder.name,
            "config": self.config.canonical(),
            "local": self.config.local(),
            "task": to_json(self.parts.task),
            "network": to_json(self.adapted),
            "method": to_json(self.parts.method),
            "parameters": trained.parameters,
            "splits": {
                role: [ref.id for ref in getattr(self.parts.splits, role)]
                for role in ("train", "val", "test", "unlabelled")
            },
            "training": {
                "epochs": trained.progress.epoch,
                "steps": trained.progress.step,
                "skipped_steps": int(sum(row["value"] for row in history if row["name"] == "skipped")),
                "stopped": trained.progress.stopped,
                "scored_checkpoint": self.config.recipe.choose if trained.progress.best_epoch >= 0 else "last",
                "best_epoch": trained.progress.best_epoch,
                "precision": str(plan.fabric._precision.precision),
            },
            "seconds": self.seconds,
            "peak_memory_bytes": memory,
            "hardware": hardware,
            "failed_scores": failed,
            "versions": _versions(),
            "plugins": {str(origin.plugin): f"{origin.distribution} {origin.version}" for origin in self._origins()},
            "git_commit": _git_commit(),
        }
        results.write_json(self.folder / results.RECORD, record)
        drop_checkpoints(self.folder)
        return failed

    def _origins(self) -> Iterable[Any]:
        config = self.config
        chosen = [("datasets", config.dataset), ("networks", config.network), ("methods", config.method)]
        chosen += [("metrics", Choice(metric.name)) for metric in self.parts.metrics]
        return {self.catalogue.entry(kind, choice.name).origin for kind, choice in chosen}


def _check_maps(cases: Sequence[Mapping[str, Any]], method: Method) -> None:
    """Raise PluginError unless the derived maps of all cases have the same names and channels."""
    kinds = [{name: len(array) for name, array in maps.items()} for maps in cases]
    for other in kinds:
        if other != kinds[0]:
            raise PluginError(
                f"Method {method.name}: derive() gave maps (name: channels) {kinds[0]} for one case and {other} for "
                f"another; expected the same for all."
            )


def _derives(method: Method) -> bool:
    return type(method).derive is not Method.derive


def _versions() -> dict[str, str]:
    names = ("segbench", "torch", "lightning-fabric", "numpy", "scipy", "nibabel", "pyarrow")
    return {name: importlib.metadata.version(name) for name in names}


def _git_commit() -> str | None:
    """Return the commit of the checkout segbench runs from, with ``+`` if it has changes; None outside a checkout."""
    here = Path(__file__).resolve().parent
    if shutil.which("git") is None or not (here.parent / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10)
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
