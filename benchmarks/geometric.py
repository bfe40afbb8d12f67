"""How fast the geometric constraints are: an iteration, its convergence, a training step; ratios within one run.

python benchmarks/geometric.py [--threads 1] [--repeats 9] [--device cpu] [--only iteration|convergence|step|training]

- iteration: one Douglas-Rachford iteration, batch 6 of 256 x 152, against the printed operators in NumPy with SciPy's
  ``dctn`` and against a prefactored sparse solve.
- convergence: iterations to a relative distance of 1e-2 and 1e-3 from the optimum, for several gamma and lambda.
- step: a whole ADMM step against the plain step of the same network.
- training: how far u is from the exact solution, and what training comes to, by iterations per step (some minutes).

Variants take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import fft, sparse
from scipy.sparse.linalg import splu

from segbench import Batch, Task
from segbench_geometric import douglas_rachford, edge_detector
from segbench_geometric.method import Geometric
from segbench_geometric.network import SUNet
from segbench_geometric.operators import solve_by_fast_transform, solve_by_matrices
from segbench_geometric.splitting import Problem, Splitting

SIZE = (256, 152)
SETTINGS = ((1.0, 1.0), (1.0, 1.8), (0.3, 1.5), (0.3, 1.8), (0.1, 1.5), (0.1, 1.8))


def masks(count: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Return discs of random place and radius, bool ``(count, *size)``."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(*[torch.arange(n) for n in size], indexing="ij")
    draw = torch.rand((count, 3, 1, 1), generator=generator)
    far = (rows - size[0] * (0.35 + 0.3 * draw[:, 0])) ** 2 + (columns - size[1] * (0.35 + 0.3 * draw[:, 1])) ** 2
    return far < (min(size) * (0.12 + 0.12 * draw[:, 2])) ** 2


def problem(count: int, size: tuple[int, int], device: str = "cpu") -> Problem:
    """Return a sub-problem as training meets it: noisy probabilities and a small dual."""
    generator = torch.Generator().manual_seed(1)
    mask = masks(count, size).float()
    noise = torch.rand((2, *mask.shape), generator=generator) - 0.5
    data = (0.8 * mask + 0.1 + 0.3 * noise[0]).clamp(0, 1) + 0.5 * noise[1]
    return Problem(*(value.to(device) for value in (data, edge_detector(mask, 10.0), mask.flatten(1).sum(1))), mu=0.5)


class Printed:
    """The printed operators one by one in NumPy, P_C2 by SciPy's ``dctn``: the peer of one iteration."""

    def __init__(self, task: Problem, gamma: float, relaxation: float) -> None:
        self.data, self.weight, self.area = (value.numpy() for value in (task.data, task.weight, task.area))
        self.mu, self.gamma, self.relaxation = task.mu, np.float32(gamma), np.float32(relaxation)
        self.u, self.v, self.z = self.data.copy(), self.data.copy(), [np.zeros_like(self.data) for _ in range(2)]
        rows, columns = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in self.data.shape[1:])
        self.spectrum = (1 + rows[:, None] + columns).astype(np.float32)

    def step(self) -> None:
        u, v, z, gamma, relaxation = self.u, self.v, self.z, self.gamma, self.relaxation
        right = u.copy()
        right[:, :-1] -= z[0][:, :-1]
        right[:, 1:] += z[0][:, :-1]
        right[:, :, :-1] -= z[1][:, :, :-1]
        right[:, :, 1:] += z[1][:, :, :-1]
        smooth = fft.idctn(fft.dctn(right, axes=(1, 2), norm="ortho") / self.spectrum, axes=(1, 2), norm="ortho")
        slope = [np.zeros_like(u) for _ in range(2)]
        slope[0][:, :-1] = smooth[:, 1:] - smooth[:, :-1]
        slope[1][:, :, :-1] = smooth[:, :, 1:] - smooth[:, :, :-1]
        level = v + ((self.area - v.sum((1, 2))) / v[0].size)[:, None, None]
        pull = np.float32(self.mu) * gamma
        common = ((pull * self.data + 2 * smooth - u + 2 * level - v) / (pull + 2)).clip(0, 1)
        turned = [2 * x - y for x, y in zip(slope, z, strict=True)]
        length = np.sqrt(turned[0] ** 2 + turned[1] ** 2)
        kept = np.maximum(length - gamma * self.weight, 0) / np.maximum(length, np.float32(1e-30))
        self.u = u + relaxation * (common - smooth)
        self.v = v + relaxation * (common - level)
        self.z = [y + relaxation * (kept * r - x) for y, r, x in zip(z, turned, slope, strict=True)]


