"""PROMISE12 (prostate T2 MR) as a dataset: the table of contents."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the dataset of this plugin."""
    from segbench_promise12.promise12 import Promise12

    return [Promise12]
