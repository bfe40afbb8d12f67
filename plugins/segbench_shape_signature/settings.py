"""How a signature network is built and pre-trained: parameters that method, metric and study share."""

from __future__ import annotations

from dataclasses import dataclass

from segbench import parameter


@dataclass(frozen=True)
class Pretraining:
    """The signature network and its pre-training; defaults are the paper's where it states them."""

    iterations: int = parameter(200, "optimiser steps (Adam)", low=0)
    learning_rate: float = parameter(1e-4, "learning rate", low=0)
    batch: int = parameter(1, "subjects per step; with a margin at least 2", low=1)
    rotation: float = parameter(8.0, "largest rotation of an affine copy about each axis, degrees", low=0, high=180)
    scale: float = parameter(0.15, "scale of an affine copy drawn from 1 ± this", low=0, high=0.9)
    translation: float = parameter(0.05, "largest shift of an affine copy, fraction of its frame", low=0, high=0.4)
    margin: float = parameter(0.0, "by how much different subjects shall be further apart; 0 = off (the paper)", low=0)
    spread: float = parameter(
        0.4, "mean distance of different subjects to which a trained signature is scaled; 0 = left as trained", low=0
    )
    levels: int = parameter(3, "levels of the signature network; its map is 2**levels times coarser", low=1, high=6)
    width: int = parameter(8, "channels of its first level, doubled per level", low=1, high=64)


CONTRASTIVE = Pretraining(margin=0.5, batch=4, learning_rate=1e-3)
"""What tells subjects apart where the paper's objective does not (see the README's numbers)."""
