"""What a run is asked to do: the recipe shared by all methods, and the whole configuration that names a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from segbench.errors import UsageError
from segbench.params import changes, fingerprint, flattened, make, merged, parameter, to_json
from segbench.types import Choice

DEVICES = ("auto", "cpu", "cuda", "mps")
HELD_OUT = "held_out"
"""Role of the cases that a fold of a list holds out (nnU-Net calls them ``val``)."""
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training sample; zero switches one off. Geometry in voxels of the training grid."""

    rotation: float = parameter(10.0, "largest rotation about each axis, degrees", low=0, high=180)
    scale: float = parameter(0.1, "scale drawn from 1 ± this", low=0, high=0.9)
    shift: float = parameter(0.03, "largest translation, fraction of the sample's size", low=0, high=0.5)
    elastic: float = parameter(1.0, "sd of the elastic displacement, voxels", low=0)
    elastic_grid: float = parameter(12.0, "distance of the elastic control points, voxels", low=2)
    flip: tuple[int, ...] = parameter(
        (), "spatial axes flipped with probability one half; 0 is the first of the sample", low=0, high=2
    )
    blur: float = parameter(0.0, "largest sd of a Gaussian blur, voxels", low=0)
    noise: float = parameter(0.05, "largest sd of additive noise, in sd of the image", low=0)
    gamma: float = parameter(0.2, "log of the gamma correction drawn from ± this", low=0)
    brightness: float = parameter(0.1, "additive and multiplicative intensity change drawn from ± this", low=0)
    probability: float = parameter(0.3, "probability with which a sample is warped", low=0, high=1)


