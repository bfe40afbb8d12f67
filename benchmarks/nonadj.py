"""How fast the adjacency penalty and the pixel losses are, as ratios to the plain formulation in the same run.

python benchmarks/nonadj.py [--threads 2] [--repeats 7] [--only NAME]

The plain formulation is the published one: a depthwise box convolution and an einsum, differentiated by autograd; for
the pixel losses, torch's cross-entropy and a soft Dice on a one-hot tensor. Every figure is a forward and a backward
pass; variants take turns, and medians are compared. Memory is the growth of a fresh process's peak resident size over
the first pass, the probabilities themselves not counted.

The last comparison is with the step that the penalty is added to: the network unet3d on one patch of 64^3 with 40
labels, forward, cross-entropy and Dice, backward, AdamW, in bfloat16 as trained on the CPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from segbench import Choice, Geometry, load_catalogue, pixel_terms
from segbench_nonadj import contacts, penalty, soft_adjacency

SHAPES = {
    "4x256x256, 135 labels": (4, 135, 256, 256),
    "4x256x256, 40 labels": (4, 40, 256, 256),
    "64x64x64, 40 labels": (1, 40, 64, 64, 64),
    "64x64x64, 135 labels": (1, 135, 64, 64, 64),
}
PIXELS = (2, 32, 64, 80, 64)
PATCH = (1, 40, 64, 64, 64)
Pass = Callable[[], torch.Tensor]
Make = Callable[..., tuple[torch.Tensor, dict[str, Pass]]]


def plain_adjacency(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the soft adjacency by a depthwise convolution and an einsum."""
    labels, axes = probabilities.shape[1], probabilities.ndim - 2
    kernel = torch.full((labels, 1, *[3] * axes), 3.0**-axes)
    convolve = F.conv2d if axes == 2 else F.conv3d
    means = convolve(probabilities, kernel, padding=1, groups=labels)
    return torch.einsum("bin,bjn->ij", probabilities.flatten(2), means.flatten(2)) / probabilities[:, 0].numel()


def adjacency_variants(shape: tuple[int, ...]) -> tuple[torch.Tensor, dict[str, Pass]]:
    """Return the leaf and the passes to compare."""
    torch.manual_seed(0)
    leaf = torch.randn(shape).softmax(1).requires_grad_()
    forbidden = torch.rand(shape[1], shape[1]) < 0.6
    forbidden = (forbidden | forbidden.T).fill_diagonal_(False)
    count = forbidden.sum()

    def automatic(one: Pass) -> Pass:
        def run() -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return one()

        return run

    def soft() -> torch.Tensor:
        return soft_adjacency(leaf)[forbidden].sum() / count

    return leaf, {
        "plain": lambda: plain_adjacency(leaf)[forbidden].sum() / count,
        "soft_adjacency": soft,
        "penalty": lambda: penalty(leaf, forbidden),
        "soft_adjacency bf16": automatic(soft),
        "penalty bf16": automatic(lambda: penalty(leaf, forbidden)),
    }


def pixel_variants(layout: str) -> tuple[torch.Tensor, dict[str, Pass]]:
    """Return the logits and the passes to compare, cross-entropy plus Dice."""
    torch.manual_seed(0)
    leaf = torch.randn(PIXELS)
    if layout == "channels-last":
        leaf = leaf.to(memory_format=torch.channels_last_3d)
    leaf.requires_grad_()
    target = torch.randint(0, PIXELS[1], (PIXELS[0], *PIXELS[2:]))

    def plain() -> torch.Tensor:
        probabilities = leaf.softmax(1)
        truth = F.one_hot(target, PIXELS[1]).movedim(-1, 1).float()
        axes = (0, 2, 3, 4)
        dice = (2 * (probabilities * truth).sum(axes) + 1e-5) / (probabilities.sum(axes) + truth.sum(axes) + 1e-5)
        return F.cross_entropy(leaf, target) + 1 - dice[1:].mean()

    def ours() -> torch.Tensor:
        terms = pixel_terms(leaf, target)
        return terms.cross_entropy + terms.dice_loss()

    return leaf, {"plain": plain, "pixel_terms": ours}


def once(leaf: torch.Tensor, forward: Pass) -> float:
    """Return the seconds of one forward and backward pass."""
    leaf.grad = None
    start = time.perf_counter()
    forward().backward()
    return time.perf_counter() - start


