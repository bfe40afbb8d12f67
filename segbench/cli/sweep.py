"""Several cells at once, on the terminal: one display for all of them; a line per epoch where nobody watches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from segbench.cli import console
from segbench.cli.rows import FAILED, say_failure
from segbench.failures import Failure
from segbench.sweeps.engines import Engine, batch_of
from segbench.sweeps.plan import FINISHED
from segbench.sweeps.progress import Sweep, duration, words
from segbench.sweeps.work import axes

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from segbench.sweeps.plan import Plan
    from segbench.sweeps.work import News
    from segbench.types import Choice


def sweep(plan: Plan, engine: Engine, reporters: Sequence[Choice] = ()) -> list[dict[str, Any]]:
    """Carry out the cells of a plan by an engine; return their rows in the order of the plan."""
    batch = batch_of(plan, reporters)
    rows: dict[str, dict[str, Any]] = {}
    for cell in plan.cells:
        if not cell.open:
            rows[cell.key] = _settled_row(cell, list(rows.values()))
    finished = sum(cell.state == FINISHED for cell in plan.cells)
    state = Sweep([cell.title for cell in batch.cells], finished, len(plan.cells) - len(batch.cells) - finished)
    if finished:
        console.say(f"{finished} of {state.total} cells were finished before.")
    with _shown(state) as show, contextlib.closing(engine.carry_out(batch, show.heard)) as ended:
        for index, row in ended:
            cell = batch.cells[index]
            show.over(index, row, list(rows.values()))
            rows[cell.key] = {"title": cell.title, **row}
    return [rows[cell.key] for cell in plan.cells]


def _settled_row(cell: Any, before: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of a cell that is finished, or can never begin."""
    row = {"title": cell.title, **axes(cell.config)}
    if cell.state == FINISHED:
        return {**row, "run_id": cell.id, "folder": str(cell.folder), "status": "finished before"}
    failure = Failure(cell.reason, cell.exit_code, cell.state == "incompatible")
    return say_failure(cell.title, row, failure, before, alone=False)


class Lines:
    """Tells of a sweep in lines: one per epoch and cell."""

    def __init__(self, state: Sweep, screen: Console) -> None:
        self.state, self.screen = state, screen

    def heard(self, index: int, news: News) -> None:
        """Take in the news of a cell."""
        self.state.heard(index, news)
        title = self.state.titles[index]
        if news.note:
            self.say(f"{title}: {news.note}")
        elif news.over:
            self.epoch(f"{title}: {words(news)}")

    def over(self, index: int, row: dict[str, Any], before: list[dict[str, Any]]) -> None:
        """Take in that a cell has ended."""
        self.state.over(index, row)
        title = self.state.titles[index]
        if row["status"] in FAILED:
            failure = Failure(row["reason"], row["exit_code"], row["status"] == "incompatible")
            say_failure(title, {}, failure, before, alone=False)
            return
        took = f" in {duration(row['wall'])}" if row["status"] == "done" else ""
        reason = f" {row['reason']}." if row.get("reason") else ""
        self.say(f"[{self.state.headline()}] {title}: {row['status']}{took}.{reason} {row.get('folder', '')}".rstrip())

    def epoch(self, text: str) -> None:
        """Say that an epoch is over."""
        self.say(text)

    def say(self, text: str) -> None:
        """Say a line."""
        self.screen.print(text, highlight=False, markup=False, soft_wrap=True)


class Display(Lines):
    """Shows a sweep on a terminal: a headline, and the cells that are running; nothing is cut, lines wrap."""

    def epoch(self, text: str) -> None:
        """An epoch is seen in the display already."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        state = self.state
        bar = Table.grid()
        bar.add_row(ProgressBar(state.total, state.worked, width=min(40, options.max_width)))
        yield bar
        yield Text(state.headline(), style="bold")
        for title, news in state.lines():
            yield Text(title)
            yield Text(f"  {news}", style="dim")


@contextlib.contextmanager
def _shown(state: Sweep) -> Iterator[Lines]:
    screen = console.stderr()
    if not screen.is_terminal:
        yield Lines(state, screen)
        return
    from rich.live import Live

    display = Display(state, screen)
    with Live(display, console=screen, transient=True, refresh_per_second=4, vertical_overflow="ellipsis"):
        yield display
