"""Speed of the leaderboard: ten million rows, against DuckDB's plain aggregate if it is installed, and the bootstrap.

python benchmarks/leaderboard.py [--rows 10000000] [--repeat 3] [--folder /tmp/segbench-benchmark]

CPU seconds (user and system) of processes of their own that take turns, medians; 100000000 rows need 1 GB of disk.
Targets: 10^7 rows at most twice DuckDB's CPU, above start-up; 10^8 rows at most 8 s and 1 GiB where DuckDB takes 3.8 s.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from segbench.ranking.boards import Request
from segbench.ranking.bootstrap import draw
from segbench.ranking.leaderboard import rank_scores
from segbench.results import write_json, write_table
from segbench.score_table import SCHEMA

METHODS, SEEDS, CASES, LABELS = 20, 3, 300, 31


def coded(codes: np.ndarray, words: list[str | None]) -> pa.Array:
    """Return a dictionary-encoded column."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(words, pa.string()))


def make(folder: Path, metrics: int) -> int:
    """Write runs of made-up scores; return the number of rows."""
    generator = np.random.default_rng(0)
    rows = CASES * LABELS * metrics
    case = np.repeat(np.arange(CASES), LABELS * metrics)
    label = np.tile(np.repeat(np.arange(LABELS), metrics), CASES)
    metric = np.tile(np.arange(metrics), CASES * LABELS)
    constant = np.zeros(rows, dtype=np.int32)
    for m in range(METHODS):
        for seed in range(SEEDS):
            gone = generator.random(rows) < 0.002
            words = {
                "run_id": f"run{m:02d}{seed}",
                "dataset": "big",
                "method": f"method{m:02d}",
                "arm": "method",
                "variant": "",
                "decision": "",
                "truth": "",
                "family": "",
                "build": "",
            }
            words |= {"dataset_revision": "1", "network": "unet3d", "metric_version": "1", "unit": ""}
            words |= {"source": "trained", "supervision": "masks"}
            columns = {name: coded(constant, [word]) for name, word in words.items()}
            columns |= {
                "rater": pa.array([None] * rows, pa.string()).dictionary_encode(),
                "status": coded(gone, ["ok", "pred_empty"]),
            }
            columns |= {"case_id": coded(case, [f"case{c:04d}" for c in range(CASES)])}
            columns |= {"group": columns["case_id"], "label": pa.array(label + 1)}
            columns |= {"label_name": coded(label, [f"structure {name}" for name in range(LABELS)])}
            columns |= {"metric": coded(metric, [f"metric{name:02d}" for name in range(metrics)])}
            columns |= {"better": coded(metric % 2, ["higher", "lower"])}
            columns |= {"seed": pa.array(np.full(rows, seed)), "fold": pa.array(np.zeros(rows, np.int64))}
            columns |= {"synthetic": pa.array(np.zeros(rows, bool)), "preference": pa.array(np.zeros(rows, np.int64))}
            columns |= {"value": pa.array(generator.random(rows) + 0.01 * m, mask=gone)}
            run = folder / "big" / words["method"] / words["run_id"]
            write_table(run / "scores.parquet", pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA))
            write_json(run / "run.json", {"run_id": words["run_id"]})
    return rows * METHODS * SEEDS


