"""Table 1 of the paper as a study: with and without the constraints, Dice and cross-entropy, and a placebo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from segbench import Augmentation, Cell, Choice, Recipe, RunConfig, Study, parameter
from segbench_geometric.method import BIBTEX, SOURCE

DICE, CE = "dice (control)", "ce (control)"
CONSTRAINED, DICE_MS, CE_MS, PLACEBO = "constrained dice", "constrained dice + MS", "constrained ce + MS", "placebo"
ROWS = (
    (DICE, "dice", "control"),
    (CE, "ce", "control"),
    (CONSTRAINED, "dice", "method"),
    (DICE_MS, "dice_ms", "method"),
    (CE_MS, "ce_ms", "method"),
    (PLACEBO, "dice", "placebo"),
)
"""Row, F, arm."""
TABLE = (
    (DICE, (0.9344, 0.0207), (51.68, 19.38)),
    (CE, (0.9366, 0.0187), (54.69, 21.06)),
    (CONSTRAINED, (0.9385, 0.0164), (50.67, 12.46)),
    (DICE_MS, (0.9371, 0.0167), (43.72, 21.48)),
    (CE_MS, (0.9363, 0.0236), (42.77, 19.62)),
)
"""Row, Dice as mean and sd, Hausdorff distance in mm as mean and sd; 20 patients, aorta."""
PHANTOM = "thorax"
SETTING = {"cases": 48, "spacing": (5.0, 4.4, 4.4)}
"""The phantom where nobody says: 29 cases to train with, 7 to validate, 12 to test; coarse, to take minutes."""
CROP = (0, 40, 40)
"""Of the coarse phantom: all slices, 176 mm around the mediastinum."""
PAPER_SIZE = (256, 152)


@dataclass
class Table1(Study):
    """Do the constraints lower the Hausdorff distance at equal Dice?

    The unconstrained network is the method with ``mu=0``: baseline and control in one row. All rows have one budget and
    fixed samples, three copies of each slice.
    """

    name: ClassVar[str] = "lambert2021-table1"
    summary: ClassVar[str] = "sU-Net with and without geometric constraints, aorta"
    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX
    datasets: ClassVar[tuple[str, ...]] = (PHANTOM,)
    seeds: ClassVar[int] = 3
    metrics: ClassVar[tuple[str, ...]] = ("dice", "hd", "slice_area_error", "weighted_tv_excess", "extra_components")

    protocol: Literal["fair", "paper"] = parameter(
        "fair", "fair = few labelled cases, minutes per run; paper = recipe lambert2021-table1, all cases, crop 256x152"
    )
    labelled: int = parameter(4, "labelled training cases of the fair protocol; 0 = all", low=0)

    def recipe(self) -> Recipe:
        """Return the paper's protocol: SGD 1e-3, batch 6, normalised images, tripled by fixed augmentation.

        The centre crop of 256 x 152 is the network's, ``--set network.size=256,152``: fixed samples are cut from the
        centre. The paper names no augmentation, momentum or number of epochs: those of the recipe are ours, about seven
        passes over the tripled slices of 40 patients.
        """
        return Recipe(
            epochs=100, steps_per_epoch=250, batch=6, optimizer="sgd", learning_rate=1e-3, momentum=0.9,
            weight_decay=0.0, schedule="constant", warmup=0, normalisation="zscore", frozen_copies=3,
            augmentation=Augmentation(probability=1.0),
        )  # fmt: skip

    def cells(self, dataset: Choice) -> Sequence[Cell]:
        """Return the rows; the phantom is coarse and has enough cases unless that was set."""
        return [Cell(row, self._run(dataset, fidelity, arm), arm) for row, fidelity, arm in ROWS]

    def comparisons(self) -> Sequence[tuple[str, str]]:
        """Return: are the constraints better than none, and is a meaningless shape as good?"""
        return [(CONSTRAINED, DICE), (DICE_MS, DICE), (CE_MS, CE), (CONSTRAINED, PLACEBO), (PLACEBO, DICE)]

    def published(self) -> Sequence[Mapping[str, Any]]:
        """Return table 1, mean and sd over the patients; ``dice`` as a ratio, ``hd`` in mm."""
        return [
            {"dataset": "segthor", "row": row, "label": "aorta", "metric": metric, "value": value, "sd": sd}
            for row, dice, distance in TABLE
            for metric, (value, sd) in (("dice", dice), ("hd", distance))
        ]

    def _run(self, dataset: Choice, fidelity: str, arm: str) -> RunConfig:
        paper, phantom = self.protocol == "paper", dataset.name == PHANTOM
        coarse = phantom and not paper and "spacing" not in dataset.parameters
        fair = Recipe(
            epochs=16, steps_per_epoch=60, batch=6, validate_every=0, labelled=self.labelled, frozen_copies=3,
            crop=CROP if coarse else None,
        )  # fmt: skip
        return RunConfig(
            dataset=_with_setting(dataset) if phantom and not paper else dataset,
            network=Choice("sunet", {"size": PAPER_SIZE} if paper else {"width": 8}),
            method=Choice("geometric", {"fidelity": fidelity}),
            arm=arm,
            recipe=self.recipe() if paper else fair,
            recipe_name=self.name if paper else "fair",
        )


def _with_setting(dataset: Choice) -> Choice:
    """Return the phantom with the study's setting where the user leaves it open."""
    return replace(dataset, parameters={**SETTING, **dataset.parameters})
