"""One run, end to end, resumable: train once, predict, score what is missing; the record is written last.

A training is named by what determines it and is never repeated; label maps are made anew where a decision is new or its
code was edited; scores are added by metric. Whatever was interrupted goes on where it was.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench import records, results
from segbench.assembly import Parts, Sources, assemble, folder_of, settled
from segbench.config import RunConfig
from segbench.contracts import FIXED_SAMPLES, UNLABELLED, LiveRun, Method
from segbench.errors import Incompatible, PluginError
from segbench.files.images import write_label_map
from segbench.host import Catalogue, Origin, blame, load_catalogue
from segbench.locks import Lock, locked
from segbench.params import to_json
from segbench.planning import title
from segbench.preprocessing import Cases, preprocess
from segbench.provenance import git_commit, versions
from segbench.runs import config_of, fault_of, known_of, predictions_folder, read_facts, relocated, variant_of
from segbench.scoring.journal import remove as remove_journal
from segbench.scoring.rows import Design
from segbench.scoring.stored import Known, Scoring, Subject, decided, lacking, score_subject
from segbench.standing import edited_since
from segbench.training.sampling import POOL, ROLES
from segbench.types import LEARNT_NOTHING, CaseRef, Choice

if TYPE_CHECKING:
    from segbench.training.live import Guarded
    from segbench.training.loop import Plan, Reporter
    from segbench.training.memory import PeakMemory

__all__ = ["Outcome", "Parts", "Sources", "assemble", "folder_of", "predict", "run", "settled"]

SMOKE_EPOCHS, SMOKE_STEPS = 2, 3


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes:
        config: as it was run.
        run_id, folder: where the results are.
        fresh: False if everything had been finished before and nothing was done.
        trained: whether it was trained now.
        predicted: number of label maps that were predicted now.
        added: metrics that were computed now.
        decision: text of the chain, "" for the default one.
        failed: number of scores with status failed.
        fault: why the training learnt nothing, "" if it learnt something.
        reasons: why scores failed, each once.
        seconds: stage -> seconds, of this call.
    """

    config: RunConfig
    run_id: str
    folder: Path
    fresh: bool
    trained: bool = False
    predicted: int = 0
    added: tuple[str, ...] = ()
    decision: str = ""
    failed: int = 0
    fault: str = ""
    reasons: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """ "done", "finished before", or "learnt nothing", whenever that was."""
        return LEARNT_NOTHING if self.fault else "done" if self.fresh else "finished before"


def run(
    config: RunConfig,
    *,
    catalogue: Catalogue | None = None,
    results_root: str | Path = "results",
    reporter: Reporter | None = None,
    sources: Sources | None = None,
    jobs: int = 1,
    wait: bool = True,
    reporters: Sequence[Choice] = (),
) -> Outcome:
    """Train, predict and score one configuration; whatever is there already is left alone, the rest is done.

    Args:
        config: what to run.
        catalogue: the parts on offer; by default all installed plugins.
        results_root: folder of all results; preprocessed cases are cached in ``.cache`` below it.
        reporter: told about progress.
        sources: datasets that are prepared already, if several runs share them.
        jobs: processes that score.
        wait: whether to wait while another process makes the same run.
        reporters: parts that follow the training, should there be any; results do not depend on them.

    Raises:
        Busy: another process makes it, and ``wait`` is False.
        SegbenchError: see ``segbench.errors``; earlier results stay intact.
    """
    catalogue = catalogue or load_catalogue()
    config = settled(config, catalogue)
    root = Path(results_root)
    parts = assemble(config, catalogue, root, sources)
    return _carried_out(config, catalogue, parts, folder_of(config, parts, root), reporter, jobs, wait, reporters)


