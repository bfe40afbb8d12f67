"""Cells in processes of this machine: one sweep, several workers, each with its own threads and its own accelerator.

A worker lives as long as there are cells, so that what is imported and prepared serves all of its cells. One that dies
takes only its cell with it; the cell is tried again and goes on after its last epoch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from segbench.errors import EXIT_DATA
from segbench.failures import Failure
from segbench.sweeps.engines import RETRIES, Batch, Heard, Row
from segbench.sweeps.queue import Queue
from segbench.sweeps.threads import thread_variables
from segbench.sweeps.work import BUSY, News, axes, carry_out, failed

PATIENCE = 15.0
"""Seconds that workers have to end by themselves after an interrupt."""


@dataclass
class Worker:
    """A process, our end of the pipe to it, and the cell it is at."""

    process: Any
    pipe: Connection
    gpu: str | None = None
    cell: int | None = None


@dataclass(frozen=True)
class Processes:
    """An engine of so many worker processes.

    Attributes:
        jobs: workers at once.
    """

    jobs: int

    def carry_out(self, batch: Batch, heard: Heard) -> Generator[tuple[int, Row]]:
        """See ``Engine.carry_out``."""
        queue = Queue(batch)
        workers: list[Worker] = []
        gpus = _accelerators(batch)
        try:
            while queue.waiting or any(worker.cell is not None for worker in workers):
                for cell in _hand_out(queue, workers, self.jobs, gpus):
                    heard(cell, News("Starting"))
                for worker in _speaking(workers):
                    yield from _listen(worker, queue, workers, heard)
        finally:
            _end(workers)


def _hand_out(queue: Queue, workers: list[Worker], jobs: int, gpus: list[str]) -> Iterator[int]:
    """Give every idle worker a cell, and start workers as long as there are cells for them; yield the cells."""
    idle = [worker for worker in workers if worker.cell is None]
    while (idle or len(workers) < jobs) and (cell := queue.next()) is not None:
        if idle:
            worker = idle.pop()
        else:
            used = Counter(one.gpu for one in workers)
            worker = _begin(min(gpus, key=lambda gpu: used[gpu]) if gpus else None, queue.batch.threads)
            workers.append(worker)
        worker.cell = cell
        with contextlib.suppress(OSError):  # it died just now, and will be found dead
            worker.pipe.send(queue.work(cell))
        yield cell


def _speaking(workers: list[Worker]) -> list[Worker]:
    """Return the workers that have something to say, or have died; wait until there is one."""
    busy = [worker for worker in workers if worker.cell is not None]
    ready = wait([one for worker in busy for one in (worker.pipe, worker.process.sentinel)])
    return [worker for worker in busy if worker.pipe in ready or worker.process.sentinel in ready]


def _listen(worker: Worker, queue: Queue, workers: list[Worker], heard: Heard) -> Generator[tuple[int, Row]]:
    """Pass on what a worker says; yield the row of its cell if that has ended."""
    cell = worker.cell
    assert cell is not None
    try:
        said: News | Row = worker.pipe.recv()
    except (EOFError, OSError):
        workers.remove(worker)
        worker.process.join()
        worker.pipe.close()
        yield from _died(cell, worker.process.exitcode, queue, heard)
        return
    if isinstance(said, News):
        heard(cell, said)
        return
    worker.cell = None
    if said["status"] == BUSY:
        heard(cell, News(note=said["reason"]))
        queue.patient.add(cell)
        queue.waiting.append(cell)
        return
    queue.ended.add(cell)
    yield cell, said


def _died(cell: int, code: int | None, queue: Queue, heard: Heard) -> Generator[tuple[int, Row]]:
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
    queue.tries[cell] = queue.tries.get(cell, 0) + 1
    if queue.tries[cell] <= RETRIES:
        heard(cell, News(note=f"Its process {how}; another one goes on after its last epoch."))
        queue.patient.add(cell)
        queue.waiting.insert(0, cell)
        return
    reason = (
        f"Its process {how}, {queue.tries[cell]} times (memory ran out, or a fault in compiled code). Use fewer --jobs "
        f"or a smaller recipe.batch; the same command resumes."
    )
    queue.ended.add(cell)
    yield cell, {**axes(queue.batch.cells[cell].config), **failed(Failure(reason, EXIT_DATA))}


def _accelerators(batch: Batch) -> list[str]:
    """Return the numbers of the GPUs that cells may use, as CUDA counts them; none where cells are on the processor."""
    if all(cell.config.device in ("cpu", "mps") for cell in batch.cells):
        return []
    import torch

    count = torch.cuda.device_count()
    visible = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    return visible[:count] if visible else [str(index) for index in range(count)]


def _begin(gpu: str | None, threads: int) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    with _surroundings({**thread_variables(threads), **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})}):
        process.start()
    theirs.close()
    return Worker(process, ours, gpu)


@contextlib.contextmanager
def _surroundings(variables: dict[str, str]) -> Iterator[None]:
    """Let processes that begin now have these environment variables: libraries read them once, when they are loaded."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection) -> None:
    """Carry out cells until the pipe closes; the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and says so by SIGTERM
    signal.signal(signal.SIGTERM, _interrupt)
    os.dup2(2, 1)  # what plugins print is no part of a document on stdout
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            pipe.send(carry_out(pipe.recv(), pipe.send))


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end(workers: list[Worker]) -> None:
    """End all workers: those at work by an interrupt, so that they give back their locks."""
    for worker in workers:
        if worker.cell is not None:
            worker.process.terminate()
        worker.pipe.close()
    for worker in workers:
        worker.process.join(PATIENCE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
