"""A plugin for tests of the training spine: a dataset from a formula, two tiny networks, and a method that remembers.

Tests load it as a user would load a single file: ``load_catalogue([".../toy.py"])``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from segbench import (
    FIXED_SAMPLES,
    UNLABELLED,
    Batch,
    Case,
    CaseRef,
    Choice,
    Dataset,
    Epoch,
    LabelMap,
    Method,
    Network,
    Patches,
    Recipe,
    RunConfig,
    Slices,
    Stage,
    Step,
    Task,
    cross_entropy,
    hookimpl,
    parameter,
    run,
)


@dataclass
class Toy(Dataset):
    """Two boxes in noise; ``fault`` breaks one case in a chosen way."""

    name = "toy"
    summary = "boxes"

    cases: int = parameter(6, "labelled cases", low=1)
    unlabelled: int = parameter(0, "unlabelled cases", low=0)
    shape: tuple[int, int, int] = parameter((5, 13, 11), "voxels")
    fault: str = parameter("", "what is wrong")
    faulty: int = parameter(0, "which case is wrong")
    revision: str = parameter("1", "of the data", content=False)

    @property
    def task(self) -> Task:
        return Task("toy", self.revision, ("background", "a", "b"))

    def refs(self) -> Sequence[CaseRef]:
        stamp = f"{self.shape}/{self.fault}/{self.faulty}"
        refs = [CaseRef(f"toy_{index}", f"patient_{index}", "", stamp) for index in range(self.cases)]
        return refs + [
            CaseRef(f"bare_{index}", f"bare_{index}", "unlabelled", stamp) for index in range(self.unlabelled)
        ]

    def load(self, ref: CaseRef) -> Case:
        kind, index = ref.id.split("_")
        generator = np.random.default_rng([int(index), len(kind)])
        array = np.zeros(self.shape, dtype=np.int16)
        depth, height, width = self.shape
        top = 2 + int(generator.integers(0, 3))
        array[depth // 4 :, top : top + height // 2, 2 : width // 2] = 1
        array[: max(1, depth // 2), top : top + height // 2, width // 2 : width - 2] = 2
        image = (array * 3 + generator.normal(0, 1, self.shape)).astype(np.float32)[None]
        affine = np.array([[0, 0, 1, 5], [0, 1, 0, -7], [3, 0, 0, 1], [0, 0, 0, 1]], dtype=float)
        spacing = (3.0, 1.0, 1.0)
        truth: LabelMap | None = LabelMap(array, spacing, affine)
        if kind == "toy" and int(index) == self.faulty and self.fault:
            image, truth = self._broken(image, array, spacing)
        return Case(ref.id, image, spacing, affine, None if kind == "bare" else truth)

    def _broken(self, image: Any, array: Any, spacing: tuple[float, ...]) -> tuple[Any, LabelMap | None]:
        if self.fault == "nan":
            image[0, 0, 0, 0] = np.nan
        elif self.fault == "channels":
            image = np.concatenate([image, image])
        elif self.fault == "constant":
            image[:] = 0.1
        elif self.fault == "empty":
            array[:] = 0
        elif self.fault == "range":
            array[0, 0, 0] = 3
        elif self.fault == "below":
            array[0, 0, 0] = -2
        elif self.fault == "shape":
            array = array[:, :-1]
        elif self.fault == "fraction":
            array = array + 0.5
        elif self.fault == "raises":
            raise ValueError("the disk sang")
        return image, None if self.fault == "bare" else LabelMap(array, spacing)

    def forge(self, root: Path) -> Dataset:
        return Toy(cases=4)


class Poisoned(LabelMap):
    """A truth that must not be looked at."""

    def __init__(self) -> None:
        pass

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__"):
            raise AssertionError(f"the labels of an unlabelled case were looked at: {name}")
        return super().__getattribute__(name)


@dataclass
class Twin(Toy):
    """Boxes of another hospital, to be seen without their labels, which may be anything."""

    name = "twin"
    channels: int = parameter(1, "channels", low=1)
    truth: str = parameter("right", "right, garbage, poison or none", content=False)
    spacing: tuple[float, float, float] = parameter((3.0, 1.0, 1.0), "mm")
    first: int = parameter(100, "number of the first case")

    @property
    def task(self) -> Task:
        return Task("twin", self.revision, ("nothing", "something"), tuple(f"c{n}" for n in range(self.channels)))

    def refs(self) -> Sequence[CaseRef]:
        splits = ("train", "val", "test", "unlabelled", "")
        return [
            CaseRef(f"toy_{self.first + index}", f"patient_{index}", splits[index % 5], self.truth)  # type: ignore[arg-type]
            for index in range(self.cases)
        ]

    def load(self, ref: CaseRef) -> Case:
        case = super().load(ref)
        truths = {
            "right": case.truth,
            "garbage": LabelMap(np.full((2, 3), 7.5), (0.0,)),  # type: ignore[arg-type]
            "poison": Poisoned(),
        }
        image = np.concatenate([case.image] * self.channels)
        return Case(ref.id, image, self.spacing, case.affine, truths.get(self.truth))


@dataclass
class Toy2D(Network):
    """Two convolutions."""

    name = "toy2d"
    summary = "two convolutions"
    dims = 2
    fault: str = parameter("", "what is wrong")

    @property
    def view(self) -> Slices:
        return Slices(0, 0, (13, 11))

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        if self.fault == "raises":
            raise ValueError("no weights left")
        kind = torch.nn.Conv3d if self.dims == 3 else torch.nn.Conv2d
        labels += self.fault == "labels"
        return torch.nn.Sequential(kind(channels, 8, 3, padding=1), torch.nn.ReLU(), kind(8, labels, 1))


@dataclass
class Toy3D(Toy2D):
    """Two convolutions in 3D."""

    name = "toy3d"
    dims = 3

    @property
    def view(self) -> Patches:  # type: ignore[override]
        return Patches((4, 8, 8))


def _plain(batch: Batch) -> dict[str, Any]:
    """Return a batch as lists that can be compared."""
    return {
        "ids": list(batch.case_ids),
        "numbers": batch.sample_ids.tolist(),
        "labelled": batch.labelled.tolist(),
        "inside": None if batch.inside is None else batch.inside.clone(),
        "image": batch.image.clone(),
        "target": batch.target.clone(),
        "derived": {name: value.clone() for name, value in batch.derived.items()},
    }


@dataclass
class Witness(Method):
    """Cross-entropy times a dual that grows with what the updated network says; writes down all it sees."""

    name = "witness"
    summary = "remembers"
    arms = {"control": {"weight": 0.0}}  # noqa: RUF012
    last: ClassVar[Any] = None

    weight: float = parameter(1.0, "weight of the prior", low=0)
    fixed: bool = parameter(False, "fixed samples")
    mixed: bool = parameter(False, "unlabelled samples")
    unlabelled: int = parameter(0, "unlabelled cases; 0 = all", low=0)
    fault: str = parameter("", "what is wrong")
    fault_at: int = parameter(1, "step or epoch of the fault")

    def __post_init__(self) -> None:
        wishes = {FIXED_SAMPLES: self.fixed, UNLABELLED: self.mixed}
        self.needs = frozenset(wish for wish, wished in wishes.items() if wished)

    def incompatible(self, task: Task) -> str | None:
        return "it has moods" if self.fault == "incompatible" else None

    def derive(self, truth: LabelMap) -> Mapping[str, Any]:
        if self.fault == "derive":
            return {"copy": np.zeros((1, 2, 3), dtype=np.float32)}
        if self.fault == "infinite":
            return {"copy": np.full(truth.array.shape, np.inf, dtype=np.float32)}
        if self.fault == "uneven":
            return {"copy": np.zeros((1 + int(truth.array[:, 2].any()), *truth.array.shape), dtype=np.float32)}
        one = (truth.array == 1).astype(np.float32)
        return {"copy": one, "two": np.stack([one, -one])}

    def prepare(self, stage: Stage) -> None:
        type(self).last = self
        self.steps_: list[dict[str, Any]] = []
        self.epochs_: list[dict[str, Any]] = []
        self.dual_ = torch.zeros(max(1, stage.samples))
        self.stage_ = {
            "cases": [case.id for case in stage.cases()],
            "volumes": [int((truth.array > 0).sum()) for truth in stage.truths()],
            "batches": [_plain(batch) for batch in stage.batches()],
            "samples": stage.samples,
            "budget": (stage.epochs, stage.steps_per_epoch, stage.dims),
            "draw": torch.rand(3, generator=stage.generator("x")).tolist(),
            "folder": stage.folder,
        }
        (stage.folder / "scratch").mkdir(exist_ok=True)
        for name in ("kept", "scratch/lost"):
            (stage.folder / name).write_text("mine")
        helper = torch.nn.Linear(1, 1)
        one = torch.ones(1, 1)
        self.helper_losses_ = stage.fit(
            helper, lambda step, generator: (helper(one) - 5).square().sum(), steps=30, learning_rate=0.1
        )

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        step = len(self.steps_)
        self.before_ = logits.detach().clone()
        if not self.steps_:
            self.first_logits_ = self.before_
        if self.fault == "loss" and step == self.fault_at:
            raise ZeroDivisionError("no prior today")
        if self.fault == "terms":
            return {}
        if self.fault == "vector":
            return {"ce": logits.mean((0, 2, 3))}
        if os.environ.get("TOY_KILL_AT") == f"{step}":
            os.kill(os.getpid(), signal.SIGKILL)
        ce = cross_entropy(logits, batch.target)
        if self.fault == "nan" and step == self.fault_at:
            ce = ce * float("nan")
        prior = torch.softmax(logits.float(), 1)[:, 1:].mean()
        return {"ce": ce, "prior": self.weight * prior * (1 + self.dual_.mean())}

    def after_step(self, step: Step) -> None:
        after = step.forward()
        moved = float((after - step.logits).abs().max())
        seen = _plain(step.batch) | {"skipped": step.skipped, "moved": moved, "index": step.index, "epoch": step.epoch}
        self.steps_.append(seen | {"logits_kept": bool(torch.equal(step.logits, self.before_))})
        known = step.batch.sample_ids[step.batch.sample_ids >= 0]
        self.dual_[known] += 0.01 * float(after.softmax(1)[:, 1:].mean())
        if not self.fixed:
            self.dual_ += 0.01 * float(after.softmax(1)[:, 1:].mean())

    def after_epoch(self, epoch: Epoch) -> None:
        outputs = [(batch.case_ids, tuple(logits.shape), logits.requires_grad) for batch, logits in epoch.outputs()]
        facts = {"index": epoch.index, "total": epoch.total, "last": epoch.last, "skipped": epoch.skipped}
        self.epochs_.append(facts | {"train": dict(epoch.train), "val": dict(epoch.val), "outputs": outputs})
        epoch.log("dual", float(self.dual_.mean()))
        if self.fault == "stop" and epoch.index == self.fault_at:
            epoch.stop("enough")

    def state(self) -> Mapping[str, Any]:
        return {"dual": self.dual_, "odd": np.zeros(1)} if self.fault == "state" else {"dual": self.dual_}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.dual_ = state["dual"].clone()


@dataclass
class Other(Witness):
    """Another method that draws from the global generator."""

    name = "other"
    arms = {}  # noqa: RUF012
    last: ClassVar[Any] = None

    def prepare(self, stage: Stage) -> None:
        torch.rand(17)
        super().prepare(stage)

    def after_step(self, step: Step) -> None:
        torch.rand(3)
        super().after_step(step)


@dataclass
class Flat(Witness):
    """Works in 2D only."""

    name = "flat"
    dims = frozenset({2})


RECIPE: dict[str, Any] = {"epochs": 2, "steps_per_epoch": 3, "batch": 2, "warmup": 0}


def configuration(
    method: str = "witness",
    parameters: Mapping[str, Any] | None = None,
    *,
    network: str = "toy2d",
    network_parameters: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    **others: Any,
) -> RunConfig:
    """Return a small run."""
    return RunConfig(
        Choice("toy", dict(dataset or {})),
        Choice(network, dict(network_parameters or {})),
        Choice(method, dict(parameters or {})),
        (Choice("dice"), Choice("volume_error")),
        recipe=Recipe(**(RECIPE | dict(recipe or {}))),
        device="cpu",
        precision="32-true",
        **others,
    )


def go(root: Path, catalogue: Any, *arguments: Any, **others: Any) -> Any:
    """Carry out a small run; see ``configuration``."""
    return run(configuration(*arguments, **others), catalogue=catalogue, results_root=root)


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    return [Toy, Twin]


@hookimpl
def segbench_networks() -> list[type[Network]]:
    return [Toy2D, Toy3D]


@hookimpl
def segbench_methods() -> list[type[Method]]:
    return [Witness, Other, Flat]
