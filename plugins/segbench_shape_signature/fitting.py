"""Training a signature where there is no ``Stage``: for metrics, benchmarks and notebooks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch

from segbench_shape_signature.pretraining import Fit


def generate(seed: int) -> Callable[[str], torch.Generator]:
    """Return purpose -> CPU generator, seeded by purpose and seed."""

    def generator(purpose: str) -> torch.Generator:
        digest = hashlib.sha256(f"{purpose}/{seed}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    return generator


def fit(seed: int) -> Fit:
    """Return what trains as ``Stage.fit`` does, with Adam."""

    def train(
        module: torch.nn.Module,
        objective: Callable[[int, torch.Generator], torch.Tensor],
        *,
        steps: int,
        learning_rate: float,
        purpose: str,
    ) -> list[float]:
        optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
        generator, losses = generate(seed)(purpose), []
        for step in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss = objective(step, generator)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses

    return train
