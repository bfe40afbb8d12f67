"""Sweeps, measured: two processes with a thread each against one with two; validation; a finished sweep recognised.

Run ``python benchmarks/sweeps.py``. The two ways to carry out one sweep (six methods on the brain phantom) take turns
in one run, each from nothing; wall time counts, so the load of the machine is printed. The other figures are ratios of
CPU seconds of one process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

METHODS = ("ce", "dice", "ce_dice", "geometric", "nonadj", "shape_descriptors")
"""All that work in the plane; those that share a helper would wait for one another."""
FINISHED = 1000


def sweep(root: Path, steps: int, threads: int, jobs: int) -> tuple[float, float, float]:
    """Carry out the sweep from nothing; return wall seconds, CPU seconds, and the load before it."""
    command = [sys.executable, "-m", "segbench", "run", "--out", str(root), "--dataset", "brain", "--epochs", "1"]
    command += ["--set", "dataset.cases=8", "--set", f"recipe.steps_per_epoch={steps}", "--metric", "dice"]
    command += ["--threads", str(threads), "--jobs", str(jobs), *(part for name in METHODS for part in ("-m", name))]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    load, begun, before = os.getloadavg()[0], time.perf_counter(), os.times()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, spent, load


def compare(rounds: int, steps: int) -> None:
    """Let the two ways take turns."""
    ways = {"one process, two threads": (2, 1), "two processes, one thread": (1, 2)}
    walls: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (threads, jobs) in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                wall, spent, load = sweep(Path(folder), steps, threads, jobs)
            walls[name].append(wall)
            print(f"  {name}: {wall:.1f} s, {spent:.1f} s of CPU, load {load:.1f}", flush=True)
    ratios = [one / two for one, two in zip(*walls.values(), strict=True)]
    print(f"six methods on the brain phantom: --jobs 2 is {statistics.median(ratios):.2f} times as fast")


def validation(steps: int) -> None:
    """Measure what validation takes of training where nobody reads it, and where every epoch is validated."""
    import segbench
    from segbench.training.loop import Engine

    spent = {"validation": 0.0, "epochs": 0.0}

    def timed(name: str, function: object) -> object:
        def call(*arguments: object) -> object:
            begun = time.process_time()
            try:
                return function(*arguments)  # type: ignore[operator]
            finally:
                spent[name] += time.process_time() - begun

        return call

    Engine.validate = timed("validation", Engine.validate)  # type: ignore[assignment,method-assign]
    Engine._epoch = timed("epochs", Engine._epoch)  # type: ignore[assignment,method-assign]
    choice = segbench.Choice
    for every in (1, None):
        spent.update(dict.fromkeys(spent, 0.0))
        recipe = segbench.Recipe(epochs=20, steps_per_epoch=steps, validate_every=every)
        config = segbench.RunConfig(
            choice("brain"), choice("unet25d"), choice("ce_dice"), metrics=(choice("dice"),), recipe=recipe
        )
        with tempfile.TemporaryDirectory() as folder:
            segbench.run(config, results_root=folder)
        share = spent["validation"] / (spent["epochs"] - spent["validation"])
        print(f"validate_every={every}: {share:.1%} of the time of training", flush=True)


def recognise() -> None:
    """Measure how long a finished sweep of a thousand cells takes to be recognised."""
    import segbench
    from segbench.assembly import Sources
    from segbench.sweeps.plan import look

    choice, catalogue = segbench.Choice, segbench.load_catalogue()
    recipe = segbench.Recipe(epochs=1, steps_per_epoch=1, batch=1)
    one = segbench.RunConfig(
        choice("brain", {"cases": 8}), choice("unet25d"), choice("ce"), metrics=(choice("dice"),), recipe=recipe
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = segbench.run(one, catalogue=catalogue, results_root=root)
        configs = [replace(one, seed=seed) for seed in range(FINISHED)]
        for cell in look(configs, Sources(catalogue, root)).cells[1:]:
            if cell.folder is None:
                sys.exit(cell.reason)
            shutil.copytree(made.folder, cell.folder, ignore=shutil.ignore_patterns("checkpoint"))
        begun, wall = time.process_time(), time.perf_counter()
        states = {cell.state for cell in look(configs, Sources(catalogue, root)).cells}
        spent = time.process_time() - begun, time.perf_counter() - wall
    print(f"{FINISHED} cells are {states}: {spent[0]:.1f} s of CPU, {spent[1]:.1f} s, start-up not counted", flush=True)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20, help="per epoch, in the sweep")
    parser.add_argument("--validation-steps", type=int, default=120, help="per epoch, where validation is measured")
    parser.add_argument("--only", choices=("sweep", "validation", "recognise"))
    arguments = parser.parse_args()
    if arguments.only in (None, "recognise"):
        recognise()
    if arguments.only in (None, "validation"):
        validation(arguments.validation_steps)
    if arguments.only in (None, "sweep"):
        compare(arguments.rounds, arguments.steps)


if __name__ == "__main__":
    main()
