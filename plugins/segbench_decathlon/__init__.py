"""Folders of the Medical Segmentation Decathlon and of nnU-Net v2 as datasets: the table of contents."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the datasets of this plugin."""
    from segbench_decathlon.decathlon import Decathlon
    from segbench_decathlon.nnunet import NNUNet

    return [Decathlon, NNUNet]