@dataclass(frozen=True)
class Recipe:
    """How training goes, the same for every method: the budget, the optimiser, the preprocessing, the augmentation.

    ``version`` is raised, as that of a part, whenever the engine or a default here changes what a training gives.
    """

    version: ClassVar[str] = "1"

    epochs: int = parameter(20, "epochs", low=1)
    steps_per_epoch: int = parameter(0, "optimiser steps per epoch; 0 = 120 for slices, 50 for volumes", low=0)
    batch: int = parameter(0, "labelled samples per step; 0 = 4 slices or 2 volumes", low=0)
    unlabelled_ratio: float = parameter(1.0, "unlabelled per labelled sample, for methods that use them", low=0)
    optimizer: Literal["adamw", "adam", "sgd"] = parameter("adamw", "optimiser")
    learning_rate: float = parameter(2e-2, "initial learning rate", low=0)
    weight_decay: float = parameter(1e-4, "weight decay", low=0)
    betas: tuple[float, float] = parameter((0.9, 0.99), "Adam's decay rates", low=0, high=1)
    momentum: float = parameter(0.9, "SGD's momentum", low=0, high=1)
    schedule: Literal["poly", "cosine", "constant"] = parameter("poly", "learning rate over the steps of the run")
    warmup: int = parameter(20, "steps of linear warm-up", low=0)
    clip: float = parameter(12.0, "largest gradient norm; 0 = no clipping", low=0)
    spacing: str = parameter("native", "training grid: native, median, or mm such as 3,1,1 (D,H,W)")
    label_resampling: Literal["nearest", "area"] = parameter(
        "nearest", "labels onto the training grid: nearest, or area = the label with the largest share; none vanishes"
    )
    crop: tuple[int, int, int] | None = parameter(
        None, "centre crop D,H,W, voxels of the training grid; 0, or more than a case has = its whole axis", low=0
    )
    normalisation: Literal["zscore", "unit", "none"] = parameter("zscore", "intensities per case and channel")
    labelled: int = parameter(
        0, "labelled training cases used, drawn by the seed; 0 = all; the rest become unlabelled", low=0
    )
    split_seed: int = parameter(
        0, "seed of splits the dataset leaves open; not the run's seed, so cases stay comparable"
    )
    frozen_copies: int = parameter(
        0, "0 = augment online; n = n fixed copies of each sample, one of them untouched", low=0
    )
    validate_every: int | None = parameter(
        None,
        "epochs between validations; 0 = only at the end; none = whenever it is read, else at 2 % of the time",
        low=0,
    )
    choose: Literal["last", "best"] = parameter("last", "checkpoint that is scored; best = highest validation Dice")
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        self.millimetres()
        if self.crop is not None and not any(self.crop):
            raise UsageError("recipe.crop: 0,0,0 crops nothing; leave it out, or say none.")

    def millimetres(self) -> tuple[float, float, float] | None:
        """Return the spacing of the training grid ``(D, H, W)`` in mm, or None where the cases decide it.

        Raises:
            UsageError: if ``spacing`` is neither native nor median nor three numbers.
        """
        if self.spacing in ("native", "median"):
            return None
        try:
            values = [float(part) for part in self.spacing.split(",")]
        except ValueError:
            values = []
        if len(values) != 3 or not all(0 < value < 1000 for value in values):
            raise UsageError(
                f"recipe.spacing: expected native, median or three mm such as 3,1,1, found {self.spacing!r}."
            )
        return (values[0], values[1], values[2])


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked to do. What determines its training names it (see ``identity``); decision and metrics do not.

    Attributes:
        dataset, network, method: the parts and their parameters.
        unlabelled: another dataset, all of whose cases join the unlabelled ones; its labels are never used.
        metrics: metric choices; empty = every metric that is on by default.
        decision: a chain of decisions; empty = the default one.
        arm: "method", or "control" / "placebo" as the method declares them.
        recipe: full recipe after ``--recipe`` and ``--set recipe.…``.
        recipe_name: where it came from: "fair" or a study.
        base: the recipe of that name, before anything was set; None = the fair one, or not known to differ.
        seed: varies initial weights and batch order, the same for all methods.
        fold, folds: cross-validation over patients; folds = 0 uses the dataset's split or one seeded split.
        split: fixed lists {"train": ids, "val": ids, "test": ids} instead of any other split; or one fold of a
            list, {"train": ids, HELD_OUT: ids}, which is tested on and whose validation cases are drawn from "train".
        precision: "auto", "32-true", "bf16-mixed", "16-mixed".
        device: "auto", "cpu", "cuda", "mps".
        smoke: a tiny forged dataset and a few steps, to see that the parts work.
    """

    dataset: Choice
    network: Choice
    method: Choice
    metrics: tuple[Choice, ...] = field(default=(), metadata={"content": False})
    decision: tuple[Choice, ...] = field(default=(), metadata={"content": False})
    arm: str = "method"
    recipe: Recipe = field(default_factory=Recipe)
    recipe_name: str = "fair"
    seed: int = 0
    fold: int = 0
    folds: int = 0
    split: Mapping[str, tuple[str, ...]] | None = None
    precision: str = field(default="auto", metadata={"content": False})
    device: str = field(default="auto", metadata={"content": False})
    smoke: bool = False
    unlabelled: Choice | None = None
    base: Recipe | None = field(default=None, metadata={"content": False})

    def canonical(self) -> dict[str, Any]:
        """Return the whole configuration as JSON values, for the record; no path of this machine is among them."""
        asked = {name: _jsonable(getattr(self, name)) for name in ("metrics", "decision", "precision", "device")}
        return {**to_json(self, content_only=True), **asked}

    def local(self) -> dict[str, Any]:
        """Return what was set beside it for this machine only: part -> parameters (see ``Choice.local``)."""
        choices = {"dataset": self.dataset, "network": self.network, "method": self.method}
        choices |= {f"metric.{metric.name}": metric for metric in self.metrics}
        choices |= {f"decision.{decision.name}": decision for decision in self.decision}
        choices |= {"unlabelled": self.unlabelled} if self.unlabelled else {}
        return {part: dict(choice.local) for part, choice in choices.items() if choice.local}

    def variant(self) -> str:
        """Return in words what is changed of method, network, unlabelled cases and recipe, e.g. ``epochs=50``."""
        parts = [("method", self.method), ("network", self.network)]
        parts += [("unlabelled", self.unlabelled)] if self.unlabelled else []
        changes = [
            f"{part}.{key}={_plain(value)}"
            for part, choice in parts
            for key, value in sorted(flattened(choice.parameters).items())
        ]
        if self.unlabelled:
            changes.append(f"unlabelled={self.unlabelled.name}")
        fair = self.recipe_name == "fair"
        base = self.base or (Recipe() if fair else self.recipe)
        mine, named = flattened(to_json(self.recipe)), flattened(to_json(base))
        changes += [f"{key}={_plain(mine[key])}" for key in mine if mine[key] != named[key]]
        return " ".join(changes if fair else [f"recipe={self.recipe_name}", *changes])

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return everything that determines a training: one rule for recipe and parts, what differs from the defaults.

        Args:
            data: what the configuration does not know: the revision of the data (where its files lie does not matter,
                what they hold does), the split as it fell out, versions and edited code of the parts, precision and
                kind of device as resolved.
        """
        return {"config": changes(self)[0], "recipe": Recipe.version, **data}

    @staticmethod
    def build(identity: Mapping[str, Any] | None) -> str:
        """Return six digits of what an ``identity`` says beside its configuration, alike for all seeds; "" of none."""
        if not identity:
            return ""
        parts = ("recipe", "revision", "versions", "device", "precision", "code")
        return fingerprint([identity.get(part) for part in parts])[:6]

    def run_id(self, revision: str, **data: Any) -> str:
        """Return the name of the training: the first 12 hex digits of SHA-256 over its ``identity``."""
        return fingerprint(self.identity({"revision": revision, **data}))[:12]


def changed_recipe(recipe: Recipe, over: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some values replaced, all of them checked.

    Raises:
        UsageError: for a key that does not exist or a value that does not fit.
    """
    return make(Recipe, merged(to_json(recipe), over), "recipe")


def _jsonable(value: Any) -> Any:
    return [to_json(choice, content_only=True) for choice in value] if isinstance(value, tuple) else value


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value).lower()
