"""How long `segbench evaluate` takes over folders, reading included, what bounds it, and what it took before.

    python benchmarks/evaluate.py                                   # 1,000 cases of hippocampus size, 1 and 2 processes
    python benchmarks/evaluate.py --data shared/data --cases 260    # real label maps, disturbed
    python benchmarks/evaluate.py --kind pictures --cases 10000     # 2D masks as PNG; --kind organs, small-body, body
    python benchmarks/evaluate.py --kind body --before OTHER        # beside another checkout: ratio, equal values?

Each repetition starts the command afresh, as a user would. Seconds are those of the processor, of all processes
together; for several processes the wall counts, too. The shares of reading, scoring and everything else are measured in
one process over a sample of the same files, and so is surface-distance where it is installed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from bodies import four_organs, picture, whole_body
from metrics import METRICS, Pair, ellipsoids, installed, surface_distance
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from segbench import LabelMap, Task, read_label_map, write_label_map
from segbench.files.filenames import content_hash
from segbench.scoring.metrics import score_case

SHAPE = (36, 50, 35)
NAMES = "dice,hd,hd95,assd,nsd"
KINDS = {"hippocampus": 1000, "pictures": 1000, "organs": 6, "small-body": 1, "body": 1}
"""Folders that can be made, and how many cases they have unless more are asked for."""


def write_cases(folder: Path, kind: str, number: int, data: Path | None) -> None:
    """Write references and predictions; a few different pairs over and over, or real ones."""
    spacing, ending = (1.0, 1.0, 1.0), ".nii.gz"
    if kind == "pictures":
        pairs, ending = [picture(seed) for seed in range(40)], ".png"
    elif kind == "organs":
        pairs, spacing = [four_organs(case, data) for case in range(min(3, number))], (1.25, 0.7, 0.7)
    elif kind == "small-body":
        pairs, spacing = [whole_body((400, 300, 300), data)], (1.5, 1.5, 1.5)
    elif kind == "body":
        pairs, spacing = [whole_body((600, 512, 512), data)], (1.5, 0.98, 0.98)
    elif data is not None:
        files = sorted((data / "msd_hippocampus").rglob("labelsTr/hippocampus*.nii.gz"))
        truths = [read_label_map(path).array.astype(np.uint8) for path in files[:number]]
        pairs = [(disturbed(truth, seed), truth) for seed, truth in enumerate(truths)]
    else:
        pairs = [(ellipsoids(SHAPE, 2, 0.15, 2 * seed), ellipsoids(SHAPE, 2, 0.15, 2 * seed + 1)) for seed in range(20)]
    for case in range(number):
        for part, array in zip(("p", "t"), pairs[case % len(pairs)], strict=True):
            path = folder / part / f"case_{case:05}{ending}"
            path.parent.mkdir(exist_ok=True)
            if ending == ".png":
                Image.fromarray(array).save(path)
            else:
                write_label_map(path, LabelMap(array, spacing))


def disturbed(truth: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Move parts of a label map by a voxel."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(truth.shape), 1.5)
    return np.where(noise > 0.05, np.roll(truth, 1, axis=1), truth)


class Taken(NamedTuple):
    """What a command took, and its scores."""

    processor: float
    wall: float
    scores: list[tuple[object, ...]]


def command(folder: Path, jobs: int, checkout: Path) -> Taken:
    """Run the command of a checkout in a process of its own with fresh results."""
    environment = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'plugins'}", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "segbench", "evaluate", str(folder / "p"), str(folder / "t"), "--name", "m"]
    words += ["--dataset", "d", "--metrics", NAMES, "--jobs", str(jobs), "--json"]
    with tempfile.TemporaryDirectory() as results:
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        where = {"env": environment, "cwd": results}
        subprocess.run([*words, "--results", results], check=True, stdout=subprocess.DEVNULL, **where)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        columns = ["case_id", "label_name", "metric", "value"]
        table = pq.read_table(next(Path(results).rglob("scores.parquet")), columns=columns, partitioning=None)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = sorted(zip(*table.to_pydict().values(), strict=True), key=lambda row: row[:3])
    return Taken(processor, wall, rows)


def shares(folder: Path, number: int) -> dict[str, float]:
    """Return milliseconds per case of hashing, reading and scoring, and of surface-distance without reading."""
    taken = dict.fromkeys(("hashing", "reading", "scoring"), 0.0)
    peer = installed({"surface_distance": surface_distance})
    for path in sorted((folder / "p").iterdir())[:number]:
        marks = [time.process_time()]
        content_hash(path), content_hash(folder / "t" / path.name)
        marks.append(time.process_time())
        predicted, truth = read_label_map(path), read_label_map(folder / "t" / path.name)
        marks.append(time.process_time())
        labels = int(truth.array.max())
        task = Task("benchmark", "1", ("background", *(str(value) for value in range(1, labels + 1))))
        score_case(predicted, truth, task, METRICS)
        marks.append(time.process_time())
        if peer and labels < 100:
            arrays, sides = (
                (predicted.array.squeeze(), truth.array.squeeze()),
                truth.spacing[-truth.array.squeeze().ndim :],
            )
            surface_distance(Pair(path.name, *arrays, sides, labels))  # type: ignore[arg-type]
            marks.append(time.process_time())
        spans = [1e3 * (stop - start) for start, stop in itertools.pairwise(marks)]
        for name, span in zip((*list(taken)[:3], "surface-distance"), spans, strict=False):
            taken[name] = taken.get(name, 0.0) + span / number
    return taken


def main() -> None:
    """Print seconds per folder for one and two processes, the ratio to another checkout, and the shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, default="hippocampus")
    parser.add_argument("--cases", type=int, help="cases in the folder")
    parser.add_argument("--data", type=Path, help="folder with msd_hippocampus and ct_totalsegmentator")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--before", type=Path, help="another checkout of segbench to compare with")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions; medians are printed")
    options = parser.parse_args()
    number = options.cases or KINDS[options.kind]
    here = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cases(folder, options.kind, number, options.data)
        runs: dict[tuple[Path, int], list[Taken]] = {(here, jobs): [] for jobs in options.jobs}
        if options.before:
            runs[options.before.resolve(), options.jobs[0]] = []
        for _ in range(options.repeats):
            for (checkout, jobs), taken in runs.items():
                taken.append(command(folder, jobs, checkout))
        first = runs[here, options.jobs[0]]
        for (checkout, jobs), taken in runs.items():
            processor, wall = (statistics.median(one[column] for one in taken) for column in (0, 1))
            ratio = statistics.median(one.processor / mine.processor for one, mine in zip(taken, first, strict=True))
            faster = statistics.median(mine.wall / one.wall for one, mine in zip(taken, first, strict=True))
            what, same = "before" if checkout != here else f"--jobs {jobs}", taken[0].scores == first[0].scores
            print(f"{number} {options.kind}, {what}: {processor:.2f} s of the processor, wall {wall:.2f} s;")
            print(f"   {1e3 * processor / number:.2f} ms a case, {ratio:.2f} times the first line's, ", end="")
            print(f"{faster:.2f} times as fast by the clock; values equal: {same}")
        print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")
        parts = shares(folder, min(300, number))
        print("in one process, ms a case: " + ", ".join(f"{part} {span:.2f}" for part, span in parts.items()))


if __name__ == "__main__":
    main()
