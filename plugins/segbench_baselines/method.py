"""Training on pixel losses alone.

``ce``: mean cross-entropy. ``dice``: one minus the mean soft Dice over the batch. ``ce_dice``: their weighted sum, the
field's default (Isensee et al. 2021, 10.1038/s41592-020-01008-z). The equations stand in ``segbench.losses``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import Method, parameter

if TYPE_CHECKING:
    import torch

    from segbench import Batch, Stage

_WEIGHTING = "class weights of the cross-entropy: none, or median class frequency / class frequency"


@dataclass
class CrossEntropy(Method):
    """Mean cross-entropy over the known voxels."""

    name: ClassVar[str] = "ce"
    summary: ClassVar[str] = "cross-entropy, optionally weighted by class frequency"

    class_weighting: Literal["none", "median"] = parameter("none", _WEIGHTING)

    def prepare(self, stage: Stage) -> None:
        """Weigh the classes."""
        self.weights_ = _class_weights(stage, self.class_weighting)

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return ``ce``."""
        from segbench import cross_entropy

        return {"ce": cross_entropy(logits, batch.target, self.weights_)}

    def state(self) -> Mapping[str, Any]:
        """Return the class weights."""
        return _state(self.weights_)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back the class weights."""
        self.weights_ = _restored(state, self.weights_)


@dataclass
class Dice(Method):
    """One minus the mean soft Dice of the batch."""

    name: ClassVar[str] = "dice"
    summary: ClassVar[str] = "soft Dice over the batch"
    source: ClassVar[str] = "10.1007/978-3-319-46976-8_19"

    background: bool = parameter(True, "the background counts too: alone, it punishes labels that the truth lacks")
    per_sample: bool = parameter(False, "Dice of each sample instead of the batch as one volume")

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return ``dice``."""
        from segbench import soft_dice_loss

        loss = soft_dice_loss(logits, batch.target, background=self.background, per_sample=self.per_sample)
        return {"dice": loss}


@dataclass
class CrossEntropyDice(Method):
    """Cross-entropy plus soft Dice over the foreground."""

    name: ClassVar[str] = "ce_dice"
    summary: ClassVar[str] = "cross-entropy + soft Dice over the foreground of the batch"
    source: ClassVar[str] = "10.1038/s41592-020-01008-z"

    ce_weight: float = parameter(1.0, "weight of the cross-entropy", low=0)
    dice_weight: float = parameter(1.0, "weight of the Dice loss", low=0)
    class_weighting: Literal["none", "median"] = parameter("none", _WEIGHTING)
    background: bool = parameter(False, "whether the background counts in the Dice loss")
    per_sample: bool = parameter(False, "Dice of each sample instead of the batch as one volume")

    def prepare(self, stage: Stage) -> None:
        """Weigh the classes."""
        self.weights_ = _class_weights(stage, self.class_weighting)

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return ``ce`` and ``dice`` from one softmax."""
        from segbench import pixel_terms

        terms = pixel_terms(logits, batch.target, self.weights_)
        dice = terms.dice_loss(background=self.background, per_sample=self.per_sample)
        return {"ce": self.ce_weight * terms.cross_entropy, "dice": self.dice_weight * dice}

    def state(self) -> Mapping[str, Any]:
        """Return the class weights."""
        return _state(self.weights_)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back the class weights."""
        self.weights_ = _restored(state, self.weights_)


def _class_weights(stage: Stage, weighting: str) -> torch.Tensor | None:
    if weighting == "none":
        return None
    from segbench import median_frequency_weights

    return median_frequency_weights(stage.truths(), len(stage.task.labels)).to(stage.device)


def _state(weights: torch.Tensor | None) -> dict[str, Any]:
    return {} if weights is None else {"weights": weights.cpu()}


def _restored(state: Mapping[str, Any], weights: torch.Tensor | None) -> torch.Tensor | None:
    return weights if weights is None or "weights" not in state else state["weights"].to(weights.device)
