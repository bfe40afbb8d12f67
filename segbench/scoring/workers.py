"""One function over many items in worker processes, when some items may kill their worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from segbench.allocator import keep_pages

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2
"""Tasks handed out per worker, so that none waits for the parent."""
TASK_SECONDS = 0.1
"""Items that take less are handed out several at a time, because handing over costs as much as a small item."""
LARGEST_TASK = 64
"""Items handed out together, at most: what may have to be done again after an interruption."""


@dataclass(frozen=True)
class WorkerDied:
    """Stands for the result of an item whose process ended without an answer."""

    reason: str


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[tuple[int, Result | WorkerDied]]:
    """Yield ``(index, result)`` for every item, in the order in which they are finished.

    With one job everything happens in this process. With more, each item that was under way when a worker died is tried
    once more alone; if that worker dies too, the answer is ``WorkerDied``, and the others go on.

    Args:
        function: picklable, must not raise.
        items: picklable.
        jobs: number of processes.
        prepare: called with ``arguments`` once in every process before the first item.
    """
    if jobs == 1:
        prepare(*arguments)
        for index, item in enumerate(items):
            yield index, function(item)
        return
    waiting = deque(range(len(items)))
    while waiting:
        pool = _pool(min(jobs, len(waiting)), prepare, arguments)
        try:
            suspects = yield from _drain(pool, function, items, waiting, jobs)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        yield from _one_by_one(function, items, suspects, prepare, arguments)


def _drain(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], items: Sequence[Item], waiting: deque[int], jobs: int
) -> Generator[tuple[int, Result], None, list[int]]:
    """Yield results until nothing waits or a worker died; return the items that were under way then."""
    under_way: dict[Future[tuple[list[Result], float]], list[int]] = {}
    suspects: list[int] = []
    together = 1
    while under_way or (waiting and not suspects):
        while waiting and not suspects and len(under_way) < AHEAD * jobs:
            fair = max(1, len(waiting) // (AHEAD * jobs))  # towards the end nobody waits for one large task
            task = [waiting.popleft() for _ in range(min(together, fair))]
            try:
                under_way[pool.submit(_several, function, [items[index] for index in task])] = task
            except BrokenProcessPool:
                suspects += task
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            task = under_way.pop(future)
            try:
                results, seconds = future.result()
            except BrokenProcessPool:
                suspects += task
            else:
                yield from zip(task, results, strict=True)
                fitting = int(len(task) * TASK_SECONDS / max(seconds, 1e-6))
                together = max(1, min(fitting, 2 * together, LARGEST_TASK))
    return sorted(suspects)


def _several(function: Callable[[Item], Result], items: Sequence[Item]) -> tuple[list[Result], float]:
    """Return the results for some items, and the seconds they took."""
    begun = time.perf_counter()
    return [function(item) for item in items], time.perf_counter() - begun


def _one_by_one(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    indices: Sequence[int],
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[tuple[int, Result | WorkerDied]]:
    """Yield a result for each item, with no other beside it; a new worker takes over from one that died."""
    left = deque(indices)
    while left:
        with _pool(1, prepare, arguments) as pool:
            try:
                while left:
                    result = pool.submit(function, items[left[0]]).result()
                    yield left.popleft(), result
            except BrokenProcessPool:
                reason = "the process that scored it died (out of memory, or a fault in compiled code)"
                yield left.popleft(), WorkerDied(reason)


def _pool(workers: int, prepare: Callable[..., None], arguments: tuple[Any, ...]) -> ProcessPoolExecutor:
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, context, _begin, (prepare, arguments))


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Set a worker up: it leaves interrupts to the parent and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_pages()
    prepare(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
