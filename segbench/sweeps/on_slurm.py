"""Cells as SLURM jobs (submitit, extra ``slurm``): those that may begin together are one array.

A job that is preempted or runs out of time is queued again and goes on after its last epoch. All nodes must see the
results, the data and the plugin files under the same paths. What a cell prints lies in ``.slurm`` below the results.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from segbench.errors import EXIT_DATA, UsageError
from segbench.failures import Failure
from segbench.sweeps.engines import Batch, Heard, Row
from segbench.sweeps.progress import words
from segbench.sweeps.queue import Queue
from segbench.sweeps.work import News, Work, axes, carry_out, failed
from segbench.texts import plain

LOOK = 1.0
"""Seconds between two looks at files and at the queue."""
MINUTES = 24 * 60
"""Time limit of a job unless ``--option timeout_min=`` says another."""
SHARED = ("timeout_min", "mem_gb", "gpus_per_node", "cpus_per_task", "nodes", "tasks_per_node", "name", "cluster")
"""Options that submitit knows for every kind of cluster; others are SLURM's own."""


@dataclass
class Job:
    """A cell as submitit runs it; called again, by another job, if it is cut off."""

    work: Work
    file: Path

    def __call__(self) -> Row:
        """Carry out the cell; its news go to a file, and a line per epoch to the job's log."""
        return carry_out(self.work, self._tell)

    def _tell(self, news: News) -> None:
        from segbench.results import write_json

        if news.note or news.over:
            print(plain(news.note or words(news)), flush=True)  # noqa: T201 - the log of a job
        write_json(self.file, asdict(news))

    def checkpoint(self) -> Any:
        """Return what is queued again when time runs out or the job is preempted."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


@dataclass(frozen=True)
class Slurm:
    """An engine that hands cells to SLURM.

    Attributes:
        jobs: cells at once; 0 = as many as SLURM lets.
        options: ``KEY=VALUE``: submitit's (timeout_min, mem_gb, gpus_per_node) or SLURM's (partition, account, qos);
            ``cluster=local`` runs the jobs on this machine, to try it out.
    """

    jobs: int = 0
    options: Sequence[str] = ()

    def carry_out(self, batch: Batch, heard: Heard) -> Generator[tuple[int, Row]]:
        """See ``Engine.carry_out``."""
        executor = self._executor(batch)
        news = batch.root.absolute() / ".slurm" / f"news-{secrets.token_hex(4)}"
        queue, running, seen = Queue(batch), dict[int, Any](), dict[int, str]()
        try:
            while queue.waiting or running:
                cells = list(iter(queue.next, None))
                with executor.batch() if cells else contextlib.nullcontext():
                    made = [
                        executor.submit(Job(replace(batch.work(cell), wait=False), news / f"{cell}.json"))
                        for cell in cells
                    ]
                running |= dict(zip(cells, made, strict=True))
                time.sleep(LOOK)
                _look(news, list(running), seen, heard)
                for cell in [cell for cell, job in running.items() if job.done()]:
                    queue.ended.add(cell)
                    yield cell, _row(running.pop(cell), batch, cell)
        finally:
            for job in running.values():
                job.cancel(check=False)
            for file in news.glob("*.json"):
                file.unlink()
            if news.is_dir():
                news.rmdir()

    def _executor(self, batch: Batch) -> Any:
        try:
            import submitit
        except ImportError as error:
            raise UsageError("--engine slurm needs submitit: pip install 'segbench[slurm]'.") from error
        given = self._parameters(batch)
        cluster = given.pop("cluster", "slurm")
        executor = submitit.AutoExecutor(folder=batch.root.absolute() / ".slurm", cluster=cluster)
        executor.update_parameters(**given)
        return executor

    def _parameters(self, batch: Batch) -> dict[str, Any]:
        given: dict[str, Any] = {"name": "segbench", "timeout_min": MINUTES, "cpus_per_task": batch.threads}
        if self.jobs:
            given["slurm_array_parallelism"] = self.jobs
        for option in self.options:
            key, equals, value = option.partition("=")
            if not equals or not key:
                raise UsageError(f"--option {option!r}: expected KEY=VALUE such as partition=gpu or timeout_min=240.")
            name = key if key in SHARED or key.startswith("slurm_") else f"slurm_{key}"
            given[name] = int(value) if value.isdecimal() else value
        return given


def _look(news: Path, cells: Sequence[int], seen: dict[int, str], heard: Heard) -> None:
    """Pass on the news of cells that have changed."""
    for cell in cells:
        try:
            text = (news / f"{cell}.json").read_text(encoding="utf-8")
        except OSError:
            continue
        if text != seen.get(cell):
            seen[cell] = text
            heard(cell, News(**json.loads(text)))


def _row(job: Any, batch: Batch, cell: int) -> Row:
    """Return the row of a job, or why it has none."""
    try:
        row: Row = job.result()
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = f"Its job {job.job_id} ended as {job.state}: {lines[-1] if lines else type(error).__name__}"
        where = f"Its log is {job.paths.stderr}. The same command resumes."
        return {**axes(batch.cells[cell].config), **failed(Failure(f"{reason}. {where}", EXIT_DATA))}
    return row