def sparse_solve(size: tuple[int, int]) -> Callable[..., torch.Tensor]:
    """Return a solve of (I + grad^T grad) by a sparse LU factorisation made beforehand."""

    def differences(n: int) -> Any:
        return sparse.diags([np.r_[-np.ones(n - 1), 0], np.ones(n - 1)], [0, 1])

    rows, columns = (differences(n) for n in size)
    laplace = sparse.kron(rows.T @ rows, sparse.eye(size[1])) + sparse.kron(sparse.eye(size[0]), columns.T @ columns)
    factor = splu((sparse.eye(size[0] * size[1]) + laplace).tocsc())

    def solve(out: torch.Tensor, right: torch.Tensor, spare: torch.Tensor) -> torch.Tensor:
        solution = factor.solve(right.flatten(1).double().numpy().T)
        return out.copy_(torch.from_numpy(solution.T).view_as(out))

    return solve


def wait(device: str) -> None:
    """Let the device finish, so that what is timed has happened."""
    if device == "cuda":
        torch.cuda.synchronize()


def medians(variants: dict[str, Callable[[], Any]], repeats: int, device: str, inner: int = 1) -> dict[str, float]:
    """Return median milliseconds; variants take turns. On one CPU thread the process's own time, which others on the
    machine disturb less; else that of the clock on the wall.
    """
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name, run in variants.items():
            wait(device)
            start = clock()
            for _ in range(inner):
                run()
            wait(device)
            if turn > 0:
                seconds[name].append((clock() - start) / inner)
    return {name: 1e3 * statistics.median(times) for name, times in seconds.items()}


def iteration(options: argparse.Namespace) -> None:
    """Print one iteration of every variant and the agreement of their iterates."""
    task = problem(6, SIZE, options.device)
    ours = Splitting(task, 0.3, 1.8)
    others = {"torch, matrix products": Splitting(task, 0.3, 1.8, solve=solve_by_matrices)}
    printed = Printed(problem(6, SIZE), 0.3, 1.8)
    if options.device == "cpu":
        others["torch, SciPy dctn"] = Splitting(task, 0.3, 1.8, solve=solve_by_fast_transform)
        others["torch, prefactored sparse"] = Splitting(task, 0.3, 1.8, solve=sparse_solve(SIZE))
    variants = {"ours": ours.step, **{name: one.step for name, one in others.items()}}
    times = medians(variants | {"printed, NumPy + SciPy dctn": printed.step}, options.repeats, options.device, 5)
    print(f"\none Douglas-Rachford iteration, batch 6 of 256x152, float32, {options.device}")
    for name, value in times.items():
        print(f"  {name:30s} {value:8.2f} ms {value / times['ours']:6.2f} x ours")
    gap = max(float((ours.start() - one.start()).abs().max()) for one in others.values())
    gap = max(gap, float(np.abs(ours.start()[:, 0].cpu().numpy() - printed.u).max()))
    print(f"  largest difference of the iterates after as many steps: {gap:.1e}")


