"""Folders of images with masks beside them, 2D and 3D: the table of contents."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the datasets of this plugin."""
    from segbench_pairs.pairs import Pairs

    return [Pairs]
