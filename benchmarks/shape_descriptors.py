"""How much shape descriptors cost, as ratios to cross-entropy and to the plain formulation in the same run.

python benchmarks/shape_descriptors.py [--threads 2] [--repeats 7] [--only NAME]

1. The loss alone, forward and backward from the logits: cross-entropy; the plain descriptors (one-hot, einsum over
   coordinate grids, autograd's absolute differences); this plugin's, the truth's numbers included.
2. A whole training step of ENet, 4 classes, 8x256x256: with cross-entropy, with this plugin's method, with none at all.
3. The length alone in 3D, 64x64x64, against shifted differences under autograd.

Variants take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F

from segbench import Batch, Stage, Task, log_barrier
from segbench_shape_descriptors import length
from segbench_shape_descriptors.enet import ENetModule
from segbench_shape_descriptors.method import ShapeDescriptors
from segbench_shape_descriptors.neighbours import offsets, regions

SAMPLES, LABELS, SIZE = 8, 4, 256
FOUR = ("volume", "centroid", "spread", "length")
Pass = Callable[[], torch.Tensor]


def discs() -> torch.Tensor:
    """Return targets int64 ``(B, H, W)`` with a ring around a disc and a disc beside them."""
    rows, cols = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    targets = []
    for number in range(SAMPLES):
        target = torch.zeros(SIZE, SIZE, dtype=torch.int64)
        radius = (rows - 120 - number).square() + (cols - 130).square()
        target[(rows - 120).square() + (cols - 70).square() < 30**2] = 1
        target[radius < 32**2] = 2
        target[radius < 22**2] = 3
        targets.append(target)
    return torch.stack(targets)


def make_batch(image: torch.Tensor, target: torch.Tensor) -> Batch:
    """Return a labelled batch."""
    everything = torch.ones(SAMPLES, dtype=torch.bool)
    return Batch(image, target, {}, everything, torch.ones(SAMPLES, 2), ["x"] * SAMPLES, torch.arange(SAMPLES))


def make_method(*descriptors: str) -> ShapeDescriptors:
    """Return the method, prepared."""
    method = ShapeDescriptors(descriptors)
    task = Task("benchmark", "1", ("background", "a", "b", "c"))
    stage = SimpleNamespace(task=task, dims=2, device=torch.device("cpu"), samples=0)
    method.prepare(cast("Stage", stage))
    return method


def plain_length(p: torch.Tensor) -> torch.Tensor:
    """Return the length by shifted absolute differences, ``(B, K)``."""
    total: Any = 0
    for offset in offsets(p.ndim - 2):
        first, second = regions(offset)
        total = total + (p[(..., *first)] - p[(..., *second)]).abs().flatten(2).sum(2)
    return cast("torch.Tensor", total)


def plain_describe(p: torch.Tensor) -> list[torch.Tensor]:
    """Return volume, centroid, spread and length by einsum over coordinate grids."""
    grids = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")).float()
    mass = torch.einsum("bkhw->bk", p)
    safe = mass.clamp(min=1e-3)[..., None]
    centroid = torch.einsum("bkhw,dhw->bkd", p, grids) / safe
    shifted = (grids[None, None] - centroid[..., None, None]) ** 2
    spread = ((torch.einsum("bkhw,bkdhw->bkd", p, shifted) / safe) + 1e-8).sqrt()
    return [mass[..., None], centroid, spread, plain_length(p)[..., None]]


def plain_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the constraints' loss in the plain formulation."""
    with torch.no_grad():
        truth = plain_describe(F.one_hot(target, LABELS).movedim(-1, 1).float())
    total = logits.new_zeros(())
    for found, tau in zip(plain_describe(logits.softmax(1)), truth, strict=True):
        found, tau = found[:, 1:], tau[:, 1:]
        total = total + (log_barrier(0.9 * tau - found, 1.0) + log_barrier(found - 1.1 * tau, 1.0)).sum()
    return 0.01 * total / (SAMPLES * SIZE * SIZE)


def loss_variants(layout: str) -> tuple[torch.Tensor, dict[str, Pass]]:
    """Return the leaf and the losses to compare."""
    torch.manual_seed(0)
    leaf = torch.randn(SAMPLES, LABELS, SIZE, SIZE)
    leaf = leaf.to(memory_format=torch.channels_last) if layout == "channels-last" else leaf
    leaf.requires_grad_()
    batch = make_batch(leaf, discs())
    moments, method = make_method(*FOUR[:3]), make_method(*FOUR)
    return leaf, {
        "cross-entropy": lambda: F.cross_entropy(leaf, batch.target),
        "plain V C D L": lambda: plain_loss(leaf, batch.target),
        "V C D": lambda: cast("torch.Tensor", sum(moments.loss(batch, leaf).values())),
        "V C D L": lambda: cast("torch.Tensor", sum(method.loss(batch, leaf).values())),
    }


def length_variants() -> tuple[torch.Tensor, dict[str, Pass]]:
    """Return the leaf and the lengths to compare."""
    torch.manual_seed(0)
    leaf = torch.randn(1, LABELS, 64, 64, 64).softmax(1).requires_grad_()
    return leaf, {"plain": lambda: plain_length(leaf).sum(), "length": lambda: length(leaf).sum()}


def step_variants() -> dict[str, Callable[[], None]]:
    """Return training steps of one ENet to compare."""
    torch.manual_seed(0)
    module = ENetModule(1, LABELS).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(module.parameters(), 5e-4)
    target = discs()
    image = (torch.randn(SAMPLES, 1, SIZE, SIZE) + target[:, None]).contiguous(memory_format=torch.channels_last)
    batch, method = make_batch(image, target), make_method(*FOUR)

    def step(objective: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            optimizer.zero_grad()
            objective(module(image)).backward()
            optimizer.step()

        return run

    return {
        "cross-entropy": step(lambda logits: F.cross_entropy(logits, target)),
        "V C D L": step(lambda logits: cast("torch.Tensor", sum(method.loss(batch, logits).values()))),
        "plain V C D L": step(lambda logits: plain_loss(logits, target)),
        "no loss (sum)": step(lambda logits: logits.sum()),
    }


def passes(leaf: torch.Tensor, variants: dict[str, Pass]) -> dict[str, Callable[[], None]]:
    """Return forward and backward passes."""

    def run(forward: Pass) -> Callable[[], None]:
        def once() -> None:
            leaf.grad = None
            forward().backward()

        return once

    return {name: run(forward) for name, forward in variants.items()}


def compare(title: str, variants: dict[str, Callable[[], None]], repeats: int) -> None:
    """Print medians and ratios to the first variant."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, median in medians.items():
        print(f"  {name:16s} {1e3 * median:8.1f} ms   {median / first:6.3f} x")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for layout in ("contiguous", "channels-last"):
        title = f"loss alone, {SAMPLES}x{LABELS}x{SIZE}x{SIZE}, {layout}"
        if options.only in title:
            compare(title, passes(*loss_variants(layout)), options.repeats)
    title = f"training step of ENet, {SAMPLES}x{LABELS}x{SIZE}x{SIZE}"
    if options.only in title:
        compare(title, step_variants(), options.repeats)
    title = "length in 3D, 4x64x64x64"
    if options.only in title:
        compare(title, passes(*length_variants()), options.repeats)


if __name__ == "__main__":
    main()
