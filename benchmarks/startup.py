"""Start-up: time of `segbench --help` and `segbench list` beyond a bare `python -c pass`, medians of runs in turns.

    python benchmarks/startup.py [--repeat 9]

Targets: 150 ms for --help, 300 ms for list. The commands take turns, so that a busy moment strikes all of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS: dict[str, tuple[list[str], float]] = {
    "python -c pass": (["-c", "pass"], 0.0),
    "import segbench": (["-c", "import segbench"], 0.0),
    "segbench --help": (["-m", "segbench", "--help"], 0.150),
    "segbench run --help": (["-m", "segbench", "run", "--help"], 0.0),
    "segbench list": (["-m", "segbench", "list"], 0.300),
    "segbench list --json": (["-m", "segbench", "list", "--json"], 0.0),
}
"""What is typed -> arguments of the interpreter, and the seconds beyond a bare interpreter it may take (0 = any)."""


def seconds_of(arguments: list[str]) -> float:
    """Return the wall-clock seconds of one interpreter from start to end."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Time the commands in turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9, help="runs per command")
    repeat = parser.parse_args().repeat
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(repeat + 1):
        for name, (arguments, _) in COMMANDS.items():
            elapsed = seconds_of(arguments)
            if turn:  # the first turn fills the disk cache
                times[name].append(elapsed)
    bare = statistics.median(times["python -c pass"])
    print(f"{'command':24}{'median':>10}{'beyond bare':>14}{'target':>10}")
    for name, (_, target) in COMMANDS.items():
        median = statistics.median(times[name])
        allowed = f"{target * 1000:.0f} ms" if target else ""
        print(f"{name:24}{median * 1000:>7.0f} ms{(median - bare) * 1000:>11.0f} ms{allowed:>10}")


if __name__ == "__main__":
    main()
