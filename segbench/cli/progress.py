"""Progress of a run in the terminal: one bar, one line per epoch; silent when nobody watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.markup import escape

from segbench.training.loop import Reporter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class RichReporter(Reporter):
    """Shows epoch, losses, validation Dice and the time left."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.losses = ""
        self.dice = ""

    def note(self, text: str) -> None:
        """Say a sentence, whoever listens."""
        self.console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)

    def passing(self, text: str) -> None:
        """Say how far something is, on a terminal."""
        if self.console.is_terminal:
            self.console.print(text, style="dim", highlight=False, markup=False)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show a stage other than training."""
        if not self.console.is_terminal:
            return
        if self.bar is None:
            self._open(what, total)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description=what, completed=done, total=total, detail=f"{done}/{total}")
        if done == total:
            self.finish()

    def start(self, epochs: int, steps: int, first: int) -> None:
        """Open the training bar."""
        self.steps, self.epochs = steps, epochs
        if self.console.is_terminal:
            self._open("Training", epochs * steps, first * steps)

    def step(self, epoch: int, step: int, losses: Mapping[str, float]) -> None:
        """Move the bar by one step."""
        if self.bar is None or self.task is None:
            return
        if step % 5 == 0:
            self.losses = escape(" ".join(f"{name} {value:.3f}" for name, value in losses.items()))
        self.bar.update(self.task, advance=1, detail=self._detail(epoch))

    def epoch(self, index: int, train: Mapping[str, float], val: Mapping[str, float], seconds: float) -> None:
        """Show the validation Dice from here on."""
        if val:
            self.dice = f"[green]val Dice {val.get('dice', 0.0):.3f}[/]"
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, detail=self._detail(index), refresh=True)

    def _detail(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self.epochs} {self.losses} {self.dice}"

    def finish(self) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.stop()
        self.bar = self.task = None

    def _open(self, what: str, total: int, completed: int = 0) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.finish()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.bar.start()
        self.task = self.bar.add_task(what, total=total, completed=completed, detail="")
