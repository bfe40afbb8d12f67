"""Scoring as a finished run was scored: its dataset's name, cases, structures, metrics; both then share a board."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segbench.contracts import FinishedRun, Metric
from segbench.errors import DataInvalid, DataMissing, UnknownName, UsageError
from segbench.evaluation.layouts import Layout
from segbench.files.colours import Colour, parse_colour
from segbench.host import Catalogue
from segbench.names import first_few
from segbench.params import fingerprint
from segbench.scoring.cases import Outcome
from segbench.scoring.metrics import version_of
from segbench.scoring.pairs import CaseProblem, Pair
from segbench.truths import difference
from segbench.types import Choice, LabelMap, Task


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
    def structures(self) -> dict[str, tuple[int, ...]]:
        """Structure -> its values in the files."""
        if self.trained:
            return {one.name: one.values for one in self.task.structures}
        return {str(name): tuple(values) for name, values in self.run.record["structures"]}

    @property
    def colours(self) -> dict[Colour, int]:
        """Colour -> label value of its files; {} where values stand for themselves."""
        return {parse_colour(colour): int(value) for colour, value in self.run.record.get("colours", {}).items()}

    @property
    def one_hot(self) -> bool:
        """Whether its files hold one binary volume per label."""
        return bool(self.run.record.get("one_hot"))

    @property
    def trained(self) -> bool:
        """Whether it was trained here, so that its task names every label value there is."""
        return "task" in self.run.record

    def lessons(self) -> Iterator[LabelMap]:
        """Yield the truths of all training cases of the run's split, from which metrics learn.

        Raises:
            DataMissing: if the run's dataset is not here any more.
        """
        for case in self._pool:
            truth = self.run.case(case).truth
            if truth is None:
                raise DataInvalid(f"Dataset {self.task.name}: training case {case} has no truth any more.")
            yield truth

    @property
    def identity(self) -> dict[str, str]:
        """What of the run is in rows beside what the request says anyway."""
        groups = {case: group for case, group in self.groups.items() if case != group}
        said = {"groups": fingerprint(groups)[:12]} if groups else {}
        return said | ({"synthetic": "yes"} if self.task.synthetic else {})

    @property
    def lesson(self) -> str:
        """Digest of what metrics learn from: the dataset and its training cases."""
        return fingerprint([self.task.name, self.task.revision, list(self._pool)])[:12]

    @property
    def _pool(self) -> Sequence[str]:
        splits = self.run.record.get("splits", {})
        return list(splits.get("pool") or splits.get("train", ()))


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
    files = {one["name"]: one.get("parameters", {}).get("prior") for one in record.get("metrics", ())}
    local = {name.removeprefix("metric."): values for name, values in record.get("local", {}).items()}
    versions = dict.fromkeys((row["metric"], row["metric_version"]) for row in run.scores())
    asked = {name: entry["asked"] for entries in record.get("scores", {}).values() for name, entry in entries.items()}
    choices = []
    for name, version in versions:
        changed = parameters_of(asked.get(name, version))
        path = changed.pop("prior", None) and (local.get(name, {}).get("prior") or files.get(name))
        choices.append(Choice(name, changed, {"prior": path} if path else {}))
    return choices


def parameters_of(version: str) -> dict[str, Any]:
    """Return the parameters that a version such as ``1 tolerance=2.0`` names, as ``scoring.metrics`` writes it."""
    found: dict[str, Any] = {}
    rest = version.partition(" ")[2]
    while rest:
        key, _, rest = rest.partition("=")
        if key == "prior":
            found[key], _, rest = rest.partition(" ")
            continue
        try:
            value, end = json.JSONDecoder().raw_decode(rest)
        except ValueError:
            return found
        *path, last = key.split(".")
        owner = found
        for step in path:
            owner = owner.setdefault(step, {})
        owner[last], rest = value, rest[end:].lstrip()
    return found


def metrics_like(template: Template, catalogue: Catalogue) -> tuple[list[Metric], list[CaseProblem]]:
    """Return the metrics of the run that can be computed here, and notes on those that cannot."""
    metrics: list[Metric] = []
    notes = []
    for choice in choices_like(template.run):
        try:
            metric = catalogue.metric(choice)
            if metric.learns:
                _require_lessons(template)
        except (UnknownName, DataMissing, DataInvalid) as error:
            notes.append(CaseProblem("", "note", f"metric {choice.name} of the run is left out: {error}"))
        else:
            metrics.append(metric)
    return metrics, notes


def _require_lessons(template: Template) -> None:
    if next(template.lessons(), None) is None:
        raise DataMissing(f"run {template.run.run_id} knows no training truths to learn from.")


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
