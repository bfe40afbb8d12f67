"""Speed, size and answer of the report: 20 methods x 300 cases x 30 structures, against an earlier commit.

python benchmarks/report.py [--against COMMIT] [--repeat 3] [--folder /tmp/segbench-report]

CPU seconds (user and system) of `segbench report` as processes that take turns, medians; bytes of all files written.
Both read the same results. With a Chromium on PATH also how long the new page takes from a click until the frame after
it is drawn. Targets: at most a third of the seconds and bytes of commit e36f01f; each click at most 200 ms.
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
from pathlib import Path
from typing import Any

import leaderboard

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "e36f01f"
METRICS = 2
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from segbench.cli import main; sys.exit(main())"
CLICKS = {
    "open a case": "document.querySelectorAll('#cases button.link')[7].click()",
    "close it": "document.querySelector('#case .close').click()",
    "choose a structure": "choose('structure', 3)",
    "choose a metric": "choose('metric', 1)",
    "sort the cases": "document.querySelectorAll('#cases thead button')[2].click()",
    "sort the leaderboard": "document.querySelector('table.sortable thead button').click()",
    "search a case": "search.value = '29'; search.dispatchEvent(new Event('input'))",
}
ANSWER = """(async () => {
  const search = document.getElementById('search');
  const choose = (id, at) => {
    const one = document.getElementById(id);
    one.selectedIndex = at;
    one.dispatchEvent(new Event('change'));
  };
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await frame();
  const begun = performance.now();
  ACTION;
  await frame(); await frame();
  return performance.now() - begun;
})()"""
LISTED = "document.querySelectorAll('#cases tbody tr').length > 1"


def report(tree: Path, results: Path, out: Path) -> float:
    """Write the report by a tree's code; return its CPU seconds."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", RUN, str(tree), "report", "--results", str(results), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=out.parent) as child:
        assert child.stderr is not None
        said = child.stderr.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the report of {tree} ended with {child.returncode}; expected 0. It said: {said}")
    return usage.ru_utime + usage.ru_stime


def size(folder: Path) -> int:
    """Return the bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def answers(page: Path, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Return milliseconds from each click until the next frame is drawn, and those that the page's thread worked."""
    sys.path.insert(0, str(ROOT))
    from tests.reporting.chromium import Chromium, find_browser

    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CLICKS}
    browser = find_browser()
    if browser is None:
        return {}
    with Chromium(browser) as chromium:
        chromium.look(1600)
        chromium.call("Performance.enable", timeDomain="threadTicks")
        for _ in range(repeats):
            chromium.open(page.as_uri() + f"?{time.monotonic()}", LISTED)
            for name, action in CLICKS.items():
                chromium.run("new Promise((done) => setTimeout(done, 300))")
                before = worked(chromium)
                waited = float(chromium.run(ANSWER.replace("ACTION", action)))
                found[name].append((waited, worked(chromium) - before))
    return found


def worked(chromium: Any) -> float:
    """Return milliseconds of CPU that the page's main thread has spent."""
    metrics = chromium.call("Performance.getMetrics")["metrics"]
    return 1000 * next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", default=BEFORE)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/segbench-report"))
    options = parser.parse_args()
    leaderboard.SEEDS, leaderboard.LABELS = 1, 30
    results = options.folder / "results"
    if not results.exists():
        leaderboard.make(results, METRICS)
    with tempfile.TemporaryDirectory() as scratch:
        before = Path(scratch) / "before"
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "add", "-q", "--detach", str(before), options.against], check=True
        )
        try:
            trees = {"before": before, "now": ROOT}
            for name, tree in trees.items():  # what is compiled once is not counted
                report(tree, results, options.folder / name)
            spent: dict[str, list[float]] = {name: [] for name in trees}
            for _ in range(options.repeat):
                for name, tree in trees.items():
                    spent[name].append(report(tree, results, options.folder / name))
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(before)], check=True)
    cpu = {name: statistics.median(found) for name, found in spent.items()}
    written = {name: size(options.folder / name) for name in spent}
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; against {options.against}")
    print(f"CPU seconds {cpu['before']:.2f} -> {cpu['now']:.2f}: {cpu['now'] / cpu['before']:.2f}x")
    print(f"bytes {written['before']:,} -> {written['now']:,}: {written['now'] / written['before']:.2f}x")
    for name, found in answers(options.folder / "now" / "index.html", options.repeat).items():
        waited, busy = (statistics.median(each) for each in zip(*found, strict=True))
        print(
            f"{name}: {waited:.0f} ms, at most {max(found)[0]:.0f} ms; the page's thread worked {busy:.0f} ms of them"
        )


if __name__ == "__main__":
    main()
