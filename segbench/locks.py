"""One process at a time writes into a run's folder: a lock file beside it, wherever renaming is atomic.

The lock of ``results/D/M/ID`` is the file ``results/D/M/.ID.lock``. It is made by a hard link, or ``O_EXCL`` where
there are none, and not by ``flock``: both hold on NFS. It names host, process and the moment; its holder touches it
every ``BEAT`` seconds. A lock is given up for dead at once where its process ran on this machine and is gone, and after
``STALE`` seconds without a beat where it ran elsewhere. Ages are differences of two times of the file server, so clocks
may disagree.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from segbench.errors import Busy, LockLost
from segbench.litter import sweep_once, unfinished
from segbench.processes import begun, machine

BEAT = 10.0
"""Seconds between two signs of life."""
STALE = 100.0
"""Seconds without one after which a lock of another machine is taken over; NFS clients may see a minute-old time."""
FIRST, LONGEST = 0.05, 2.0
"""Seconds between two looks at a lock that is waited for: the first pause, and the longest."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: name of the machine.
        machine: identity of its running system and of the process table in it; two containers differ.
        process: number of the process in that table.
        begun: when the process began, in the system's own count; tells it from a later one of the same number.
        since: Unix time at which the lock was taken, by the holder's clock.
        token: of this lock, never used twice.
    """

    host: str
    machine: str
    process: int
    begun: str
    since: float
    token: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def gone(self) -> bool:
        """Whether the process ran on this machine and has ended."""
        return self.machine == machine() and begun(self.process) != self.begun

    @property
    def near(self) -> bool:
        """Whether the process runs on this machine and is alive, however long it has been silent."""
        return self.machine == machine() and not self.gone


class Lock:
    """A lock that is held, with its beat; ``check`` says whether it still is."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self.path, self.holder = path, holder
        self.lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="segbench-lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LockLost if another process took the lock over, as it may if this one was asleep for minutes."""
        if self.lost or not self._mine():
            self.lost = True
            raise LockLost(
                f"{self.path.parent / self.path.name[1:-5]} was taken over by {_read(self.path) or 'somebody'}, "
                f"because this process ({self.holder}) gave no sign of life for {STALE:.0f} s. Nothing is lost."
            )

    def release(self) -> None:
        """Give the lock back."""
        self._over.set()
        self._thread.join()
        if self._mine():
            self.path.unlink(missing_ok=True)

    def _mine(self) -> bool:
        there = _read(self.path)
        return there is not None and there.token == self.holder.token

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(OSError):  # a file server may be away for a while
                if not self._mine():
                    self.lost = True
                    return
                os.utime(self.path)


def lock_file(folder: Path) -> Path:
    """Return where the lock of a run's folder lies."""
    return folder.with_name(f".{folder.name}.lock")


def holder(folder: Path) -> Holder | None:
    """Return who is writing into a run's folder now, or None."""
    path = lock_file(folder)
    there = _read(path)
    return None if there is None or _dead(path, there) else there


@contextmanager
def locked(folder: Path, *, wait: bool = True, waiting: Callable[[Holder], None] | None = None) -> Iterator[Lock]:
    """Hold the lock of a run's folder.

    Args:
        folder: of the run; it need not exist.
        wait: whether to wait for a process that holds it.
        waiting: told once for whom one waits.

    Raises:
        Busy: it is held, and ``wait`` is False.
    """
    lock = _taken(lock_file(folder), wait, waiting)
    try:
        yield lock
    finally:
        lock.release()


def _taken(path: Path, wait: bool, waiting: Callable[[Holder], None] | None) -> Lock:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_once(path.parent)
    pause, told = FIRST, ""
    while True:
        mine = _myself()
        if _create(path, mine):
            return Lock(path, mine)
        there = _read(path)
        if there is None:  # it was given back just now
            continue
        if _dead(path, there) and _take_over(path, there, mine):
            return Lock(path, mine)
        if not wait:
            raise Busy(f"{path.parent / path.name[1:-5]} is being made by {there}.", str(there))
        if waiting is not None and told != there.token:
            waiting(there)
            told = there.token
        time.sleep(pause)
        pause = min(LONGEST, pause * 1.5)


def _create(path: Path, mine: Holder) -> bool:
    """Make a file that must not be there yet, whole; return whether it is ours."""
    part = _written(path, mine)
    try:
        os.link(part, path)
    except OSError as error:
        if part.stat().st_nlink == 2:  # it was made, and the answer of the file server got lost
            return True
        return not isinstance(error, FileExistsError) and _create_exclusively(path, mine)
    finally:
        part.unlink(missing_ok=True)
    return True


def _create_exclusively(path: Path, mine: Holder) -> bool:
    """Do the same on a file system without hard links; for a moment the file is there and empty."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(vars(mine)))
    return True


def _written(path: Path, mine: Holder) -> Path:
    part = unfinished(path)
    part.write_text(json.dumps(vars(mine)), encoding="utf-8")
    return part


def _take_over(path: Path, dead: Holder, mine: Holder) -> bool:
    """Put our lock in place of a dead one; of several that try, one succeeds.

    Whoever takes over holds a second lock meanwhile, and looks again once it has it.
    """
    breaking = path.with_name(f"{path.name}.breaking")
    if not _create(breaking, mine):
        other = _read(breaking)
        if other is not None and _dead(breaking, other):
            breaking.unlink(missing_ok=True)
        return False
    try:
        there = _read(path)
        if there is None or there.token != dead.token or not _dead(path, there):
            return False
        _written(path, mine).replace(path)
        return True
    finally:
        breaking.unlink(missing_ok=True)


def _dead(path: Path, there: Holder) -> bool:
    if there.near:
        return False
    return there.gone or _age(path) > STALE


def _age(path: Path) -> float:
    """Return the seconds since the last sign of life, by the clock of the file server."""
    probe = unfinished(path)
    try:
        probe.touch()
        with path.open("rb") as stream:  # opening makes an NFS client ask the server anew
            return probe.stat().st_mtime - os.fstat(stream.fileno()).st_mtime
    except OSError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _read(path: Path) -> Holder | None:
    """Return who a lock file names; one that cannot be read, yet, names nobody known."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Holder(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Holder("an unknown machine", "", 0, "", 0.0, "") if path.exists() else None


def _myself() -> Holder:
    process = os.getpid()
    return Holder(socket.gethostname(), machine(), process, begun(process), time.time(), secrets.token_hex(8))
