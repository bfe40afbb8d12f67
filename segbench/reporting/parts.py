"""Figure parts of plugins: each is tried on a board's runs; those that do not apply are passed over."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench.errors import DataMissing, Incompatible, SegbenchError
from segbench.host import Catalogue, blame
from segbench.reporting.competitors import Runs
from segbench.runs import StoredRun
from segbench.types import Choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PartPicture:
    """A picture of a Figure part: the part's name and summary, the picture's own name, where it was saved."""

    part: str
    summary: str
    name: str
    file: str


def draw_parts(catalogue: Catalogue, runs: Runs, save: Callable[[Figure], str], notes: list[str]) -> list[PartPicture]:
    """Draw every Figure part of the catalogue that applies.

    Args:
        catalogue: where the parts are.
        runs: of one board; each competitor is drawn by its first run, so that no picture repeats it for every seed.
        save: writes a figure, returns its address in the site.
        notes: collects what went wrong, in words.
    """
    first = [own[0] for own in runs.of.values() if own]
    pictures: list[PartPicture] = []
    with without_display():
        _draw(catalogue, first, save, pictures, notes)
    return pictures


def _draw(
    catalogue: Catalogue,
    first: list[StoredRun],
    save: Callable[[Figure], str],
    pictures: list[PartPicture],
    notes: list[str],
) -> None:
    for kind in catalogue.names("figures") if first else ():
        try:
            part = catalogue.figure(Choice(kind))
            with blame(catalogue.entry("figures", kind).origin, f"drawing {kind}"):
                for name, drawn in part.draw(first):
                    pictures.append(PartPicture(kind, part.summary, name, save(drawn)))
        except Incompatible:
            continue
        except DataMissing as error:
            if all(run.kept.folder is not None for run in first):  # a board keeps no images: nothing is amiss
                notes.append(f"Figure {kind}: {error}")
        except (SegbenchError, OSError) as error:
            notes.append(f"Figure {kind}: {error}")


@contextmanager
def without_display() -> Iterator[None]:
    """Let matplotlib, which may not be imported yet and perhaps never is, draw into files alone."""
    if "matplotlib" in sys.modules:
        import matplotlib as mpl

        mpl.use("Agg")
    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "Agg"
    try:
        yield
    finally:
        if before is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = before
