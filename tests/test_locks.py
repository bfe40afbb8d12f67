"""One process at a time: who waits, who is told, what a dead holder leaves behind, and that nobody is let in twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from segbench import locks
from segbench.errors import Busy, LockLost
from segbench.locks import Holder, holder, lock_file, locked
from segbench.processes import begun, machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "method" / "0123456789ab"


def leave(folder: Path, *, age: float = 0.0, **others: Any) -> Holder:
    """Leave a lock as a process somewhere else would."""
    values = {"host": "node7", "machine": "other", "process": 4711, "begun": "1", "since": 0.0, "token": "theirs"}
    there = Holder(**(values | others))
    lock_file(folder).parent.mkdir(parents=True, exist_ok=True)
    lock_file(folder).write_text(json.dumps(vars(there)))
    past = time.time() - age
    os.utime(lock_file(folder), (past, past))
    return there


def test_a_lock_is_beside_the_folder_and_goes(folder: Path) -> None:
    assert holder(folder) is None
    with locked(folder) as lock:
        mine = holder(folder)
        assert mine == lock.holder and mine is not None and mine.process == os.getpid() and mine.near
        assert not folder.exists() and [path.name for path in folder.parent.iterdir()] == [".0123456789ab.lock"]
        lock.check()
    assert holder(folder) is None and list(folder.parent.iterdir()) == []


def test_it_goes_when_the_work_fails(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(folder):
        raise ZeroDivisionError
    assert list(folder.parent.iterdir()) == []


def test_who_does_not_wait_is_told_who_works(folder: Path) -> None:
    leave(folder)
    with (
        pytest.raises(Busy, match="0123456789ab is being made by process 4711 on node7") as busy,
        locked(folder, wait=False),
    ):
        pass
    assert busy.value.exit_code == 0 and busy.value.by == "process 4711 on node7"


def test_who_waits_is_told_once_and_comes_next(folder: Path) -> None:
    leave(folder)
    told: list[str] = []

    def tell(other: Holder) -> None:
        told.append(str(other))
        threading.Timer(0.4, lock_file(folder).unlink).start()

    with locked(folder, waiting=tell) as lock:
        lock.check()
    assert told == ["process 4711 on node7"]


def test_a_process_of_this_machine_that_is_gone_holds_nothing(folder: Path) -> None:
    script = f"from pathlib import Path; from segbench.locks import locked; import os\n\
with locked(Path({str(folder)!r})): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert lock_file(folder).exists() and holder(folder) is None
    with locked(folder, wait=False) as lock:
        lock.check()
    assert list(folder.parent.iterdir()) == []


def test_another_process_with_the_same_number_is_not_the_holder(folder: Path) -> None:
    leave(folder, machine=machine(), process=os.getpid(), begun="1")
    with locked(folder, wait=False):
        pass


def test_a_silent_process_of_this_machine_keeps_its_lock(folder: Path) -> None:
    leave(folder, machine=machine(), process=os.getpid(), begun=begun(os.getpid()), age=1e6)
    with pytest.raises(Busy), locked(folder, wait=False):
        pass


@pytest.mark.parametrize(("age", "free"), [(0.0, False), (locks.STALE - 20, False), (locks.STALE + 20, True)])
def test_elsewhere_the_heartbeat_decides(folder: Path, age: float, free: bool) -> None:
    leave(folder, age=age)
    assert (holder(folder) is None) == free
    if free:
        with locked(folder, wait=False) as lock:
            lock.check()
    else:
        with pytest.raises(Busy), locked(folder, wait=False):
            pass
    assert not [path for path in folder.parent.iterdir() if path != lock_file(folder)]


def test_a_holder_beats_and_notices_that_it_was_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.05)
    with locked(folder) as lock:
        os.utime(lock_file(folder), (1, 1))
        deadline = time.monotonic() + 20
        while lock_file(folder).stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert lock_file(folder).stat().st_mtime > time.time() - 60
        leave(folder)
        with pytest.raises(LockLost, match="taken over by process 4711 on node7"):
            lock.check()
    assert holder(folder) is not None, "the lock of the other one stays"


def test_a_takeover_that_was_cut_off_stops_nobody(folder: Path) -> None:
    dead = leave(folder, machine=machine())
    breaking = lock_file(folder).with_name(f"{lock_file(folder).name}.breaking")
    breaking.write_text(json.dumps(vars(dead)))
    with locked(folder) as lock:
        lock.check()
    assert list(folder.parent.iterdir()) == []


def test_a_file_that_is_no_lock_counts_by_its_age(folder: Path) -> None:
    leave(folder)
    lock_file(folder).write_text("")
    with pytest.raises(Busy, match="unknown machine"), locked(folder, wait=False):
        pass
    os.utime(lock_file(folder), (1, 1))
    with locked(folder, wait=False):
        pass


def test_without_hard_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with locked(folder) as lock:
        lock.check()
        with pytest.raises(Busy), locked(folder, wait=False):
            pass
    assert list(folder.parent.iterdir()) == []


def add(folder: Path, times: int) -> None:
    """Read a number, and write the next one."""
    for _ in range(times):
        with locked(folder):
            file = folder.parent / "count"
            count = int(file.read_text())
            time.sleep(0.001)
            file.write_text(str(count + 1))


@pytest.mark.slow
@pytest.mark.parametrize("dead", [False, True])
def test_many_processes_lose_nothing(folder: Path, dead: bool) -> None:
    folder.parent.mkdir(parents=True)
    (folder.parent / "count").write_text("0")
    if dead:
        leave(folder, machine=machine())
    workers = [multiprocessing.get_context("fork").Process(target=add, args=(folder, 20)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert (folder.parent / "count").read_text() == "120"
    assert [path.name for path in folder.parent.iterdir()] == ["count"]
