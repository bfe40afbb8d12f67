"""Table 1 of the paper: its recipe and its published values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from segbench import Study
from segbench_geometric.method import BIBTEX, SOURCE

if TYPE_CHECKING:
    from segbench import Recipe

EPOCHS, STEPS = 100, 250
"""Our budget, about seven passes over the tripled slices of 40 patients; the paper states none."""
_TABLE = (
    ("control", "dice", (0.9344, 0.0207), (51.68, 19.38)),
    ("control", "ce", (0.9366, 0.0187), (54.69, 21.06)),
    ("method", "dice", (0.9385, 0.0164), (50.67, 12.46)),
    ("method", "dice_ms", (0.9371, 0.0167), (43.72, 21.48)),
    ("method", "ce_ms", (0.9363, 0.0236), (42.77, 19.62)),
)
"""Arm, F, Dice as mean and sd, Hausdorff distance in mm as mean and sd; 20 patients, aorta."""


@dataclass
class Table1(Study):
    """Unconstrained and constrained sU-Net on the aorta of SegTHOR."""

    name: ClassVar[str] = "lambert2021-table1"
    summary: ClassVar[str] = "sU-Net with and without geometric constraints, aorta of SegTHOR: Dice and HD"
    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX

    def recipe(self) -> Recipe:
        """Return the paper's protocol: SGD 1e-3, batch 6, normalised images, tripled by fixed augmentation.

        The centre crop of 256 x 152 is the network's, ``--set network.size=256,152``: fixed samples are cut from the
        centre. The paper names no augmentation, momentum or number of epochs: those of the recipe are ours.
        """
        from segbench import Augmentation, Recipe

        return Recipe(
            epochs=EPOCHS, steps_per_epoch=STEPS, batch=6, optimizer="sgd", learning_rate=1e-3, momentum=0.9,
            weight_decay=0.0, schedule="constant", warmup=0, normalisation="zscore", frozen_copies=3,
            augmentation=Augmentation(probability=1.0),
        )  # fmt: skip

    def published(self) -> Sequence[Mapping[str, Any]]:
        """Return table 1, mean and sd over the patients; ``dice`` as a ratio, ``hd`` in mm."""
        return [
            {"dataset": "segthor", "network": "sunet", "method": "geometric", "arm": arm,
             "parameters": {"fidelity": fidelity}, "label": "aorta", "metric": metric, "value": value, "sd": sd}
            for arm, fidelity, dice, distance in _TABLE
            for metric, (value, sd) in (("dice", dice), ("hd", distance))
        ]  # fmt: skip
