"""Reporters follow a training: told of every epoch once, also across an interruption, and unable to harm the run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from segbench import DataMissing, LiveRun, Reporter, load_catalogue, parameter, read_scores
from segbench.cli import app
from segbench.conformance import check_part
from segbench.errors import UnknownName, UsageError
from segbench.host import Entry, Origin
from segbench.training.loop import Reporter as Progress
from segbench.types import Choice

TOY = Path(__file__).parent / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]
EPOCHS = 3
CONFIG: Any = {"recipe": {"epochs": EPOCHS, "validate_every": 2}}


@dataclass
class Diary(Reporter):
    """Writes down what it is told; raises where it is asked to."""

    name: ClassVar[str] = "diary"
    summary: ClassVar[str] = "writes down what it is told"

    fails: str = parameter("", "verb in which it raises")
    exits: bool = parameter(False, "leave the program instead of raising")

    told: ClassVar[list[Any]] = []

    def _tell(self, verb: str, *what: Any) -> None:
        self.told.append((verb, *what))
        if self.fails == verb and self.exits:
            raise SystemExit(7)
        if self.fails == verb:
            raise RuntimeError(f"no ink in {verb}")

    def check(self) -> None:
        if self.fails == "check":
            raise DataMissing("Buy a pencil.")

    def begin(self, run: LiveRun) -> str | None:
        self._tell("begin", run)
        return f"Diary of {run.title}"

    def epoch(self, index: int, step: int, values: Mapping[str, float]) -> None:
        self._tell("epoch", index, step, dict(values))

    def finish(self) -> None:
        self._tell("finish")


CATALOGUE.entries["reporters"]["diary"] = Entry(Diary, Origin("here", "tests", "0"))


class Notes(Progress):
    """Collects notes; presses Ctrl-C after a number of epochs."""

    def __init__(self, interrupted_after: int = 0) -> None:
        self.notes: list[str] = []
        self.after = interrupted_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def epoch(self, index: int, *arguments: Any) -> None:
        if index + 1 == self.after:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _blank() -> None:
    Diary.told.clear()


def run(root: Path, *reporters: Choice, listener: Progress | None = None, **options: Any) -> Any:
    config = toy.configuration("witness", {}, **{**CONFIG, **options})
    return toy.run(config, catalogue=CATALOGUE, results_root=root, reporter=listener, reporters=reporters)


def history(folder: Path) -> list[tuple[int, str, float]]:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "history.parquet").to_pylist()
    return [(row["epoch"], row["name"], row["value"]) for row in rows]


def test_every_epoch_is_told_as_the_history_has_it(tmp_path: Path) -> None:
    listener = Notes()
    outcome = run(tmp_path, Choice("diary"), listener=listener)
    assert [verb for verb, *_ in Diary.told] == ["begin", *["epoch"] * EPOCHS, "finish"]
    live: LiveRun = Diary.told[0][1]
    assert (live.run_id, live.folder, live.epochs, live.first) == (outcome.run_id, outcome.folder, EPOCHS, 0)
    assert live.config["method"]["name"] == "witness" and live.earlier == ()
    assert [index for verb, index, *_ in Diary.told[1:-1]] == [0, 1, 2]
    assert [step for verb, _, step, _ in Diary.told[1:-1]] == [live.steps * (i + 1) for i in range(EPOCHS)]
    assert [(i, name, value) for _, i, _, values in Diary.told[1:-1] for name, value in values.items()] == history(
        outcome.folder
    )
    assert ["val/dice" in values for *_, values in Diary.told[1:-1]] == [False, True, True]
    assert listener.notes.count("Diary of witness on toy, toy2d, seed 0") == 1
    Diary.told.clear()
    assert not run(tmp_path, Choice("diary")).fresh
    assert Diary.told == [], "nothing is trained, nothing is told"


def test_results_do_not_depend_on_reporters(tmp_path: Path) -> None:
    with_one, without = run(tmp_path / "a", Choice("diary")), run(tmp_path / "b")
    assert with_one.run_id == without.run_id
    assert read_scores(with_one.folder).equals(read_scores(without.folder))
    timed = {"seconds"}
    mine, theirs = ([row for row in history(one.folder) if row[1] not in timed] for one in (with_one, without))
    assert mine == theirs


@pytest.mark.parametrize("exits", [False, True])
@pytest.mark.parametrize(("verb", "told"), [("begin", 1), ("epoch", 2), ("finish", EPOCHS + 2)])
def test_one_that_raises_is_named_once_and_ends_nothing(tmp_path: Path, verb: str, told: int, exits: bool) -> None:
    listener = Notes()
    outcome = run(tmp_path, Choice("diary", {"fails": verb, "exits": exits}), listener=listener)
    assert outcome.fresh and outcome.failed == 0
    assert len(Diary.told) == told
    (note,) = [text for text in listener.notes if "failed" in text]
    what = "SystemExit: 7" if exits else f"RuntimeError: no ink in {verb}"
    assert note == f"Reporter diary of here (tests 0) failed and is not told any more: {what}"


def test_an_interrupted_training_is_finished_and_taken_up_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Choice("diary"), listener=Notes(interrupted_after=2))
    assert [verb for verb, *_ in Diary.told] == ["begin", "epoch", "finish"], "the second was saved, but not told"
    Diary.told.clear()
    outcome = run(tmp_path, Choice("diary"))
    live: LiveRun = Diary.told[0][1]
    assert live.first == 2
    assert [(row["epoch"], row["name"], row["value"]) for row in live.earlier] == history(outcome.folder)[
        : len(live.earlier)
    ]
    assert {row["epoch"] for row in live.earlier} == {0, 1}
    assert [index for verb, index, *_ in Diary.told[1:-1]] == [2]


def test_only_check_may_refuse_and_it_does_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="Buy a pencil"):
        run(tmp_path, Choice("diary", {"fails": "check"}))
    with pytest.raises(UnknownName, match="Did you mean 'diary'"):
        run(tmp_path, Choice("dairy"))
    with pytest.raises(UsageError, match="no_such"):
        run(tmp_path, Choice("diary", {"no_such": 1}))
    assert Diary.told == [] and not list(tmp_path.rglob("checkpoint"))


PLUGIN = '''
from dataclasses import dataclass
from pathlib import Path
from segbench import Reporter, hookimpl, parameter

@dataclass
class Lines(Reporter):
    """Appends a line for each epoch."""

    name = "lines"
    summary = "a line for each epoch"
    file: Path | None = parameter(None, "where to")

    def begin(self, run):
        self.file = self.file or run.folder / "lines.txt"

    def epoch(self, index, step, values):
        with self.file.open("a") as stream:
            stream.write(f"{index} {sorted(values)[-1]}\\n")

@hookimpl
def segbench_reporters():
    return [Lines]
'''


def shell(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_from_the_command_line(tmp_path: Path) -> None:
    plugin = tmp_path / "lines.py"
    plugin.write_text(PLUGIN)
    plugins = ("--plugin", TOY, "--plugin", plugin)
    common = ("run", *plugins, "--method", "witness", "--dataset", "toy", "--network", "toy2d", "--smoke")
    common += ("--out", tmp_path / "results")
    for words, code, text in (
        (("--set", f"reporter.lines.file={tmp_path}/x"), 2, "lines is not taken here; add --reporter lines"),
        (("--reporter", "liens"), 2, "Did you mean 'lines'"),
        (("--reporter", "lines", "--set", "reporter.lines=3"), 2, "reporter.lines.KEY=VALUE"),
    ):
        answer = shell(*common, *words)
        assert (answer.exit_code, text in answer.output.replace("\n", " ")) == (code, True), answer.output
    settings = tmp_path / "settings.toml"
    settings.write_text(f'reporter = ["lines"]\n[set.reporter.lines]\nfile = "{tmp_path}/told.txt"\n')
    answer = shell(*common, "--config", settings)
    assert answer.exit_code == 0, answer.output
    assert (tmp_path / "told.txt").read_text().splitlines() == ["0 val/dice", "1 val/dice"]
    assert "reporter lines: follows_a_training" in shell("check", plugin).output
    assert "a line for each epoch" in shell("list", "reporters", "--plugin", plugin).output
    assert "--set reporter.lines.file=" in shell("info", "reporter", "lines", "--plugin", plugin).output


def test_checks_find_what_breaks_the_contract() -> None:
    def faults(cls: type[Reporter]) -> set[str]:
        catalogue = load_catalogue()
        catalogue.entries["reporters"][cls.name] = Entry(cls, Origin("here", "tests", "0"))
        return {one.name for one in check_part(catalogue, "reporters", cls.name) if not one.ok}

    @dataclass
    class Says(Reporter):
        """Says what it should not."""

        name: ClassVar[str] = "says"
        summary: ClassVar[str] = "s"

        def begin(self, run: LiveRun) -> Any:
            return 3

    @dataclass
    class Draws(Reporter):
        """Draws random numbers, and forgets how it began."""

        name: ClassVar[str] = "draws"
        summary: ClassVar[str] = "s"

        def epoch(self, index: int, step: int, values: Mapping[str, float]) -> None:
            import torch

            torch.rand(1)

    assert {"follows_a_training", "goes_on_after_an_interruption", "ends_before_an_epoch"} <= faults(Says)
    assert faults(Draws) == {"leaves_chance_alone"}
    assert faults(Diary) == set()


def test_the_rows_of_a_study_are_followed_too(tmp_path: Path) -> None:
    from segbench.assembly import Sources
    from segbench.contracts import Cell
    from segbench.studies.running import attempt

    cell = Cell("row", toy.configuration("witness", {}, **CONFIG))
    one = attempt("toy", cell, Sources(CATALOGUE, tmp_path), None, [Choice("diary")])
    assert one.state == "done", one.reason
    assert [verb for verb, *_ in Diary.told] == ["begin", *["epoch"] * EPOCHS, "finish"]


def test_a_plan_is_followed_by_whoever_runs_it(tmp_path: Path) -> None:
    plugin = tmp_path / "lines.py"
    plugin.write_text(PLUGIN)
    cells = ("--plugin", TOY, "--method", "witness", "--dataset", "toy", "--network", "toy2d", "--smoke")
    answer = shell("plan", *cells, "--out", tmp_path / "results", "--write", tmp_path / "plan.json")
    assert answer.exit_code == 0, answer.output
    told = tmp_path / "told.txt"
    words = ("--plugin", plugin, "--reporter", "lines", "--set", f"reporter.lines.file={told}")
    answer = shell("run", "--plan", tmp_path / "plan.json", *words)
    assert answer.exit_code == 0, answer.output
    assert len(told.read_text().splitlines()) == 2
    answer = shell("run", "--plan", tmp_path / "plan.json", *words, "--set", "recipe.epochs=3")
    assert (answer.exit_code, "the plan says what is run" in answer.output) == (2, True)
