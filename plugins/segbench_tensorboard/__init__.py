"""Live curves of a running training in TensorBoard."""

from __future__ import annotations

from segbench import Reporter, hookimpl


@hookimpl
def segbench_reporters() -> list[type[Reporter]]:
    """Return the reporter ``tensorboard``."""
    from segbench_tensorboard.reporter import TensorBoard

    return [TensorBoard]
