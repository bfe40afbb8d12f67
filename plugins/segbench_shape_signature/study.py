"""The paper's protocol as a recipe, and its two tables as studies.

Source: 10.1007/978-3-030-00889-5_7, sections 4.1 to 4.3, tables 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from segbench import Augmentation, Cell, Choice, FinishedRun, Recipe, RunConfig, Study, Table, parameter
from segbench_shape_signature.citation import BIBTEX, DOI
from segbench_shape_signature.settings import CONTRASTIVE, Pretraining

RECIPE = "shape-signature"
STRUCTURES = ("caudate", "hippocampus")
"""The paper's structures, both sides of each."""
BRAINS = ("brain", "labelmaps", "lpba40")
"""Datasets that have them; elsewhere all structures get a signature."""
LPBA40 = "lpba40"
NAMES = ("left caudate", "right caudate", "left hippocampus", "right hippocampus")
TABLE_1 = dict(zip(NAMES, ((0.120, 0.316), (0.083, 0.210), (0.251, 0.787), (0.088, 0.277)), strict=True))
"""Structure -> mean distance of pairs of the same subject, of different subjects."""
TABLE_2 = {
    "left caudate": ((0.831, 5.472), (0.835, 5.299)),
    "right caudate": ((0.782, 6.369), (0.820, 5.004)),
    "left hippocampus": ((0.771, 20.170), (0.793, 5.843)),
    "right hippocampus": ((0.732, 54.553), (0.759, 29.878)),
}
"""Structure -> (Dice, HD) of the 3D U-Net, of the 3D U-Net with the shape loss; the unit of HD is not stated."""
WITHOUT, WITH, PLACEBO = "3D U-Net (control)", "shape signature", "placebo"
MARGIN_OFF, MARGIN_ON = "margin off", "margin on"
SCARCE = 4
"""Labelled cases of the fair protocol."""
PHANTOM, CROP = "brain", (40, 48, 40)
"""The phantom of the fair protocol is cropped to 100 x 120 x 100 mm about its centre, where these structures lie."""


@dataclass
class Protocol(Study):
    """The paper's training protocol."""

    name: ClassVar[str] = RECIPE
    summary: ClassVar[str] = "recipe: Adam 1e-4, batch 1, 1200 steps, affine changes"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX

    def recipe(self) -> Recipe:
        """Return Adam 1e-4, batch 1, 1200 steps; the method's warm-up makes the first 800 of them plain.

        Differences: rotation and scale are the paper's, the range of the translation is not stated and is 5 % here; an
        epoch is 100 steps.
        """
        return Recipe(
            epochs=12, steps_per_epoch=100, batch=1, optimizer="adam", learning_rate=1e-4, weight_decay=0.0,
            betas=(0.9, 0.999), schedule="constant", warmup=0, clip=0.0,
            augmentation=Augmentation(
                rotation=8.0, scale=0.15, shift=0.05, elastic=0.0, noise=0.0, gamma=0.0, brightness=0.0, probability=1.0
            ),
        )  # fmt: skip


@dataclass
class Table1(Protocol):
    """Do signatures tell subjects apart better than affine copies of one? With and without a contrastive margin.

    Segmentation plays no part: a run is one step long, for the sake of its pre-trained signatures.
    """

    name: ClassVar[str] = "shape-signature-table1"
    summary: ClassVar[str] = "signature distance of same and different subjects"
    datasets: ClassVar[tuple[str, ...]] = ("brain",)
    seeds: ClassVar[int] = 1
    metrics: ClassVar[tuple[str, ...]] = ("dice",)

    pretraining: Pretraining = field(default_factory=Pretraining)
    contrastive: Pretraining = field(default_factory=lambda: CONTRASTIVE)

    def recipe(self) -> Recipe:
        """Return a single step."""
        return replace(super().recipe(), epochs=1, steps_per_epoch=1, validate_every=0)

    def cells(self, dataset: Choice) -> Sequence[Cell]:
        """Return a row without and a row with the margin."""
        return [
            Cell(MARGIN_OFF, self._run(dataset, self.pretraining)),
            Cell(MARGIN_ON, self._run(dataset, self.contrastive)),
        ]

    def _run(self, dataset: Choice, settings: Pretraining) -> RunConfig:
        changed = _changes(settings)
        parameters = {**_structures(dataset), **({"pretraining": changed} if changed else {})}
        return RunConfig(
            _narrowed(dataset),
            Choice("unet3d", {"width": 4}),
            Choice("shape_signature", parameters),
            recipe=self.recipe(),
            recipe_name=self.name,
        )

    def tables(self, runs: Mapping[str, Sequence[FinishedRun]]) -> Sequence[Table]:
        """Return table 1, the published values beside."""
        from segbench_shape_signature.report import spread_table

        return [spread_table(runs, TABLE_1)]


