"""One long-lived child process that answers requests in lines of JSON, for libraries that a damaged file may crash.

It starts with the first request, ends with this process, and is started anew after it died, stalled or met a file it
could not read: whatever a damaged file did to its memory ends with it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any


class Stalled(Exception):
    """The child gave no answer in time."""


class Died(Exception):
    """The child ended without an answer; its argument is the exit status."""


class Child:
    """A process that runs a module's ``serve`` and is asked one thing at a time.

    Args:
        module: run as ``python -m MODULE``; it calls ``serve``.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()
        atexit.register(self.stop)

    def ask(self, request: dict[str, Any], patience: float) -> dict[str, Any]:
        """Return the answer to a request.

        Args:
            request: JSON values.
            patience: seconds to wait.

        Raises:
            Stalled, Died: no answer; the next request starts another process.
        """
        with self._lock:
            before = self._process
            process = self._running()
            answer = _ask(process, request, patience)
            if answer is None and process is before and not _still_runs(process):
                process = self._running()  # it may have died of something else: one try in a fresh one
                answer = _ask(process, request, patience)
            if answer is None:
                stalled = _still_runs(process)
                self.stop()
                raise Stalled if stalled else Died(process.returncode)
            if "error" in answer:
                self.stop()
            return answer

    def stop(self) -> None:
        """End the process, if it runs and is this process's own."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.stop()
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self.module],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process


def _ask(process: subprocess.Popen[bytes], request: dict[str, Any], patience: float) -> dict[str, Any] | None:
    """Send a request and wait for its line; None if there is no whole one."""
    assert process.stdin is not None and process.stdout is not None
    lines: list[bytes] = []
    reader = threading.Thread(target=_read_line, args=(process.stdout, lines), daemon=True)
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        return None
    reader.start()
    reader.join(patience)
    if not lines or not lines[0].endswith(b"\n"):
        return None
    answer: dict[str, Any] = json.loads(lines[0])
    return answer


def _read_line(stream: IO[bytes], lines: list[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        lines.append(stream.readline())


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process that gave no answer is alive, rather than about to end."""
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return True
    return False


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests from standard input until it ends; what libraries print goes nowhere.

    Args:
        answer: request -> JSON values.
    """
    with os.fdopen(os.dup(1), "wb") as out, open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a device
        os.dup2(nowhere.fileno(), 1)
        for line in sys.stdin.buffer:
            out.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
            out.flush()
