"""Folders of label maps as datasets with synthesised intensities: the table of contents."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the datasets of this plugin."""
    from segbench_labelmaps.labelmaps import LabelMaps

    return [LabelMaps]
