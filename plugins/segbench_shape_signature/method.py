"""The method ``shape_signature``: soft Dice + alpha x distance between the signatures of prediction and truth.

``L = L_dice + alpha mean_s min(||g_s(M_s) - g_s(p_s)||, cap)`` over the structures s, each with a frozen signature
network g_s of its own (``pretraining.py``). The first ``warm_up`` of the steps go without the second term.

Source: 10.1007/978-3-030-00889-5_7.

Differences: see the README.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import Method, Structure, Task, parameter
from segbench_shape_signature.choice import another, chosen_structures, unknown_names
from segbench_shape_signature.citation import BIBTEX, DOI
from segbench_shape_signature.settings import Pretraining

if TYPE_CHECKING:
    import torch

    from segbench import Batch, Epoch, Stage, Step
    from segbench_shape_signature.store import Signature


@dataclass
class ShapeSignature(Method):
    """Prediction and truth shall have one shape signature."""

    name: ClassVar[str] = "shape_signature"
    summary: ClassVar[str] = "soft Dice + distance between learnt shape signatures"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX
    dims: ClassVar[frozenset[int]] = frozenset({3})
    arms: ClassVar[Mapping[str, Mapping[str, Any]]] = {"control": {"alpha": 0.0}, "placebo": {"placebo": True}}

    alpha: float = parameter(0.1, "weight of the shape term; 0 = none, and nothing is pre-trained", low=0)
    cap: float = parameter(1.0, "largest distance of a sample that counts, in the signature's own scale", low=0)
    warm_up: float = parameter(2 / 3, "share of the steps that go without the shape term", low=0, high=1)
    norm: Literal["sum", "mean"] = parameter("sum", "Euclidean norm over the map (the paper), or root mean square")
    structures: tuple[str, ...] = parameter((), "names, with or without left and right; none = the first `most` labels")
    most: int = parameter(8, "structures that get a signature where none are named", low=1)
    ce_weight: float = parameter(0.0, "weight of a cross-entropy beside the Dice loss; the paper has none", low=0)
    threshold: float = parameter(0.01, "probability that counts as nothing beyond a structure's box", low=0, high=1)
    placebo: bool = parameter(False, "signatures of another structure; untrained ones where there is none")
    pretraining: Pretraining = field(default_factory=Pretraining)

    def incompatible(self, task: Task) -> str | None:
        """Return which of the structures do not exist, or None."""
        missing = unknown_names(task, self.structures)
        return f"it has no structure {', '.join(missing)}; it has {', '.join(task.labels[1:])}" if missing else None

    def prepare(self, stage: Stage) -> None:
        """Train a signature per structure on the training truths, unless the prior is off or they are there already."""
        self.steps_, self.total_ = 0, stage.epochs * stage.steps_per_epoch
        self.device_ = stage.device
        self.signatures_: dict[int, Signature] = {}
        if self.alpha == 0:
            return
        from segbench_shape_signature.subjects import collect

        structures = chosen_structures(stage.task, self.structures, self.most)
        masks = collect(stage.truths(), structures)
        shown = [structure for structure in structures if len(masks[structure.name])]
        if len(shown) < len(structures):
            names = ", ".join(one.name for one in structures if one not in shown)
            logging.getLogger(__name__).warning("shape_signature: no training truth shows %s; no signature.", names)
        for structure in shown:
            other = another(structure, shown) if self.placebo else structure
            assert structure.label is not None
            self.signatures_[structure.label] = self._obtain(stage, other or structure, masks, trained=bool(other))

    def _obtain(self, stage: Stage, structure: Structure, masks: Mapping[str, Any], *, trained: bool) -> Signature:
        from segbench_shape_signature.pretraining import warn
        from segbench_shape_signature.store import obtain

        found = obtain(
            structure.name, masks[structure.name], self.pretraining, stage.generator, stage.fit,
            device=stage.device, folders=(stage.folder, stage.shared), trained=trained,
        )  # fmt: skip
        if trained:
            warn(structure.name, found.spread, len(masks[structure.name]))
        return found

    def shares(self) -> Mapping[str, Any] | None:
        """Return what the signatures depend on; the placebo's are those of the same structures, exchanged."""
        if self.alpha == 0:
            return None
        return {"structures": self.structures, "most": self.most, "pretraining": repr(self.pretraining)}

    @property
    def active(self) -> bool:
        """Whether the shape term counts now."""
        return bool(self.signatures_) and self.steps_ >= self.warm_up * self.total_

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return ``dice``, ``ce`` if it has a weight, and ``shape``, weighted."""
        from segbench import pixel_terms

        pixels = pixel_terms(logits, batch.target)
        terms = {"dice": pixels.dice_loss(), "shape": pixels.cross_entropy.new_zeros(())}
        if self.ce_weight:
            terms["ce"] = self.ce_weight * pixels.cross_entropy
        if self.active:
            from segbench_shape_signature.objective import shape_term

            term = shape_term(
                self.signatures_, pixels.probabilities, batch.target, cap=self.cap, norm=self.norm,
                threshold=self.threshold,
            )  # fmt: skip
            terms["shape"] = self.alpha * term
        return terms

    def after_step(self, step: Step) -> None:
        """Count the steps."""
        self.steps_ += 1

    def after_epoch(self, epoch: Epoch) -> None:
        """Log the weight of the shape term, and once how far signatures tell subjects apart."""
        epoch.log("alpha", self.alpha if self.active else 0.0)
        if epoch.index == 0:
            for label, signature in self.signatures_.items():
                epoch.log(f"same/{label}", signature.spread.same)
                epoch.log(f"different/{label}", signature.spread.different)
                epoch.log(f"ratio/{label}", signature.spread.ratio)

    def state(self) -> Mapping[str, Any]:
        """Return the steps so far and the signatures."""
        return {"steps": self.steps_, "signatures": {label: one.state() for label, one in self.signatures_.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        self.steps_ = state["steps"]
        if state["signatures"]:
            from segbench_shape_signature.store import restored

            self.signatures_ = {
                label: restored(one, self.pretraining, self.device_) for label, one in state["signatures"].items()
            }
