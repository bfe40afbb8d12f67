"""Speed of the leaderboard: ten million rows, against DuckDB's plain aggregate if it is installed, and the bootstrap.

python benchmarks/leaderboard.py [--rows 10000000] [--folder /tmp/segbench-benchmark]
"""

from __future__ import annotations

import argparse
import os
import resource
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
from segbench.results import SCHEMA, write_json, write_table

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


def best(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest of some wall times, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def command(*arguments: str) -> None:
    """Run segbench in a process of its own."""
    subprocess.run([sys.executable, "-m", "segbench", *arguments], check=True, stdout=subprocess.DEVNULL)


def duckdb_aggregate(folder: Path) -> float | None:
    """Return the seconds of the plain aggregate in DuckDB, or None."""
    try:
        import duckdb
    except ImportError:
        return None
    query = (
        f"SELECT method, label_name, metric, avg(value), stddev(value), count(*) "
        f"FROM '{folder}/*/*/*/scores.parquet' GROUP BY ALL"
    )
    return best(lambda: duckdb.sql(query).fetchall())


def bootstrap_seconds() -> dict[str, float]:
    """Return seconds of 1000 resamples of 20 methods x 300 cases x 3 metrics."""
    from segbench.ranking.chunks import Chunk, Scores
    from segbench.ranking.grid import COLUMNS

    k, c, q = (axis.ravel() for axis in np.meshgrid(np.arange(20), np.arange(300), np.arange(3), indexing="ij"))
    value = np.random.default_rng(0).random(k.size)
    codes: dict[str, int | np.ndarray] = dict.fromkeys(COLUMNS, 0)
    codes |= {"method": k.astype(np.int32), "case_id": c.astype(np.int32), "metric": q.astype(np.int32)}
    words = {name: ["x"] for name in COLUMNS} | {"better": ["higher"], "status": ["ok"], "synthetic": [False]}
    words |= {"method": [f"m{i:02d}" for i in range(20)], "case_id": [f"c{i:03d}" for i in range(300)]}
    words |= {"metric": ["p", "q", "r"], "arm": ["method"], "variant": [""], "seed": [0], "fold": [0]}
    scores = Scores(words, [Chunk(k.size, codes, value)])
    return {
        scheme: best(lambda scheme=scheme: rank_scores(scores, Request(scheme=scheme, bootstrap=1000)))
        for scheme in ("rank-then-mean", "mean-then-rank", "rank-then-median", "test-then-rank")
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/segbench-benchmark"))
    options = parser.parse_args()
    metrics = max(1, round(options.rows / (METHODS * SEEDS * CASES * LABELS)))
    folder = options.folder / f"{metrics}"
    if not (folder / "big").exists():
        make(folder, metrics)
    small = options.folder / "small"
    if not small.exists():
        command("import", str(_tiny(options.folder)), "--results", str(small))
    start_up = best(lambda: command("leaderboard", "--results", str(small)))
    total = best(lambda: command("leaderboard", "--results", str(folder)))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows = METHODS * SEEDS * CASES * LABELS * metrics
    print(f"{rows:,} rows: {total - start_up:.2f} s above start-up ({start_up:.2f} s)")
    print(f"peak memory {peak:.2f} GiB")
    plain = duckdb_aggregate(folder)
    print("duckdb is not installed" if plain is None else f"plain aggregate in DuckDB: {plain:.2f} s")
    for scheme, seconds in bootstrap_seconds().items():
        print(f"1000 resamples, 20 methods x 300 cases x 3 metrics, {scheme}: {seconds:.2f} s")
    drawn = draw(300, 1000, np.random.default_rng(0))
    print(f"(the draw itself: {best(lambda: draw(300, 1000, np.random.default_rng(0))):.3f} s for {drawn.shape})")


def _tiny(folder: Path) -> Path:
    file = folder / "tiny.csv"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"tiny,c{c},1,dice,higher,m{m},0,{0.5 + 0.1 * m + 0.01 * c},ok" for c in range(3) for m in range(2)]
    file.write_text("dataset,case,label,metric,better,method,seed,value,status\n" + "\n".join(lines) + "\n")
    return file


if __name__ == "__main__":
    main()