def cpu_of(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the median CPU seconds of a function in this process."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def command(*arguments: str) -> tuple[float, float]:
    """Run an interpreter; return its CPU seconds and its peak memory in GiB."""
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {child.returncode}; expected 0. Run it by hand.")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


DUCKDB = """
import sys, duckdb
duckdb.sql("SET threads = 1")
duckdb.sql("SELECT 1").fetchall() if len(sys.argv) < 2 else duckdb.sql(
    "SELECT method, label_name, metric, avg(value), stddev(value), count(*) "
    f"FROM '{sys.argv[1]}/*/*/*/scores.parquet' GROUP BY ALL"
).fetchall()
"""


def bootstrap_seconds() -> dict[str, float]:
    """Return CPU seconds of 1000 resamples of 20 methods x 300 cases x 3 metrics."""
    from segbench.ranking.chunks import Chunk, Scores
    from segbench.ranking.grid import COLUMNS

    k, c, q = (axis.ravel() for axis in np.meshgrid(np.arange(20), np.arange(300), np.arange(3), indexing="ij"))
    value = np.random.default_rng(0).random(k.size)
    codes: dict[str, int | np.ndarray] = dict.fromkeys(COLUMNS, 0)
    codes |= {
        "method": k.astype(np.int32),
        "case_id": c.astype(np.int32),
        "group": c.astype(np.int32),
        "metric": q.astype(np.int32),
    }
    words = {name: ["x"] for name in COLUMNS} | {"better": ["higher"], "status": ["ok"], "synthetic": [False]}
    words |= {"method": [f"m{i:02d}" for i in range(20)], "case_id": [f"c{i:03d}" for i in range(300)]}
    words["group"] = words["case_id"]
    words |= {
        "metric": ["p", "q", "r"],
        "arm": ["method"],
        "variant": [""],
        "seed": [0],
        "fold": [0],
        "preference": [0],
    }
    scores = Scores(words, [Chunk(k.size, codes, value)])
    return {
        scheme: cpu_of(lambda scheme=scheme: rank_scores(scores, Request(scheme=scheme, bootstrap=1000)))
        for scheme in ("rank-then-mean", "mean-then-rank", "rank-then-median", "test-then-rank")
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/segbench-benchmark"))
    options = parser.parse_args()
    metrics = max(1, round(options.rows / (METHODS * SEEDS * CASES * LABELS)))
    folder = options.folder / f"{metrics}"
    if not (folder / "big").exists():
        make(folder, metrics)
    small = options.folder / "small"
    if not small.exists():
        command("-m", "segbench", "import", str(_tiny(options.folder)), "--results", str(small))
    work = {
        "start-up": ("-m", "segbench", "leaderboard", "--results", str(small)),
        "leaderboard": ("-m", "segbench", "leaderboard", "--results", str(folder)),
    }
    if importlib.util.find_spec("duckdb") is not None:
        work |= {"DuckDB alone": ("-c", DUCKDB), "DuckDB": ("-c", DUCKDB, str(folder))}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(options.repeat):
        for name, arguments in work.items():
            runs[name].append(command(*arguments))
    cpu = {name: statistics.median(seconds for seconds, _ in found) for name, found in runs.items()}
    peak = {name: max(memory for _, memory in found) for name, found in runs.items()}
    rows = METHODS * SEEDS * CASES * LABELS * metrics
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {rows:,} rows, CPU seconds")
    above = cpu["leaderboard"] - cpu["start-up"]
    print(f"leaderboard {above:.2f} above start-up ({cpu['start-up']:.2f}), peak {peak['leaderboard']:.2f} GiB")
    if "DuckDB" in cpu:
        plain = cpu["DuckDB"] - cpu["DuckDB alone"]
        print(
            f"plain aggregate in DuckDB {plain:.2f} above start-up, peak {peak['DuckDB']:.2f} GiB: {above / plain:.1f}x"
        )
    for scheme, seconds in bootstrap_seconds().items():
        print(f"1000 resamples, 20 methods x 300 cases x 3 metrics, {scheme}: {seconds:.2f} s")
    drawn = draw(300, 1000, np.random.default_rng(0))
    print(f"(the draw itself: {cpu_of(lambda: draw(300, 1000, np.random.default_rng(0))):.3f} s for {drawn.shape})")


def _tiny(folder: Path) -> Path:
    file = folder / "tiny.csv"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"tiny,c{c},1,dice,higher,m{m},0,{0.5 + 0.1 * m + 0.01 * c},ok" for c in range(3) for m in range(2)]
    file.write_text("dataset,case,label,metric,better,method,seed,value,status\n" + "\n".join(lines) + "\n")
    return file


if __name__ == "__main__":
    main()
