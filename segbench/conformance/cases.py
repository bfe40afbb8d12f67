"""Made-up cases for the checks of methods, priors and figures: boxes that differ a little, and a finished run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segbench.types import Case, LabelMap, Task

LABELS = 4
SHAPE = (6, 18, 16)
SPACING = (3.0, 1.0, 1.5)
TASK = Task("check", "1", ("background", *(f"label {value}" for value in range(1, LABELS))))


def truth_of(index: int) -> LabelMap:
    """Return a label map in which every label is a box, nested and side by side, differing a little per case."""
    array = np.zeros(SHAPE, dtype=np.uint8)
    array[1:5, 2:14, 3 : 12 + index % 2] = 1
    array[2:4, 4 : 9 + index % 3, 5:9] = 2
    array[1:4, 14:17, 4:10] = 3
    return LabelMap(array, SPACING, np.diag([*SPACING, 1.0]))


def case_of(index: int) -> Case:
    """Return a case whose image is its noisy label map."""
    truth = truth_of(index)
    noise = np.random.default_rng(index).normal(0, 0.1, SHAPE)
    image = (truth.array + noise).astype(np.float32)[None]
    affine = np.diag([*SPACING, 1.0])
    return Case(f"case{index}", image, SPACING, affine, truth)


CASES = 4
EPOCHS = 5


@dataclass(frozen=True)
class FakeRun:
    """A ``segbench.FinishedRun`` that nobody trained: noisy predictions, falling losses.

    Attributes:
        number: distinguishes runs; the noise grows with it.
        folder: where files of a run would lie.
    """

    number: int
    folder: Path
    task: Task = TASK

    @property
    def run_id(self) -> str:
        """Twelve digits."""
        return f"{self.number:012x}"

    @property
    def title(self) -> str:
        """A method with an arm and a variant, and characters that need care."""
        return f"method{self.number}:control [epochs=5 a_b=<c>$d$]"

    @property
    def record(self) -> Mapping[str, Any]:
        """The least that a record holds."""
        config = {
            "dataset": {"name": TASK.name, "parameters": {}},
            "network": {"name": "network", "parameters": {}},
            "method": {"name": f"method{self.number}", "parameters": {}},
            **{"arm": "control", "seed": self.number, "fold": 0, "smoke": True, "recipe": {}, "recipe_name": "fair"},
        }
        splits = {"train": [f"case{index}" for index in range(1, CASES)], "val": [], "test": ["case0"]}
        return {"run_id": self.run_id, "config": config, "splits": splits, "seconds": {"train": 1.0}, "parameters": 100}

    @property
    def case_ids(self) -> Sequence[str]:
        """The scored cases."""
        return tuple(f"case{index}" for index in range(CASES))

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Return a falling loss, a rising Dice and a series with a gap."""
        rows: list[dict[str, Any]] = []
        for epoch in range(EPOCHS):
            values = {"train/ce": 1 / (epoch + 1), "val/dice": epoch / EPOCHS}
            values |= {"method/weight": 10.0**epoch} if epoch % 2 else {}
            rows += [{"epoch": epoch, "step": epoch, "name": name, "value": value} for name, value in values.items()]
        return rows

    def scores(self) -> Sequence[Mapping[str, Any]]:
        """Return rows with the columns of the results' schema, one of them without a value."""
        fixed = {
            **{"run_id": self.run_id, "dataset": TASK.name, "dataset_revision": TASK.revision, "network": "network"},
            **{"method": f"method{self.number}", "arm": "control", "seed": self.number, "fold": 0, "source": "trained"},
            **{"metric": "agreement", "metric_version": "1", "unit": "", "better": "higher", "synthetic": True},
            **{"supervision": "masks", "rater": None, "variant": ""},
        }
        rows = []
        for case in self.case_ids:
            for label in range(1, LABELS):
                missed = (case, label) == ("case0", 1)
                score = {
                    "value": None if missed else 0.9 - 0.1 * self.number,
                    "status": "pred_empty" if missed else "ok",
                }
                rows.append({**fixed, "case_id": case, "group": case, "label": label, **score})
                rows[-1]["label_name"] = TASK.labels[label]
        return rows

    def prediction(self, case_id: str) -> LabelMap:
        """Return the truth with some voxels of other labels."""
        truth = self._truth(case_id)
        noise = np.random.default_rng(self.number)
        wrong = noise.random(truth.array.shape) < 0.02 * (self.number + 1)
        array = np.where(wrong, noise.integers(0, LABELS, truth.array.shape), truth.array).astype(truth.array.dtype)
        return LabelMap(array, truth.spacing, truth.affine)

    def case(self, case_id: str) -> Case:
        """Return a case."""
        return case_of(int(case_id.removeprefix("case")))

    def truths(self) -> Iterator[LabelMap]:
        """Yield the training truths."""
        yield from (truth_of(index) for index in range(1, CASES))

    def _truth(self, case_id: str) -> LabelMap:
        return truth_of(int(case_id.removeprefix("case")))
