"""NonAdjLoss: cross-entropy + soft Dice + lambda x mean soft adjacency of the label pairs that never touch in anatomy.

``L = L_ce + w_dice L_dice + lambda sum_{(i,j) in F} a_ij / |F|`` with the soft adjacency a of ``adjacency.py``, the
forbidden pairs F of ``prior.py`` and the lambda of ``schedule.py``.

Source: Ganaye et al., Semi-supervised Learning for Segmentation Under Semantic Constraint, MICCAI 2018,
10.1007/978-3-030-00931-1_68.

Differences: see the README.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import UNLABELLED, Method, Task, parameter
from segbench_nonadj.citation import BIBTEX, DOI
from segbench_nonadj.schedule import PHASES, LambdaControl, Schedule

if TYPE_CHECKING:
    import torch

    from segbench import Batch, Epoch, LabelMap, Stage, Step

_LOOKED_AT = 16
"""Training truths that are looked at before training: where labels are few enough to touch all, that shows in these."""


@dataclass
class NonAdjLoss(Method):
    """Punishes label pairs in contact that no training truth shows in contact."""

    name: ClassVar[str] = "nonadj"
    summary: ClassVar[str] = "ce_dice + penalty on contacts of labels that never touch"
    version: ClassVar[str] = "2"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX
    arms: ClassVar[Mapping[str, Mapping[str, Any]]] = {"control": {"control": "off"}, "placebo": {"placebo": True}}

    control: Literal["schedule", "fixed", "ramp", "off"] = parameter("schedule", "how lambda moves; off = no penalty")
    strength: float = parameter(0.0, "lambda of control fixed, top of ramp; 0 = measured as for schedule", low=0)
    ce_weight: float = parameter(1.0, "weight of the cross-entropy", low=0)
    dice_weight: float = parameter(1.0, "weight of the Dice loss; the authors' is 5", low=0)
    class_weighting: Literal["none", "median"] = parameter("none", "class weights of the cross-entropy; theirs: median")
    size: int = parameter(3, "edge of the neighbourhood, voxels, odd", low=3)
    radius: float = parameter(0.0, "radius of the neighbourhood, mm, instead of size; 0 = use size", low=0)
    minimum_contacts: int = parameter(1, "contacts over all training truths that make a pair allowed", low=1)
    prior: Path | None = parameter(None, "CSV or TOML of allowed pairs by name; none = from the truths")
    unlabelled: int = parameter(0, "unlabelled cases that the penalty sees as well", low=0)
    placebo: bool = parameter(False, "permute the labels of the prior")
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        if self.unlabelled > 0:
            self.needs = frozenset({UNLABELLED})
            self.supervision = "semi"

    def incompatible(self, task: Task) -> str | None:
        """Return why nothing can be forbidden, or the fault of the neighbourhood, or None."""
        if len(task.labels) < 3:
            return "it needs at least two foreground labels, since background and one label always touch"
        if self.size % 2 == 0:
            return f"method.size must be odd, found {self.size}"
        return None

    def inert(self, task: Task, truths: Iterable[LabelMap]) -> str | None:
        """Return why nothing is forbidden: the prior allows every pair, or some truths show them all in touch."""
        import numpy as np

        from segbench_nonadj import prior, prior_file

        nothing = f"its prior is empty: nothing is forbidden, since all {len(task.labels)} labels"
        if self.prior is not None:
            allowed = prior_file.read_prior(self.prior, task.labels)
            return None if prior.forbidden_pairs(allowed).any() else f"{nothing} may touch each other by {self.prior}"
        counts = np.zeros((len(task.labels),) * 2, dtype=np.int64)
        for number, truth in enumerate(itertools.islice(truths, _LOOKED_AT), 1):
            counts += prior.neighbours(truth, len(task.labels), size=self.size, radius=self.radius)
            if not prior.forbidden_pairs(counts, self.minimum_contacts).any():
                seen = "the first training truth" if number == 1 else f"the first {number} training truths"
                return f"{nothing}, background included, touch each other in {seen}"
        return None

    def prepare(self, stage: Stage) -> None:
        """Learn or read the prior, permute it for the placebo, weigh the classes, set up lambda."""
        import torch

        from segbench_nonadj import prior, prior_file

        labels = stage.task.labels
        if self.prior is None:
            counts = prior.learn(stage.truths(), len(labels), size=self.size, radius=self.radius)
        else:
            counts = prior_file.read_prior(self.prior, labels)
        forbidden = prior.forbidden_pairs(counts, self.minimum_contacts if self.prior is None else 1)
        if self.placebo:
            seed = int(torch.randint(2**31, (1,), generator=stage.generator("nonadj placebo")))
            forbidden = prior.permuted(forbidden, seed)
        if not forbidden.any():
            logging.getLogger(__name__).warning("nonadj: every pair of labels touches; the penalty is always 0.")
        self.counts_ = counts
        self.forbidden_ = torch.from_numpy(forbidden).to(stage.device)
        self.weights_ = self._class_weights(stage)
        self.applied_: list[float] = []
        self.control_ = LambdaControl(
            stage.epochs, self.control, self.strength, self.schedule, steps=stage.steps_per_epoch
        )

    def _class_weights(self, stage: Stage) -> torch.Tensor | None:
        if self.class_weighting == "none":
            return None
        from segbench import median_frequency_weights

        return median_frequency_weights(stage.truths(), len(stage.task.labels)).to(stage.device)

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return ``ce``, ``dice`` on what is labelled and ``adjacency`` on everything, weighted."""
        from segbench_nonadj.objective import adjacency_penalty, pixel_losses

        entropy, dice, probabilities = pixel_losses(batch, logits, self.weights_)
        terms = {"ce": self.ce_weight * entropy, "dice": self.dice_weight * dice, "adjacency": entropy.new_zeros(())}
        if self.control_.value > 0:
            penalty = adjacency_penalty(batch, probabilities, self.forbidden_, self.size, self.radius)
            terms["adjacency"] = self.control_.value * penalty
        return terms

    def after_step(self, step: Step) -> None:
        """Ease lambda in; lower it after a non-finite step."""
        if not step.skipped:
            self.applied_.append(self.control_.value)
        self.control_.after_step(skipped=step.skipped)

    def after_epoch(self, epoch: Epoch) -> None:
        """Log the lambda, penalty and phase the epoch ended with, then move lambda."""
        control = self.control_
        epoch.log("lambda", control.value)
        epoch.log("phase", PHASES.index(control.phase))
        if sum(self.applied_) > 0 and "adjacency" in epoch.train:
            epoch.log("penalty", epoch.train["adjacency"] * len(self.applied_) / sum(self.applied_))
        self.applied_ = []
        validation = epoch.val.get("dice")
        if control.must_measure(epoch.index) and not epoch.last:
            from segbench_nonadj.objective import measure

            dice, penalty = measure(epoch.outputs(), self.forbidden_, self.size, self.radius)
            epoch.log("penalty", penalty)
            control.start(epoch.index, dice, penalty, validation)
        else:
            control.after_epoch(epoch.index, validation)
        if control.exhausted:
            epoch.stop(f"{control.skips} non-finite steps under the adjacency penalty")

    def state(self) -> Mapping[str, Any]:
        """Return the forbidden pairs, the class weights and lambda."""
        weights = {} if self.weights_ is None else {"weights": self.weights_.cpu()}
        return {"control": self.control_.state(), "forbidden": self.forbidden_.cpu(), **weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        device = self.forbidden_.device
        self.control_.restore(state["control"])
        self.forbidden_ = state["forbidden"].to(device)
        self.weights_ = state["weights"].to(device) if "weights" in state else None
