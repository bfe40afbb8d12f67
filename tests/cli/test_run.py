"""``segbench run`` as it is typed: what it refuses, what it plans, what it prints where, its exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from segbench import runner
from segbench.cli import app
from segbench.config import RunConfig
from segbench.errors import DataInvalid, Incompatible, PluginError, UsageError, VerificationError
from segbench.host import load_catalogue
from segbench.planning import plan_cells
from segbench.runner import Outcome

CATALOGUE = load_catalogue()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGBENCH_DEBUG", raising=False)
    return tmp_path


def segbench(*arguments: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, ["run", *arguments])
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.output
    return result


def dry(*arguments: str, expect: int = 0) -> list[dict[str, Any]]:
    """Return the cells that a command would run, on a phantom of few cases."""
    command = ("--dry-run", "--json", "--set", "dataset.cases=8", "--set", "dataset.spacing=8,8,8", *arguments)
    document = json.loads(segbench(*command, expect=expect).stdout)
    cells: list[dict[str, Any]] = document["runs"]
    return cells


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name one with --method"),
        (("-m", "nonajd"), "No method is called 'nonajd'. Did you mean 'nonadj'?"),
        (("-m", "NONADJ"), "Did you mean 'nonadj'?"),
        (("-m", "../nonadj"), "No method is called '../nonadj'"),
        (("-m", "ce", "--dataset", "brian"), "No dataset is called 'brian'. Did you mean 'brain'"),
        (("-m", "ce", "--dataset", "../../etc"), "No dataset is called '../../etc'"),
        (("-m", "ce", "--network", "unet2"), "Did you mean 'unet2d'"),
        (("-m", "ce", "--metric", "dise"), "No metric is called 'dise'. Did you mean 'dice'"),
        (("-m", "ce", "--recipe", "fare"), "No study is called 'fare'"),
        (("-m", "ce", "--arm", "contrl"), "--arm contrl: ce has no such arm"),
        (("-m", "nonadj", "--arm", "contrl"), "Did you mean 'control'"),
        (("-m", "ce", "--set", "cases=8"), "expected PART.KEY=VALUE"),
        (("-m", "ce", "--set", "datset.cases=8"), "no such part. Did you mean 'dataset'"),
        (("-m", "ce", "--set", "dataset.case=8"), "dataset brain has no parameter 'case'. Did you mean 'cases'"),
        (("-m", "ce", "--set", "dataset.cases=many"), "dataset brain: cases: expected a whole number, found 'many'"),
        (("-m", "ce", "--set", "dataset.cases=-1"), "found -1"),
        (("-m", "ce", "--set", "dataset.noise=nan"), "found nan"),
        (("-m", "ce", "--set", "dataset.noise=inf"), "found inf"),
        (("-m", "ce", "--set", "dataset.cases.x=1"), "cases: expected a whole number"),
        (("-m", "ce", "--set", "recipe.augmentation.flipp=0"), "Did you mean 'flip'"),
        (("-m", "ce", "--set", "recipe.augmentation=0"), "recipe: augmentation: expected parameters by name"),
        (("-m", "ce", "--set", "recipe.epochs=0"), "recipe: epochs: expected a value from 1"),
        (("-m", "ce", "--set", "recipe.optimizer=adm"), "one of adamw, adam, sgd"),
        (("-m", "ce", "--set", "recipe.spacing=abc"), "recipe.spacing: expected native, median or three mm"),
        (("-m", "ce", "--set", "recipe.crop=abc"), "recipe: crop: expected 3 values, each a whole number or none"),
        (("-m", "ce", "--set", "recipe.crop=0,0,0"), "recipe.crop: 0,0,0 crops nothing"),
        (("-m", "ce", "--set", "recipe.labelled=50"), "recipe.labelled=50: this split has 12 training cases"),
        (("-m", "ce", "--unlabelled", "brian"), "No dataset is called 'brian'. Did you mean 'brain'"),
        (("-m", "ce", "--set", "unlabelled.cases=3"), "Name it with --unlabelled"),
        (("-m", "ce", "--unlabelled", "brain"), "method ce sees no unlabelled cases; leave --unlabelled out"),
        (("-m", "nonadj", "--unlabelled", "brain"), "no unlabelled cases unless method.unlabelled says how many"),
        (
            ("-m", "nonadj", "--set", "method.unlabelled=50", "--set", "dataset.unlabelled=2"),
            "method.unlabelled=50, but there are 2 unlabelled cases",
        ),
        (
            ("-m", "nonadj", "--set", "method.unlabelled=2", "--unlabelled", "brain"),
            "is the dataset that is trained and tested on",
        ),
        (
            ("-m", "nonadj", "--set", "method.unlabelled=2", "--unlabelled", "brain", "--set", "unlabelled.case=3"),
            "dataset brain has no parameter 'case'",
        ),
        (("-m", "ce", "--set", "metric.dice=3"), "expected parameters by name"),
        (("-m", "ce", "--set", "metric.nds.tolerance=3"), "Did you mean 'nsd'"),
        (("-m", "ce", "--metric", "dice", "--set", "metric.nsd.tolerance=3"), "add --metric nsd"),
        (("-m", "ce", "--seeds", "0"), "--seeds"),
        (("-m", "ce", "--seed", "-1"), "--seed"),
        (("-m", "ce", "--epochs", "few"), "--epochs"),
        (("-m", "ce", "--folds", "1"), "--folds"),
        (("-m", "ce", "--folds", "3", "--fold", "3"), "--fold 3: expected 0 to 2"),
        (("-m", "ce", "--folds", "99"), "--folds 99: expected at most 20, the number of patients"),
        (("-m", "ce", "--device", "gpu"), "--device 'gpu': expected one of auto, cpu, cuda, mps"),
        (("-m", "ce", "--precision", "8"), "--precision '8': expected one of auto"),
        (("-m", "ce", "--methid", "ce"), "No such option"),
        (("ce",), "unexpected extra argument"),
    ],
)
def test_wrong_requests(empty_folder: Path, arguments: tuple[str, ...], words: str) -> None:
    result = segbench(*arguments, "--dry-run", expect=2)
    assert words in " ".join(result.stderr.split()) and result.stdout == ""
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize("dataset", ["decathlon", "nnunet", "labelmaps"])
def test_missing_data_say_what_to_get(empty_folder: Path, dataset: str) -> None:
    for path in ([], ["--set", "dataset.path=nowhere"]):
        result = segbench("-m", "ce", "--dataset", dataset, *path, "--dry-run", expect=3)
        assert result.stderr.startswith("Error: ") and "--set dataset.path=" in result.stderr
        assert result.stdout == "" and list(empty_folder.iterdir()) == []
    assert "nowhere" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method = [", "not valid TOML"),
        ("methods = ['ce']", "unknown key 'methods'. Did you mean 'method'"),
        ("method = 3", "method: expected a name, found 3"),
        ("method = ['ce', 3]", "method: expected a name"),
        ("method = 'ce'\nseeds = 'three'", "seeds: expected a whole number from 1, found 'three'"),
        ("method = 'ce'\nseeds = true", "seeds: expected a whole number from 1"),
        ("method = 'ce'\nepochs = 0", "epochs: expected a whole number from 1"),
        ("method = 'ce'\nset = 3", "set: expected tables such as [set.dataset]"),
        ("method = 'ce'\n[set]\ndataset = 3", "--set dataset: expected parameters by name"),
        ("method = 'ce'\n[set.dataset]\ncases = 'x'", "cases: expected a whole number"),
        ("method = 'ce'\n[set.dataset]\ncases = [1]", "cases: expected a whole number"),
        ("method = 'ce'\n[set.dataset]\ncases = 1979-05-27", "cases: expected a whole number"),
        ("method = 'ce'\ndevice = 'gpu'", "--device 'gpu': expected one of"),
        ("\udcff", "not valid TOML"),
    ],
)
def test_wrong_configuration_files(text: str, words: str) -> None:
    Path("run.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert words in segbench("--config", "run.toml", "--dry-run", expect=2).stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "expected {"),
        ('{"train": "case"}', "expected a list of cases 'train'"),
        ('{"train": [1]}', "expected a list of cases 'train'"),
        ('{"training": []}', "Did you mean 'train'"),
        ('[{"val": ["brain0"]}]', "expected a list of cases 'train' in fold 0"),
        ('[{"train": ["brain0"]}]', "expected a list of cases 'val' in fold 0"),
        ('[{"train": ["brain0"], "val": ["brain1"]}, 3]', "fold 1: expected {"),
        ('[{"train": ["brain0"], "val": ["nobody"]}]', "names case"),
        ('{"train": ["brain0"], "test": ["nobody"]}', "names case"),
    ],
)
def test_wrong_split_files(text: str, words: str) -> None:
    Path("split.json").write_text(text)
    assert words in segbench("-m", "ce", "--split", "split.json", "--dry-run", expect=2).stderr


def test_folds_that_nnunet_lists() -> None:
    names = [f"brain_{number:03}" for number in range(8)]
    Path("folds.json").write_text(json.dumps([{"train": names[:6], "val": names[6:]}, {"train": names[2:], "val": []}]))
    assert "'val' in fold 1" in segbench("-m", "ce", "--split", "folds.json", "--dry-run", expect=2).stderr
    folds = [{"train": names[2:], "val": names[:2]}, {"train": names[:6], "val": names[6:]}]
    Path("folds.json").write_text(json.dumps(folds))
    both = dry("-m", "ce", "--split", "folds.json", "--folds", "2")
    assert [(cell["fold"], cell["config"]["split"]["held_out"]) for cell in both] == [(0, names[:2]), (1, names[6:])]
    (one,) = dry("-m", "ce", "--split", "folds.json", "--fold", "1")
    assert one == both[1]
    options = ("-m", "ce", "--split", "folds.json", "--set", "dataset.cases=8", "--dry-run")
    text = segbench(*options, "--fold", "1").stderr
    assert "5 train, 1 validation, 2 test" in text and "fold 1 of 2 listed by --split" in text
    assert "say which with --fold, or all with --folds 2" in segbench(*options, expect=2).stderr
    assert "lists folds 0 to 1" in segbench(*options, "--fold", "2", expect=2).stderr
    assert "lists 2" in segbench(*options, "--folds", "3", expect=2).stderr
    Path("folds.json").write_text(json.dumps({"train": names[2:], "test": names[:2]}))
    assert "one split and no folds" in segbench(*options, "--folds", "3", expect=2).stderr


def test_files_that_are_not_there() -> None:
    Path("bad.json").write_text("{")
    assert "bad.json: expected JSON" in segbench("-m", "ce", "--split", "bad.json", expect=3).stderr
    assert "--config no.toml: expected a TOML file" in segbench("--config", "no.toml", expect=3).stderr
    assert "--split no.json: expected a JSON file" in segbench("-m", "ce", "--split", "no.json", expect=3).stderr
    assert "--plugin no.py" in segbench("-m", "ce", "--plugin", "no.py", expect=4).stderr


EVIL = """
from dataclasses import dataclass
from pathlib import Path
from segbench import CaseRef, Dataset, Task, hookimpl