def predict(
    folder: Path,
    decision: Sequence[Choice] = (),
    *,
    metrics: Sequence[Choice] = (),
    dataset: Mapping[str, Any] | None = None,
    catalogue: Catalogue | None = None,
    reporter: Reporter | None = None,
    jobs: int = 1,
) -> Outcome:
    """Let another decision make label maps of a finished run's network, and score them; nothing is trained.

    Args:
        folder: of the run.
        decision: a chain; empty = the default one.
        metrics: empty = every metric that is on by default.
        dataset: parameters of the dataset that say where it lies now, such as ``path``.
        catalogue, reporter, jobs: as for ``run``.

    Raises:
        DataMissing: the run is not finished, or its dataset is not here any more.
        SegbenchError: see ``segbench.errors``.
    """
    catalogue = catalogue or load_catalogue()
    record = relocated(read_facts(folder), dataset)
    config = replace(config_of(record, folder), decision=tuple(decision), metrics=tuple(metrics))
    config = settled(config, catalogue)
    root = folder.parents[3 if config.smoke else 2]
    parts = assemble(config, catalogue, root)
    _refuse_other_data(record, parts, folder)
    _refuse_edited(record, parts, folder)
    return _carried_out(config, catalogue, parts, folder, reporter, jobs)


def _refuse_other_data(record: Mapping[str, Any], parts: Parts, folder: Path) -> None:
    from segbench.errors import DataMissing

    made = record["task"]["revision"]
    if made != parts.task.revision:
        raise DataMissing(
            f"{folder.name} was made with revision {made} of dataset {parts.task.name}; here is {parts.task.revision}. "
            f"Bring that revision back, or run again."
        )


def _refuse_edited(record: Mapping[str, Any], parts: Parts, folder: Path) -> None:
    """Refuse to predict with what another dataset or network made of the same names; older records do not say."""
    made = record.get("identity") or {}
    for role in ("dataset", "network") if made else ():
        was = made.get("versions", {}).get(role), made.get("code", {}).get(role)
        if was != (parts.data["versions"].get(role), parts.data["code"].get(role)):
            raise Incompatible(
                f"The code of the {role} changed since run {folder.name}: its label maps would not be those of this "
                f"training. Bring that code back, or train again with `segbench run`."
            )


def _carried_out(
    config: RunConfig,
    catalogue: Catalogue,
    parts: Parts,
    folder: Path,
    reporter: Reporter | None,
    jobs: int,
    wait: bool = True,
    reporters: Sequence[Choice] = (),
) -> Outcome:
    """Do what a run lacks, alone in its folder; what another process has done meanwhile is found done."""
    from segbench.training.live import reporters_of
    from segbench.training.loop import Reporter as Silent

    told, followers = reporter or Silent(), reporters_of(catalogue, reporters)
    if done := _Run(config, catalogue, parts, folder, told, jobs).finished():
        return done
    waiting = f"Run {folder.name} is being made by {{}}; waiting for it."
    with locked(folder, wait=wait, waiting=lambda holder: told.note(waiting.format(holder))) as lock:
        return _Run(config, catalogue, parts, folder, told, jobs, followers).carry_out(lock)


