"""``tensorboard``: a training's curves as TensorBoard's event files, while it runs."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

from segbench import DataMissing, LiveRun, Reporter, parameter

PACKAGE = "tensorboard"
EVENTS = "events.out.tfevents.*"


@dataclass
class TensorBoard(Reporter):
    """Writes loss terms, validation and whatever a method logs, over epochs from 1, for ``tensorboard --logdir``.

    A training that was interrupted goes on in the same curves: what was reported of it is written again from the run's
    own history, so that nothing is lost or there twice, whenever it was killed.
    """

    name: ClassVar[str] = "tensorboard"
    summary: ClassVar[str] = "live curves in TensorBoard: losses, validation"
    source: ClassVar[str] = "https://www.tensorflow.org/tensorboard"

    folder: Path | None = parameter(None, "log directory, a folder for each run below it; none = the run's own folder")

    def check(self) -> None:
        """Ask for the package that writes events.

        Raises:
            DataMissing: it is not installed.
        """
        if importlib.util.find_spec(PACKAGE) is None:
            raise DataMissing(
                "Reporter tensorboard needs the package tensorboard, which is not installed: "
                "pip install 'segbench[tensorboard]'."
            )

    def begin(self, run: LiveRun) -> str:
        """Open the event file; returns where to look."""
        self.check()
        from torch.utils.tensorboard import SummaryWriter

        root = run.folder if self.folder is None else self.folder
        place = root / "tensorboard" if self.folder is None else root / _named(run)
        for old in place.glob(EVENTS) if place.is_dir() else ():
            old.unlink()
        # A step to purge from makes a TensorBoard that is already watching forget what the old files said.
        self._writer: Any = SummaryWriter(str(place), purge_step=0)
        text = json.dumps(run.config, indent=2, default=str)
        self._writer.add_text("configuration", "".join(f"    {line}\n" for line in text.splitlines()))
        for epoch, values in _by_epoch(run.earlier):
            self._write(epoch, values)
        self._writer.flush()
        return f"Curves: tensorboard --logdir {place if self.folder is None else root}"

    def epoch(self, index: int, step: int, values: Mapping[str, float]) -> None:
        """Write an epoch's values and hand them to the disk."""
        self._write(index, values)
        self._writer.flush()

    def finish(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name if "/" in name else f"training/{name}", value, epoch + 1)


def _named(run: LiveRun) -> str:
    """Return the folder of a run among those of others: what it is, told apart by its name."""
    return f"{run.title.replace(', ', '-').replace(' ', '_').replace(':', '-').replace('/', '-')}-{run.run_id}"


def _by_epoch(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, dict[str, float]]]:
    for epoch, group in groupby(rows, key=itemgetter("epoch")):
        yield int(epoch), {str(row["name"]): float(row["value"]) for row in group if row["value"] is not None}
