"""Training from shape descriptors: a constraint = descriptor + bounds + solver + schedule, each to be replaced.

``L = L_base + sum_f w_f / N sum_k psi(tau - reach - f_k) + psi(f_k - tau - reach)``, N the voxels of a sample, mean
over the batch; by default without any base loss, so that a few numbers per class are all the supervision there is.

Source: Kervadec et al., Beyond pixel-wise supervision for segmentation, MIDL 2021.

Differences: see the README.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from segbench import FIXED_SAMPLES, DataInvalid, Incompatible, Method, Task, parameter
from segbench_shape_descriptors.layout import DESCRIPTORS, is_descriptor

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from segbench import Batch, Epoch, LabelMap, Stage, Step
    from segbench_shape_descriptors.placebo import Strangers

SOURCE = "https://proceedings.mlr.press/v143/kervadec21a.html"
BIBTEX = """@inproceedings{kervadec2021shape,
  author = {Kervadec, Hoel and Bahig, Houda and L{\\'e}tourneau-Guillon, Laurent and Dolz, Jose and Ben Ayed, Ismail},
  title = {Beyond pixel-wise supervision for segmentation: A few global shape descriptors might be surprisingly good!},
  booktitle = {Medical Imaging with Deep Learning (MIDL)}, series = {PMLR}, volume = {143}, year = {2021}
}"""

BALANCED = {"volume": 0.03, "centroid": 0.6, "spread": 1.2, "length": 0.001}
"""Weights with which raw descriptors pull about equally on a probability some voxels away from a class of 1000."""
BALANCED_RELATIVE = {"volume": 0.1, "centroid": 0.1, "spread": 0.1, "length": 0.01}
"""The same for relative ones, of any size; those without an entry have the volume's."""
STEEPEST = 1e15
"""t grows no further: at this slope the barrier is a wall, and beyond 1e18 single precision ends."""


@dataclass
class ShapeDescriptors(Method):
    """Keeps volume, centroid, spread and length of every class within bounds, without looking at pixels."""

    name: ClassVar[str] = "shape_descriptors"
    summary: ClassVar[str] = "volume, centroid, spread, length within bounds; no pixel loss"
    version: ClassVar[str] = "2"
    source: ClassVar[str] = SOURCE
    bibtex: ClassVar[str] = BIBTEX
    supervision = "descriptors"
    arms: ClassVar[Mapping[str, Mapping[str, Any]]] = {"control": {"solver": "off"}, "placebo": {"placebo": True}}

    descriptors: tuple[str, ...] = parameter(
        ("volume", "centroid", "spread", "length"), "what is constrained; also elongation, orientation, moment_2_0"
    )
    truths: bool = parameter(True, "bounds from the truth's numbers (or the table's); false = from rules only")
    table: Path | None = parameter(None, "CSV of numbers per case and class instead of the truth's")
    rules: Path | None = parameter(None, "TOML of constraints by hand, such as 2 <= length(Myo)/length(LV) <= 3")
    margin: float = parameter(0.1, "relative margin of the bounds", low=0)
    distance_margin: float = parameter(
        0.0, "absolute margin of centroid and spread, voxels or mm; 0 = the relative one; the authors' code: 20", low=0
    )
    solver: Literal["log_barrier", "penalty", "augmented_lagrangian", "off"] = parameter(
        "log_barrier", "how a bound becomes a loss; off = cross-entropy instead where there is no base loss"
    )
    scale: Literal["auto", "raw", "relative"] = parameter(
        "auto", "z in voxels (or mm), or relative to the class's size; auto = raw for the log-barrier only"
    )
    weights: tuple[float, ...] = parameter(
        (), "weight of each descriptor (rules last), or one for all (the paper's: 0.01); empty = balanced", low=0
    )
    base: Literal["none", "ce", "dice", "ce_dice"] = parameter("none", "pixel-wise loss beside the constraints")
    physical: bool = parameter(False, "mm instead of voxels")
    background: bool = parameter(False, "constrain the background too")
    t_start: float = parameter(1.0, "first slope t of the log-barrier", low=1e-6, high=STEEPEST)
    t_growth: float = parameter(1.1, "factor of t per epoch", low=1)
    mu: float = parameter(0.1, "quadratic weight and dual step of the augmented Lagrangian", low=1e-6)
    placebo: bool = parameter(False, "every sample gets another one's numbers")

    def __post_init__(self) -> None:
        wrong = [name for name in self.descriptors if not is_descriptor(name)]
        if wrong or len(set(self.descriptors)) != len(self.descriptors):
            raise ValueError(
                f"descriptors: expected different ones out of {', '.join(DESCRIPTORS)}; found {wrong or 'two'}."
            )
        names = self._terms()
        if not names:
            raise ValueError("nothing is constrained; set descriptors, or rules where truths=false.")
        if len(self.weights) not in (0, 1, len(names)):
            raise ValueError(
                f"weights: expected none, one or {len(names)} ({', '.join(names)}), found {len(self.weights)}."
            )
        pixels = self._base() != "none"
        self.supervision = "masks" if pixels else "descriptors" if self.truths else "none"
        if self.solver == "augmented_lagrangian":
            self.needs = frozenset({FIXED_SAMPLES})

    def _base(self) -> str:
        """Return the pixel-wise loss; without constraints there must be one."""
        return "ce" if self.solver == "off" and self.base == "none" else self.base

    def _terms(self) -> tuple[str, ...]:
        """Return the names of the constraint terms, in the order of their weights."""
        return (*(self.descriptors if self.truths else ()), *(("rules",) if self.rules else ()))

    def _relative(self) -> bool:
        """Return whether z is relative: squares of raw counts would let the volume drown everything else."""
        return self.scale == "relative" or (self.scale == "auto" and self.solver != "log_barrier")

    def _weights(self) -> tuple[float, ...]:
        """Return a weight for each term."""
        names = self._terms()
        if not self.weights:
            table = BALANCED_RELATIVE if self._relative() else BALANCED
            return tuple(table.get(name, table["volume"]) for name in names)
        return self.weights * len(names) if len(self.weights) == 1 else self.weights

    def incompatible(self, task: Task) -> str | None:
        """Return why there is nothing to describe, or None."""
        return None if len(task.labels) > 1 else "it needs a class besides the background"

    def derive(self, truth: LabelMap) -> Mapping[str, NDArray[np.float32]]:
        """Return where each voxel comes from, for numbers from a table; the labels are not looked at."""
        if self.table is None:
            return {}
        from segbench_shape_descriptors.samples import origin_map

        return {"origin": origin_map(truth.array.shape)}

    def prepare(self, stage: Stage) -> None:
        """Read rules and table, set up t, the multipliers and the placebo's numbers."""
        import torch

        from segbench_shape_descriptors.bounds import Bounds
        from segbench_shape_descriptors.expressions import read_rules

        moments = [name for name in self.descriptors if name.startswith("moment_")]
        if strange := [name for name in moments if name.count("_") != stage.dims]:
            raise Incompatible(f"{strange[0]}: expected an order for each of the network's {stage.dims} axes.")
        labels = stage.task.labels
        rules = read_rules(self.rules, labels) if self.rules else ()
        constrained = self.descriptors if self.truths else ()
        self.bounds_ = Bounds(constrained, self.margin, self.distance_margin, self.background, rules, self._relative())
        self.labels_, self.t_ = len(labels), self.t_start
        self.table_ = self._read_table(stage) if self.table and self.truths else None
        self.multipliers_: torch.Tensor | None = None
        self.samples_ = stage.samples
        self.tally_ = torch.zeros(2, dtype=torch.float64, device="cpu" if stage.device.type == "mps" else stage.device)
        self.strangers_: Strangers | None = None
        if self.placebo and self.solver != "off":
            from segbench_shape_descriptors.placebo import Strangers

            if not self.truths:
                raise Incompatible("rules are the same for every sample: without numbers (truths) there is no placebo.")
            seen = [(batch.case_ids, batch.sample_ids, self.numbers(batch)) for batch in stage.batches()]
            self.strangers_ = Strangers(seen, stage.generator("shape descriptors placebo"), by_sample=stage.samples > 0)

    def _read_table(self, stage: Stage) -> Any:
        from segbench_shape_descriptors.table import read_table

        assert self.table is not None
        if not stage.native:
            raise Incompatible(
                f"table {self.table}: its numbers hold for cases as they lie in their files, and here cases are "
                f"resampled or cropped. Set recipe.spacing=native and no recipe.crop, or take bounds from truths (no "
                f"method.table)."
            )
        table = read_table(self.table, stage.task.labels)
        if table.sliced != (stage.dims == 2):
            theirs, ours, column = ("slices", "volumes", "without") if table.sliced else ("cases", "slices", "with")
            raise Incompatible(
                f"table {self.table} speaks of {theirs}, but the network sees {ours}. The numbers of a case do not "
                f"bound its slices: take another network, or a table {column} a slice column."
            )
        if table.physical != self.physical:
            raise DataInvalid(
                f"table {self.table}: it is in {'mm' if table.physical else 'voxels'}; set method.physical."
            )
        if missing := sorted({case.id for case in stage.cases()} - table.cases()):
            raise DataInvalid(f"table {self.table}: no numbers for {len(missing)} training cases, e.g. {missing[0]}.")
        return table

    def numbers(self, batch: Batch) -> torch.Tensor:
        """Return all that the constraints learn of a batch: ``(B, K, C)`` numbers, NaN where nothing is known.

        From the table (the target is not looked at), from the target, or, with rules only, volumes of 1 (present).
        """
        import torch

        from segbench_shape_descriptors.bounds import summarise
        from segbench_shape_descriptors.layout import columns
        from segbench_shape_descriptors.samples import table_numbers

        if self.table_ is not None:
            layout = columns(self.bounds_.names, batch.target.ndim - 1)
            return table_numbers(self.table_, batch, self.labels_, layout)
        if not self.truths:
            return torch.ones((len(batch.target), self.labels_, 1), device=batch.target.device)
        spacing = batch.spacing if self.physical else None
        return summarise(batch.target, batch.labelled, self.labels_, self.bounds_.names, spacing)

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return the base loss's terms, if there is one, and a term for each descriptor and for the rules."""
        terms, probabilities = self._pixel_terms(batch, logits)
        if self.solver == "off":
            return terms
        spacing = batch.spacing if self.physical else None
        return terms | self.constraint_terms(probabilities, self._bounding_numbers(batch), spacing, batch.sample_ids)

    def _pixel_terms(self, batch: Batch, logits: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return the terms of the base loss and the probabilities; without a base loss the target is not touched."""
        base = self._base()
        if base == "none":
            return {}, logits.float().contiguous().softmax(1)
        from segbench import pixel_terms

        pixel = pixel_terms(logits, batch.target)
        terms = {"ce": pixel.cross_entropy} if base.startswith("ce") else {}
        if base.endswith("dice"):
            terms["dice"] = pixel.dice_loss()
        return terms, pixel.probabilities

    def _bounding_numbers(self, batch: Batch) -> torch.Tensor:
        """Return the batch's own numbers, or those of others for the placebo."""
        if self.strangers_ is None:
            return self.numbers(batch)
        return self.strangers_.numbers(batch.case_ids, batch.sample_ids)

    def constraint_terms(
        self, probabilities: torch.Tensor, numbers: torch.Tensor, spacing: torch.Tensor | None, samples: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms; of the truth only ``numbers`` come in here.

        Args:
            probabilities: ``(B, K, *S)``.
            numbers: ``(B, K, C)``.
            spacing: ``(B, d)`` mm, or None for voxels.
            samples: stable number of each sample, for the multipliers.
        """
        import torch

        from segbench_shape_descriptors.descriptors import Shape

        shape = Shape(probabilities, spacing, length="length" in self.bounds_.descriptors)
        found = self.bounds_.residuals(shape, numbers.to(probabilities.device))
        z, active = (torch.cat([pair[part] for pair in found.values()], dim=1) for part in (0, 1))
        psi = torch.where(active, self._solve(z, active, samples), torch.zeros_like(z))
        self._count(z.detach(), active)
        names = self._terms()
        scale = 1 / (len(probabilities) * (1 if self._relative() else probabilities[0, 0].numel()))
        parts = torch.split(psi.sum(0), [found[name][0].shape[1] for name in names])
        return {
            name: (weight * scale * part.sum()).float()
            for name, weight, part in zip(names, self._weights(), parts, strict=True)
        }

    def _solve(self, z: torch.Tensor, active: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        from segbench import augmented_lagrangian, log_barrier, next_multiplier, quadratic_penalty

        if self.solver == "log_barrier":
            return log_barrier(z, self.t_)
        if self.solver == "penalty":
            return quadratic_penalty(z)
        if self.multipliers_ is None:
            self.multipliers_ = z.new_zeros((max(self.samples_, 1), z.shape[1]))
        rows = samples.to(z.device).clamp(min=0)
        multiplier = self.multipliers_[rows]
        self.pending_ = (rows, next_multiplier(z.detach(), multiplier, self.mu), active)
        return augmented_lagrangian(z, multiplier, self.mu)

    def _count(self, z: torch.Tensor, active: torch.Tensor) -> None:
        """Count active and violated constraints for the history, without waiting for the device."""
        import torch

        counts = torch.stack([((z > 0) & active).sum(), active.sum()])
        self.tally_ += counts.to(self.tally_)

    def after_step(self, step: Step) -> None:
        """Take the dual step of the augmented Lagrangian, unless the update was skipped."""
        if self.solver != "augmented_lagrangian" or step.skipped or self.multipliers_ is None:
            return
        import torch

        rows, updated, active = self.pending_
        self.multipliers_[rows] = torch.where(active, updated, self.multipliers_[rows])

    def after_epoch(self, epoch: Epoch) -> None:
        """Log t and the share of violated bounds, then let t grow."""
        if self.solver == "off":
            return
        violated, total = self.tally_.tolist()
        epoch.log("violated", violated / max(total, 1.0))
        self.tally_.zero_()
        if self.solver == "log_barrier":
            epoch.log("t", self.t_)
            self.t_ = min(self.t_ * self.t_growth, STEEPEST)

    def state(self) -> Mapping[str, Any]:
        """Return t, the multipliers, and how often the placebo drew from each case."""
        multipliers = {} if self.multipliers_ is None else {"multipliers": self.multipliers_.cpu()}
        drawn = {} if self.strangers_ is None else {"drawn": dict(self.strangers_.drawn)}
        return {"t": self.t_, **drawn, **multipliers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        self.t_ = state["t"]
        if self.strangers_ is not None:
            self.strangers_.drawn = dict(state["drawn"])
        if "multipliers" in state:
            self.multipliers_ = state["multipliers"].to(self.tally_.device)
