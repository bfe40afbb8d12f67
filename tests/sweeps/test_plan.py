"""A plan as a value: what names its cells, what they wait for, and that a file says all that a command said."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.config import Recipe
from segbench.errors import DataInvalid, DataMissing, UsageError
from segbench.host import load_catalogue
from segbench.locks import locked
from segbench.runner import Sources, run
from segbench.sweeps.plan import Plan, look, read_plan, write_plan

TOY = Path(__file__).parents[1] / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]
configuration = toy.configuration


def planned(root: Path, *configs: Any, **others: Any) -> Plan:
    return look(configs, Sources(CATALOGUE, root), **others)


def segbench(*arguments: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == expect, result.output
    return result


SMALL = (
    *("--plugin", str(TOY), "-d", "toy", "-n", "toy2d", "--epochs", "1", "--set", "recipe.steps_per_epoch=2"),
    *("--metric", "dice", "--device", "cpu", "--precision", "32-true", "--set", "recipe.batch=2"),
)


# ------------------------------------------------------------------------------------------------------------- states


def test_cells_are_named_as_their_runs_and_know_how_far_they_are(tmp_path: Path) -> None:
    one, two = configuration(), configuration(seed=1)
    outcome = run(one, catalogue=CATALOGUE, results_root=tmp_path)
    plan = planned(tmp_path, one, two, threads=3)
    assert plan.threads == 3 and next(cell.id for cell in plan.cells) == outcome.run_id
    assert plan.cells[0].folder == outcome.folder and plan.cells[0].state == "finished already"
    assert plan.cells[1].state == "to be run" and plan.cells[1].folder is not None
    plan.cells[1].folder.mkdir()
    assert plan.looked_at(Sources(CATALOGUE, tmp_path)).cells[1].state == "to be resumed"
    wanted = replace(one, metrics=(*one.metrics, type(one.metrics[0])("iou")))
    assert planned(tmp_path, wanted).cells[0].state == "to be scored"


def test_a_cell_that_somebody_makes_is_running(tmp_path: Path) -> None:
    folder = planned(tmp_path, configuration()).cells[0].folder
    assert folder is not None
    with locked(folder):
        cell = planned(tmp_path, configuration()).cells[0]
        assert cell.state == "running" and cell.reason.startswith("by process ")
    assert planned(tmp_path, configuration()).cells[0].state == "to be run"


def test_cells_that_cannot_be_are_rows_with_a_reason(tmp_path: Path) -> None:
    plan = planned(tmp_path, configuration("witness", {"fault": "incompatible"}), configuration())
    assert [cell.state for cell in plan.cells] == ["incompatible", "to be run"]
    assert "it has moods" in plan.cells[0].reason and plan.cells[0].id == "" and not plan.cells[0].open


def test_two_ways_to_ask_for_one_training_are_one_cell(tmp_path: Path) -> None:
    same = configuration("witness", {"weight": 1.0})
    assert len(planned(tmp_path, configuration(), same, configuration(seed=1))) == 2


# ------------------------------------------------------------------------------------------------- what must come first


def shape(**others: Any) -> Any:
    choice = configuration().method
    parameters = {"pretraining": {"iterations": 2}, **others.pop("parameters", {})}
    return replace(configuration(network="toy3d", **others), method=type(choice)("shape_signature", parameters))


def test_of_the_cells_that_share_a_helper_one_comes_first(tmp_path: Path) -> None:
    cells = planned(
        tmp_path,
        shape(),
        shape(parameters={"alpha": 0.5}),
        replace(shape(), arm="placebo"),
        replace(shape(), arm="control"),
        shape(seed=1),
        shape(recipe={"labelled": 2}),
        shape(parameters={"pretraining": {"iterations": 3}}),
        configuration(),
    ).cells
    first = cells[0].id
    assert [cell.after for cell in cells] == [(), (first,), (first,), (), (), (), (), ()]


def test_a_helper_is_found_by_the_cells_that_wait_for_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, replace(shape(), arm="placebo"), shape())
    assert [cell.after for cell in plan.ordered()] == [(), (plan.cells[0].id,)]
    made: list[set[str]] = []
    for cell in plan.ordered():
        run(cell.config, catalogue=CATALOGUE, results_root=tmp_path)
        made.append({path.name for path in (tmp_path / "toy" / ".." / ".cache").rglob("signature-*.pt")})
    assert made[0] and made[0] == made[1]


# ------------------------------------------------------------------------------------------------------------- the file


def test_a_file_says_all_that_a_command_said(tmp_path: Path) -> None:
    recipe = Recipe(epochs=3, crop=(4, 8, 8), labelled=2)
    configs = [
        configuration(),
        replace(configuration("other", seed=2, fold=1, folds=3), recipe=recipe, base=Recipe(epochs=5)),
        replace(configuration(), split={"train": ("toy_0", "toy_1"), "val": (), "test": ("toy_2",)}),
        replace(configuration(), decision=(type(configuration().method)("fill_holes"),), arm="control"),
    ]
    plan = planned(tmp_path, *configs, plugins=[TOY], threads=2)
    write_plan(plan, tmp_path / "plan.json")
    again = read_plan(tmp_path / "plan.json")
    assert [cell.config for cell in again.cells] == [cell.config for cell in plan.cells]
    assert [cell.config.variant() for cell in again.cells] == [cell.config.variant() for cell in plan.cells]
    assert again.plugins == (TOY,) and again.threads == 2 and again.root == tmp_path
    looked = again.looked_at(Sources(CATALOGUE, again.root))
    assert [(cell.id, cell.state) for cell in looked.cells] == [(cell.id, cell.state) for cell in plan.cells]


def test_cells_are_found_by_position_and_by_identity(tmp_path: Path) -> None:
    plan = planned(tmp_path, configuration(), configuration(seed=1))
    assert plan.cell("1") is plan.cells[1] and plan.cell(plan.cells[0].id[:5]) is plan.cells[0]
    for wrong in ("2", "-1", "xyz", "", "nobody"):
        with pytest.raises(UsageError, match="no cell is called so; expected a position from 0 to 1"):
            plan.cell(wrong)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expected a JSON document"),
        ("[]", "expected a plan of format 1"),
        ('{"segbench_plan": 2}', "expected a plan of format 1"),
        ('{"segbench_plan": 1}', "it cannot be read"),
        (
            '{"segbench_plan": 1, "cells": [{"config": 3}], "results": ".", "plugins": [], "threads": 1}',
            "cannot be read",
        ),
    ],
)
def test_files_that_are_no_plans(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(DataInvalid, match=words):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(DataMissing, match="Make one with `segbench plan"):
        read_plan(tmp_path / "none.json")


# -------------------------------------------------------------------------------------------------------- the commands


def test_from_a_plan_to_results_cell_by_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    methods = ("-m", "witness", "-m", "other", "--seeds", "2")
    made = segbench("plan", *methods, *SMALL, "--write", "my plan.json", "--commands")
    commands = made.stdout.splitlines()
    assert len(commands) == 4 and all("run --plan '" in line and " --cell " in line for line in commands)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    file = str(tmp_path / "my plan.json")
    one = commands[2].split()[-1]
    segbench("run", "--plan", file, "--cell", one)
    segbench("run", "--plan", file, "--cell", "0")
    assert not list(elsewhere.iterdir()), "results go where the plan says"
    listed = json.loads(segbench("plan", "--plan", file, "--json").stdout)
    states = [cell["state"] for cell in listed["cells"]]
    assert states == ["finished already", "to be run", "finished already", "to be run"]
    assert len(segbench("plan", "--plan", file, "--commands").stdout.splitlines()) == 2
    lines = segbench("plan", "--plan", file, "--tsv").stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["index", "id", "state"] and lines[3].split("\t")[1] == one
    done = json.loads(segbench("run", "--plan", file, "--json").stdout)["runs"]
    assert [cell["status"] for cell in done] == ["finished before", "done", "finished before", "done"]
    assert "finished already" in segbench("plan", "--plan", file).stdout


def test_what_does_not_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    segbench("plan", "-m", "witness", *SMALL, "--write", "plan.json")
    for arguments, words in (
        (("run", "--plan", "plan.json", "-m", "witness"), "--method: the plan says what is run"),
        (("run", "--plan", "plan.json", "--smoke"), "--smoke: the plan says"),
        (("run", "--plan", "plan.json", "--cell", "7"), "no cell is called so"),
        (("run", "--cell", "7"), "of which plan?"),
        (("plan", "-m", "witness", *SMALL, "--commands"), "say where with --write FILE"),
        (("plan", "-m", "witness", *SMALL, "--json", "--tsv"), "one of them at a time"),
    ):
        assert words in " ".join(segbench(*arguments, expect=2).stderr.split())
