"""Pre-training: affine copies of one mask shall have one signature; by how much they do is measured, not assumed.

``L = ||g(M1) - g(M2)||`` over affine pairs of one subject, section 3.2. A constant g minimises it. So the mean distance
over pairs of one subject is compared with that over pairs of different subjects (table 1), and with ``margin`` m the
hinge ``max(0, m - ||g(M1) - g(M2')||)`` over different subjects is added.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from segbench_shape_signature.affine import affine_pair
from segbench_shape_signature.distance import signature_distance
from segbench_shape_signature.settings import Pretraining
from segbench_shape_signature.signature import SignatureNetwork
from segbench_shape_signature.subjects import Subjects

PAIRS = 50
"""Pairs over which the paper averages in table 1."""
VANISHED = 0.01
"""Different subjects closer than this share of a signature's own length: the signature says nothing."""


class Fit(Protocol):
    """Trains a module as ``Stage.fit`` does."""

    def __call__(
        self,
        module: torch.nn.Module,
        objective: Callable[[int, torch.Generator], torch.Tensor],
        *,
        steps: int,
        learning_rate: float,
        purpose: str,
    ) -> list[float]: ...


@dataclass(frozen=True)
class Spread:
    """A row of table 1.

    Attributes:
        same: mean distance between affine copies of one subject's mask.
        different: the same for two subjects; 0 where there is only one.
        length: mean length of a signature.
    """

    same: float
    different: float
    length: float

    @property
    def ratio(self) -> float:
        """Same over different; 1 where different subjects do not differ at all."""
        return self.same / self.different if self.different > 0 else 1.0

    def complaint(self) -> str | None:
        """Say in words why this signature knows no shape, with the remedy, or None."""
        remedy = (
            "Push different subjects apart: pretraining.margin=0.5 pretraining.batch=4 pretraining.learning_rate=0.001."
        )
        if self.different <= VANISHED * self.length:
            return f"all subjects have nearly the same signature (collapse). {remedy}"
        if self.ratio >= 1:
            found = f"(ratio {self.ratio:.2f})"
            return f"affine copies of one subject are as far apart as different subjects {found}. {remedy}"
        return None


def build(settings: Pretraining, generator: torch.Generator) -> SignatureNetwork:
    """Return an untrained network whose weights depend on the generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        return SignatureNetwork(settings.levels, settings.width)


def pretrain(
    network: SignatureNetwork,
    subjects: Subjects,
    settings: Pretraining,
    fit: Fit,
    *,
    purpose: str = "shape signature",
) -> None:
    """Train a network in place, where it is."""
    device = next(network.parameters()).device
    frame = subjects.frame(settings)
    several = settings.margin > 0 and len(subjects) > 1
    count = min(len(subjects), max(settings.batch, 2) if several else settings.batch)

    def objective(step: int, generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randperm(len(subjects), generator=generator)[:count].tolist()
        first, second = _signatures(network, subjects.batch(chosen, frame).to(device), subjects, settings, generator)
        loss = signature_distance(first, second).mean()
        if several:
            loss = loss + (settings.margin - signature_distance(first, second.roll(1, 0))).clamp(min=0).mean()
        return loss

    if settings.iterations and len(subjects):
        fit(network, objective, steps=settings.iterations, learning_rate=settings.learning_rate, purpose=purpose)


@torch.no_grad()
def measure(
    network: SignatureNetwork, subjects: Subjects, settings: Pretraining, generator: torch.Generator, pairs: int = PAIRS
) -> Spread:
    """Return the mean distances over affine pairs of the same subject and of different ones, and the mean length."""
    device = next(network.parameters()).device
    frame, same, different, length = subjects.frame(settings), 0.0, 0.0, 0.0
    for _ in range(pairs if len(subjects) else 0):
        chosen = torch.randperm(len(subjects), generator=generator)[:2].tolist()
        masks = subjects.batch(chosen, frame).to(device)
        first, second = _signatures(network, masks, subjects, settings, generator)
        same += float(signature_distance(first[:1], second[:1])) / pairs
        length += float(first[:1].norm()) / pairs
        if len(chosen) > 1:
            different += float(signature_distance(first[:1], second[1:])) / pairs
    return Spread(same, different, length)


@torch.no_grad()
def scaled(network: SignatureNetwork, subjects: Subjects, settings: Pretraining, generator: torch.Generator) -> Spread:
    """Scale signatures in place so that different subjects are ``settings.spread`` apart; return what is then measured.

    The scale of a signature depends on its initial weights and on how far training has shrunk it; the margin, the cap
    and alpha do not. Ratios stay. A collapsed signature is left alone.
    """
    found = measure(network, subjects, settings, generator)
    if settings.spread <= 0 or found.different <= VANISHED * found.length:
        return found
    factor = settings.spread / found.different
    network.head.weight.mul_(factor)
    return Spread(found.same * factor, found.different * factor, found.length * factor)


def warn(name: str, found: Spread, subjects: int) -> None:
    """Warn of a signature that cannot work; one subject alone gives nothing to compare."""
    complaint = found.complaint() if subjects > 1 else None
    if complaint:
        logging.getLogger(__name__).warning("shape signature of %s: %s", name, complaint)


def _signatures(
    network: SignatureNetwork,
    masks: torch.Tensor,
    subjects: Subjects,
    settings: Pretraining,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the signatures of two affine copies of every mask."""
    pair = affine_pair(
        masks,
        generator,
        rotation=settings.rotation,
        scale=settings.scale,
        translation=settings.translation,
        spacing=subjects.spacing,
    )
    first, second = network(torch.cat(pair)).chunk(2)
    return first, second
