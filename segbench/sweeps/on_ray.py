"""Cells as Ray tasks (extra ``ray``): on a cluster of this machine that lasts as long as the sweep, or one that runs.

Each cell takes one GPU where the cluster has any, else as many processors as it has threads. A worker or a node that
dies takes its cells with it; Ray starts each again elsewhere, where it goes on after its last epoch. All nodes must see
the results, the data and the plugin files under the same paths.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from segbench.errors import EXIT_DATA, UsageError
from segbench.failures import Failure
from segbench.sweeps.engines import RETRIES, Batch, Heard, Row
from segbench.sweeps.queue import Queue
from segbench.sweeps.work import News, Work, axes, carry_out, failed

LOOK = 0.5
"""Seconds between two looks at what the workers say."""
STORE = 100 << 20
"""Bytes of shared memory of a cluster of this machine: configurations and rows are all that travels."""


class Mailbox:
    """Collects the news of all workers until the sweep asks for them; lives in a process of its own."""

    def __init__(self) -> None:
        self.news: list[tuple[int, News]] = []

    def put(self, index: int, news: News) -> None:
        """Take in the news of a cell."""
        self.news.append((index, news))

    def take(self) -> list[tuple[int, News]]:
        """Return what has come since the last time."""
        taken, self.news = self.news, []
        return taken


def _cell(index: int, work: Work, mailbox: Any) -> Row:
    """Carry out a cell in a worker."""
    return carry_out(work, lambda news: mailbox.put.remote(index, news))


@dataclass(frozen=True)
class Ray:
    """An engine that hands cells to Ray.

    Attributes:
        jobs: cells at once; 0 = as many as there is room for.
        address: of a cluster; None = a cluster of this machine.
    """

    jobs: int = 0
    address: str | None = None

    def carry_out(self, batch: Batch, heard: Heard) -> Generator[tuple[int, Row]]:
        """See ``Engine.carry_out``."""
        ray = _ray()
        self._join(ray, batch.threads)
        try:
            yield from self._carry_out(ray, batch, heard)
        finally:
            ray.shutdown()

    def _join(self, ray: Any, threads: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet: dict[str, Any] = {"include_dashboard": False} if self.address is None else {}
        if self.address is None:
            cores = self.jobs * threads or os.cpu_count() or 1
            quiet |= {"num_cpus": max(cores, threads), "object_store_memory": STORE, "_node_ip_address": "127.0.0.1"}
        ray.init(address=self.address or "local", log_to_driver=False, logging_level="ERROR", **quiet)

    def _carry_out(self, ray: Any, batch: Batch, heard: Heard) -> Generator[tuple[int, Row]]:
        mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
        gpu = any(cell.config.device in ("auto", "cuda") for cell in batch.cells) and ray.cluster_resources().get("GPU")
        room = {"num_gpus": 1} if gpu else {"num_cpus": batch.threads}
        task = ray.remote(max_retries=RETRIES, **room)(_cell)
        queue, running = Queue(batch), dict[Any, int]()
        try:
            while queue.waiting or running:
                while (not self.jobs or len(running) < self.jobs) and (cell := queue.next()) is not None:
                    running[task.remote(cell, batch.work(cell), mailbox)] = cell
                ready, _ = ray.wait(list(running), timeout=LOOK)
                for index, news in ray.get(mailbox.take.remote()):
                    heard(index, news)
                for reference in ready:
                    cell = running.pop(reference)
                    queue.ended.add(cell)
                    yield cell, _row(ray, reference, batch, cell)
        finally:
            for reference in running:
                ray.cancel(reference)


def _row(ray: Any, reference: Any, batch: Batch, cell: int) -> Row:
    """Return the row of a task, or why it has none."""
    try:
        row: Row = ray.get(reference)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines()
        reason = f"Ray gave it up after {RETRIES} retries: {lines[0] if lines else type(error).__name__}"
        return {**axes(batch.cells[cell].config), **failed(Failure(f"{reason}. The same command resumes.", EXIT_DATA))}
    return row


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'segbench[ray]'.") from error
    return ray
