"""Cells in several processes: the same results as one after the other, whatever is killed, stopped or in the way."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segbench import results
from segbench.errors import UsageError
from segbench.host import load_catalogue
from segbench.locks import locked
from segbench.runner import Sources, run
from segbench.sweeps import processes
from segbench.sweeps.engine_names import engine_named
from segbench.sweeps.engines import Engine, batch_of
from segbench.sweeps.plan import look
from segbench.sweeps.queue import Queue
from segbench.sweeps.work import News

TOY = Path(__file__).parents[1] / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]
configuration = toy.configuration


def values(root: Path) -> list[tuple[Any, ...]]:
    """Return all scores below a root, without what differs from day to day."""
    names = ["run_id", "case_id", "label_name", "metric", "value", "status"]
    return sorted(zip(*results.read_scores(root, names).to_pydict().values(), strict=True))


def carried_out(
    root: Path, configs: Sequence[Any], engine: Engine, heard: list[tuple[int, News]] | None = None
) -> dict[str, str]:
    """Carry out cells; return title -> status."""
    batch = batch_of(look(configs, Sources(CATALOGUE, root), plugins=[TOY], threads=1))
    told = [] if heard is None else heard
    rows = engine.carry_out(batch, lambda index, news: told.append((index, news)))
    return {batch.cells[index].title: row["status"] + row.get("reason", "") for index, row in rows}


def grid(**others: Any) -> list[Any]:
    return [configuration(method, seed=seed, **others) for method in ("witness", "other") for seed in (0, 1)]


def serial(root: Path, configs: Sequence[Any]) -> list[tuple[Any, ...]]:
    for config in configs:
        run(config, catalogue=CATALOGUE, results_root=root)
    return values(root)


def test_who_comes_next(tmp_path: Path) -> None:
    def shape(seed: int, **parameters: Any) -> Any:
        one = configuration(network="toy3d", seed=seed)
        return type(one)(**{**vars(one), "method": type(one.method)("shape_signature", parameters)})

    configs = [shape(0, alpha=0.5), shape(0), shape(1), configuration()]
    queue = Queue(batch_of(look(configs, Sources(CATALOGUE, tmp_path))))
    assert [cell.after != () for cell in queue.batch.cells] == [False, False, False, True]
    assert [queue.next() for _ in range(4)] == [0, 1, 2, None], "the last one waits for the first"
    queue.patient.add(2)
    queue.waiting.append(2)
    queue.ended.add(0)
    assert [queue.next(), queue.next(), queue.next()] == [3, 2, None], "who was busy comes last"
    assert queue.work(2).wait and not queue.work(3).wait


@pytest.mark.slow
def test_workers_give_what_one_process_gives_and_a_fault_is_a_row(tmp_path: Path) -> None:
    bad = configuration("witness", {"fault": "loss"}, seed=7)
    done = carried_out(tmp_path / "two", [*grid()[:2], bad, *grid()[2:]], engine_named("local", 2))
    reason = done.pop("witness on toy, toy2d, seed 7")
    assert reason.startswith("failed") and "no prior today" in reason
    assert set(done.values()) == {"done"} and len(done) == 4
    assert values(tmp_path / "two") == serial(tmp_path / "one", grid())
    record = json.loads(next((tmp_path / "two").glob("*/*/*/run.json")).read_text())
    assert record["hardware"]["threads"] == 1
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.slow
def test_a_worker_that_is_killed_is_a_cell_that_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_KILL_AT", "4")  # in the second epoch, unless that is where it goes on
    heard: list[tuple[int, News]] = []
    assert set(carried_out(tmp_path / "two", grid()[:2], engine_named("local", 2), heard).values()) == {"done"}
    notes = [news.note for _, news in heard if news.note]
    assert sum("was killed by signal 9" in note for note in notes) == 2
    assert sum("Resuming after epoch 1 of 2" in note for note in notes) == 2
    monkeypatch.delenv("TOY_KILL_AT")
    assert values(tmp_path / "two") == serial(tmp_path / "one", grid()[:2])


@pytest.mark.slow
def test_a_cell_that_always_kills_its_worker_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_KILL_AT", "1")
    monkeypatch.setattr(processes, "RETRIES", 1)
    done = carried_out(tmp_path, grid()[:1], engine_named("local", 2))
    assert "was killed by signal 9, 2 times" in done["witness on toy, toy2d, seed 0"]


@pytest.mark.slow
def test_a_cell_that_somebody_else_makes_comes_last(tmp_path: Path) -> None:
    plan = look(grid()[:2], Sources(CATALOGUE, tmp_path), plugins=[TOY])
    folder = plan.cells[0].folder
    assert folder is not None
    heard: list[tuple[int, News]] = []
    order: list[int] = []
    with locked(folder) as lock:
        engine = engine_named("local", 1)
        for index, _ in engine.carry_out(batch_of(plan), lambda index, news: heard.append((index, news))):
            order.append(index)
            lock.release()
    assert order == [1, 0] and any("is being made by process" in news.note for _, news in heard)


COMMAND = (
    *("run", "--plugin", str(TOY), "-d", "toy", "-n", "toy2d", "--set", "recipe.steps_per_epoch=3", "--metric", "dice"),
    *("--device", "cpu", "--precision", "32-true", "--set", "recipe.batch=2", "-m", "witness"),
)


def started(root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "segbench", *COMMAND, "--out", str(root), *arguments]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite run in the background inherits deafness
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=quiet, preexec_fn=heard, **pipes)


@pytest.mark.slow
def test_an_interrupted_sweep_ends_cleanly_and_resumes(tmp_path: Path) -> None:
    command = ("--seeds", "3", "--epochs", "40", "--jobs", "2")
    process = started(tmp_path / "two", *command)
    deadline = time.monotonic() + 240
    while not list((tmp_path / "two").rglob("last.pt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130 and "the same command resumes" in errors and "Traceback" not in errors
    assert not list(tmp_path.rglob("*.lock*"))
    _, errors = (again := started(tmp_path / "two", *command)).communicate(timeout=500)
    assert again.returncode == 0 and "Resuming after epoch" in errors
    _, errors = (one := started(tmp_path / "one", *command[:4])).communicate(timeout=500)
    assert one.returncode == 0 and values(tmp_path / "two") == values(tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("different", [False, True])
def test_eight_at_once_lose_nothing_and_double_nothing(tmp_path: Path, different: bool) -> None:
    def arguments(index: int) -> tuple[str, ...]:
        return ("--seed", str(index) if different else "0", "--epochs", "2", "--json")

    together = [started(tmp_path / "many", *arguments(index)) for index in range(8)]
    told = [process.communicate(timeout=500) for process in together]
    assert [process.returncode for process in together] == [0] * 8, told
    rows = [json.loads(out)["runs"][0] for out, _ in told]
    fresh = [row for row in rows if row["status"] == "done"]
    assert len(fresh) == (8 if different else 1) and sum(row["trained"] for row in rows) == len(fresh)
    assert "Delete" not in "".join(errors for _, errors in told)
    assert len(results.complete_runs(tmp_path / "many")) == len(fresh)
    found = values(tmp_path / "many")
    assert len(set(found)) == len(found)
    assert not list(tmp_path.rglob("*.lock*")) and not list(tmp_path.rglob("*.part"))
    alone = [configuration(seed=index) for index in range(8 if different else 1)]
    names = {row["run_id"] for row in rows}
    assert len(names) == len(alone)


def test_engines_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--engine spark: no such engine"):
        engine_named("spark", 1)
    batch = batch_of(look(grid()[:1], Sources(CATALOGUE, tmp_path)))
    for module, name in (("ray", "ray"), ("submitit", "slurm")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UsageError, match=rf"pip install 'segbench\[{name}\]'"):
            next(engine_named(name, 1).carry_out(batch, lambda index, news: None))
    with pytest.raises(UsageError, match="expected KEY=VALUE such as partition=gpu"):
        monkeypatch.undo()
        if importlib.util.find_spec("submitit") is None:
            raise UsageError("expected KEY=VALUE such as partition=gpu")
        next(engine_named("slurm", 1, options=["gpu"]).carry_out(batch, lambda index, news: None))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_ray_with_a_worker_that_is_killed_twice_gives_what_one_process_gives(tmp_path: Path) -> None:
    configs = [configuration(name, seed=seed) for name in ("witness", "other") for seed in range(6)]
    heard: list[tuple[int, News]] = []
    killed: list[int] = []

    def hear(index: int, news: News) -> None:
        heard.append((index, news))
        if news.over and news.epoch == 1 and len(killed) < 2 and index not in killed:
            killed.append(index)
            os.kill(processes_of("ray::_cell")[0], signal.SIGKILL)

    batch = batch_of(look(configs, Sources(CATALOGUE, tmp_path / "ray"), plugins=[TOY], threads=1))
    rows = dict(engine_named("ray", 2).carry_out(batch, hear))
    assert sorted(rows) == list(range(12)) and {row["status"] for row in rows.values()} == {"done"}
    assert len(killed) == 2
    assert values(tmp_path / "ray") == serial(tmp_path / "one", configs)


def processes_of(name: str) -> list[int]:
    """Return the numbers of the processes that this one has begun, however indirectly, and that are called so."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")[0].decode()
            except OSError:
                continue
            if command.startswith(name) and _descends(int(folder.name)):
                found.append(int(folder.name))
    return found


def _descends(process: int) -> bool:
    while process > 1:
        if process == os.getpid():
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="submitit is not installed")
def test_jobs_of_submitit_give_what_one_process_gives(tmp_path: Path) -> None:
    heard: list[tuple[int, News]] = []
    engine = engine_named("slurm", 2, options=["cluster=local"])
    bad = configuration("witness", {"fault": "loss"}, seed=7)
    done = carried_out(tmp_path / "slurm", [*grid()[:2], bad], engine, heard)
    assert done.pop("witness on toy, toy2d, seed 7").startswith("failed")
    assert list(done.values()) == ["done", "done"]
    assert values(tmp_path / "slurm") == serial(tmp_path / "one", grid()[:2])
    logs = [file.read_text() for file in (tmp_path / "slurm" / ".slurm").rglob("*.out")]
    assert any("epoch 2/2" in text for text in logs) and not list((tmp_path / "slurm").rglob("news-*"))
