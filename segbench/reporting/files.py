"""The files of a site: each appears whole or not at all, under a name that no data can make unsafe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from segbench.atomic import atomically
from segbench.reporting.svg import add_legend, drawing, inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESOLUTION = 130
"""Dots per inch of pictures with images in them."""
PRINTED = 7.2
"""Inches, the width of two columns of a journal: no PDF of the report's own is wider."""
_LONGEST = 60


def part_of_name(text: str) -> str:
    """Return what is left of a text in the name of a file; what tells two files apart must come from elsewhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:_LONGEST]


@dataclass
class Site:
    """A folder being filled.

    Attributes:
        folder: where.
        shared: what every page is given.
        pdf: whether every picture is also written as PDF, below ``figures/``.
        files: written so far, in order, relative to the folder.
    """

    folder: Path
    shared: dict[str, Any] = field(default_factory=dict)
    pdf: bool = False
    files: list[str] = field(default_factory=list)
    _count: Counter[str] = field(default_factory=Counter)

    def write_text(self, name: str, text: str) -> str:
        """Write a text file; returns its address."""
        atomically(self.folder / name, lambda part: part.write_text(text, encoding="utf-8"))
        self.files.append(name)
        return name

    write_page = write_text

    def write_figure(self, stem: str, figure: Figure, fit: bool = True) -> str:
        """Write a figure as PNG below ``figures/``, numbered, and close it; returns its address.

        Args:
            stem: begins its name.
            figure: to be written.
            fit: see ``print``.
        """
        import matplotlib.pyplot as plt

        self._count[stem] += 1
        name = f"figures/{stem}-{self._count[stem]}.png"
        atomically(self.folder / name, partial(figure.savefig, format="png", dpi=RESOLUTION, bbox_inches="tight"))
        self.files.append(name)
        self.print(figure, f"{stem}-{self._count[stem]}", fit)
        plt.close(figure)
        return name

    def about(self, name: str) -> dict[str, Any]:
        """Return ``{"width", "height", "pdf"}`` of a picture: pixels, from its PNG header, and a link to its PDF."""
        head = (self.folder / name).read_bytes()[:24]
        size = {"width": int.from_bytes(head[16:20], "big"), "height": int.from_bytes(head[20:24], "big")}
        return {**size, "pdf": self._link(Path(name).stem)}

    def draw(self, figure: Figure, name: str, description: str, legend: Sequence[str] = ()) -> Markup:
        """Return a figure as an element of a page, with a link to its PDF if there are any.

        Args:
            figure: made within ``svg.drawing()``.
            name: unique within the site, safe in a file's name.
            description: what a reader who cannot see it is told.
            legend: methods that the page names and the PDF has to, in the order of the board.
        """
        with drawing():
            drawn = inline_svg(figure, name, description)
            self.print(figure, name, legend=legend)
        return drawn + self._link(name)

    def printed(self, name: str, draw: Callable[[], Figure]) -> Markup:
        """Write a picture that the page draws itself as PDF, if that is wanted; returns the link to it.

        Args:
            name: unique within the site, safe in a file's name.
            draw: makes the picture.
        """
        if self.pdf:
            with drawing():
                self.print(draw(), name)
        return self._link(name)

    def print(self, figure: Figure, name: str, fit: bool = True, legend: Sequence[str] = ()) -> None:
        """Write a figure as PDF if that is wanted: vectors, embedded fonts, text that can be selected and searched.

        Args:
            figure: to be written.
            name: of the file, without ending.
            fit: whether a figure that is too wide for print may be laid out anew; its letters keep their size.
            legend: methods to be named by their colours below it.
        """
        import matplotlib as mpl

        if not self.pdf:
            return
        width, height = figure.get_size_inches()
        if fit and width > PRINTED:
            figure.set_size_inches(PRINTED, height * PRINTED / width)
        if legend:
            add_legend(figure, legend)
        file = f"figures/{name}.pdf"
        options: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.02, "metadata": {"CreationDate": None}}
        with mpl.rc_context({"pdf.fonttype": 42}):
            atomically(self.folder / file, partial(figure.savefig, format="pdf", **options))
        self.files.append(file)

    def _link(self, name: str) -> Markup:
        return Markup('<p class="note"><a href="figures/{}.pdf">PDF</a></p>').format(name) if self.pdf else Markup()