def convergence(options: argparse.Namespace) -> None:
    """Print iterations to 1e-2 and 1e-3 of the optimum, and the curve at a few iterations."""
    for size in ((32, 32), SIZE):
        task = problem(2, size, options.device)
        best, _ = douglas_rachford(
            task.data, torch.zeros_like(task.data), task.weight, task.area, gamma=0.1, relaxation=1.8,
            iterations=6000, tolerance=1e-7,
        )  # fmt: skip
        print(f"\nrelative distance of u from the optimum, {size[0]}x{size[1]}, batch 2")
        marks = (5, 10, 20, 50, 100, 200, 500, 1000)
        print(f"  gamma lambda  to 1e-2  to 1e-3   {'  '.join(f'{mark:7d}' for mark in marks)}")
        for gamma, relaxation in SETTINGS:
            splitting, curve = Splitting(task, gamma, relaxation), []
            for _ in range(2000):
                splitting.step()
                curve.append(float((splitting.solution - best).norm() / best.norm()))
            reached = [next((str(n + 1) for n, gap in enumerate(curve) if gap <= goal), "-") for goal in (1e-2, 1e-3)]
            values = "  ".join(f"{curve[mark - 1]:7.1e}" for mark in marks)
            print(f"  {gamma:5.2f} {relaxation:6.2f} {reached[0]:>8s} {reached[1]:>8s}   {values}")