def compare(title: str, leaf: torch.Tensor, variants: dict[str, Pass], memory: dict[str, float], repeats: int) -> None:
    """Print medians, ratios and the difference of value and gradient from the plain formulation."""
    values, gradients = {}, {}
    for name, forward in variants.items():
        once(leaf, forward)
        values[name], gradients[name] = float(forward().detach()), leaf.grad
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, forward in variants.items():
            seconds[name].append(once(leaf, forward))
    print(f"\n{title}")
    plain = statistics.median(seconds["plain"])
    for name, times in seconds.items():
        median = statistics.median(times)
        value = abs(values[name] / values["plain"] - 1)
        slope = float((gradients[name] - gradients["plain"]).abs().max() / gradients["plain"].abs().max())
        print(
            f"  {name:20s} {1e3 * median:8.1f} ms {plain / median:6.1f}x  {memory[name]:7.0f} MiB"
            f"   value {value:.1e}  gradient {slope:.1e}"
        )


def _resident(key: str) -> float:
    """Return a size from /proc/self/status in MiB: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def _peak(make: Make, argument: object, name: str, threads: int) -> float:
    torch.set_num_threads(threads)
    leaf, variants = make(argument)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _resident("VmRSS")
    once(leaf, variants[name])
    return _resident("VmHWM") - before


def peaks(make: Make, argument: object, threads: int) -> dict[str, float]:
    """Return the growth of the peak resident size in MiB by variant, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for name in make(argument)[1]:
        with context.Pool(1) as pool:
            found[name] = pool.apply(_peak, (make, argument, name, threads))
    return found


def network_step() -> Pass:
    """Return one training step of unet3d without the penalty, its losses included."""
    torch.manual_seed(0)
    size = (PATCH[2], PATCH[3], PATCH[4])
    network = load_catalogue().network(Choice("unet3d", {"patch": size})).adapt(Geometry(size, (1.0, 1.0, 1.0), size))
    module = network.build(1, PATCH[1]).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)
    image = torch.randn(PATCH[0], 1, *size).contiguous(memory_format=torch.channels_last_3d)
    target = torch.randint(0, PATCH[1], (PATCH[0], *size))

    def run() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            logits = module(image)
            terms = pixel_terms(logits, target)
            loss = terms.cross_entropy + terms.dice_loss()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    return run


def against_the_network(repeats: int) -> None:
    """Print what the penalty adds to a step of the network, in turns."""
    leaf, _ = adjacency_variants(PATCH)
    leaf = leaf.detach().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    forbidden = torch.rand(PATCH[1], PATCH[1]) < 0.6
    forbidden = (forbidden | forbidden.T).fill_diagonal_(False)
    step = network_step()
    passes: dict[str, Callable[[], object]] = {
        "network step": step,
        "penalty": lambda: once(leaf, lambda: penalty(leaf, forbidden)),
        "plain": lambda: once(leaf, lambda: plain_adjacency(leaf)[forbidden].sum() / forbidden.sum()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for turn in range(repeats + 1):
        for name, one in passes.items():
            start = time.perf_counter()
            one()
            if turn:  # the first of each warms up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print("\nunet3d, one patch of 64x64x64, 40 labels")
    for name, median in medians.items():
        print(f"  {name:20s} {1e3 * median:8.1f} ms   {median / medians['network step']:6.2f} of the network's step")


def count_contacts(repeats: int) -> None:
    """Print the time of the 26-neighbourhood contacts of a head-sized label map."""
    coarse = np.random.default_rng(0).integers(0, 32, (16, 18, 16))
    labels = np.pad(coarse.repeat(10, 0).repeat(10, 1).repeat(10, 2), 20).astype(np.int16)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        contacts(labels, 32, 26)
        seconds.append(time.perf_counter() - start)
    print(f"\ncontacts, 26-neighbourhood, {labels.shape}: {1e3 * statistics.median(seconds):.0f} ms")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for title, shape in SHAPES.items():
        if options.only in title:
            memory = peaks(adjacency_variants, shape, options.threads)
            compare(title, *adjacency_variants(shape), memory, options.repeats)
    for layout in ("contiguous", "channels-last"):
        title = f"cross-entropy + Dice, 2x64x80x64, 32 labels, {layout}"
        if options.only in title:
            compare(title, *pixel_variants(layout), peaks(pixel_variants, layout, options.threads), options.repeats)
    if options.only in "network":
        against_the_network(options.repeats)
    if options.only in "contacts":
        count_contacts(options.repeats)


if __name__ == "__main__":
    main()
