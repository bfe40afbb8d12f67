"""The contract of reporters: whoever wants to know, epoch by epoch, how a running training goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.contracts.parts import Part


@dataclass(frozen=True)
class LiveRun:
    """A training that begins, or goes on.

    Attributes:
        run_id, title: what it is, and in a few words: method, dataset, network, seed.
        folder: of the run; what a reporter writes there lies in a folder of its own name and stays with the results.
        config: the configuration as JSON values.
        epochs, steps: epochs in all, and optimiser steps in each.
        first: index of the first epoch to come; more than 0 in a training that was interrupted.
        earlier: what was reported of epochs before it, rows ``{"epoch", "step", "name", "value"}`` in their order.
    """

    run_id: str
    title: str
    folder: Path
    config: Mapping[str, Any]
    epochs: int
    steps: int
    first: int = 0
    earlier: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


class Reporter(Part):
    """Follows a running training: curves in a browser, messages, a tracking server.

    Called in the order of the verbs below, in the process that trains, between epochs. It is no part of what a run is:
    results do not depend on it. One that raises is named in a note and not asked again, and the training goes on; only
    ``check``, which is called before anything is trained, may refuse.

    Example:
        >>> class Lines(Reporter):
        ...     name = "lines"
        ...     def epoch(self, index, step, values):
        ...         print(index + 1, values["train/ce"])
        >>> Lines().epoch(0, 10, {"train/ce": 0.7})
        1 0.7
    """

    def check(self) -> None:
        """Refuse what cannot work here, such as a package that is not installed.

        Raises:
            DataMissing: says what to install, or to start.
        """

    def begin(self, run: LiveRun) -> str | None:
        """Take up a training; returns a sentence for the log, such as where to look, or None."""
        return None

    def epoch(self, index: int, step: int, values: Mapping[str, float]) -> None:
        """Take the values of an epoch that is done and saved.

        Args:
            index: of the epoch, from 0.
            step: optimiser steps so far.
            values: as in ``history.parquet``: ``train/<term>`` (mean of a loss term over the epoch), ``val/dice`` where
                it was validated, ``method/<name>`` for what the method logs, ``learning_rate``, ``seconds`` so far,
                ``skipped`` steps. Any may be NaN or infinite.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Close what is open: the training is over, or was interrupted."""
