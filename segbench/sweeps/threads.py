"""How many threads a training uses: a number of the plan, because sums in another order differ in their last bits.

Where a machine is shared two threads of one process may take several times as long as one, each spinning for a partner
that does not run; processes with one thread each do not (see ``benchmarks/sweeps.py``).
"""

from __future__ import annotations

import os


def threads_of(threads: int, jobs: int) -> int:
    """Return the threads of each training: as asked, else those that torch would take, divided among the jobs."""
    if threads:
        return threads
    import torch

    return max(1, torch.get_num_threads() // jobs)


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment variables that tell the libraries below torch how many threads to use."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def use_threads(threads: int) -> None:
    """Let torch, and whatever this process starts, use so many threads; 0 leaves everything as it is."""
    if not threads:
        return
    import torch

    os.environ.update(thread_variables(threads))
    torch.set_num_threads(threads)
