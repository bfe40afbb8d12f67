"""The README keeps its promises: its plugin works, its commands parse, its tree and dependencies are the real ones."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from segbench.cli import app
from segbench.host import load_catalogue

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CATALOGUE = load_catalogue()


def blocks(language: str, text: str = README) -> list[str]:
    """Return the contents of the code blocks of a language; "" = of none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [content for kind, content in found if kind == language]


def commands() -> list[list[str]]:
    """Return every ``segbench`` command of the README's shell blocks, split into words."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("segbench ")]
    return [shlex.split(line, comments=True) for line in dict.fromkeys(lines)]


def segbench(*arguments: str) -> Any:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def snippet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write the README's plugin into the working folder; returns the name of the file, which it says itself."""
    (text,) = blocks("python", README.split("<!-- plugin:begin -->")[1].split("<!-- plugin:end -->")[0])
    (name,) = re.findall(r"\b(\w+\.py)\b", text.splitlines()[0])
    (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return str(name)


def test_the_plugin_keeps_its_contract(snippet: str) -> None:
    assert ", 0 failed" in segbench("check", snippet).stdout


@pytest.mark.slow
def test_the_plugin_runs(snippet: str) -> None:
    command = ("run", "--plugin", snippet, "--method", "small", "--smoke", "--device", "cpu", "--json")
    (run,) = json.loads(segbench(*command).stdout)["runs"]
    assert run["status"] == "done" and run["failed_scores"] == 0


def test_the_readme_has_commands() -> None:
    assert len(commands()) >= 10
    group: Any = get_command(app)
    for name in re.findall(r"`segbench (\w+)[^`]*`", README):
        assert name in group.commands


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_parses(words: list[str]) -> None:
    group: Any = get_command(app)
    with group.make_context("segbench", words[1:], resilient_parsing=False) as context:
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        with command.make_context(name, rest, parent=context):
            pass


def test_parts_and_parameters_named_exist() -> None:
    kinds = {"method": "methods", "dataset": "datasets", "network": "networks", "metric": "metrics"}
    for words in commands():
        if words[1] != "run":
            continue
        for option, value in itertools.pairwise(words):
            if option.startswith("--") and option[2:] in kinds and value not in ("small",):
                assert value in CATALOGUE.names(kinds[option[2:]])
    keys = {"dataset": {field for name in CATALOGUE.names("datasets") for field in _fields("datasets", name)}}
    keys["recipe"] = _recipe_fields()
    for part, key in re.findall(r"--set (dataset|recipe)\.(\w+)=", README):
        assert key in keys[part]


def _fields(kind: str, name: str) -> list[str]:
    from segbench.params import describe

    return [key for key, _, _, _ in describe(CATALOGUE.entry(kind, name).cls)]


def _recipe_fields() -> set[str]:
    from segbench.config import Recipe
    from segbench.params import describe

    return {key for key, _, _, _ in describe(Recipe)}


def test_the_data_table_names_the_datasets_and_their_parameters() -> None:
    section = README.split("## Data")[1].split("## Results")[0]
    rows = re.findall(r"^\| (`[\w`, ]+`) \|.*\| (.*) \|$", section, re.MULTILINE)
    assert sorted(name for names, _ in rows for name in re.findall(r"\w+", names)) == CATALOGUE.names("datasets")
    for names, parameters in rows:
        for name in re.findall(r"\w+", names):
            for key in re.findall(r"`(?:dataset\.)?(\w+)`", parameters):
                assert key in _fields("datasets", name), f"{name}: {key}"


def test_the_configuration_file_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = [block for block in blocks("toml") if "[set.dataset]" in block]
    Path("run.toml").write_text(text)
    asked = tomllib.loads(text)
    cells = json.loads(segbench("run", "--config", "run.toml", "--dry-run", "--json").stdout)["runs"]
    assert len(cells) == len(asked["method"]) * asked["seeds"]
    assert cells[0]["config"]["recipe"]["epochs"] == asked["epochs"]


def test_the_tree_is_the_real_one() -> None:
    (tree,) = [block for block in blocks("") if block.startswith("segbench/  ")]
    folder, missing = ROOT, []
    shown: dict[Path, set[str]] = {}
    for line in tree.splitlines():
        if not line.startswith(" "):
            folder = ROOT / line.split()[0]
            missing += [] if folder.exists() else [str(folder)]
            continue
        for name in re.match(r" *((?:[\w.]+(?:/|\.py) ?)+)", line).group(1).split():  # type: ignore[union-attr]
            shown.setdefault(folder, set()).add(name.rstrip("/"))
            missing += [] if (folder / name).exists() else [str(folder / name)]
    assert not missing
    for folder in (ROOT / "segbench", ROOT / "plugins"):
        real = {one.name for one in folder.iterdir() if not one.name.startswith(("__", "."))} - {"py.typed"}
        assert real <= shown[folder] | {"__init__.py"}, f"not in the README: {sorted(real - shown[folder])}"


def test_the_dependencies_are_those_of_the_project() -> None:
    table = README.split("## Dependencies")[1]
    listed = {name for row in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for name in re.findall(r"[\w-]+", row)}
    listed -= {"package", "extra", "GPL"} | {"---"}
    declared = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    names = {extra: {re.split(r"[<>=!~\[ ]", one)[0] for one in wanted} for extra, wanted in declared.items()}
    users = set().union(*(wanted for extra, wanted in names.items() if extra not in ("test", "dev")))
    assert users <= listed, f"not in the README: {users - listed}"
    known = set(names).union(*names.values())
    assert listed <= known, f"not in pyproject.toml: {listed - known}"


def test_exit_codes_and_statuses_are_the_real_ones() -> None:
    from segbench import errors
    from segbench.types import STATUSES

    assert "Exit codes: 0 ok, 1 some cells or cases failed, 2 usage, 3 data, 4 plugin, 5 verification." in README
    codes = (errors.EXIT_USAGE, errors.EXIT_DATA, errors.EXIT_PLUGIN, errors.EXIT_VERIFICATION)
    assert codes == (2, 3, 4, 5)
    assert all(f"`{status}`" in README for status in STATUSES)
