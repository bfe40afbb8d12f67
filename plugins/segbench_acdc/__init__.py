"""ACDC (cardiac cine MR: RV, Myo, LV) as a dataset: the table of contents."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the dataset of this plugin."""
    from segbench_acdc.acdc import ACDC

    return [ACDC]
