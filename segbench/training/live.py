"""Reporter parts beside a training: told after every epoch, and never able to end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from segbench.contracts import LiveRun, Reporter
from segbench.errors import SegbenchError
from segbench.host import Catalogue, Origin, blame
from segbench.types import Choice

Guarded = tuple[Reporter, Origin]


def reporters_of(catalogue: Catalogue, choices: Sequence[Choice]) -> list[Guarded]:
    """Construct reporters and ask each whether it can work here, before anything is trained.

    Raises:
        DataMissing: one lacks what it needs.
        UsageError, UnknownName: there is no such reporter or parameter.
    """
    found = []
    for choice in choices:
        reporter, origin = catalogue.reporter(choice), catalogue.entry("reporters", choice.name).origin
        with blame(origin, f"checking reporter {choice.name}"):
            reporter.check()
        found.append((reporter, origin))
    return found


class Live:
    """The reporters of one training. One that raises is named in a note and not told any more.

    Args:
        run: what they are told of the training, but for how far it is.
        reporters: each with the plugin it comes from.
        note: takes sentences for the log.
    """

    def __init__(
        self,
        run: LiveRun | None = None,
        reporters: Sequence[Guarded] = (),
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.run, self.reporters, self.note = run, list(reporters), note

    def begin(self, steps: int, first: int, earlier: Sequence[Mapping[str, Any]]) -> None:
        """The training begins or goes on; what reporters say is noted."""

        def begin(reporter: Reporter) -> None:
            assert self.run is not None
            if said := reporter.begin(replace(self.run, steps=steps, first=first, earlier=tuple(earlier))):
                self.note(str(said))

        self._each(begin)

    def epoch(self, index: int, step: int, values: Mapping[str, float]) -> None:
        """An epoch is done and saved."""
        self._each(lambda reporter: reporter.epoch(index, step, dict(values)))

    def finish(self) -> None:
        """The training is over, or was interrupted."""
        self._each(lambda reporter: reporter.finish())

    def _each(self, tell: Callable[[Reporter], None]) -> None:
        for one in list(self.reporters):
            reporter, origin = one
            try:
                tell(reporter)
            except (Exception, SystemExit) as error:
                self.reporters.remove(one)
                what = str(error) if isinstance(error, SegbenchError) else f"{type(error).__name__}: {error}"
                self.note(f"Reporter {reporter.name} of {origin} failed and is not told any more: {what}")
