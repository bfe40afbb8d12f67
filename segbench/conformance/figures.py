"""Checks of figures: drawn from made-up runs, saved, and refused in words where they cannot be."""

from __future__ import annotations

from segbench.conformance.cases import FakeRun
from segbench.conformance.common import Broken, Check, Skipped, Subject, expect
from segbench.errors import Incompatible, safe_name


def _drawn(subject: Subject, count: int) -> int:
    """Draw some runs and save what comes; returns the number of pictures."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.figure
    import matplotlib.pyplot as plt

    runs = [FakeRun(number, subject.folder) for number in range(count)]
    names: list[str] = []
    for name, figure in subject.make().draw(runs):
        safe_name(name, "figure")
        names.append(name)
        expect(isinstance(figure, matplotlib.figure.Figure), f"expected a matplotlib Figure, found {figure!r}")
        for ending in ("png", "svg"):
            file = subject.folder / f"{name}.{ending}"
            figure.savefig(file)
            expect(file.stat().st_size > 0, f"{file.name} is empty")
        plt.close(figure)
    expect(len(set(names)) == len(names), f"two pictures have the same name: {', '.join(names)}")
    return len(names)


def draws_finished_runs(subject: Subject) -> None:
    """One run, two and three give pictures that can be saved; what cannot be drawn is refused as Incompatible."""
    refused, pictures = [], 0
    for count in (1, 2, 3):
        try:
            pictures += _drawn(subject, count)
        except Incompatible as error:
            refused.append(str(error))
    if len(refused) == 3:
        raise Skipped(f"it refuses the made-up runs: {refused[0]}")
    expect(bool(pictures), "draw() gave no picture and refused nothing")


def no_run_is_refused(subject: Subject) -> None:
    """Without a run there is nothing to draw: Incompatible."""
    try:
        _drawn(subject, 0)
    except Incompatible:
        return
    raise Broken("draw([]) did not raise Incompatible")


def figures_are_closed_by_the_caller_only(subject: Subject) -> None:
    """No figure is left open besides those that were given."""
    import matplotlib.pyplot as plt

    before = set(plt.get_fignums())
    try:
        _drawn(subject, 2)
    except Incompatible as error:
        raise Skipped(str(error)) from error
    left = set(plt.get_fignums()) - before
    expect(not left, f"{len(left)} figures stayed open after those given were closed")


CHECKS: tuple[Check, ...] = (draws_finished_runs, no_run_is_refused, figures_are_closed_by_the_caller_only)
