"""Kills and flipped bits, counted: every run must end equal, healed or refused, never silently different.

``python benchmarks/soundness.py`` kills runs at random moments until they are done, 200 times in all, and compares what
is left with runs that nobody disturbed. Then it flips 10,000 single bits in all files that runs keep, one at a time,
and asks whoever trusts the file for its contents. At last interrupted runs are resumed with a flipped bit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import segbench
from segbench.atomic import is_intact
from segbench.collection import kept_runs
from segbench.records import read_record
from segbench.runs import open_run, read_facts
from segbench.scoring.journal import Journal
from segbench.training.checkpoints import load_checkpoint
from segbench.training.loop import Reporter

CATALOGUE = segbench.load_catalogue()
METHODS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("shape_descriptors", "unet2d", {}),  # derives maps
    ("geometric", "unet2d", {"frozen_copies": 3}),  # keeps maps of its own in files
    ("ce_dice", "unet2d", {"choose": "best", "validate_every": 1}),  # keeps two checkpoints
)
EQUAL, HEALED, REFUSED, SILENT = "equal", "healed", "refused", "SILENTLY DIFFERENT"


def configuration(method: str, network: str, recipe: dict[str, Any]) -> segbench.RunConfig:
    """Return a run of a second, on a phantom of four hearts."""
    choice = segbench.Choice
    return segbench.RunConfig(
        choice("heart", {"cases": 4}),
        choice(network, {"width": 4}),
        choice(method),
        recipe=segbench.Recipe(epochs=3, steps_per_epoch=2, batch=2, crop=(4, 32, 32), **recipe),
        metrics=(choice("dice"), choice("hd95")),
        device="cpu",
    )


def contents(folder: Path) -> dict[str, Any]:
    """Return what a finished run says, as far as it does not depend on the clock or on how often it was interrupted."""
    network = load_checkpoint(folder / "checkpoint" / "network.pt")["network"]
    history = open_run(folder, CATALOGUE).history()
    record = read_record(folder)
    told = ("run_id", "config", "identity", "splits", "training", "training_grid", "scores", "failed_scores")
    return {
        "scores": segbench.read_scores(folder).to_pylist(),
        "history": [row for row in history if row["name"] != "seconds"],
        "network": {name: value.numpy().tobytes() for name, value in network.items()},
        "predictions": {file.name: label_map(file) for file in sorted((folder / "predictions").glob("*.nii.gz"))},
        "record": {name: record[name] for name in told},
    }


# ------------------------------------------------------------------------------------------------------------ kills


def start(config: segbench.RunConfig, root: Path) -> int:
    """Start a run in a process of its own, which has everything imported already; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    with contextlib.suppress(BaseException):
        segbench.run(config, catalogue=CATALOGUE, results_root=root)
        code = 0
    os._exit(code)


def finish(child: int) -> int:
    """Wait for a process; return its exit code, negative if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kills(wanted: int, room: Path, chance: random.Random) -> Counter[str]:
    """Kill runs until ``wanted`` kills have hit, each run until it is done; return what became of the runs."""
    counts: Counter[str] = Counter()
    whole: dict[str, tuple[float, dict[str, Any]]] = {}
    number = 0
    while counts["kills"] < wanted:
        method, network, recipe = METHODS[number % len(METHODS)]
        config, number = configuration(method, network, recipe), number + 1
        if method not in whole:
            begin = time.perf_counter()
            assert finish(start(config, room / "whole")) == 0
            seconds = time.perf_counter() - begin
            (folder,) = (room / "whole" / "heart" / method).iterdir()
            whole[method] = seconds, contents(folder)
        seconds, expected = whole[method]
        root = room / f"killed{number}"
        code, hits = -signal.SIGKILL, 0
        while code == -signal.SIGKILL:
            child = start(config, root)
            if counts["kills"] < wanted and hits < 12:
                time.sleep(chance.uniform(0, 1.1 * seconds))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            code = finish(child)
            hits += code == -signal.SIGKILL
            counts["kills"] += code == -signal.SIGKILL
        counts["runs"] += 1
        if code:
            counts[REFUSED] += 1
            continue
        (folder,) = (root / "heart" / method).iterdir()
        counts[EQUAL if contents(folder) == expected else SILENT] += 1
        counts["unfinished files left"] += len(list(root.rglob("*.part")))
        shutil.rmtree(root)
    return counts


# ------------------------------------------------------------------------------------------------------------ flips


@dataclass(frozen=True)
class Trusted:
    """A file, who reads it and what it is compared with."""

    kind: str
    file: Path
    read: Callable[[], Any]


class Trip(Reporter):
    """Interrupts a run after its second epoch or its first scored case."""

    def __init__(self, scoring: bool) -> None:
        self.scoring = scoring

    def epoch(self, index: int, train: Any, val: Any, seconds: float) -> None:
        if index == 1 and not self.scoring:
            raise KeyboardInterrupt

    def progress(self, what: str, done: int, total: int) -> None:
        if what == "Scoring" and self.scoring:
            raise KeyboardInterrupt


def unfinished(config: segbench.RunConfig, root: Path, *, scoring: bool) -> None:
    """Leave a run that was interrupted while it was trained, or while it was scored."""
    with contextlib.suppress(KeyboardInterrupt):
        segbench.run(config, catalogue=CATALOGUE, results_root=root, reporter=Trip(scoring))


def tensors(path: Path) -> Any:
    """Return a checkpoint as something that can be compared."""

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return plain(load_checkpoint(path))


def cached(folder: Path) -> Any:
    """Return a cached folder's arrays; None if the cache would make it again."""
    if not is_intact(folder):
        return None
    return [(file.name, file.read_bytes()) for file in sorted(folder.iterdir()) if file.is_file()]


