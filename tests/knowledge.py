"""A plugin for tests of priors, figures and studies: volumes no larger than in training, a bar per run, a small table.

Load it together with ``toy.py``, whose dataset, network and methods the study uses.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from segbench import (
    Audit,
    Case,
    Cell,
    Choice,
    DataInvalid,
    Figure,
    FinishedRun,
    Incompatible,
    LabelMap,
    Metric,
    Prior,
    Recipe,
    RunConfig,
    Score,
    Study,
    Table,
    Task,
    Violation,
    hookimpl,
    parameter,
)

HEADER = ["label", "largest"]


@dataclass
class Volumes(Prior):
    """The largest volume of every label, in mm3."""

    name = "volumes"
    summary = "the largest volume of every label"
    fault: str = parameter("", "what is wrong")

    def learn(self, task: Task, cases: Iterable[Case]) -> None:
        largest = np.zeros(len(task.labels))
        for case in cases:
            assert case.truth is not None
            largest = np.maximum(largest, _volumes(case.truth, len(task.labels)))
        self.largest_ = dict(zip(task.labels[1:], largest[1:].tolist(), strict=True))
        self.order_ = task.labels

    def write(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerow([self.order_[0], ""])
            writer.writerows([name, f"{self.largest_[name]:g}"] for name in self.order_[1:])

    def recognises(self, path: Path) -> bool:
        try:
            return path.read_text().startswith(",".join(HEADER) + "\n")
        except (OSError, UnicodeDecodeError):
            return False

    def labels(self, path: Path) -> Sequence[str]:
        with path.open(newline="") as file:
            return [row["label"] for row in csv.DictReader(file)]

    def values(self, path: Path) -> Mapping[str, int]:
        return {name: value for value, name in enumerate(self.labels(path))}

    def read(self, path: Path, task: Task) -> None:
        with path.open(newline="") as file:
            rows = {row["label"]: row["largest"] for row in csv.DictReader(file)}
        if set(rows) != set(task.labels):
            raise DataInvalid(f"prior {path}: expected the labels {task.labels}, found {tuple(rows)}.")
        self.order_ = tuple(rows)
        self.largest_ = {name: float(value) for name, value in rows.items() if value}

    def audit(self, case_id: str, labels: LabelMap, task: Task) -> Audit:
        if self.fault == case_id:
            raise ValueError("the prior sang")
        found = dict(zip(task.labels, _volumes(labels, len(task.labels)).tolist(), strict=True))
        excess = {name: max(0.0, found[name] - largest) for name, largest in self.largest_.items()}
        worst = sorted((name for name in excess if excess[name] > 0), key=lambda name: -excess[name])
        violations = tuple(
            Violation(f"{name} [is] too large", excess[name], "mm3", (name,), (1.0, 2.0, 3.0)) for name in worst
        )
        return Audit({"too_large": float(len(worst)), "excess": sum(excess.values())}, violations)


def _volumes(labels: LabelMap, count: int) -> Any:
    return np.bincount(labels.array[labels.array >= 0].ravel(), minlength=count) * float(np.prod(labels.spacing))


@dataclass
class Excess(Metric):
    """Volume beyond the prior's."""

    name = "excess"
    summary = "volume beyond the largest one known"
    unit: ClassVar[str] = "mm3"
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    needs_training = True
    prior_kind = "volumes"
    prior: Path | None = parameter(None, "file of the prior")

    def prepare(self, task: Task, truths: Iterable[LabelMap]) -> None:
        self.volumes_ = Volumes()
        assert self.prior is not None
        self.volumes_.read(self.prior, task)

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        found = _volumes(predicted, len(task.labels))
        return [
            Score(one, max(0.0, float(found[one.values[0]]) - self.volumes_.largest_[one.name]))
            for one in task.structures
        ]


@dataclass
class Bars(Figure):
    """A bar per run."""

    name = "bars"
    summary = "mean score of each run"
    file: str = parameter("bars", "name of the picture")

    def draw(self, runs: Sequence[FinishedRun]) -> Iterator[tuple[str, Any]]:
        import matplotlib.pyplot as plt

        if not runs:
            raise Incompatible("bars: expected a run, found none.")
        figure, axis = plt.subplots()
        values = [[row["value"] for row in run.scores() if row["value"] is not None] for run in runs]
        axis.bar([run.title for run in runs], [sum(one) / len(one) for one in values])
        yield self.file, figure


@dataclass
class Paper(Study):
    """Three rows on the toy dataset."""

    name = "paper"
    summary = "three rows"
    datasets = ("toy",)
    seeds = 2
    metrics = ("dice", "volume_error")
    rows: int = parameter(3, "rows", low=1)
    fault: str = parameter("", "what is wrong with the second row")

    def recipe(self) -> Recipe:
        return Recipe(epochs=2, steps_per_epoch=3, batch=2, warmup=0)

    def cells(self, dataset: Choice) -> Sequence[Cell]:
        network, recipe = Choice("toy2d"), self.recipe()
        second = Choice("witness", {"weight": 0.5, "fault": self.fault})
        cells = [
            Cell("CE | plain", RunConfig(dataset, network, Choice("other")), "baseline"),
            Cell("with prior", RunConfig(dataset, network, second)),
            Cell("prior off", RunConfig(dataset, network, Choice("witness"), arm="control"), "control"),
        ]
        return [Cell(one.label, _on(one.config, recipe), one.role) for one in cells[: self.rows]]

    def comparisons(self) -> Sequence[tuple[str, str]]:
        return [("with prior", "CE | plain"), ("with prior", "prior off")]

    def published(self) -> Sequence[Mapping[str, Any]]:
        common = {"dataset": "toy", "metric": "dice"}
        return [
            {**common, "row": "with prior", "label": "", "value": 0.91, "sd": 0.02},
            {**common, "row": "CE | plain", "label": "a", "value": 0.87},
        ]

    def tables(self, runs: Mapping[str, Sequence[FinishedRun]]) -> Sequence[Table]:
        rows = tuple((label, float(len(several)), several[0].case_ids[0]) for label, several in runs.items())
        return [Table("Runs", ("row", "runs", "first case"), rows, ("a remark",))]


def _on(config: RunConfig, recipe: Recipe) -> RunConfig:
    from dataclasses import replace

    return replace(config, recipe=recipe, recipe_name="paper", device="cpu", precision="32-true")


@hookimpl
def segbench_priors() -> list[type[Prior]]:
    return [Volumes]


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    return [Excess]


@hookimpl
def segbench_figures() -> list[type[Figure]]:
    return [Bars]


@hookimpl
def segbench_studies() -> list[type[Study]]:
    return [Paper]
