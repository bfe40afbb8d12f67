"""The files of a site: each appears whole or not at all, and none takes its name from data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.atomic import atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESOLUTION = 130
"""Dots per inch of pictures with images in them."""


@dataclass
class Site:
    """A folder being filled.

    Attributes:
        folder: where.
        shared: what every page is given.
        files: written so far, in order, relative to the folder.
    """

    folder: Path
    shared: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    _count: Counter[str] = field(default_factory=Counter)

    def write_text(self, name: str, text: str) -> str:
        """Write a text file; returns its address."""
        atomically(self.folder / name, lambda part: part.write_text(text, encoding="utf-8"))
        self.files.append(name)
        return name

    write_page = write_text

    def write_figure(self, stem: str, figure: Figure) -> str:
        """Write a figure as PNG below ``figures/``, numbered, and close it; returns its address."""
        import matplotlib.pyplot as plt

        self._count[stem] += 1
        name = f"figures/{stem}-{self._count[stem]}.png"
        atomically(self.folder / name, partial(figure.savefig, format="png", dpi=RESOLUTION, bbox_inches="tight"))
        plt.close(figure)
        self.files.append(name)
        return name

    def size(self, name: str) -> dict[str, int]:
        """Return ``{"width", "height"}`` of a picture in pixels, from its PNG header."""
        head = (self.folder / name).read_bytes()[:24]
        return {"width": int.from_bytes(head[16:20], "big"), "height": int.from_bytes(head[20:24], "big")}
