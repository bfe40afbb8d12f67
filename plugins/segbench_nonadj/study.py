"""The paper's table as a study: supervised, with the penalty, with unlabelled images, control and placebo.

Source: Ganaye et al. 2018, 10.1007/978-3-030-00931-1_68; table (d) of the poster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from segbench import Augmentation, Cell, Choice, Recipe, RunConfig, Study, parameter
from segbench_nonadj.citation import BIBTEX, DOI

SUPERVISED, PENALISED, PLACEBO = "supervised (control)", "NonAdjLoss", "placebo"
SHORT_RUN: Mapping[str, Any] = {"ratio": 0.06, "ease": 2, "growth_every": 0, "hold": 0}
"""Lambda in runs of tens of epochs: the authors' 0.3 stands beside a Dice weight of 5, ours beside 1; a rise over two
epochs instead of a jump; periods of a twentieth of the run instead of 5 of their hundreds of epochs."""
PHANTOM = "brain"
PHANTOM_CASES = 40
"""Cases of the phantom where nobody says: 24 to train with, 6 to validate, 10 to test."""


@dataclass
class Ganaye2018(Study):
    """Does the penalty mend contacts and distances, and do unlabelled images help it?

    The supervised baseline is the method with its penalty off, ``ce_dice`` with the same weights: it is trained once
    and is baseline and control in one row.
    """

    name: ClassVar[str] = "ganaye2018"
    summary: ClassVar[str] = "NonAdjLoss, with unlabelled images, control and placebo"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX
    datasets: ClassVar[tuple[str, ...]] = (PHANTOM,)
    seeds: ClassVar[int] = 3
    metrics: ClassVar[tuple[str, ...]] = ("dice", "hd", "msd", "forbidden_pairs", "forbidden_contacts")

    protocol: Literal["fair", "paper"] = parameter(
        "fair", "fair = shared recipe and network, minutes per run; paper = recipe ganaye2018, modsegnet, its weights"
    )
    labelled: int = parameter(4, "labelled training cases; 0 = all, which leaves none unlabelled", low=0)
    unlabelled: tuple[int, ...] = parameter((6, 12), "numbers n of unlabelled images, a row each", low=1)

    def __post_init__(self) -> None:
        self.unlabelled = tuple(dict.fromkeys(self.unlabelled))

    def recipe(self) -> Recipe:
        """Return the authors' training protocol.

        From their published code: 200 epochs, batch 64, rate 0.01, three unlabelled per labelled image. One run
        holds what they do in two (training, then fine-tuning under the penalty).

        Differences: the strength of the elastic deformation is not published: the shared recipe's, on every sample; SGD
        is Nesterov's; gradients are not clipped, as there.
        """
        return Recipe(
            epochs=200,
            batch=64,
            unlabelled_ratio=3.0,
            optimizer="sgd",
            learning_rate=0.01,
            weight_decay=1e-4,
            momentum=0.9,
            schedule="poly",
            warmup=0,
            clip=0.0,
            augmentation=Augmentation(
                rotation=0.0, scale=0.0, shift=0.0, noise=0.0, gamma=0.0, brightness=0.0, probability=1.0
            ),
        )

    def cells(self, dataset: Choice) -> Sequence[Cell]:
        """Return the rows; the phantom gets enough cases for the unlabelled ones unless their number was set."""
        rows = [
            Cell(SUPERVISED, self._run(dataset, arm="control"), "control"),
            Cell(PENALISED, self._run(dataset)),
        ]
        rows += [Cell(_row(PENALISED, count), self._run(dataset, count)) for count in self.unlabelled]
        most = max(self.unlabelled, default=0)
        return [*rows, Cell(_row(PLACEBO, most), self._run(dataset, most, "placebo"), "placebo")]

    def comparisons(self) -> Sequence[tuple[str, str]]:
        """Return: is the penalty better than none, are unlabelled images better, is a meaningless prior as good?"""
        semi = [_row(PENALISED, count) for count in self.unlabelled]
        most = max(self.unlabelled, default=0)
        placebo = _row(PLACEBO, most)
        return [
            *((row, SUPERVISED) for row in (PENALISED, *semi)),
            *((row, PENALISED) for row in semi),
            (_row(PENALISED, most), placebo),
            (placebo, SUPERVISED),
        ]

    def _run(self, dataset: Choice, unlabelled: int = 0, arm: str = "method") -> RunConfig:
        paper = self.protocol == "paper"
        parameters: dict[str, Any] = {"dice_weight": 5.0, "class_weighting": "median"} if paper else {}
        if not paper and arm != "control":
            parameters["schedule"] = dict(SHORT_RUN)
        if unlabelled:
            parameters["unlabelled"] = unlabelled
        return RunConfig(
            dataset=_with_cases(dataset, self.labelled + max(self.unlabelled, default=0)),
            network=Choice("modsegnet" if paper else "unet25d"),
            method=Choice("nonadj", parameters),
            arm=arm,
            recipe=replace(self.recipe() if paper else Recipe(), labelled=self.labelled),
            recipe_name=self.name if paper else "fair",
        )


def _row(name: str, unlabelled: int) -> str:
    return f"{name}({unlabelled})" if unlabelled else name


def _with_cases(dataset: Choice, training: int) -> Choice:
    """Return the phantom with at least so many training cases, three in five of all, where their number is open."""
    if dataset.name != PHANTOM or "cases" in dataset.parameters:
        return dataset
    cases: Mapping[str, Any] = {"cases": max(PHANTOM_CASES, -(-5 * training // 3))}
    return replace(dataset, parameters={**dataset.parameters, **cases})