def trusted(root: Path) -> Iterator[Trusted]:
    """Yield the files that the runs of a results root keep, each with the reader that trusts it."""
    for folder in sorted({seal.parent for seal in root.rglob("seal.json")}):
        kind = "derived maps" if folder.name.startswith("derived-") else "cached case"
        for file in sorted(file for file in folder.iterdir() if file.is_file()):
            yield Trusted(kind, file, lambda folder=folder: cached(folder))
    for run in kept_runs(root):
        folder = run.place
        yield Trusted("run.json", folder / "run.json", lambda folder=folder: read_facts(folder))
        scores = partial(segbench.read_scores, folder)
        yield Trusted("scores", folder / "scores.parquet", lambda scores=scores: scores().to_pylist())
        opened = partial(open_run, folder, CATALOGUE)
        yield Trusted("history", folder / "history.parquet", lambda opened=opened: opened().history())
        for file in sorted((folder / "predictions").glob("*.nii.gz")):
            yield Trusted("prediction", file, lambda file=file: label_map(file))
    for file in sorted(root.rglob("*.pt")):
        yield Trusted("checkpoint", file, lambda file=file: tensors(file))
    for file in sorted(root.rglob("journal.jsonl")):
        yield Trusted("journal", file, lambda file=file: journal(file))
    for file in sorted(root.rglob("trained.json")):
        yield Trusted("trained.json", file, lambda file=file: read_facts(file.parent))


def label_map(file: Path) -> Any:
    """Return a prediction as something that can be compared."""
    found = segbench.read_label_map(file)
    return found.array.tobytes(), found.array.shape, found.spacing, np.asarray(found.affine).tolist()


def journal(file: Path) -> dict[int, Any]:
    """Return the outcomes that a journal is believed to hold."""
    key = file.read_text(encoding="utf-8", errors="replace").split('"')[3]
    return Journal(file.parent, 100, key).done


def judged(before: Any, read: Callable[[], Any]) -> str:
    """Say what a reader makes of a file in which a bit was flipped."""
    try:
        now = read()
    except segbench.SegbenchError:
        return REFUSED
    if now == before:
        return EQUAL
    if now is None or (isinstance(now, dict) and isinstance(before, dict) and now.items() < before.items()):
        return HEALED  # made, or scored, again
    return SILENT


@contextlib.contextmanager
def flipped(file: Path, chance: random.Random) -> Iterator[int]:
    """Flip one bit of a file for a while."""
    content = file.read_bytes()
    bit = chance.randrange(8 * len(content))
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(damaged)
    try:
        yield bit
    finally:
        file.write_bytes(content)


def flips(wanted: int, root: Path, chance: random.Random) -> dict[str, Counter[str]]:
    """Flip bits in all files that are trusted, kind by kind in turn; return what their readers made of them."""
    kinds: dict[str, list[tuple[Trusted, Any]]] = {}
    for one in trusted(root):
        kinds.setdefault(one.kind, []).append((one, one.read()))
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in sorted(kinds)}
    for number in range(wanted):
        kind = list(counts)[number % len(counts)]
        one, before = chance.choice(kinds[kind])
        with flipped(one.file, chance) as bit:
            verdict = judged(before, one.read)
        counts[kind][verdict] += 1
        if verdict == SILENT:
            print(f"  {SILENT}: bit {bit} of {one.file}")
    return counts


def by_commands(wanted: int, room: Path, chance: random.Random) -> Counter[str]:
    """Flip bits in what an interrupted run has left, and resume it; return what became of it."""
    counts: Counter[str] = Counter()
    for method, network, recipe in METHODS:
        config = configuration(method, network, recipe)
        for scoring in (False, True):
            unfinished(config, room / f"cut{scoring:d}", scoring=scoring)
        expected = contents(segbench.run(config, catalogue=CATALOGUE, results_root=room / "uncut").folder)
        for number in range(wanted // len(METHODS)):
            shutil.copytree(room / f"cut{number % 2}", root := room / "resumed")
            run = next(root.glob(f"heart/{method}/*"))
            files = [file for top in (run, root / ".cache") for file in top.rglob("*") if file.is_file()]
            with flipped(chance.choice(sorted(files)), chance):
                try:
                    outcome = segbench.run(config, catalogue=CATALOGUE, results_root=root)
                    told = outcome.failed > 0  # a prediction that cannot be read is a failed score, and exit code 1
                    counts[REFUSED if told else EQUAL if contents(outcome.folder) == expected else SILENT] += 1
                except segbench.SegbenchError:
                    counts[REFUSED] += 1
                except FileNotFoundError:
                    counts["gone"] += 1
            shutil.rmtree(root)
    return counts


def main() -> None:
    """Parse the arguments, damage, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--commands", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chance, silent = random.Random(arguments.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        killed = kills(arguments.kills, room / "kills", chance)
        print(", ".join(f"{count} {what}" for what, count in killed.items()), flush=True)
        silent += killed[SILENT]
        for method, network, recipe in METHODS:
            segbench.run(configuration(method, network, recipe), catalogue=CATALOGUE, results_root=room / "flips")
            for scoring in (False, True):
                cut = room / "flips" / f"unfinished{scoring:d}"
                unfinished(configuration(method, network, recipe), cut, scoring=scoring)
        begin = time.process_time()
        for kind, counts in flips(arguments.flips, room / "flips", chance).items():
            print(f"{kind}: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items())), flush=True)
            silent += counts[SILENT]
        print(f"{arguments.flips} flips in {time.process_time() - begin:.0f} s")
        resumed = by_commands(arguments.commands, room / "commands", chance)
        print("resumed by the command: " + ", ".join(f"{count} {what}" for what, count in resumed.items()))
        silent += resumed[SILENT]
    raise SystemExit(1 if silent else 0)


if __name__ == "__main__":
    main()
