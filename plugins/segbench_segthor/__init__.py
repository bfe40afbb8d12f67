"""SegTHOR (thoracic CT: esophagus, heart, trachea, aorta) as a dataset: the table of contents."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the dataset of this plugin."""
    from segbench_segthor.segthor import SegTHOR

    return [SegTHOR]