@dataclass
class Evil(Dataset):
    name = "evil"
    def prepare(self, root): pass
    @property
    def task(self): return Task("../../evil", "1", ("background", "a"))
    def refs(self): return [CaseRef(str(i), str(i)) for i in range(9)]

@hookimpl
def segbench_datasets():
    return [Evil]
"""


def test_names_from_outside_never_become_paths(empty_folder: Path) -> None:
    Path("evil.py").write_text(EVIL)
    result = segbench("-m", "ce", "--dataset", "evil", "--plugin", "evil.py", expect=2)
    assert "dataset '../../evil' cannot be used as a name" in result.stderr
    assert not (empty_folder / "results").exists() and not (empty_folder.parent / "evil").exists()


# ------------------------------------------------------------------------------------------------------------ planning


def test_a_dry_run_writes_nothing_and_says_what_would_be_done(empty_folder: Path) -> None:
    result = segbench("-m", "nonadj", "--set", "dataset.cases=8", "--epochs", "3", "--dry-run")
    assert result.stdout == "" and list(empty_folder.iterdir()) == []
    text = " ".join(result.stderr.split())
    assert "nonadj on brain, unet25d, seed 0: to be run" in text
    assert "3 epochs" in text and "dice" in text and "results/brain/nonadj/" in text


def test_methods_arms_folds_and_seeds_multiply() -> None:
    cells = dry("-m", "nonadj", "-m", "nonadj", "--arm", "method", "--arm", "control", "--folds", "2", "--seeds", "2")
    assert [(cell["arm"], cell["fold"], cell["seed"]) for cell in cells] == [
        (arm, fold, seed) for arm in ("method", "control") for fold in (0, 1) for seed in (0, 1)
    ]
    assert len({cell["run_id"] for cell in cells}) == 8
    assert [cell["seed"] for cell in dry("-m", "ce", "--seed", "4", "--seeds", "2")] == [4, 5]
    assert [cell["fold"] for cell in dry("-m", "ce", "--folds", "3", "--fold", "1")] == [1]


def test_a_part_that_does_not_fit_is_a_row_of_a_sweep() -> None:
    options = ("-m", "ce", "-m", "shape_signature", "--network", "unet2d")
    cells = dry(*options, expect=1)
    assert [(cell["method"], cell["status"]) for cell in cells] == [
        ("ce", "to be run"),
        ("shape_signature", "incompatible"),
    ]
    assert "works in 3D" in cells[1]["reason"]


def test_a_baseline_is_left_out_of_the_arm_that_it_lacks() -> None:
    options = ("-m", "ce", "-m", "nonadj", "-m", "dice", "--arm", "method", "--arm", "control", "--dry-run")
    options += ("--set", "dataset.cases=8", "--set", "dataset.spacing=8,8,8")
    result = segbench(*options, "--json")
    document = json.loads(result.stdout)
    assert [(cell["method"], cell["arm"]) for cell in document["runs"]] == [
        ("ce", "method"),
        ("nonadj", "method"),
        ("nonadj", "control"),
        ("dice", "method"),
    ]
    assert document["notes"] == ["ce, dice have no arm control: left out there."]
    assert document["notes"][0] in " ".join(result.stderr.split())


def test_a_dry_run_does_not_repeat_itself() -> None:
    options = ("-m", "ce", "-m", "nonadj", "--seeds", "2", "--set", "dataset.cases=8", "--dry-run")
    text = segbench(*options).stderr
    assert text.count(": to be run") == 4 and text.count("  folder   results/brain/") == 4
    for label in ("  data     ", "  split    ", "  training ", "  metrics  "):
        assert text.count(label) == 1
    folds = segbench("-m", "ce", "--folds", "3", "--set", "dataset.cases=8", "--dry-run").stderr
    assert folds.count("  split    fold ") == 3 and folds.count("  metrics  ") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_a_dry_run_names_the_device_that_is_not_there() -> None:
    text = segbench("-m", "ce", "-m", "nonadj", "--device", "cuda", "--dry-run", expect=2).stderr
    assert text.startswith("Error: --device cuda: this machine has none that torch can use")
    assert "--device cpu" in text and "nonadj" not in text and "same reason" not in text


def test_several_decisions_are_one_chain() -> None:
    (joined,) = dry("-m", "ce", "--decision", "rank_dice+fill_holes", "--set", "decision.rank_dice.smooth=1")
    (listed,) = dry(
        *("-m", "ce", "--decision", "rank_dice", "--decision", "fill_holes"),
        *("--set", "decision.rank_dice.smooth=1"),
    )
    assert [one["name"] for one in listed["config"]["decision"]] == ["rank_dice", "fill_holes"] and listed == joined
    Path("run.toml").write_text('method = "ce"\ndecision = ["fill_holes", "largest_component"]\n')
    (cell,) = json.loads(segbench("--config", "run.toml", "--dry-run", "--json").stdout)["runs"]
    assert [one["name"] for one in cell["config"]["decision"]] == ["fill_holes", "largest_component"]


def test_the_configuration_file_and_the_command_line_say_the_same() -> None:
    Path("run.toml").write_text(
        'method = ["ce", "nonadj"]\nseeds = 2\nmetric = "dice"\nepochs = 4\ndevice = "cpu"\n'
        "[set.dataset]\ncases = 8\nspacing = [8, 8, 8]\n[set.recipe.augmentation]\nflip = [0, 1]\n"
    )
    typed = dry(
        *("-m", "ce", "-m", "nonadj", "--seeds", "2", "--metric", "dice", "--epochs", "4", "--device", "cpu"),
        *("--set", "recipe.augmentation.flip=0,1"),
    )
    assert json.loads(segbench("--config", "run.toml", "--dry-run", "--json").stdout)["runs"] == typed
    (one,) = json.loads(segbench("--config", "run.toml", "-m", "ce", "--seeds", "1", "--dry-run", "--json").stdout)[
        "runs"
    ]
    assert one == typed[0]


def test_unlabelled_cases_of_another_dataset() -> None:
    typed = (
        *("-m", "nonadj", "--set", "method.unlabelled=3", "--unlabelled", "brain"),
        *("--set", "unlabelled.cases=5", "--set", "unlabelled.seed=7"),
    )
    (cell,) = dry(*typed)
    assert cell["config"]["unlabelled"] == {"name": "brain", "parameters": {"cases": 5, "seed": 7}}
    Path("run.toml").write_text(
        'method = "nonadj"\nunlabelled = "brain"\n[set.method]\nunlabelled = 3\n'
        "[set.dataset]\ncases = 8\nspacing = [8, 8, 8]\n[set.unlabelled]\ncases = 5\nseed = 7\n"
    )
    (same,) = json.loads(segbench("--config", "run.toml", "--dry-run", "--json").stdout)["runs"]
    assert same == cell
    (own,) = dry("-m", "nonadj", "--set", "method.unlabelled=3", "--set", "recipe.labelled=2")
    assert own["run_id"] != cell["run_id"] and own["config"]["unlabelled"] is None
    text = segbench("--config", "run.toml", "--dry-run").stderr
    assert "3 unlabelled" in text and "seen without labels  brain@" in text


def test_one_run_has_one_identity_however_it_is_spelt() -> None:
    (plain,) = dry("-m", "nonadj")
    (spelt,) = dry("-m", "nonadj", "--set", "method.control=schedule", "--set", "recipe.epochs=20", "--seed", "0")
    assert plain["run_id"] == spelt["run_id"]
    (other,) = dry("-m", "nonadj", "--set", "method.strength=2")
    assert plain["run_id"] != other["run_id"]


def copy_of(source: Path, target: Path) -> str:
    import shutil

    shutil.copytree(source, target)
    return f"dataset.path={target}"


def test_the_folder_of_the_data_is_no_part_of_the_identity(tmp_path: Path) -> None:
    from segbench.types import Choice

    forged = CATALOGUE.dataset(Choice("decathlon")).forge(tmp_path / "forged")
    path = Path(str(forged.path))  # type: ignore[attr-defined]
    mine, theirs = (copy_of(path, tmp_path / user / path.name) for user in ("mine", "theirs"))

    def identity(setting: str) -> str:
        command = ("-m", "ce", "-d", "decathlon", "--set", setting, "--dry-run", "--json")
        (cell,) = json.loads(segbench(*command).stdout)["runs"]
        assert str(tmp_path) not in json.dumps(cell["config"]) and str(tmp_path) in json.dumps(cell["local"])
        return str(cell["run_id"])

    before = identity(mine)
    assert identity(theirs) == before
    labels = [one for one in (tmp_path / "theirs").rglob("labelsTr/*") if not one.name.startswith(".")]
    other = next(one for one in labels if one.read_bytes() != labels[0].read_bytes())
    labels[0].write_bytes(other.read_bytes())
    assert identity(theirs) != before


def test_a_studys_parameters_change_its_recipe_and_are_named_as_changes() -> None:
    settings = {"method": "ce", "recipe": "kervadec2021-acdc"}
    (plain,) = plan_cells(CATALOGUE, settings, {}, {})
    (short,) = plan_cells(CATALOGUE, settings, {"study": {"epochs": 7}, "recipe": {"batch": 2}}, {})
    assert (plain.recipe.epochs, short.recipe.epochs, short.recipe.batch) == (200, 7, 2)
    assert "epochs=7" in short.variant() and "epochs" not in plain.variant()
    assert short.run_id("1") != plain.run_id("1")
    with pytest.raises(UsageError, match=r"no parameter 'epoch'\. Did you mean 'epochs'"):
        plan_cells(CATALOGUE, settings, {"study": {"epoch": 7}}, {})
    with pytest.raises(UsageError, match="Name it with --recipe"):
        plan_cells(CATALOGUE, {"method": "ce"}, {"study": {"epochs": 7}}, {})


def test_planning_needs_no_files() -> None:
    settings = {"method": "ce", "network": "unet3d", "seeds": 2}
    cells = plan_cells(CATALOGUE, settings, {}, {})
    assert [(cell.method.name, cell.seed, cell.network.name) for cell in cells] == [
        ("ce", 0, "unet3d"),
        ("ce", 1, "unet3d"),
    ]
    assert all(isinstance(cell, RunConfig) for cell in cells)


# ------------------------------------------------------------------------------------------------------------- running


def pretend(monkeypatch: pytest.MonkeyPatch, *ends: BaseException | None) -> None:
    """Let ``run`` end like this, one after another, instead of running."""
    left = list(ends)

    def run(config: RunConfig, **_: Any) -> Outcome:
        sys.stdout.write("a plugin that prints\n")
        error = left.pop(0)
        if error is not None:
            raise error
        return Outcome(config, "id", Path("results/id"), fresh=False)

    monkeypatch.setattr(runner, "run", run)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RuntimeError("out of luck"), 1, "Unexpected RuntimeError: out of luck"),
        (KeyboardInterrupt(), 130, "Interrupted; what was finished is kept"),
        (OSError(28, "No space left on device", "scores.parquet"), 3, "No space left on device (scores.parquet). Free"),
        (PermissionError(13, "Permission denied", "results"), 3, "Permission denied (results). Check the permissions"),
        (DataInvalid("case a: NaN"), 3, "Error: case a: NaN"),
        (PluginError("theirs"), 4, "Error: theirs"),
        (VerificationError("contradiction"), 5, "Error: contradiction"),
        (Incompatible("2D only"), 2, "Error: 2D only"),
    ],
)
def test_every_error_is_a_message_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    pretend(monkeypatch, error)
    result = segbench("-m", "ce", "--json", expect=code)
    assert words in result.stderr
    if isinstance(error, Exception):
        (row,) = json.loads(result.stdout)["runs"]
        assert row["reason"] in result.stderr and row["exit_code"] == code and row["method"] == "ce"


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGBENCH_DEBUG", "1")
    pretend(monkeypatch, RuntimeError("out of luck"))
    assert isinstance(CliRunner().invoke(app, ["run", "-m", "ce"]).exception, RuntimeError)
    pretend(monkeypatch, PluginError("theirs"))
    result = CliRunner().invoke(app, ["run", "-m", "ce"])
    assert result.exit_code == 4 and "Traceback" in result.stderr and "Error: theirs" in result.stderr


def test_a_sweep_goes_on_after_a_part_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, PluginError("theirs [/red]"), None, Incompatible("2D only"))
    result = segbench("-m", "ce", "--seeds", "3", "--json", expect=1)
    assert [run["status"] for run in json.loads(result.stdout)["runs"]] == ["failed", "finished before", "incompatible"]
    assert "theirs [/red]" in result.stderr and "a plugin that prints" in result.stderr


@pytest.mark.parametrize(
    "error", [DataInvalid("case a: NaN"), OSError(5, "Input/output error", "x"), MemoryError(), KeyError("ours")]
)
def test_whatever_goes_wrong_in_a_cell_the_others_go_on(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    pretend(monkeypatch, error, None, error)
    result = segbench("-m", "ce", "--seeds", "3", "--json", expect=1)
    rows = json.loads(result.stdout)["runs"]
    assert [row["status"] for row in rows] == ["failed", "finished before", "failed"]
    assert [row["seed"] for row in rows] == [0, 1, 2] and rows[0]["reason"] == rows[2]["reason"] != ""
    assert result.stderr.count(rows[0]["reason"]) == 1 and "For the same reason as before." in result.stderr
    assert "2 of 3 runs failed: ce on brain, unet25d, seed 0, ce on" in result.stderr


def test_a_sweep_that_fails_as_a_whole_has_the_exit_code_of_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, DataInvalid("gone"), DataInvalid("gone"))
    segbench("-m", "ce", "--seeds", "2", expect=3)
    pretend(monkeypatch, DataInvalid("gone"), PluginError("theirs"))
    segbench("-m", "ce", "--seeds", "2", expect=1)


def test_usage_errors_of_the_library_are_usage_errors_here(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, UsageError("no"))
    assert segbench("-m", "ce", expect=2).stderr.endswith("Error: no\n")


def test_results_that_cannot_be_written(empty_folder: Path) -> None:
    Path("results").write_text("a file")
    assert "Not a directory (results" in segbench("-m", "ce", "--smoke", expect=3).stderr


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_there_and_exits_130(empty_folder: Path) -> None:
    command = [sys.executable, "-m", "segbench", "run", "-m", "ce", "--set", "dataset.cases=8", "--device", "cpu"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite run in the background inherits deafness
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("ce on brain")
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert stderr.strip().endswith("\nInterrupted; what was finished is kept, the same command resumes.")
    assert not list(empty_folder.rglob("run.json"))


@pytest.mark.slow
def test_smoke_run_prints_one_document_then_has_nothing_to_do(empty_folder: Path) -> None:
    first = segbench("-m", "ce", "--smoke", "--json", "--device", "cpu")
    (run,) = json.loads(first.stdout)["runs"]
    assert run["status"] == "done" and run["failed_scores"] == 0
    assert "\x1b" not in first.output and "Training" not in first.stderr, "quiet when nobody watches"
    record = json.loads((empty_folder / run["folder"] / "run.json").read_text())
    assert record["run_id"] == run["run_id"] and "local" in record
    (again,) = json.loads(segbench("-m", "ce", "--smoke", "--json", "--device", "cpu").stdout)["runs"]
    assert (again["status"], again["folder"]) == ("finished before", run["folder"])


@pytest.mark.slow
def test_a_terminal_sees_progress_and_a_summary(empty_folder: Path) -> None:
    main, other = pty.openpty()
    command = [sys.executable, "-m", "segbench", "run", "-m", "ce_dice", "--smoke", "--device", "cpu"]
    process = subprocess.Popen(
        command, stdout=other, stderr=other, env={**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    )
    os.close(other)
    seen = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not part:
            break
        seen += part
    text = seen.decode()
    assert process.wait() == 0, text
    for words in ("ce_dice on brain", "Training", "epoch 2/2", "val Dice", "mean over cases", "synthetic phantom"):
        assert words in text, words


def test_a_miniature_lends_a_case_without_its_labels() -> None:
    (cell,) = dry("--method", "nonadj", "--set", "method.unlabelled=6", "--smoke")
    assert cell["status"] == "to be run"


def test_a_study_offers_its_recipe(tmp_path: Path) -> None:
    plugin = tmp_path / "paper.py"
    plugin.write_text(
        "from dataclasses import dataclass\nfrom segbench import Recipe, Study, hookimpl\n\n\n"
        "@dataclass\nclass Table(Study):\n    name = 'table'\n\n"
        "    def recipe(self):\n        return Recipe(epochs=3, optimizer='sgd')\n\n\n"
        "@hookimpl\ndef segbench_studies():\n    return [Table]\n"
    )
    options = (
        "--method",
        "ce_dice",
        "--plugin",
        str(plugin),
        "--recipe",
        "table",
        "--set",
        "recipe.learning_rate=0.01",
    )
    recipe = dry(*options)[0]["config"]["recipe"]
    assert (recipe["epochs"], recipe["optimizer"], recipe["learning_rate"]) == (3, "sgd", 0.01)
    segbench(*options[:-3], "tabel", "--dry-run", expect=2)


def test_a_prior_that_can_forbid_nothing_is_incompatible_before_anything_is_trained(empty_folder: Path) -> None:
    heart = ("--dataset", "heart", "--set", "dataset.cases=5", "--set", "dataset.spacing=10,6,6")
    alone = segbench("-m", "nonadj", *heart, "--dry-run", expect=2)
    assert "Method nonadj cannot act on dataset heart: its prior is empty" in " ".join(alone.stderr.split())
    sweep = segbench(
        "-m", "ce", "-m", "nonadj", *heart, "--arm", "method", "--arm", "control", "--dry-run", "--json", expect=1
    )
    cells = json.loads(sweep.stdout)["runs"]
    assert [(one["method"], one["status"]) for one in cells if one["method"] == "nonadj"] == [
        ("nonadj", "incompatible")
    ] * 2
    assert [one["status"] for one in cells if one["method"] == "ce"] == ["to be run"]
    assert "its prior is empty" in cells[-1]["reason"]
