"""The choice of channels that the two MRBrainS datasets share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from segbench import parameter
from segbench_brains import files
from segbench_brains.brain_folder import BrainFolder


@dataclasses.dataclass
class ChannelFolder(BrainFolder):
    """A distribution with several images per head on one grid.

    Attributes:
        stems: channel -> name of its file in a case's folder, without ending.
    """

    stems: ClassVar[Mapping[str, str]]

    channels: tuple[Literal["T1", "T1_IR", "FLAIR"], ...] = parameter(
        ("T1", "T1_IR", "FLAIR"), "images to use, in this order"
    )

    def __post_init__(self) -> None:
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels: expected each of {', '.join(self.stems)} at most once, found {self.channels}.")

    def channel_names(self) -> tuple[str, ...]:
        """Return the channels chosen."""
        return self.channels

    def images(self, case: str, home: Path) -> tuple[Path, ...]:
        """Return the file of every channel chosen.

        Raises:
            DataInvalid: a channel without a file.
        """
        return tuple(
            files.needed(files.pick(self.stems[channel], home), case, f"{self.stems[channel]} in {home}")
            for channel in self.channels
        )
