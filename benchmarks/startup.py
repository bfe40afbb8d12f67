"""Start-up: time of `segbench --help` and `segbench list` beyond a bare `python -c pass`, medians of runs in turns.

    python benchmarks/startup.py [--repeat 9]

Targets: 150 ms for --help, 300 ms for list. The commands take turns, so that a busy moment strikes all of them; CPU
time is what a busy machine distorts least. Children may write bytecode, as they may where segbench is installed.
"""

from __future__ import annotations

import argparse
import os
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


def seconds_of(arguments: list[str]) -> tuple[float, float]:
    """Return the wall-clock and the CPU seconds of one interpreter from start to end."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {child.returncode}; expected 0. Run it by hand.")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Time the commands in turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9, help="runs per command")
    repeat = parser.parse_args().repeat
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for turn in range(repeat + 1):
        for name, (arguments, _) in COMMANDS.items():
            elapsed = seconds_of(arguments)
            if turn:  # the first turn fills the disk cache and writes bytecode
                times[name].append(elapsed)
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in times.items()}
    bare = medians["python -c pass"]
    print(f"{'ms':24}{'wall':>8}{'beyond bare':>14}{'CPU':>8}{'beyond bare':>14}{'target':>9}")
    for name, (_, target) in COMMANDS.items():
        wall, cpu = (1000 * seconds for seconds in medians[name])
        more_wall, more_cpu = wall - 1000 * bare[0], cpu - 1000 * bare[1]
        allowed = f"{target * 1000:.0f}" if target else ""
        print(f"{name:24}{wall:>8.0f}{more_wall:>14.0f}{cpu:>8.0f}{more_cpu:>14.0f}{allowed:>9}")


if __name__ == "__main__":
    main()
