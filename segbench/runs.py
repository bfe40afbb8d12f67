"""Finished runs, found by folder or by name and opened again: history, scores, label maps, and the data behind them."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.collection import KeptRun, kept_runs
from segbench.config import RunConfig
from segbench.errors import DataInvalid, DataMissing, SegbenchError, UsageError
from segbench.host import Catalogue, blame
from segbench.litter import leave, room
from segbench.params import make
from segbench.records import RECORD, RESTORE, check_digest, parsed_record
from segbench.results import HISTORY, SCORES, TRAINED, is_complete, of_decision, read_scores, readable
from segbench.types import Case, CaseRef, Choice, LabelMap, Task

if TYPE_CHECKING:
    from segbench.contracts import Dataset
    from segbench.scoring.stored import Known

SMOKE = ".smoke"
"""Folder below a results root that holds the runs of ``--smoke``."""
FEWEST_DIGITS = 4
"""Digits of a run's name that must be given at least."""


@dataclass(frozen=True, eq=False)
class StoredRun:
    """See ``segbench.FinishedRun``; made by ``open_run``. Its label maps and scores are those of ``decision``.

    A run that stands on a published board has neither history nor label maps, and its data are not looked for.
    """

    kept: KeptRun = field(repr=False)
    record: Mapping[str, Any]
    catalogue: Catalogue = field(repr=False)
    decision: str = ""
    datasets: dict[str, Dataset] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """Where it lies: its folder, or that of its board."""
        return self.kept.place

    @property
    def run_id(self) -> str:
        """Identity of the run."""
        return str(self.record["run_id"])

    @cached_property
    def title(self) -> str:
        """Method, arm if it is not the method itself, and in brackets what was changed of the defaults."""
        table = self.kept.scores(["method", "arm", "variant", "decision"])
        columns = of_decision(table, self.decision).slice(0, 1).to_pydict()
        if not columns["method"]:
            return self.folder.parent.name
        method, arm, variant = (columns[name][0] for name in ("method", "arm", "variant"))
        shown = str(method) if arm in ("method", "", None) else f"{method}:{arm}"
        return f"{shown} [{variant}]" if variant else shown

    @cached_property
    def task(self) -> Task:
        """What was segmented, as the record says."""
        if "task" not in self.record:
            return self._foreign_task()
        values = dict(self.record["task"])
        regions = {name: tuple(members) for name, members in values.pop("regions", {}).items()}
        values |= {name: tuple(values[name]) for name in ("labels", "channels", "notes") if name in values}
        return Task(**values, regions=regions)

    def _foreign_task(self) -> Task:
        """Return the task of predictions made elsewhere, whose record lists structures."""
        if "structures" not in self.record:
            raise DataMissing(f"{self.folder}: an imported table does not say what its labels are.")
        from segbench.evaluation.labelling import task_of

        structures = {name: tuple(values) for name, values in self.record["structures"]}
        return task_of(str(self.record["dataset"]), str(self.record["revision"]), structures)

    @cached_property
    def case_ids(self) -> Sequence[str]:
        """The scored cases, in the order in which they were scored."""
        return tuple(dict.fromkeys(self.kept.scores(["case_id"]).column("case_id").to_pylist()))

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Return rows ``{"epoch", "name", "value"}``; none for runs that were not trained here."""
        import pyarrow.parquet as pq

        file = self.folder / HISTORY
        if self.kept.folder is None or not file.is_file():
            return []
        check_digest(file, RESTORE, self.record)
        with readable(file):
            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return rows

    def scores(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of ``scores.parquet`` for the label maps of the decision."""
        rows: list[dict[str, Any]] = of_decision(self.kept.scores(), self.decision).to_pylist()
        return rows

    def prediction(self, case_id: str) -> LabelMap:
        """Read one prediction.

        Raises:
            DataMissing: if the run keeps none of this name.
        """
        self._require_folder()
        from segbench.files.images import read_label_map

        key = str(self.record.get("decisions", {}).get(self.decision, ""))
        return read_label_map(predictions_folder(self.folder, self.decision, key) / f"{case_id}.nii.gz")

    def case(self, case_id: str) -> Case:
        """Load one case from its dataset, with image and truth.

        Raises:
            DataMissing: if the dataset, or the case, is not here any more.
        """
        self._require(case_id)
        dataset, name = self.dataset, self.record["config"]["dataset"]["name"]
        with blame(self.catalogue.entry("datasets", name).origin, f"loading case {case_id}"):
            return dataset.load(self._refs[case_id])

    def truths(self) -> Iterator[LabelMap]:
        """Yield the truths of all training cases of the split on their own grids, whatever the recipe used of them."""
        splits = self.record.get("splits", {})
        for ref in self.refs(splits.get("pool", splits.get("train", ()))):
            truth = self.dataset.load_truth(ref)
            if truth is None:
                raise DataInvalid(f"Dataset {self.task.name}: training case {ref.id} has no truth any more.")
            yield truth

    def refs(self, case_ids: Sequence[str]) -> list[CaseRef]:
        """Return cases of the run's dataset by their names.

        Raises:
            DataMissing: if the dataset, or a case, is not here any more.
        """
        for case_id in case_ids:
            self._require(case_id)
        return [self._refs[case_id] for case_id in case_ids]

    def _require(self, case_id: str) -> None:
        if case_id not in self._refs:
            raise DataMissing(f"Dataset {self.task.name} has no case {case_id!r} any more; run {self.run_id} had it.")

    def _require_folder(self) -> None:
        if self.kept.folder is None:
            raise DataMissing(
                f"Run {self.run_id} is known by {self.folder} only, which holds scores and records, no images or label "
                f"maps. Name the folder of the run."
            )

    @cached_property
    def _refs(self) -> Mapping[str, CaseRef]:
        return {ref.id: ref for ref in self.dataset.refs()}

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, prepared; a smoke run's miniature is made again."""
        self._require_folder()
        if "config" not in self.record:
            raise DataMissing(f"Run {self.run_id} scored predictions made elsewhere: no dataset part opens its cases.")
        config, local = self.record["config"], self.record.get("local", {})
        chosen = config["dataset"]
        key = json.dumps(
            [chosen, local.get("dataset", {}), config["smoke"], str(self.folder.parents[2])], sort_keys=True
        )
        if key not in self.datasets:
            self.datasets[key] = self._prepared(chosen, config, local)
        return self.datasets[key]

    def _prepared(self, chosen: Mapping[str, Any], config: Mapping[str, Any], local: Mapping[str, Any]) -> Dataset:
        dataset = self.catalogue.dataset(Choice(chosen["name"], chosen["parameters"], local.get("dataset", {})))
        with blame(self.catalogue.entry("datasets", chosen["name"]).origin, f"preparing dataset {chosen['name']}"):
            if config["smoke"]:
                forge = room("smoke")
                dataset = dataset.forge(forge)
                weakref.finalize(dataset, leave, forge)
            dataset.prepare(self.folder.parents[3 if config["smoke"] else 2] / ".data")
            revision = dataset.task.revision
        if revision != self.task.revision and not config["smoke"]:
            raise DataMissing(
                f"Run {self.run_id} was made with revision {self.task.revision} of dataset {self.task.name}; here is "
                f"{revision}. Bring that revision back, or run again."
            )
        return dataset


