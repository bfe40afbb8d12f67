"""The main job and real hippocampi, measured: seconds per stage, validation curve, and what the prior changes.

Run ``python benchmarks/training.py`` for the phantom (``nonadj`` against ``ce_dice``, same seed and budget) and
``python benchmarks/training.py --data FOLDER`` for a folder of the Medical Segmentation Decathlon with ``unet3d``.
Absolute seconds depend on the machine; the comparison is within one run of this script.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

import segbench


def measure(config: segbench.RunConfig, root: Path) -> None:
    """Run one configuration and print its stages, its curve and its mean scores."""
    begin = time.perf_counter()
    outcome = segbench.run(config, results_root=root)
    wall = time.perf_counter() - begin
    record = json.loads((outcome.folder / "run.json").read_text())
    print(f"\n{config.method.name} on {config.dataset.name}, {config.network.name}, seed {config.seed}")
    print(f"  {record['parameters']:,} parameters, {record['training']['steps']} steps, {record['hardware']['name']}")
    stages = ", ".join(f"{name} {value:.1f} s" for name, value in outcome.seconds.items())
    print(f"  {stages}; all {wall:.1f} s; peak {record['peak_memory_bytes'] / 2**30:.2f} GiB")
    history = pq.read_table(outcome.folder / "history.parquet").to_pylist()
    seconds = {row["epoch"]: row["value"] for row in history if row["name"] == "seconds"}
    curve = [f"{seconds[row['epoch']]:.0f} s {row['value']:.3f}" for row in history if row["name"] == "val/dice"]
    print(f"  validation Dice after: {', '.join(curve)}")
    values: dict[str, list[float]] = {}
    for row in segbench.read_scores(outcome.folder).to_pylist():
        if row["value"] is not None:
            values.setdefault(row["metric"], []).append(row["value"])
    print("  test: " + ", ".join(f"{name} {statistics.fmean(found):.4f}" for name, found in values.items()))


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a Decathlon task folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    choice = segbench.Choice
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data:
            dataset = choice("decathlon", {"path": str(arguments.data)})
            config = segbench.RunConfig(dataset, choice("unet3d"), choice("ce_dice"), seed=arguments.seed)
            measure(config, Path(folder))
            return
        for method in ("ce_dice", "nonadj"):
            config = segbench.RunConfig(choice("brain"), choice("unet25d"), choice(method), seed=arguments.seed)
            measure(config, Path(folder))


if __name__ == "__main__":
    main()