@dataclass
class Table2(Protocol):
    """Does the shape loss mend Hausdorff distances at the same Dice?"""

    name: ClassVar[str] = "shape-signature-table2"
    summary: ClassVar[str] = "3D U-Net without and with the signature, and a placebo"
    datasets: ClassVar[tuple[str, ...]] = ("brain",)
    seeds: ClassVar[int] = 3
    metrics: ClassVar[tuple[str, ...]] = ("dice", "hd", "hd95")

    protocol: Literal["fair", "paper"] = parameter(
        "fair",
        "fair = the shared recipe, a U-Net of width 8, few labelled cases, alpha 1, contrastive signatures; "
        "paper = recipe shape-signature, all cases, the paper's alpha and signatures",
    )
    labelled: int = parameter(SCARCE, "labelled training cases of the fair protocol; 0 = all", low=0)

    def cells(self, dataset: Choice) -> Sequence[Cell]:
        """Return the rows: without, with, and with the signature of another structure."""
        return [
            Cell(WITHOUT, self._run(dataset, "control"), "control"),
            Cell(WITH, self._run(dataset, "method")),
            Cell(PLACEBO, self._run(dataset, "placebo"), "placebo"),
        ]

    def _run(self, dataset: Choice, arm: str) -> RunConfig:
        paper = self.protocol == "paper"
        crop = CROP if dataset.name == PHANTOM and not {"spacing", "size"} & set(dataset.parameters) else None
        return RunConfig(
            _narrowed(dataset),
            Choice("unet3d", {} if paper else {"width": 8}),
            Choice("shape_signature", {**_structures(dataset), **({} if paper else STRONG)}),
            arm=arm,
            recipe=self.recipe() if paper else Recipe(labelled=self.labelled, crop=crop),
            recipe_name=RECIPE if paper else "fair",
        )

    def comparisons(self) -> Sequence[tuple[str, str]]:
        """Return: is the shape loss better than none, than a meaningless one, and is that one better than none?"""
        return [(WITH, WITHOUT), (WITH, PLACEBO), (PLACEBO, WITHOUT)]

    def published(self) -> Sequence[Mapping[str, Any]]:
        """Return table 2."""
        return [
            {"dataset": LPBA40, "row": row, "label": label, "metric": metric, "value": value}
            for label, both in TABLE_2.items()
            for row, values in zip((WITHOUT, WITH), both, strict=True)
            for metric, value in zip(("dice", "hd"), values, strict=True)
        ]


def _changes(settings: Pretraining) -> dict[str, Any]:
    """Return the settings that differ from their defaults."""
    default = Pretraining()
    return {name: value for name, value in vars(settings).items() if value != getattr(default, name)}


STRONG = {"alpha": 1.0, "pretraining": _changes(CONTRASTIVE)}
"""What the fair protocol changes of the method: the paper's alpha leaves predictions as they are (see the README)."""


def _structures(dataset: Choice) -> dict[str, Any]:
    """Return the method's choice of structures."""
    return {"structures": list(STRUCTURES)} if dataset.name in BRAINS else {}


def _narrowed(dataset: Choice) -> Choice:
    """Return LPBA40 with the paper's structures alone, unless others are asked for."""
    if dataset.name != LPBA40 or "structures" in dataset.parameters:
        return dataset
    return replace(dataset, parameters={**dataset.parameters, "structures": ",".join(STRUCTURES)})
