"""The likeliest label of every voxel."""

from __future__ import annotations

from dataclasses import dataclass

from segbench import Decision


@dataclass
class Argmax(Decision):
    """The likeliest label of every voxel; of equally likely ones the first."""

    name = "argmax"
    summary = "the likeliest label of every voxel"
    default = True
