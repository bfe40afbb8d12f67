"""Scoring as a finished run was scored: its dataset's name, cases, structures, metrics; both then share a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segbench.contracts import FinishedRun, Metric
from segbench.errors import DataInvalid, DataMissing, UnknownName, UsageError
from segbench.evaluation.layouts import Layout
from segbench.host import Catalogue
from segbench.names import first_few
from segbench.params import fingerprint
from segbench.scoring.cases import Outcome
from segbench.scoring.metrics import version_of
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.truths import difference
from segbench.types import Choice, Task


@dataclass(frozen=True)
class Template:
    """What is taken from a run.

    Attributes:
        run: the run itself; its training truths are read by metrics that learn from them.
        groups: scored case -> its patient.
        truths: scored case -> digest of the truth it was scored against; "" if the run does not say.
        versions: metric -> version of its scores.
        ignore: label of voxels that do not count, as far as the run says.
    """

    run: FinishedRun
    groups: Mapping[str, str]
    truths: Mapping[str, str]
    versions: Mapping[str, str]
    ignore: int | None

    @property
    def task(self) -> Task:
        """What was segmented."""
        return self.run.task

    @property
    def trained(self) -> bool:
        """Whether it was trained here, so that its task names every label value there is."""
        return "task" in self.run.record

    @property
    def identity(self) -> dict[str, str]:
        """What of the run is in rows beside what the request says anyway."""
        groups = {case: group for case, group in self.groups.items() if case != group}
        said = {"groups": fingerprint(groups)[:12]} if groups else {}
        return said | ({"synthetic": "yes"} if self.task.synthetic else {})

    @property
    def lesson(self) -> str:
        """Digest of what metrics learn from: the dataset and its training cases."""
        return fingerprint([self.task.name, self.task.revision, self.run.record.get("splits", {}).get("train", [])])[
            :12
        ]


def template_of(run: FinishedRun) -> Template:
    """Return what an evaluation takes from a run.

    Raises:
        UsageError: if the run is an imported table, which says neither labels nor metrics' parameters.
    """
    groups: dict[str, str] = {}
    truths: dict[str, str] = {}
    versions: dict[str, str] = {}
    for row in run.scores():
        groups[row["case_id"]] = row["group"]
        truths[row["case_id"]] = truths.get(row["case_id"]) or row["truth"]
        versions[row["metric"]] = row["metric_version"]
    if not groups or not ("task" in run.record or "structures" in run.record):
        raise UsageError(f"--like {run.folder}: expected a run of label maps, found a table of scores. Name another.")
    return Template(run, groups, truths, versions, run.record.get("ignore_label"))


def choices_like(run: FinishedRun) -> list[Choice]:
    """Return the metrics of a run with the parameters it gave them, in the order of its rows."""
    record = run.record
    listed = [*record.get("config", {}).get("metrics", ()), *record.get("metrics", ())]
    given = {one["name"]: one.get("parameters", {}) for one in listed if isinstance(one, dict)}
    local = {name.removeprefix("metric."): values for name, values in record.get("local", {}).items()}
    names = dict.fromkeys(row["metric"] for row in run.scores())
    return [Choice(name, given.get(name, {}), local.get(name, {})) for name in names]


def metrics_like(template: Template, catalogue: Catalogue) -> tuple[list[Metric], list[CaseProblem]]:
    """Return the metrics of the run that can be computed here, and notes on those that cannot."""
    metrics: list[Metric] = []
    notes = []
    for choice in choices_like(template.run):
        try:
            metric = catalogue.metric(choice)
            if metric.learns:
                _require_truths(template.run)
        except (UnknownName, DataMissing, DataInvalid) as error:
            notes.append(CaseProblem("", "note", f"metric {choice.name} of the run is left out: {error}"))
        else:
            metrics.append(metric)
    return metrics, notes


def _require_truths(run: FinishedRun) -> None:
    if next(iter(run.truths()), None) is None:
        raise DataMissing(f"run {run.run_id} knows no training truths to learn from.")


def restricted(found: Layout, template: Template) -> Layout:
    """Return the layout with just the cases that the run scored, each with its patient.

    Raises:
        DataMissing: if a case of the run has no reference.
    """
    there = {pair.case for pair in found.pairs}
    if lacking := sorted(template.groups.keys() - there):
        raise DataMissing(
            f"--like: expected a reference for each of the {len(template.groups)} cases of run {template.run.run_id}, "
            f"found none for {first_few(lacking)} (references are of {first_few(sorted(there))}). Name the references "
            f"of its dataset, or the cases to score with --cases."
        )
    pairs = tuple(pair for pair in found.pairs if pair.case in template.groups)
    problems = [one for one in found.problems if one.case not in there or one.case in template.groups]
    if others := sorted(there - template.groups.keys()):
        what = f"{len(others)} references of cases that the run did not score are left out: {first_few(others)}"
        problems.append(CaseProblem("", "note", what))
    words = f"{found.words}; the {len(template.groups)} cases of run {template.run.run_id}"
    return grouped(replace(found, words=words, pairs=pairs, problems=tuple(problems)), template)


def grouped(found: Layout, template: Template) -> Layout:
    """Return the layout with the patients that the run knows."""
    pairs = (replace(pair, group=template.groups.get(pair.case, pair.group)) for pair in found.pairs)
    return replace(found, pairs=tuple(pairs))


def departures(
    template: Template, pairs: Sequence[Pair], outcomes: Sequence[Outcome], metrics: Sequence[Metric]
) -> list[CaseProblem]:
    """Return what keeps scores off the run's board: another truth of a case, another version of a metric."""
    found = []
    for pair, outcome in zip(pairs, outcomes, strict=True):
        expected = template.truths.get(pair.case, "")
        if expected and outcome.truth and (differs := difference(outcome.truth, expected)):
            what = f"its reference is not the truth of run {template.run.run_id}: {differs}"
            found.append(CaseProblem(pair.case, "truth", what, pair.rater))
    for metric in metrics:
        here, there = version_of(metric), template.versions.get(metric.name)
        if there is not None and here != there:
            what = f"metric {metric.name} has version {here!r} here and {there!r} in run {template.run.run_id}"
            found.append(CaseProblem("", "truth", f"{what}; they do not stand on one board"))
    return found


def task_like(template: Template, dataset: str, revision: str) -> Task:
    """Return the run's task under the name and revision that are scored here."""
    return replace(template.task, name=dataset, revision=revision)
