"""One more metric for finished runs: `segbench score` beside `segbench evaluate` of the very same pairs, and a board.

    python benchmarks/score.py --data TASK_FOLDER [--cases 100] [--metric nsd] [--repeat 5]
    python benchmarks/score.py --board RESULTS [--metric hd]

With ``--data`` (a Medical Segmentation Decathlon task such as Task04_Hippocampus) a network is trained for one step and
predicts the cases; both commands then take turns, each from a fresh interpreter, and the ratio is of their CPU seconds.
With ``--board`` the metric is added to copies of all finished runs of one dataset, and the time is compared with what
their training took.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def cpu_seconds(arguments: list[str]) -> float:
    """Return the CPU seconds of `segbench` with these arguments, its processes included."""
    with subprocess.Popen(
        [sys.executable, "-m", "segbench", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1):
        raise RuntimeError(f"segbench {' '.join(arguments)} ended with {child.returncode}. Run it by hand.")
    return usage.ru_utime + usage.ru_stime


def trained(data: Path, cases: int, results: Path) -> tuple[Path, Path]:
    """Train for one step, predict ``cases`` cases; return the run's folder and one with their references."""
    labels = sorted((data / "labelsTr").glob("[!._]*.nii.gz"))
    names = [path.name.removesuffix(".nii.gz") for path in labels]
    split = {"train": names[:2], "val": [], "test": names[2 : 2 + cases]}
    (results / "split.json").write_text(json.dumps(split))
    command = [
        "run",
        "--method",
        "ce",
        "--dataset",
        "decathlon",
        "--set",
        f"dataset.path={data}",
        "--network",
        "unet3d",
    ]
    command += ["--epochs", "1", "--set", "recipe.steps_per_epoch=1", "--set", "recipe.validate_every=0"]
    command += ["--split", str(results / "split.json"), "--metric", "dice", "--device", "cpu"]
    cpu_seconds([*command, "--results", str(results)])
    (folder,) = (path.parent for path in results.rglob("run.json"))
    references = results / "references"
    references.mkdir()
    for path in labels[2 : 2 + cases]:
        shutil.copyfile(path, references / path.name)
    return folder, references


def against_evaluate(data: Path, cases: int, metric: str, repeat: int) -> None:
    """Print the CPU seconds of both commands and their ratio, pair by pair."""
    with tempfile.TemporaryDirectory() as room:
        results = Path(room)
        folder, references = trained(data, cases, results)
        kept = {name: (folder / name).read_bytes() for name in ("scores.parquet", "run.json")}
        ratios, times = [], []
        for turn in range(repeat + 1):
            score = cpu_seconds(["score", str(folder), "--metric", metric])
            for name, content in kept.items():  # as it was
                (folder / name).write_bytes(content)
            outside = ["evaluate", str(folder / "predictions"), str(references), "--name", "them", "--dataset", "d"]
            outside += ["--labels", "1,2", "--metrics", metric, "--results", str(results / f"turn{turn}")]
            evaluate = cpu_seconds(outside)
            if turn:  # the first turn warms the disk cache
                ratios.append(score / evaluate)
                times.append((score, evaluate))
    score, evaluate = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{cases} cases, {metric}: score {score:.2f} CPU s, evaluate {evaluate:.2f} CPU s")
    print(f"score / evaluate {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); target 1.3")


def on_a_board(results: Path, metric: str) -> None:
    """Print what one more metric costs beside the trainings of a board."""
    with tempfile.TemporaryDirectory() as room:
        copy = Path(room) / "results"
        shutil.copytree(results, copy, ignore=shutil.ignore_patterns(".cache"))
        records = [json.loads(path.read_text()) for path in copy.rglob("run.json")]
        training = sum(record["seconds"]["train"] for record in records if "train" in record.get("seconds", {}))
        spent = cpu_seconds(["score", "--metric", metric, "--results", str(copy)])
    share = spent / training if training else float("nan")
    print(f"{len(records)} runs: training {training:.0f} s, {metric} {spent:.1f} CPU s = {share:.2%}; target 2 %")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="task folder with imagesTr and labelsTr")
    parser.add_argument("--board", type=Path, help="results root")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--metric", default="nsd")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    if options.data is None and options.board is None:
        parser.error("expected --data TASK_FOLDER or --board RESULTS")
    if options.data is not None:
        against_evaluate(options.data.expanduser().absolute(), options.cases, options.metric, options.repeat)
    if options.board is not None:
        on_a_board(options.board, options.metric)


if __name__ == "__main__":
    main()