class _Run:
    """A run on its way; ``carry_out`` reads as its story."""

    def __init__(
        self,
        config: RunConfig,
        catalogue: Catalogue,
        parts: Parts,
        folder: Path,
        reporter: Reporter,
        jobs: int,
        followers: Sequence[Guarded] = (),
    ) -> None:
        self.catalogue, self.parts, self.folder, self.reporter = catalogue, parts, folder, reporter
        self.config, self.jobs, self.followers = config, jobs, followers
        recipe = config.recipe
        if config.smoke:
            recipe = replace(recipe, epochs=SMOKE_EPOCHS, steps_per_epoch=SMOKE_STEPS)
        self.active = replace(config, recipe=recipe)
        self.seconds: dict[str, float] = {}
        self.facts = read_facts(folder) if _has_facts(folder) else {}
        self.predictions = predictions_folder(folder, parts.chain.text, parts.chain.key)

    def finished(self) -> Outcome | None:
        """Return what is there if nothing is to be done, else None."""
        text = self.parts.chain.text
        if not self._has_scores() or self._stale() or self._waiting():
            return None
        if lacking(known_of(self.facts, self.folder), text, self.parts.metrics, self.catalogue):
            return None
        fault = fault_of(self.facts)
        return Outcome(self.config, self.folder.name, self.folder, fresh=False, decision=text, fault=fault)

    def _has_scores(self) -> bool:
        """Return whether the run is finished, and nobody deleted its scores so that they are made again."""
        return results.is_complete(self.folder) and (self.folder / results.SCORES).is_file()

    def carry_out(self, lock: Lock) -> Outcome:
        """Train unless that is done, predict what is missing, score what is missing; the record comes last."""
        self.lock = lock
        if done := self.finished():
            return done
        trained = not self.facts
        self._drop_stale_predictions()
        waiting = self._waiting()
        known = known_of(self.facts, self.folder) if self._has_scores() else {}
        text = self.parts.chain.text
        if trained and (changed := edited_since(self.config, self.parts, self.folder)):
            self.reporter.note(changed)
        if trained or waiting:
            self._train_and_predict(waiting)
        scoring = self._score({**known, text: {}} if waiting else known)
        failed = self._write(scoring)
        counts = (trained, len(waiting), scoring.added if scoring else (), text)
        reasons = dict.fromkeys(one.what for one in (scoring.problems if scoring else ()) if one.kind == "failed")
        end = (failed, fault_of(self.facts), tuple(reasons), self.seconds)
        return Outcome(self.config, self.folder.name, self.folder, True, *counts, *end)

    def _waiting(self) -> list[CaseRef]:
        """Return the test cases without a label map."""
        return [ref for ref in self.parts.splits.test if not self._file(ref).is_file()]

    def _file(self, ref: CaseRef) -> Path:
        return self.predictions / f"{ref.id}.nii.gz"

    @property
    def _native(self) -> Path:
        """Folder of the predictions as the dataset's own masks look."""
        return self.predictions.with_name(f"{self.predictions.name}-native")

    def _made(self) -> dict[str, Any]:
        """Return decision -> key of the chain that made its label maps; older records have the default's."""
        chain = self.parts.chain
        return dict(self.facts.get("decisions", {"": "" if chain.text else chain.key}))

    def _stale(self) -> bool:
        """Say whether the decision that made the label maps had other parameters, version or code than today's."""
        return bool(self.facts) and self._made().get(self.parts.chain.text) != self.parts.chain.key

    def _drop_stale_predictions(self) -> None:
        """Delete the label maps of a decision that is not that of today."""
        chain, made = self.parts.chain, self._made()
        if self._stale():
            before = predictions_folder(self.folder, chain.text, str(made.get(chain.text, chain.key)))
            for stale in (self.predictions, self._native, before):
                shutil.rmtree(stale, ignore_errors=True)
            scores = {text: known for text, known in self.facts.get("scores", {}).items() if text != chain.text}
            self.facts |= {"decisions": {**made, chain.text: chain.key}, "scores": scores}
            self._keep_facts()

    def _keep_facts(self) -> None:
        name = results.RECORD if results.is_complete(self.folder) else results.TRAINED
        records.write_record(self.folder / name, self.facts)

    def _train_and_predict(self, waiting: Sequence[CaseRef]) -> None:
        """Do what needs the network."""
        from segbench.training.device import session
        from segbench.training.memory import PeakMemory

        self.folder.mkdir(parents=True, exist_ok=True)
        with session(self.config.device, self.config.precision) as fabric:
            peak, begin = PeakMemory(fabric.device), time.perf_counter()
            cases = preprocess(self.parts, self.config, self.reporter)
            self.seconds["preprocess"] = time.perf_counter() - begin
            plan = self._plan(cases, fabric)
            if not self.facts:
                self._train(plan, cases, fabric, peak)
            self._predict(plan, cases, {ref.id for ref in waiting}, fabric)

    def _plan(self, cases: Cases, fabric: Any) -> Plan:
        from segbench.training.cache import geometry_of
        from segbench.training.live import Live
        from segbench.training.loop import Plan

        method, config = self.parts.method, self.active
        network_origin = self.catalogue.entry("networks", config.network.name).origin
        with blame(network_origin, f"adapting network {config.network.name}"):
            adapted = self.parts.network.adapt(geometry_of(cases.train))
        code = self.parts.data["code"].get("method", "")
        shared = "-".join(part for part in (method.name, method.version, code) if part)
        return Plan(
            config,
            self.parts.task,
            adapted,
            method,
            self.catalogue.entry("methods", method.name).origin,
            network_origin,
            cases.train,
            cases.val,
            self.folder,
            self.parts.source.cache / "methods" / shared,
            fabric,
            self.lock.check,
            Live(self._live_run(), self.followers, self.reporter.note),
        )

    def _live_run(self) -> LiveRun:
        """Return what reporters are told of the training."""
        config = self.active
        return LiveRun(self.folder.name, title(config), self.folder, config.canonical(), config.recipe.epochs, 0)

    def _train(self, plan: Plan, cases: Cases, fabric: Any, peak: PeakMemory) -> None:
        """Train, and write down what is known of the training: from here on it is never repeated."""
        import pyarrow as pa

        from segbench.training.batches import Samples
        from segbench.training.checkpoints import drop_checkpoints, keep_network
        from segbench.training.device import hardware
        from segbench.training.energy import WHAT
        from segbench.training.loop import train

        method, config = self.parts.method, self.active
        code = self.parts.data["code"].get("method", "")
        with blame(plan.origin, "deriving maps from the training truths"):
            derive = cases.train if _derives(method) else []
            keys = {case.ref.id: cases.cache.derive(case, method, code) for case in derive}
            _check_maps([case.derived(keys[case.ref.id]) for case in derive], method)
        samples = Samples(
            plan.network.view,
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
        trained = train(plan, samples, self.reporter)
        if trained.fault:
            self.reporter.note(f"{LEARNT_NOTHING.capitalize()}: {trained.fault}.")
        progress = trained.progress
        self.seconds |= {"prepare": progress.prepare_seconds, "train": progress.seconds}
        digest = results.write_table(self.folder / results.HISTORY, pa.Table.from_pylist(progress.history))
        keep_network(self.folder)
        memory, measured = peak.read()
        self.facts = {
            "run_id": self.folder.name,
            "status": LEARNT_NOTHING if trained.fault else "done",
            "config": self.config.canonical(),
            "identity": self.config.identity(self.parts.data),
            "variant": self.config.variant(),
            "local": self.config.local(),
            "task": to_json(self.parts.task),
            "network": to_json(plan.network),
            "method": to_json(self.parts.method),
            "supervision": self.parts.method.supervision,
            "parameters": trained.parameters,
            "splits": {role: [ref.id for ref in getattr(self.parts.splits, role)] for role in (*ROLES, POOL)},
            "training": {
                "epochs": progress.epoch,
                "steps": progress.step,
                "skipped_steps": int(sum(row["value"] for row in progress.history if row["name"] == "skipped")),
                "stopped": progress.stopped,
                "fault": trained.fault,
                "scored_checkpoint": self.config.recipe.choose if progress.best_epoch >= 0 else "last",
                "best_epoch": progress.best_epoch,
                "precision": str(plan.fabric._precision.precision),
            },
            "training_grid": cases.kept(self.parts.task.labels),
            "unlabelled": self._lender(),
            "seconds": dict(self.seconds),
            "peak_memory_bytes": memory,
            "energy_joules": progress.joules or None,
            "hardware": {
                **hardware(fabric.device),
                "peak_memory": measured,
                "energy": {name: WHAT[name] for name in progress.joules} or "nothing here tells it",
            },
            "versions": versions(),
            "git_commit": git_commit(),
            "decisions": {self.parts.chain.text: self.parts.chain.key},
            records.DIGESTS: {results.HISTORY: digest},
        }
        self._keep_facts()
        drop_checkpoints(self.folder)

    def _predict(self, plan: Plan, cases: Cases, waiting: set[str], fabric: Any) -> None:
        """Write the label maps that are missing."""
        from segbench.training.inference import predict
        from segbench.training.loop import restored

        begin, todo = time.perf_counter(), [case for case in cases.test if case.ref.id in waiting]
        forward = restored(plan)
        for index, case in enumerate(todo):
            labels = predict(forward, case, plan.network.view, self.parts.task, self.parts.chain, fabric.device)
            write_label_map(self._file(case.ref), labels)
            with blame(self.parts.source.origin, f"writing the prediction of case {case.ref.id}"):
                self.parts.dataset.write_prediction(case.ref, labels, self._native)
            self.reporter.progress("Predicting", index + 1, len(todo))
        self.seconds["predict"] = time.perf_counter() - begin

    def _score(self, known: Known) -> Scoring | None:
        parts, config, begin = self.parts, self.config, time.perf_counter()
        design = Design(
            self.folder.name,
            parts.task.name,
            parts.task.revision,
            config.method.name,
            network=config.network.name,
            arm=config.arm,
            seed=config.seed,
            fold=config.fold,
            synthetic=parts.task.synthetic,
            supervision=parts.method.supervision,
            variant=variant_of(self.facts, self.folder),
            build=RunConfig.build(self.facts.get("identity")),
            fault=fault_of(self.facts),
        )
        splits = parts.splits
        subject = Subject(
            self.folder,
            self.predictions,
            decided(design, parts.chain.text),
            parts.task,
            parts.dataset,
            splits.test,
            splits.pool,
        )
        scoring = score_subject(
            subject,
            known,
            parts.metrics,
            jobs=self.jobs,
            catalogue=self.catalogue,
            progress=lambda done, total, case: self.reporter.progress("Scoring", done, total),
        )
        self.seconds["score"] = time.perf_counter() - begin
        return scoring

    def _write(self, scoring: Scoring | None) -> int:
        """Write the record, whose presence says that the run is complete; return how many scores failed."""
        spent = dict(self.facts.get("seconds", {}))
        self.facts["local"] = self.config.local()  # where the data lie now
        for stage in ("predict", "score"):
            spent[stage] = spent.get(stage, 0.0) + self.seconds.get(stage, 0.0)
        if scoring is not None:
            status = scoring.table.column("status").to_pylist()
            self.facts |= {"scores": scoring.known, "failed_scores": status.count("failed")}
            self.facts["problems"] = [to_json(problem) for problem in scoring.problems]
            self.facts[records.DIGESTS] = {**self.facts.get(records.DIGESTS, {}), results.SCORES: scoring.digest}
        self.lock.check()
        plugins = {str(origin.plugin): f"{origin.distribution} {origin.version}" for origin in self._origins()}
        self.facts |= {"seconds": spent, "plugins": {**self.facts.get("plugins", {}), **plugins}}
        records.write_record(self.folder / results.RECORD, self.facts)
        (self.folder / results.TRAINED).unlink(missing_ok=True)
        remove_journal(self.folder)
        return int(self.facts["failed_scores"])

    def _lender(self) -> dict[str, Any] | None:
        """Return what was seen of another dataset's cases, or None."""
        if self.parts.unlabelled is None:
            return None
        task, lent = self.parts.unlabelled.task, self.parts.unlabelled.lent
        cases = [lent[ref].id for ref in self.parts.splits.unlabelled if ref in lent]
        return {"dataset": task.name, "revision": task.revision, "synthetic": task.synthetic, "cases": cases}

    def _origins(self) -> Iterable[Origin]:
        config = self.config
        chosen = [("datasets", config.dataset), ("networks", config.network), ("methods", config.method)]
        chosen += [("metrics", Choice(metric.name)) for metric in self.parts.metrics]
        chosen += [("decisions", Choice(decision.name)) for decision in self.parts.chain.decisions]
        chosen += [("datasets", config.unlabelled)] if config.unlabelled else []
        return {self.catalogue.entry(kind, choice.name).origin for kind, choice in chosen}


def _has_facts(folder: Path) -> bool:
    return results.is_complete(folder) or (folder / results.TRAINED).is_file()


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
