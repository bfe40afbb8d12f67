"""One run, end to end, resumable: dataset -> cache -> train -> predict -> score -> results, the record written last."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench import results
from segbench.assembly import Parts, Sources, assemble, folder_of, settled
from segbench.config import RunConfig
from segbench.contracts import FIXED_SAMPLES, UNLABELLED, Method, Network
from segbench.errors import DataInvalid, PluginError
from segbench.files.images import write_label_map
from segbench.host import Catalogue, blame, load_catalogue
from segbench.params import to_json
from segbench.preprocessing import Cases, preprocess
from segbench.provenance import git_commit, versions
from segbench.results import Row
from segbench.scoring.metrics import score_case, version_of
from segbench.scoring.rows import on_grid
from segbench.training.sampling import ROLES
from segbench.truths import truth_digest
from segbench.types import CaseRef, Choice, LabelMap

if TYPE_CHECKING:
    from segbench.training.loop import Plan, Reporter, Trained

__all__ = ["Outcome", "Parts", "Sources", "assemble", "folder_of", "run", "settled"]

SMOKE_EPOCHS, SMOKE_STEPS = 2, 3


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


def run(
    config: RunConfig,
    *,
    catalogue: Catalogue | None = None,
    results_root: str | Path = "results",
    reporter: Reporter | None = None,
    sources: Sources | None = None,
) -> Outcome:
    """Train, predict and score one configuration; a finished one is left alone, an unfinished one is resumed.

    Args:
        config: what to run.
        catalogue: the parts on offer; by default all installed plugins.
        results_root: folder of all results; preprocessed cases are cached in ``.cache`` below it.
        reporter: told about progress.
        sources: datasets that are prepared already, if several runs share them.

    Raises:
        SegbenchError: see ``segbench.errors``; earlier results stay intact.
    """
    catalogue = catalogue or load_catalogue()
    config = settled(config, catalogue)
    root = Path(results_root)
    parts = assemble(config, catalogue, root, sources)
    folder = folder_of(config, parts, root)
    if results.is_complete(folder):
        return Outcome(config, folder.name, folder, fresh=False)
    from segbench.training.loop import Reporter as Silent

    return _Run(config, catalogue, parts, folder, reporter or Silent()).carry_out()


class _Run:
    """A run on its way; ``carry_out`` reads as its story."""

    def __init__(self, config: RunConfig, catalogue: Catalogue, parts: Parts, folder: Path, reporter: Reporter) -> None:
        self.catalogue, self.parts, self.folder, self.reporter = catalogue, parts, folder, reporter
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
        cases = preprocess(self.parts, self.config, self.reporter)
        self.seconds["preprocess"] = time.perf_counter() - begin
        plan, trained = self._train(cases, fabric)
        self.seconds["prepare"] = trained.progress.prepare_seconds
        self.seconds["train"] = trained.progress.seconds
        rows = self._evaluate(trained, cases, fabric.device)
        failed = self._write(rows, trained, plan, device.hardware(fabric.device), device.peak_memory(fabric.device))
        return Outcome(self.config, self.folder.name, self.folder, True, failed, self.seconds)

    def _train(self, cases: Cases, fabric: Any) -> tuple[Plan, Trained]:
        from segbench.training.batches import Samples
        from segbench.training.cache import geometry_of
        from segbench.training.loop import Plan
        from segbench.training.loop import train as train_network

        method = self.parts.method
        origin = self.catalogue.entry("methods", method.name).origin
        with blame(origin, "deriving maps from the training truths"):
            keys = {case.ref.id: cases.cache.derive(case, method) for case in cases.train} if _derives(method) else {}
            _check_maps([case.derived(keys[case.ref.id]) for case in cases.train if keys], method)
        config, network_origin = self.active, self.catalogue.entry("networks", self.config.network.name).origin
        with blame(network_origin, f"adapting network {config.network.name}"):
            self.adapted = self.parts.network.adapt(geometry_of(cases.train))
        samples = Samples(
            self.adapted.view,
            cases.train,
            cases.unlabelled,
            config.recipe,
            seed=config.seed,
            fold=config.fold,
            device=fabric.device,
            derived_keys=keys,
            fixed=FIXED_SAMPLES in method.needs,
            mix_unlabelled=UNLABELLED in method.needs,
        )
        plan = Plan(
            config,
            self.parts.task,
            self.adapted,
            method,
            origin,
            network_origin,
            cases.train,
            cases.val,
            self.folder,
            self.parts.source.cache / "methods" / method.name,
            fabric,
        )
        return plan, train_network(plan, samples, self.reporter)

    def _evaluate(self, trained: Trained, cases: Cases, device: Any) -> list[Row]:
        """Predict, write and score the test cases one by one."""
        from segbench.training.inference import predict

        parts, rows = self.parts, list[Row]()
        for metric in parts.metrics:
            with blame(self.catalogue.entry("metrics", metric.name).origin, f"preparing metric {metric.name}"):
                metric.prepare(parts.task, (case.truth() for case in cases.train))
        self.seconds |= {"predict": 0.0, "score": 0.0}
        for index, case in enumerate(cases.test):
            begin = time.perf_counter()
            predicted = predict(trained.forward, case, trained.view, len(parts.task.labels), device)
            write_label_map(self.folder / "predictions" / f"{case.ref.id}.nii.gz", predicted)
            with blame(parts.source.origin, f"writing the prediction of case {case.ref.id}"):
                parts.dataset.write_prediction(case.ref, predicted, self.folder / "native")
            between = time.perf_counter()
            rows += self._score(case.ref, predicted)
            self.seconds["predict"] += between - begin
            self.seconds["score"] += time.perf_counter() - between
            self.reporter.progress("Predicting and scoring", index + 1, len(cases.test))
        return rows

    def _score(self, ref: CaseRef, predicted: LabelMap) -> Iterator[Row]:
        parts, config = self.parts, self.config
        with blame(parts.source.origin, f"loading case {ref.id}"):
            truth = parts.dataset.load(ref).truth
        if truth is None:
            raise DataInvalid(f"Dataset {parts.task.name}: test case {ref.id} has no truth to score against.")
        computed = {metric.name: version_of(metric) for metric in parts.metrics}
        flat = truth.array.ndim == 2 or truth.array.shape[0] == 1
        for metric, score in score_case(predicted, truth, parts.task, parts.metrics):
            unit, value = on_grid(metric.unit, score.value, truth.unit, flat=flat)
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
                metric_version=computed[metric.name],
                unit=unit,
                better=metric.better,
                value=value,
                status=score.status,
                synthetic=parts.task.synthetic,
                supervision=parts.method.supervision,
                variant=config.variant(),
                truth=truth_digest(truth),
                family=metric.family,
                preference=metric.preference,
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
            "splits": {role: [ref.id for ref in getattr(self.parts.splits, role)] for role in ROLES},
            "training": {
                "epochs": trained.progress.epoch,
                "steps": trained.progress.step,
                "skipped_steps": int(sum(row["value"] for row in history if row["name"] == "skipped")),
                "stopped": trained.progress.stopped,
                "scored_checkpoint": self.config.recipe.choose if trained.progress.best_epoch >= 0 else "last",
                "best_epoch": trained.progress.best_epoch,
                "precision": str(plan.fabric._precision.precision),
            },
            "unlabelled": self._lender(),
            "seconds": self.seconds,
            "peak_memory_bytes": memory,
            "hardware": hardware,
            "failed_scores": failed,
            "versions": versions(),
            "plugins": {str(origin.plugin): f"{origin.distribution} {origin.version}" for origin in self._origins()},
            "git_commit": git_commit(),
        }
        results.write_json(self.folder / results.RECORD, record)
        drop_checkpoints(self.folder)
        return failed

    def _lender(self) -> dict[str, Any] | None:
        """Return what was seen of another dataset's cases, or None."""
        if self.parts.unlabelled is None:
            return None
        task, lent = self.parts.unlabelled.task, self.parts.unlabelled.lent
        cases = [lent[ref].id for ref in self.parts.splits.unlabelled if ref in lent]
        return {"dataset": task.name, "revision": task.revision, "synthetic": task.synthetic, "cases": cases}

    def _origins(self) -> Iterable[Any]:
        config = self.config
        chosen = [("datasets", config.dataset), ("networks", config.network), ("methods", config.method)]
        chosen += [("metrics", Choice(metric.name)) for metric in self.parts.metrics]
        chosen += [("datasets", config.unlabelled)] if config.unlabelled else []
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