def predictions_folder(folder: Path, decision: str, key: str) -> Path:
    """Return where the label maps of a run by a decision lie.

    Args:
        folder: of the run.
        decision: text of the chain, "" for the default one.
        key: of the chain.
    """
    return folder / ("predictions" if not decision else f"predictions-{key}")


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the record of a run, or what is known of a training that is not scored yet.

    Raises:
        DataMissing: there is neither.
        DataInvalid: it cannot be read.
    """
    content = None
    for name in (RECORD, TRAINED, RECORD):  # the record takes the place of the other, perhaps at this moment
        file = folder / name
        try:
            content = file.read_bytes()
            break
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataInvalid(f"{file} cannot be read: {error}. Delete the folder and run it again.") from error
    if content is None:
        raise DataMissing(f"{folder} holds no finished run ({RECORD}). The command that began it resumes it.")
    return parsed_record(content, file)


def relocated(record: Mapping[str, Any], dataset: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a record whose dataset lies where parameters such as ``path`` say.

    Raises:
        UsageError: a parameter that would change the data.
    """
    if not dataset:
        return dict(record)
    if "config" not in record:
        raise UsageError("--set dataset.…: predictions made elsewhere have no dataset. Evaluate them again.")
    local = dict(record.get("local", {}))
    own = dict(local.get("dataset", {}))
    if spare := sorted(set(dataset) - {*own, "path"}):
        raise UsageError(f"--set dataset.{spare[0]}: expected where the data lie, such as dataset.path=DIR.")
    moved = {key: str(Path(str(value)).expanduser().absolute()) for key, value in dataset.items()}
    return {**record, "local": {**local, "dataset": {**own, **moved}}}


def known_of(record: Mapping[str, Any], folder: Path) -> Known:
    """Return part ``scores`` of a record; of records older than it, what their rows say of the default decision."""
    if "scores" in record:
        known: Known = record["scores"]
        return known
    rows = read_scores(folder, ["metric", "metric_version"]).group_by(["metric", "metric_version"]).aggregate([])
    versions = {row["metric"]: str(row["metric_version"]) for row in rows.to_pylist()}
    return {"": {name: {"asked": word, "code": "", "version": word} for name, word in versions.items()}}


