"""The paper's training protocols, offered as ``--recipe kervadec2021-acdc`` and ``--recipe kervadec2021-promise12``.

Source: Kervadec et al., MIDL 2021, section 3.2.

Differences: the paper names neither epochs nor the strength of its augmentation; see the README.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from segbench import Augmentation, Recipe, Study, parameter
from segbench_shape_descriptors.method import BIBTEX, SOURCE

_AUGMENTATION = Augmentation(
    rotation=10.0, scale=0.1, shift=0.05, elastic=0.0, blur=1.0, noise=0.0, gamma=0.0, brightness=0.0, probability=0.5
)


class _Protocol(Study):
    """What the two protocols share."""

    source = SOURCE
    bibtex = BIBTEX
    batch: ClassVar[int]
    epochs: int

    def recipe(self) -> Recipe:
        """Return the paper's optimiser, batch and augmentation."""
        return Recipe(
            epochs=self.epochs,
            batch=self.batch,
            optimizer="adam",
            learning_rate=5e-4,
            betas=(0.9, 0.99),
            weight_decay=0.0,
            schedule="constant",
            warmup=0,
            clip=0.0,
            normalisation="unit",
            augmentation=_AUGMENTATION,
        )


@dataclass
class Acdc(_Protocol):
    """ACDC: ENet, batch 8."""

    name: ClassVar[str] = "kervadec2021-acdc"
    summary: ClassVar[str] = "recipe: ENet on 256x256 slices, batch 8, Adam 5e-4"
    batch: ClassVar[int] = 8

    epochs: int = parameter(200, "epochs", low=1)


@dataclass
class Promise12(_Protocol):
    """PROMISE12: fully residual U-Net, batch 4."""

    name: ClassVar[str] = "kervadec2021-promise12"
    summary: ClassVar[str] = "recipe: residual U-Net on slices, batch 4, Adam 5e-4"
    batch: ClassVar[int] = 4

    epochs: int = parameter(200, "epochs", low=1)
