"""How long `segbench evaluate` takes over a folder of hippocampus-size cases, reading included, and what bounds it.

    python benchmarks/evaluate.py                                   # 1,000 made-up cases, one and two processes
    python benchmarks/evaluate.py --data shared/data --cases 260    # real label maps, disturbed

Each repetition starts the command afresh, as a user would, with Dice, HD, HD95, ASSD and NSD of two labels. The shares
of reading, scoring and everything else are measured in one process over a sample of the same files.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from metrics import METRICS, ellipsoids
from numpy.typing import NDArray
from scipy import ndimage

from segbench import LabelMap, Task, read_label_map, write_label_map
from segbench.files.filenames import content_hash
from segbench.scoring.metrics import score_case

SHAPE = (36, 50, 35)
NAMES = "dice,hd,hd95,assd,nsd"
TASK = Task("benchmark", "1", ("background", "1", "2"))


def write_cases(folder: Path, number: int, data: Path | None) -> None:
    """Write references and predictions; twenty different pairs over and over, or real ones."""
    if data is not None:
        files = sorted((data / "msd_hippocampus").rglob("labelsTr/hippocampus*.nii.gz"))
        truths = [read_label_map(path).array.astype(np.uint8) for path in files[:number]]
        pairs = [(disturbed(truth, seed), truth) for seed, truth in enumerate(truths)]
    else:
        pairs = [(ellipsoids(SHAPE, 2, 0.15, 2 * seed), ellipsoids(SHAPE, 2, 0.15, 2 * seed + 1)) for seed in range(20)]
    for case in range(number):
        for part, array in zip(("p", "t"), pairs[case % len(pairs)], strict=True):
            write_label_map(folder / part / f"case_{case:04}.nii.gz", LabelMap(array, (1.0, 1.0, 1.0)))


def disturbed(truth: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Move parts of a label map by a voxel."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(truth.shape), 1.5)
    return np.where(noise > 0.05, np.roll(truth, 1, axis=1), truth)


def seconds_of_command(folder: Path, jobs: int) -> float:
    """Run the command in a process of its own with fresh results; return its wall seconds."""
    command = [sys.executable, "-m", "segbench", "evaluate", str(folder / "p"), str(folder / "t"), "--name", "m"]
    command += ["--dataset", "d", "--metrics", NAMES, "--jobs", str(jobs), "--json"]
    with tempfile.TemporaryDirectory() as results:
        begun = time.perf_counter()
        subprocess.run([*command, "--results", results], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begun


def shares(folder: Path, number: int) -> dict[str, float]:
    """Return milliseconds per case of hashing, reading and scoring."""
    taken = dict.fromkeys(("hashing", "reading", "scoring"), 0.0)
    paths = sorted((folder / "p").iterdir())[:number]
    for path in paths:
        begun = time.perf_counter()
        content_hash(path), content_hash(folder / "t" / path.name)
        hashed = time.perf_counter()
        predicted, truth = read_label_map(path), read_label_map(folder / "t" / path.name)
        read = time.perf_counter()
        score_case(predicted, truth, TASK, METRICS)
        scored = time.perf_counter()
        for name, span in zip(taken, (hashed - begun, read - hashed, scored - read), strict=True):
            taken[name] += 1e3 * span / len(paths)
    return taken


def main() -> None:
    """Print seconds per folder for one and two processes, and the shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--data", type=Path, help="folder with msd_hippocampus")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3, help="repetitions; medians are printed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cases(folder, options.cases, options.data)
        runs = {jobs: [] for jobs in options.jobs}  # type: dict[int, list[float]]
        for _ in range(options.repeats):
            for jobs, taken in runs.items():
                taken.append(seconds_of_command(folder, jobs))
        for jobs, taken in runs.items():
            median = statistics.median(taken)
            print(f"{options.cases} cases, --jobs {jobs}: {median:.2f} s, {1e3 * median / options.cases:.2f} ms a case")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"largest process: {peak:.0f} MiB")
        parts = shares(folder, min(300, options.cases))
        print("in one process, ms a case: " + ", ".join(f"{part} {span:.2f}" for part, span in parts.items()))


if __name__ == "__main__":
    main()
