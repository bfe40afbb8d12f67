"""Public collections of labelled heads as datasets: the table of contents."""

from __future__ import annotations

from segbench import Dataset, hookimpl


@hookimpl
def segbench_datasets() -> list[type[Dataset]]:
    """Return the datasets of this plugin."""
    from segbench_brains.ibsr import Ibsr
    from segbench_brains.lpba40 import Lpba40
    from segbench_brains.miccai2012 import Miccai2012
    from segbench_brains.mrbrains13 import MrBrains13
    from segbench_brains.mrbrains18 import MrBrains18

    return [Ibsr, Lpba40, Miccai2012, MrBrains13, MrBrains18]
