"""Geometric constraints by ADMM: F(p, y) + TV_g(p) with p binary and of the truth's area, on every training sample.

Algorithm 1 of the paper: a gradient step on ``F + mu/2 |p - u + w|^2``, then ``u <- DR(p, w)`` and ``w <- w + (p - u)``
for the samples of that step, with p of the updated network. u, w and the start of Douglas-Rachford belong to a sample
and live in files (``maps.py``).

Source: Lambert, Le Guyader, Petitjean, A Geometrically-Constrained Deep Network for CT Image Segmentation, ISBI 2021,
10.1109/ISBI48211.2021.9434088.

Differences: see the README.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import FIXED_SAMPLES, Method, parameter

if TYPE_CHECKING:
    import torch

    from segbench import Batch, Epoch, Stage, Step

SOURCE = "10.1109/ISBI48211.2021.9434088"
BIBTEX = """@inproceedings{lambert2021geometrically,
  author = {Lambert, Zo{\\'e} and Le Guyader, Carole and Petitjean, Caroline},
  title = {A Geometrically-Constrained Deep Network for {CT} Image Segmentation},
  booktitle = {IEEE International Symposium on Biomedical Imaging (ISBI)},
  year = {2021}, doi = {10.1109/ISBI48211.2021.9434088}
}"""


@dataclass
class Geometric(Method):
    """Pulls a training sample's probabilities towards a map of the true area with edges where the truth has them."""

    name: ClassVar[str] = "geometric"
    summary: ClassVar[str] = "weighted total variation and true area as constraints, by ADMM"
    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX
    needs = frozenset({FIXED_SAMPLES})
    arms: ClassVar[Mapping[str, Mapping[str, Any]]] = {"control": {"mu": 0.0}, "placebo": {"placebo": True}}

    fidelity: Literal["dice", "ce", "dice_ms", "ce_ms"] = parameter(
        "dice", "F: Dice or cross-entropy, with or without Mumford-Shah"
    )
    ms_weight: float = parameter(0.1, "weight of the Mumford-Shah term", low=0)
    mu: float = parameter(0.5, "weight of the quadratic term; 0 = no constraint", low=0)
    beta: float = parameter(10.0, "edge weight g = 1 / (1 + beta |grad y|^2)", low=0)
    update: Literal["step", "epoch"] = parameter("step", "when u and w move: a step's samples, or all after an epoch")
    iterations: int = parameter(10, "Douglas-Rachford iterations per update, at most", low=1)
    tolerance: float = parameter(1e-4, "residual that ends them earlier; 0 = never", low=0)
    gamma: float = parameter(0.3, "step of Douglas-Rachford; the paper's is 1", low=1e-6)
    relaxation: float = parameter(1.8, "relaxation of Douglas-Rachford; the paper's is 1", low=1e-3, high=1.999)
    placebo: bool = parameter(False, "take area and edge weight from another sample")

    def prepare(self, stage: Stage) -> None:
        """Open the maps and remember every sample's target; nothing if the constraint is off."""
        self.sums_: dict[str, Any] = {}
        self.warned_ = False
        self.labels_ = len(stage.task.labels)
        self.store_ = None
        if self.mu == 0:
            return
        import numpy as np
        import torch

        from segbench_geometric.maps import Store, signatures

        first = next(iter(stage.batches()))
        size, foreground = tuple(first.target.shape[1:]), self.labels_ - 1
        self.store_ = Store(
            stage.folder / "scratch",
            stage.samples,
            {
                "pair": ((2, foreground, *size), np.float32),
                "start": ((foreground, 2 + len(size), *size), np.float16),
            },
        )
        self.signatures_ = np.zeros(stage.samples, dtype=np.int64)
        self.targets_ = (
            Store(stage.folder / "scratch", stage.samples, {"target": (size, np.int16)}) if self.placebo else None
        )
        for batch in stage.batches():
            self.signatures_[batch.sample_ids.numpy()] = signatures(batch.target)
            if self.targets_ is not None:
                self.targets_.write(batch.sample_ids, {"target": batch.target.to(torch.int16)})
        order = torch.randperm(stage.samples, generator=stage.generator("geometric placebo"))
        self.donor_ = torch.empty_like(order)
        self.donor_[order] = order.roll(1)  # one cycle: nobody is its own donor, unless alone

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return the terms of F and ``constraint``, mu/2 |p - u + w|^2 / N."""
        from segbench_geometric.objective import fidelity, quadratic

        terms, probabilities = fidelity(batch, logits, self.fidelity, self.ms_weight)
        if self.store_ is None:
            return terms
        terms["constraint"] = probabilities.new_zeros(())
        rows = self._constrained(batch)
        if len(rows):
            pair = self.store_.read("pair", batch.sample_ids[rows]).to(probabilities)
            here = rows.to(probabilities.device)
            distance = quadratic(
                probabilities[here, 1:], pair[:, 0], pair[:, 1], batch.target[here] >= 0, len(batch.target)
            )
            terms["constraint"] = self.mu / 2 * distance
        return terms

    def _constrained(self, batch: Batch) -> torch.Tensor:
        """Return the rows of a batch whose maps fit: labelled samples that come as they came in ``prepare``."""
        import torch

        from segbench_geometric.maps import signatures

        known = batch.labelled.cpu() & (batch.sample_ids >= 0)
        same = torch.from_numpy(signatures(batch.target) == self.signatures_[batch.sample_ids.numpy()])
        if bool((known & ~same).any()) and not self.warned_:
            self.warned_ = True
            logging.getLogger(__name__).warning(
                "geometric: samples change from epoch to epoch, so that no map can belong to them; while they are "
                "changed, the constraint leaves them out. Freeze them with --set recipe.frozen_copies=3."
            )
        return torch.nonzero(known & same).flatten()

    def after_step(self, step: Step) -> None:
        """Move u and w of the step's samples, with the updated network."""
        if self.store_ is not None and self.update == "step" and not step.skipped:
            self._update(step.batch, step.forward())

    def _update(self, batch: Batch, logits: torch.Tensor) -> None:
        """Carry out the second half of algorithm 1 for a batch and keep its measures."""
        import torch

        from segbench_geometric.objective import Solver, shape_of, update

        assert self.store_ is not None
        rows = self._constrained(batch)
        self._count({"samples": len(batch.target), "constrained": len(rows)})
        if not len(rows) or not bool(torch.isfinite(logits).all()):
            return
        ids, here, device = batch.sample_ids[rows], rows.to(logits.device), logits.device
        known = batch.target[here] >= 0
        target = batch.target[here]
        if self.targets_ is not None:
            target = self.targets_.read("target", self.donor_[ids]).to(device).long()
        shape = shape_of(target, self.labels_, self.beta, known)
        maps = {name: self.store_.read(name, ids).to(device) for name in self.store_.files}
        solver = Solver(self.mu, self.gamma, self.relaxation, self.iterations, self.tolerance)
        probabilities = logits.float().softmax(1)[here, 1:]
        result = update(probabilities, maps, self.store_.written(ids).to(device), shape, solver)
        self.store_.write(ids, result.maps)
        self._count(result.measures)

    def _count(self, measures: Mapping[str, Any]) -> None:
        for name, value in measures.items():
            self.sums_[name] = self.sums_.get(name, 0.0) + value

    def after_epoch(self, epoch: Epoch) -> None:
        """Move u and w of all samples if that is due, and log the epoch's means."""
        if self.store_ is None:
            return
        if self.update == "epoch":
            for batch, logits in epoch.outputs():
                self._update(batch, logits)
        sums = {name: float(value) for name, value in self.sums_.items()}
        self.sums_ = {}
        constrained, solved = max(sums.get("constrained", 0), 1), max(sums.get("solved", 0), 1)
        epoch.log("constrained", sums.get("constrained", 0) / max(sums.get("samples", 0), 1))
        for name in ("residual", "area_error"):
            epoch.log(name, sums.get(name, 0.0) / constrained)
        fidelity = sum(value for name, value in epoch.train.items() if name != "constraint")
        epoch.log("energy", fidelity + sums.get("energy", 0.0) / constrained)
        epoch.log("dr_iterations", sums.get("iterations", 0.0) / solved)
        epoch.log("dr_residual", sums.get("dr_residual", 0.0) / solved)

    def state(self) -> Mapping[str, Any]:
        """Return which slots of the files hold the maps, and their checksums, after flushing them."""
        return {} if self.store_ is None else self.store_.commit()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        if self.store_ is not None:
            self.store_.restore(state)