class Samples:
    """Make-believe samples of noisy discs, and the stage that a method sees."""

    def __init__(
        self, count: int, size: tuple[int, int], batch: int, folder: Path, device: str, noise: float, seed: int = 2
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        mask = masks(count, size, seed)
        self.target = mask.long().to(device)
        self.image = (mask + noise * torch.randn(mask.shape, generator=generator))[:, None].to(device)
        self.batch, self.device = batch, torch.device(device)
        self.stage = SimpleNamespace(
            task=Task("discs", "1", ("background", "disc")), dims=2, folder=folder, samples=count, device=self.device,
            batches=self.batches, generator=lambda purpose: torch.Generator().manual_seed(0),
        )  # fmt: skip

    def batches(self) -> Iterator[Batch]:
        """Yield one pass."""
        for rows in torch.arange(len(self.target)).split(self.batch):
            yield Batch(self.image[rows], self.target[rows], {}, torch.ones(len(rows), dtype=torch.bool),
                        torch.ones(len(rows), 2), ["disc"] * len(rows), rows)  # fmt: skip


class Trainer:
    """The host's step, in small: loss, gradient, update, ``after_step``."""

    def __init__(self, samples: Samples, method: Geometric, precision: str, rate: float = 1e-3) -> None:
        torch.manual_seed(0)
        self.module = SUNet().build(1, 2).to(samples.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.module.parameters(), rate, momentum=0.9, nesterov=True)
        self.method, self.precision = method, precision
        method.prepare(samples.stage)  # type: ignore[arg-type]

    def call(self, image: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: torch.Tensor = self.module(image.contiguous(memory_format=torch.channels_last))
        return logits

    def forward(self, batch: Batch) -> torch.Tensor:
        """Run the network without gradient."""
        with torch.no_grad():
            return self.call(batch.image)

    def step(self, batch: Batch) -> None:
        """Carry out a step."""
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.call(batch.image)
        sum(self.method.loss(batch, logits).values()).backward()  # type: ignore[union-attr]
        self.optimizer.step()
        self.method.after_step(SimpleNamespace(batch=batch, skipped=False, forward=lambda: self.forward(batch)))  # type: ignore[arg-type]


def step(options: argparse.Namespace) -> None:
    """Print a whole ADMM step against the plain step, in both precisions."""
    for precision in ("float32", "bf16"):
        with tempfile.TemporaryDirectory() as folder:
            samples = Samples(6, SIZE, 6, Path(folder), options.device, 1.0)
            compare_steps(samples, precision, options)


def compare_steps(samples: Samples, precision: str, options: argparse.Namespace) -> None:
    """Print the steps on one batch, in which every sample shows the organ: the most costly case."""
    batch = next(samples.batches())
    methods = {"plain (mu = 0)": Geometric(mu=0.0), "ADMM, default": Geometric()}
    methods |= {f"ADMM, {n} iterations": Geometric(iterations=n, tolerance=0.0) for n in (1, 20)}
    trainers = {name: Trainer(samples, method, precision) for name, method in methods.items()}
    variants: dict[str, Callable[[], Any]] = {name: partial(one.step, batch) for name, one in trainers.items()}
    variants["(second forward pass)"] = partial(trainers["ADMM, default"].forward, batch)
    times = medians(variants, options.repeats, options.device)
    print(f"\na training step of sunet, batch 6 of 256x152, {precision}, every sample shows the organ")
    for name, value in times.items():
        print(f"  {name:24s} {value:8.1f} ms {value / times['plain (mu = 0)']:6.2f} x plain")


def training(options: argparse.Namespace) -> None:
    """Print how exact few iterations are while a network trains, and what it comes to."""
    print("\ntraining on 24 noisy discs 64x64, batch 6, 20 epochs; u against the exact solution for the same p and w")
    print("  iterations  distance of u, epoch 1, 5, 10, 20    |p - u|   Dice (held out)   extra voxels far away")
    for iterations in (0, 1, 3, 10, 30, 100):
        with tempfile.TemporaryDirectory() as folder:
            samples = Samples(24, (64, 64), 6, Path(folder), options.device, 2.0)
            method = Geometric(mu=0.0) if iterations == 0 else Geometric(iterations=iterations, tolerance=0.0)
            trainer, distances, apart = Trainer(samples, method, "float32", 1e-2), [], 0.0
            for epoch in range(20):
                for batch in samples.batches():
                    trainer.step(batch)
                if epoch + 1 in (1, 5, 10, 20) and iterations:
                    gap, apart = inexactness(trainer, batch)
                    distances.append(gap)
            dice, far = held_out(trainer, options.device)
        gaps = "  ".join(f"{gap:8.4f}" for gap in distances)
        print(f"  {iterations:10d}  {gaps:38s} {apart:7.3f} {dice:12.4f} {far:16.2f}", flush=True)


def inexactness(trainer: Trainer, batch: Batch) -> tuple[float, float]:
    """Carry out the next update with the method's iterations and exactly; return their distance and |p - u|."""
    method = trainer.method
    store = method.store_
    assert store is not None
    old = {name: store.read(name, batch.sample_ids) for name in store.files}
    p = trainer.forward(batch).float().softmax(1)[:, 1]
    mask = (batch.target == 1).float()
    given = (p, old["pair"][:, 1, 0].to(p), edge_detector(mask, method.beta), mask.flatten(1).sum(1), method.mu)
    start = old["start"][:, 0].to(p)
    few, _ = douglas_rachford(*given, method.gamma, method.relaxation, method.iterations, 0.0, start)
    exact, _ = douglas_rachford(*given, 0.3, 1.8, 3000, 1e-6, start)
    return float((few - exact).norm() / exact.norm()), float((p - exact).square().mean().sqrt())


def held_out(trainer: Trainer, device: str) -> tuple[float, float]:
    """Return Dice and the mean number of false voxels farther than 5 voxels from the truth on fresh discs."""
    from scipy import ndimage

    with tempfile.TemporaryDirectory() as folder:
        fresh = Samples(48, (64, 64), 48, Path(folder), device, 2.0, seed=99)
        batch = next(fresh.batches())
        found = trainer.forward(batch).argmax(1).cpu().numpy() > 0
    truth = batch.target.cpu().numpy() > 0
    far = [(one & (ndimage.distance_transform_edt(~other) > 5)).sum() for one, other in zip(found, truth, strict=True)]
    dice = 2 * (found & truth).sum((1, 2)) / (found.sum((1, 2)) + truth.sum((1, 2)))
    return float(dice.mean()), float(np.mean(far))


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for part in (iteration, convergence, step, training):
        if options.only in part.__name__:
            part(options)


if __name__ == "__main__":
    main()
