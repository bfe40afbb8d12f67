"""One function over many items in worker processes, when some items may kill their worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2
"""Items handed out per worker, so that none waits for the parent."""


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

    With one job everything happens in this process. With more, an item whose worker dies is tried once more alone;
    if that worker dies too, the answer is ``WorkerDied``, and the others go on.

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
        for index in suspects:
            yield index, _alone(function, items[index], prepare, arguments)


def _drain(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], items: Sequence[Item], waiting: deque[int], jobs: int
) -> Generator[tuple[int, Result], None, list[int]]:
    """Yield results until nothing waits or a worker died; return the items that were under way then."""
    under_way: dict[Future[Result], int] = {}
    suspects: list[int] = []
    while under_way or (waiting and not suspects):
        try:
            while waiting and not suspects and len(under_way) < AHEAD * jobs:
                under_way[pool.submit(function, items[waiting[0]])] = waiting[0]
                waiting.popleft()
        except BrokenProcessPool:
            suspects += [] if under_way else [waiting.popleft()]
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            index = under_way.pop(future)
            try:
                result = future.result()
            except BrokenProcessPool:
                suspects.append(index)
            else:
                yield index, result
    return sorted(suspects)


def _alone(
    function: Callable[[Item], Result], item: Item, prepare: Callable[..., None], arguments: tuple[Any, ...]
) -> Result | WorkerDied:
    with _pool(1, prepare, arguments) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return WorkerDied("the process that scored it died (out of memory, or a fault in compiled code)")


def _pool(workers: int, prepare: Callable[..., None], arguments: tuple[Any, ...]) -> ProcessPoolExecutor:
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, context, _begin, (prepare, arguments))


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Set a worker up: it leaves interrupts to the parent and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
