"""``segbench list``, ``info`` and ``check`` as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli import app
from segbench.host import load_catalogue

CATALOGUE = load_catalogue()
SINGULAR = {
    "decisions": "decision",
    "datasets": "dataset",
    "networks": "network",
    "methods": "method",
    "metrics": "metric",
    "studies": "study",
    "priors": "prior",
    "figures": "figure",
    "reporters": "reporter",
}
KINDS = {one: kind for kind, one in SINGULAR.items()}
PARTS = [(SINGULAR[kind], name) for kind in CATALOGUE.entries for name in CATALOGUE.names(kind)]

BROKEN = """
from dataclasses import dataclass
from segbench import Metric, hookimpl

@dataclass
class Odd(Metric):
    name = "odd"
    summary = "breaks promises"
    size: NoSuchType = 1

    def score(self, predicted, truth, task):
        print("noise")
        raise ValueError("[/red] no")

@hookimpl
def segbench_metrics():
    return [Odd, 3]
"""


def segbench(*arguments: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.output
    return result


def test_list_as_json_is_one_document() -> None:
    document = json.loads(segbench("list", "--json").stdout)
    assert set(document) == {*SINGULAR, "problems"} and document["problems"] == []
    assert {part["name"] for part in document["metrics"]} == set(CATALOGUE.names("metrics"))
    assert all(part["plugin_version"] for part in document["methods"])
    assert set(json.loads(segbench("list", "methods", "--json").stdout)) == {"methods", "problems"}


def test_list_names_every_part_plugin_and_version() -> None:
    text = segbench("list").stdout
    for _, name in PARTS:
        assert name in text
    for origin in CATALOGUE.origins:
        assert origin.plugin in text and f"{origin.distribution} {origin.version}" in text
    assert "ce_dice" not in segbench("list", "networks").stdout.split("from ")[0]


def test_a_listing_has_a_line_for_each_part_and_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (40, 200, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = segbench("list").stdout.splitlines()
        assert max(map(len, lines)) <= width
        for kind in CATALOGUE.entries:
            first = lines.index(kind) + 1
            names = CATALOGUE.names(kind)
            for name, line in zip(names, lines[first : first + len(names)], strict=True):
                entry = CATALOGUE.entry(kind, name)
                assert line.split()[0].rstrip("*") == name
                assert entry.cls.summary in line or width < 80
                assert entry.origin.plugin in line or width < 200
    assert "…" not in segbench("list").stdout


def test_wrong_kinds() -> None:
    assert "Did you mean 'methods'" in segbench("list", "method", expect=2).stderr
    assert "Did you mean 'method'" in segbench("info", "methode", "nonadj", expect=2).stderr
    assert "Did you mean 'nonadj'" in segbench("info", "method", "nonajd", expect=2).stderr
    assert "No method is called '../nonadj'" in segbench("info", "method", "../nonadj", expect=2).stderr


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_info(kind: str, name: str) -> None:
    text = segbench("info", kind, name).stdout
    assert text.startswith(name) and "from segbench_" in text
    document = json.loads(segbench("info", kind, name, "--json").stdout)
    assert f"class {CATALOGUE.entry(KINDS[kind], name).cls.__name__}" in source_line(document)
    assert f"{document['file']}:{document['line']}" in text
    assert document["name"] == name and isinstance(document["parameters"], list)
    for parameter in document["parameters"]:
        assert parameter["key"] in text and set(parameter) == {"key", "type", "default", "help"}


def source_line(document: dict[str, Any]) -> str:
    """Return the code at the line that is named, and after it: decorators come first."""
    return "\n".join(Path(document["file"]).read_text().splitlines()[document["line"] - 1 :][:6])


def test_info_of_a_metric_says_what_its_numbers_mean() -> None:
    text = segbench("info", "metric", "hd95").stdout
    for words in ("unit        mm", "lower is better", "both empty: 0 mm", "prediction empty: no value", "max(P95 D("):
        assert words in text
    document = json.loads(segbench("info", "metric", "hd95", "--json").stdout)
    assert document["empty_masks"] == {"both_empty": 0.0, "pred_empty": None, "truth_empty": None}
    assert (document["unit"], document["better"], document["family"]) == ("mm", "lower", "boundary")
    readme, anchor = document["readme"].split("#")
    assert anchor == "definitions" and "## Definitions" in Path(readme).read_text()
    assert document["readme"] in text
    volume = segbench("info", "volume_error").stdout
    assert "prediction empty: 0.027 mL (of a cube of 27 mm³)" in volume
    assert "it learns from training truths" in segbench("info", "forbidden_pairs").stdout


def test_info_finds_a_name_of_any_kind() -> None:
    assert segbench("info", "hd95").stdout == segbench("info", "metric", "hd95").stdout
    assert segbench("info", "unet3d").stdout.startswith("unet3d (network")
    result = segbench("info", "dice", expect=2)
    assert "2 parts are called dice: say segbench info method dice or segbench info metric dice" in result.stderr
    assert "Did you mean 'hd95'" in segbench("info", "hd59", expect=2).stderr
    assert "segbench list metrics" in segbench("info", "metrics", expect=2).stderr
    assert "a kind and a name" in segbench("info", "metric", "hd95", "hd", expect=2).stderr


def test_info_of_a_metric_that_fails_on_empty_masks(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(BROKEN.replace("NoSuchType", "int"))
    text = segbench("info", "odd", "--plugin", str(file)).stdout
    assert "both empty, prediction empty, truth empty: the metric fails" in text and "README" not in text


def test_info_of_a_part_whose_types_do_not_exist(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(BROKEN.replace("from dataclasses", "from __future__ import annotations\nfrom dataclasses"))
    result = segbench("info", "metric", "odd", "--plugin", str(file), expect=4)
    assert "Plugin odd" in result.stderr and "NoSuchType" in result.stderr


@pytest.mark.parametrize("plugin", sorted(origin.plugin for origin in CATALOGUE.origins))
def test_check_finds_no_fault_in_the_built_ins(plugin: str) -> None:
    if plugin == "segbench_tensorboard":
        pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    document = json.loads(segbench("check", plugin, "--json").stdout)
    assert document["checks"] and document["failed"] == 0 and document["problems"] == []


def test_check_one_part() -> None:
    text = segbench("check", "metric:dice").stdout
    assert "examples_have_the_promised_values" in text and "0 failed" in text


def test_check_says_what_is_broken_and_prints_one_document(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(BROKEN.replace("NoSuchType", "int"))
    result = segbench("check", str(file), expect=4)
    assert "failed metric odd" in result.stdout and "[/red] no" in result.stdout
    assert "Problem hook segbench_metrics returned 3" in result.stdout
    document = json.loads(segbench("check", str(file), "--json", expect=4).stdout)
    assert document["failed"] > 0 and len(document["problems"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing",), 2, "No plugin is called 'nothing'"),
        (("segbench_nonajd",), 2, "Did you mean 'segbench_nonadj'"),
        (("method:nonajd",), 2, "Did you mean 'nonadj'"),
        (("methods:nonadj",), 2, "Did you mean 'method'"),
        (("nothing.py",), 4, "found none"),
        ((), 2, "Missing argument"),
    ],
)
def test_check_of_what_is_not_there(arguments: tuple[str, ...], code: int, words: str) -> None:
    assert words in segbench("check", *arguments, expect=code).stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m segbench list | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stdout.strip() == "datasets" and done.stderr == ""


def test_a_terminal_without_greek_letters_shows_question_marks() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "segbench", "info", "metric", "nsd"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "tolerance ?" in done.stdout and done.stderr == ""


def test_help_lists_the_commands_with_whole_sentences() -> None:
    text = " ".join(segbench("--help").stdout.split())
    assert text.index(" run ") < text.index(" evaluate ") < text.index(" list ")
    assert "..." not in text.split("Commands:")[1] and "Exit codes: 0 ok" in text
    assert segbench("--version").stdout.strip()
    assert "Did you mean 'list'" in segbench("lst", expect=2).stderr
