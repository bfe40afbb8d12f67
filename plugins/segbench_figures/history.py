"""The course of training: any series of a run's history over epochs, one panel per name, one line per run."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from segbench import Figure, FinishedRun, Incompatible, did_you_mean, parameter

if TYPE_CHECKING:
    import matplotlib.figure

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Name -> epochs and values."""
PANEL = (3.6, 2.4)
"""Width and height of a panel, inches."""
LEGEND_LINE = 0.22
"""Height of a line of the legend, inches."""


@dataclass
class History(Figure):
    """Losses, validation Dice and whatever a method logs (weights, penalties, residuals) over epochs.

    Runs of one title, which differ by their seed, share a colour. A value that is not finite is a gap.
    """

    name: ClassVar[str] = "history"
    summary: ClassVar[str] = "losses, validation and what the method logs, over epochs"

    series: tuple[str, ...] = parameter((), "names such as train/ce or method/*; empty = all but time")
    logarithmic: tuple[str, ...] = parameter((), "names, as for series, whose axis is logarithmic")
    columns: int = parameter(3, "panels side by side", low=1)

    def draw(self, runs: Sequence[FinishedRun]) -> Iterator[tuple[str, matplotlib.figure.Figure]]:
        """Yield one figure, ``history``.

        Raises:
            Incompatible: if no run has a history, or none of the series asked for.
        """
        found = [_series(run) for run in runs]
        names = self._chosen(list(dict.fromkeys(name for one in found for name in one)))
        yield "history", self._figure(runs, found, names)

    def _chosen(self, known: list[str]) -> list[str]:
        if not known:
            raise Incompatible("history: expected trained runs, found no history. Name runs of `segbench run`.")
        if not self.series:
            return [name for name in known if name not in ("seconds", "skipped")]
        for pattern in self.series:
            if not fnmatch.filter(known, pattern):
                raise Incompatible(f"history: no run has a series {pattern!r}. {did_you_mean(pattern, known)}")
        return [name for name in known if any(fnmatch.fnmatchcase(name, one) for one in self.series)]

    def _figure(self, runs: Sequence[FinishedRun], found: Sequence[Series], names: list[str]) -> Any:
        import matplotlib.pyplot as plt
        from matplotlib.lines import Line2D

        columns = min(self.columns, len(names))
        rows = math.ceil(len(names) / columns)
        titles = list(dict.fromkeys(run.title for run in runs))
        legend = LEGEND_LINE * (len(titles) + 1)
        size = (PANEL[0] * columns, PANEL[1] * rows + legend)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=True, layout="constrained")
        colours = plt.get_cmap("tab10" if len(titles) <= 10 else "turbo", max(10, len(titles)))
        for number, axis in enumerate(axes.flat):
            if number >= len(names):
                axis.set_axis_off()
                continue
            self._panel(axis, names[number], runs, found, {title: colours(i) for i, title in enumerate(titles)})
            axis.xaxis.set_tick_params(labelbottom=number + columns >= len(names))
            if number + columns >= len(names):
                axis.set_xlabel("epoch")
        lines = [Line2D([], [], color=colours(i)) for i in range(len(titles))]
        labels = [_plain(_with_seeds(title, runs)) for title in titles]
        figure.legend(lines, labels, loc="outside lower left", frameon=False, fontsize="small")
        return figure

    def _panel(
        self,
        axis: Any,
        name: str,
        runs: Sequence[FinishedRun],
        found: Sequence[Series],
        colours: Mapping[str, Any],
    ) -> None:
        from matplotlib.ticker import MaxNLocator

        for run, series in zip(runs, found, strict=True):
            if name in series:
                epochs, values = series[name]
                mark = "o" if len(epochs) == 1 else None
                axis.plot(
                    epochs, values, color=colours[run.title], linewidth=1.2, alpha=0.85, marker=mark, markersize=3
                )
        axis.set_title(_plain(name), fontsize="medium")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if any(fnmatch.fnmatchcase(name, one) for one in self.logarithmic):
            axis.set_yscale("log")


def _series(run: FinishedRun) -> Series:
    """Return the series of a run, epochs from 1; a value that is not finite is NaN, which leaves a gap."""
    values: dict[str, tuple[list[float], list[float]]] = {}
    for row in run.history():
        epochs, series = values.setdefault(str(row["name"]), ([], []))
        value = row["value"]
        epochs.append(int(row["epoch"]) + 1)
        series.append(value if value is not None and math.isfinite(value) else math.nan)
    return values


def _with_seeds(title: str, runs: Sequence[FinishedRun]) -> str:
    count = sum(run.title == title for run in runs)
    return f"{title} ({count} runs)" if count > 1 else title


def _plain(text: str) -> str:
    """Return a text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")