def fault_of(record: Mapping[str, Any]) -> str:
    """Return why a training learnt nothing, "" if it learnt something or its record does not say."""
    return str(record.get("training", {}).get("fault", ""))


def variant_of(record: Mapping[str, Any], folder: Path) -> str:
    """Return what a training changes of the defaults; older records leave that to their rows."""
    if "variant" in record:
        return str(record["variant"])
    return str(read_scores(folder, ["variant"]).slice(0, 1).to_pydict()["variant"][0])


def config_of(record: Mapping[str, Any], folder: Path) -> RunConfig:
    """Return the configuration that a record holds, for this machine.

    Raises:
        DataMissing: it is not the record of a training.
        DataInvalid: it is not as segbench writes it.
    """
    if "config" not in record:
        raise DataMissing(f"{folder} holds predictions made elsewhere: there is no network to predict with.")
    try:
        values, local = dict(record["config"]), dict(record.get("local", {}))
        for part in ("dataset", "network", "method", "unlabelled"):
            if values.get(part):
                values[part] = {**values[part], "local": local.get(part, {})}
        return make(RunConfig, values, "configuration")
    except (SegbenchError, TypeError, ValueError, AttributeError) as error:
        raise DataInvalid(f"{folder / RECORD}: its configuration cannot be read: {error}") from error


def open_run(
    run: Path | KeptRun, catalogue: Catalogue, decision: str = "", datasets: dict[str, Dataset] | None = None
) -> StoredRun:
    """Open one finished run.

    Args:
        run: a folder with ``run.json`` and ``scores.parquet``, or one of ``collection.kept_runs``.
        catalogue: where the run's dataset is found when a case is asked for.
        decision: text of the chain whose label maps and scores are meant, "" for the run's own.
        datasets: those that are prepared already, if several runs share them; receives this run's.

    Raises:
        DataMissing: if there is no finished run.
        DataInvalid: if its record cannot be read.
    """
    kept = KeptRun.of(run)
    if kept.folder is not None:
        if not is_complete(kept.folder):
            raise DataMissing(f"{kept.folder} holds no finished run ({RECORD}). The command that began it resumes it.")
        if not (kept.folder / SCORES).is_file():
            raise DataInvalid(f"{kept.folder} is not whole ({SCORES} is missing). Delete it and run it again.")
    return StoredRun(kept, kept.record, catalogue, decision, {} if datasets is None else datasets)


def find_runs(text: str, results: Path) -> list[Path]:
    """Return the folders of the finished runs that a text stands for, sorted.

    Args:
        text: a run's folder, a folder that holds several, or the first digits of a run's name (four at least).
        results: where runs are looked for by name.

    Raises:
        DataMissing: if there is none, or only on a published board, which keeps no folder of it.
        UsageError: if several runs begin with these digits.
    """
    found = find_kept(text, results)
    if folders := [run.folder for run in found if run.folder is not None]:
        return folders
    raise DataMissing(
        f"{text}: expected the folder of a run, found scores and records only ({found[0].place}). That needs what the "
        f"run's own folder holds: its network, label maps or history."
    )


def find_kept(text: str, results: Path) -> list[KeptRun]:
    """Return the finished runs that a text stands for, wherever they are kept.

    Args:
        text: any source of results (see ``collection.kept_runs``), or the first digits of a run's name (four at least).
        results: where runs are looked for by name.

    Raises:
        DataMissing: if there is none.
        UsageError: if several runs begin with these digits.
    """
    path = Path(text).expanduser()
    if path.exists():
        if found := kept_runs(path):
            return found
        raise DataMissing(
            f"{path} holds no finished run ({RECORD}) and no published board. Name a run's folder, or run one."
        )
    wanted = text.strip()
    if len(wanted) < FEWEST_DIGITS or not wanted.isalnum():
        raise DataMissing(f"{text!r} is neither a folder nor the name of a run (its first {FEWEST_DIGITS} digits).")
    left_out: list[str] = []
    every = [*kept_runs(results, left_out), *kept_runs(results / SMOKE, left_out)]
    named = [run for run in every if run.run_id.startswith(wanted)]
    if not named:
        others = "".join(f" Not looked at: {reason}" for reason in left_out)
        raise DataMissing(
            f"No finished run in {results} is called {wanted}...; `segbench leaderboard` lists methods.{others}"
        )
    if len({run.run_id for run in named}) > 1:
        raise UsageError(f"Several runs are called {wanted}...: {', '.join(run.run_id for run in named[:5])}.")
    return named[:1]
