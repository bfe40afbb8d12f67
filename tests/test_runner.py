"""A run from end to end: the same twice, the same after a kill, left alone when finished, intact on a full disk."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from segbench import results
from segbench.config import Recipe
from segbench.errors import DataInvalid, Incompatible, PluginError, UsageError
from segbench.host import load_catalogue
from segbench.runner import Sources, assemble
from segbench.training.checkpoints import load_checkpoint
from segbench.training.loop import Reporter
from segbench.types import Choice

TOY = Path(__file__).parent / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]


def go(root: Path, *arguments: Any, **others: Any) -> Any:
    return toy.go(root, CATALOGUE, *arguments, **others)


def scores(folder: Path) -> list[tuple[Any, ...]]:
    table = results.read_scores(folder, ["case_id", "label_name", "metric", "value", "status"]).to_pydict()
    return list(zip(*table.values(), strict=True))


def record_of(outcome: Any) -> Any:
    return json.loads((outcome.folder / "run.json").read_text())


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ----------------------------------------------------------------------------------------------------- what is left


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    outcome = go(tmp_path)
    record = record_of(outcome)
    assert outcome.fresh and outcome.failed == 0
    assert outcome.folder == tmp_path / "toy" / "witness" / outcome.run_id
    assert {path.name for path in outcome.folder.iterdir()} == {
        *("scores.parquet", "history.parquet", "run.json", "predictions", "checkpoint", "method")
    }
    assert [path.name for path in (outcome.folder / "checkpoint").iterdir()] == ["network.pt"]
    assert [path.name for path in (outcome.folder / "method").iterdir()] == ["kept"], "scratch goes"
    assert record["run_id"] == outcome.run_id and record["config"]["recipe"]["epochs"] == 2
    assert record["task"]["revision"] == "1" and record["parameters"] == 8 * 9 + 8 + 8 * 3 + 3
    splits = record["splits"]
    assert sorted(splits["train"] + splits["val"] + splits["test"]) == [f"toy_{index}" for index in range(6)]
    assert set(record["seconds"]) == {"preprocess", "prepare", "train", "predict", "score"}
    assert record["training"]["precision"].startswith("32") and record["training"]["scored_checkpoint"] == "last"
    assert {"segbench_overlap", "toy"} <= set(record["plugins"]) and record["versions"]["torch"]
    assert record["peak_memory_bytes"] > 1e6 and record["hardware"]["device"] == "cpu"
    found = scores(outcome.folder)
    assert len(found) == len(splits["test"]) * 2 * 2 and {row[0] for row in found} == set(splits["test"])


@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
@pytest.mark.parametrize("spacing", ["native", "median", "2,1.3,0.8"])
def test_predictions_lie_on_the_cases_own_grid(tmp_path: Path, network: str, spacing: str) -> None:
    outcome = go(tmp_path, network=network, recipe={"spacing": spacing})
    for name in record_of(outcome)["splits"]["test"]:
        image = nibabel.load(outcome.folder / "predictions" / f"{name}.nii.gz")
        case = CATALOGUE.dataset(toy.configuration().dataset).load(toy.CaseRef(name, name))
        assert image.shape == case.image.shape[:0:-1]
        assert image.get_data_dtype() == case.truth.array.dtype == np.int16
        np.testing.assert_allclose(image.affine[:, [2, 1, 0, 3]], case.affine)


def test_the_same_command_twice_gives_the_same_values(tmp_path: Path) -> None:
    options: dict[str, Any] = {"network": "toy3d", "dataset": {"unlabelled": 2}}
    runs = [go(tmp_path / name, "witness", {"mixed": True}, **options) for name in ("a", "b")]
    assert scores(runs[0].folder) == scores(runs[1].folder)
    images = [sorted((run.folder / "predictions").iterdir()) for run in runs]
    for one, two in zip(*images, strict=True):
        assert np.array_equal(nibabel.load(one).get_fdata(), nibabel.load(two).get_fdata())
    other = go(tmp_path / "c", "witness", {"mixed": True}, seed=1, **options)
    assert other.run_id != runs[0].run_id and scores(other.folder) != scores(runs[0].folder)


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    first = go(tmp_path)
    before = everything(first.folder)
    toy.Witness.last = None
    again = go(tmp_path)
    assert not again.fresh and again.folder == first.folder and toy.Witness.last is None
    assert everything(first.folder) == before


def test_other_data_make_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = go(tmp_path)
    before = everything(first.folder)
    task = toy.Toy().task
    monkeypatch.setattr(toy.Toy, "task", dataclasses.replace(task, revision="2"))
    second = go(tmp_path)
    assert second.fresh and second.folder != first.folder and everything(first.folder) == before


# ------------------------------------------------------------------------------------------------------------- arms


def test_the_control_arm_switches_the_prior_off(tmp_path: Path) -> None:
    method, control = go(tmp_path), go(tmp_path, arm="control")
    assert record_of(control)["method"]["weight"] == 0 and record_of(control)["config"]["arm"] == "control"
    assert method.run_id != control.run_id
    table = results.read_scores(control.folder, ["arm", "method"]).to_pydict()
    assert set(table["arm"]) == {"control"} and set(table["method"]) == {"witness"}
    plain = go(tmp_path, "witness", {"weight": 0.0})
    assert scores(plain.folder) == scores(control.folder)
    with pytest.raises(UsageError, match="no arm 'placebo'; it has: method, control"):
        go(tmp_path, arm="placebo")


# ---------------------------------------------------------------------------------------------------- incompatible


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("flat",), {"network": "toy3d"}, "flat works in 2D, network toy3d in 3D"),
        (("witness", {"fault": "incompatible"}), {}, "cannot work on dataset toy: it has moods"),
        (("witness", {"mixed": True}), {}, "needs unlabelled cases; dataset toy has none"),
        (
            ("witness", {"mixed": True, "unlabelled": 4}),
            {"dataset": {"unlabelled": 3}},
            "method.unlabelled=4, but there are 3 unlabelled cases",
        ),
        (
            ("witness", {"mixed": True}),
            {"dataset": {"unlabelled": 3}, "recipe": {"unlabelled_ratio": 0.0}},
            "recipe.unlabelled_ratio=0 shows it none",
        ),
        (
            ("witness", {"mixed": True, "unlabelled": 12}),
            {"unlabelled": Choice("twin"), "recipe": {"labelled": 1}},
            "there are 9 unlabelled cases",
        ),
        (
            ("witness", {"mixed": True}),
            {"unlabelled": Choice("twin", {"channels": 2})},
            r"twin has 2 image channels \(c0, c1\), dataset toy has 1 \(image\)",
        ),
        (("witness", {}), {"unlabelled": Choice("twin")}, "witness sees no unlabelled cases unless method.unlabelled"),
        (("witness", {"mixed": True}), {"unlabelled": Choice("toy")}, "its test cases must not be seen"),
    ],
)
def test_parts_that_do_not_fit_say_why(tmp_path: Path, arguments: Any, options: Any, words: str) -> None:
    with pytest.raises(Incompatible, match=words):
        go(tmp_path, *arguments, **options)
    assert not list(tmp_path.rglob("checkpoint"))


@pytest.mark.parametrize("fault", ["nan", "channels", "range", "shape", "fraction", "bare"])
def test_a_broken_case_stops_before_training(tmp_path: Path, fault: str) -> None:
    for faulty in range(6):  # in whichever part of the split it stands
        toy.Witness.last = None
        with pytest.raises(DataInvalid, match=f"toy_{faulty}"):
            go(tmp_path, dataset={"fault": fault, "faulty": faulty})
        assert toy.Witness.last is None


def test_a_dataset_that_raises_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"Plugin toy .*loading case toy_0: ValueError: the disk sang"):
        go(tmp_path, dataset={"fault": "raises"})


@pytest.mark.parametrize(("fault", "shape"), [("constant", (5, 13, 11)), ("empty", (5, 13, 11)), ("", (1, 13, 11))])
@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
def test_unusual_cases_are_no_trouble(tmp_path: Path, fault: str, shape: Any, network: str) -> None:
    for faulty in range(2):
        outcome = go(tmp_path, dataset={"fault": fault, "faulty": faulty, "shape": shape}, network=network)
        assert outcome.failed == 0


# ------------------------------------------------------------------------------------------- cases of another dataset


def borrow(root: Path, twin: dict[str, Any] | None = None, wanted: int = 0, **others: Any) -> Any:
    """Carry out a run that sees cases of another dataset."""
    local = {key: value for key, value in (twin or {}).items() if key in ("truth", "revision")}
    choice = Choice("twin", {key: value for key, value in (twin or {}).items() if key not in local}, local)
    return go(root, "witness", {"mixed": True, "unlabelled": wanted}, unlabelled=choice, **others)


def weights(outcome: Any) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_checkpoint(outcome.folder / "checkpoint" / "network.pt")["network"]
    return found


def assert_same_results(one: Any, two: Any) -> None:
    assert scores(one.folder) == scores(two.folder)
    assert all(torch.equal(value, weights(two)[name]) for name, value in weights(one).items())
    assert len(weights(one)) == len(weights(two)) > 0


def test_another_dataset_lends_its_cases(tmp_path: Path) -> None:
    outcome = borrow(tmp_path, dataset={"unlabelled": 1})
    record, names = record_of(outcome), [f"toy_{100 + index}" for index in range(6)]
    assert record["splits"]["unlabelled"] == [*(f"twin+{name}" for name in names), "bare_0"]
    assert record["unlabelled"] == {"dataset": "twin", "revision": "1", "synthetic": False, "cases": names}
    assert record["config"]["unlabelled"] == {"name": "twin", "parameters": {}}
    seen = {name for step in toy.Witness.last.steps_ for name in step["ids"][2:]}
    assert seen <= set(record["splits"]["unlabelled"]) and any(name.startswith("twin+") for name in seen)
    for step in toy.Witness.last.steps_:
        assert step["labelled"] == [True, True, False, False] and (step["target"][2:] == -1).all()
    variant = results.read_scores(outcome.folder, ["variant"]).column(0)[0].as_py()
    assert variant.startswith("method.mixed=true unlabelled=twin ")
    few = borrow(tmp_path, wanted=2, dataset={"unlabelled": 1})
    assert record_of(few)["splits"]["unlabelled"] == ["twin+toy_100", "twin+toy_101"]  # the other dataset comes first
    assert record_of(go(tmp_path))["unlabelled"] is None


def test_the_other_dataset_is_part_of_the_identity(tmp_path: Path) -> None:
    runs = [
        borrow(tmp_path),
        borrow(tmp_path, {"revision": "2"}),
        borrow(tmp_path, {"first": 200}),
        go(tmp_path, "witness", {"mixed": True}, dataset={"unlabelled": 2}),
    ]
    assert len({run.run_id for run in runs}) == 4 and all(run.fresh for run in runs)
    assert not borrow(tmp_path).fresh


@pytest.mark.parametrize("spacing", ["native", "median", "2,1.3,0.8"])
@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
def test_lent_cases_come_onto_the_training_grid(tmp_path: Path, spacing: str, network: str) -> None:
    recipe = {"spacing": spacing, "crop": (0, 9, 9)}
    outcome = borrow(tmp_path, {"spacing": (3.0, 2.0, 0.5)}, recipe=recipe, network=network)
    assert outcome.failed == 0
    metas = {path.parts[-3]: json.loads(path.read_text()) for path in tmp_path.glob(".cache/*/*/meta.json")}
    expected = [2, 1.3, 0.8] if spacing == "2,1.3,0.8" else [3, 1, 1]
    assert metas["twin"]["spacing"] == metas["toy"]["spacing"] == expected
    assert metas["twin"]["native_spacing"] == [3, 2, 0.5]
    if expected == [3, 1, 1]:
        assert metas["twin"]["grid_shape"] == [5, 26, 6]


def test_labels_that_nobody_may_read_may_be_anything(tmp_path: Path) -> None:
    recipe = {"spacing": "median", "choose": "best", "frozen_copies": 2}
    runs = [
        borrow(tmp_path / truth, {"truth": truth}, recipe=recipe) for truth in ("right", "garbage", "poison", "none")
    ]
    for other in runs[1:]:
        assert_same_results(runs[0], other)


def test_labels_of_spared_cases_may_be_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dataset's own training cases, spared by ``recipe.labelled``: right, garbage or poisoned, nothing changes."""
    load, splits = toy.Toy.load, record_of(go(tmp_path, "witness", {"mixed": True}, recipe={"labelled": 1}))["splits"]
    assert len(splits["unlabelled"]) == 3
    truths = {"right": None, "garbage": toy.LabelMap(np.full((1, 1), 99), (9.0,)), "poison": toy.Poisoned()}
    runs = []
    for name, truth in truths.items():

        def loaded(self: Any, ref: Any, truth: Any = truth) -> Any:
            case = load(self, ref)
            spared = ref.id in splits["unlabelled"] and truth is not None
            return dataclasses.replace(case, truth=truth) if spared else case

        monkeypatch.setattr(toy.Toy, "load", loaded)
        recipe = {"labelled": 1, "spacing": "median", "choose": "best"}
        runs.append(go(tmp_path / name, "witness", {"mixed": True}, recipe=recipe, network="toy3d"))
    for other in runs[1:]:
        assert_same_results(runs[0], other)


def test_an_image_that_is_held_out_cannot_be_lent(tmp_path: Path) -> None:
    with pytest.raises(
        Incompatible, match=r"toy_\d of unlabelled dataset twin is the same image as case toy_\d, which"
    ):
        borrow(tmp_path, {"first": 0})  # the very cases of the toy dataset, under another name
    assert not list(tmp_path.rglob("checkpoint"))


def test_smoke_asks_for_no_more_than_a_miniature_has(tmp_path: Path) -> None:
    outcome = borrow(tmp_path, wanted=50, smoke=True, recipe={"labelled": 50})
    assert len(record_of(outcome)["splits"]["unlabelled"]) == 4


def test_runs_of_one_command_share_their_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(toy.Toy, "prepare", lambda self, root: prepared.append(type(self).__name__))
    sources = Sources(CATALOGUE, tmp_path)
    plain = {"catalogue": CATALOGUE, "results_root": tmp_path, "sources": sources}
    for seed in range(2):
        toy.run(toy.configuration(seed=seed), **plain)
        mixed = toy.configuration("witness", {"mixed": True}, seed=seed, unlabelled=Choice("twin"))
        toy.run(mixed, **plain)
    assert sorted(prepared) == ["Toy", "Twin"]
    toy.run(toy.configuration(dataset={"cases": 5}), **plain)
    toy.run(toy.configuration(smoke=True), **plain)
    assert prepared.count("Toy") == 3
    alone = toy.run(toy.configuration(seed=0), catalogue=CATALOGUE, results_root=tmp_path / "alone")
    shared = toy.run(toy.configuration(seed=0), **plain)
    assert not shared.fresh
    assert_same_results(alone, shared)


def test_a_crop_trains_and_comes_home(tmp_path: Path) -> None:
    for network in ("toy2d", "toy3d"):
        outcome = go(tmp_path, recipe={"crop": (0, 7, 9)}, network=network)
        assert record_of(outcome)["config"]["recipe"]["crop"] == [0, 7, 9]
        for batch in toy.Witness.last.stage_["batches"]:
            assert int(batch["inside"].any(-1).any(0).sum(-1).max()) == 7
        for name in record_of(outcome)["splits"]["test"]:
            array = nibabel.load(outcome.folder / "predictions" / f"{name}.nii.gz").get_fdata().T
            assert array.shape == (5, 13, 11)
            assert not array[:, :3].any() and not array[:, 10:].any() and not array[:, :, [0, 10]].any()


# ------------------------------------------------------------------------------------------------ bad luck on the way


class Tripping(Reporter):
    """Raises as if the user pressed Ctrl-C after a number of epochs."""

    def __init__(self, after: int) -> None:
        self.after = after

    def epoch(self, index: int, *arguments: Any) -> None:
        if index + 1 == self.after:
            raise KeyboardInterrupt


def test_an_interrupted_run_continues_and_ends_the_same(tmp_path: Path) -> None:
    options: dict[str, Any] = {"recipe": {"epochs": 3, "optimizer": "sgd"}, "dataset": {"unlabelled": 1}}
    config = toy.configuration("witness", {"mixed": True, "fixed": True}, **options)
    with pytest.raises(KeyboardInterrupt):
        toy.run(config, catalogue=CATALOGUE, results_root=tmp_path / "a", reporter=Tripping(2))
    assert not list((tmp_path / "a").rglob("run.json"))
    resumed = toy.run(config, catalogue=CATALOGUE, results_root=tmp_path / "a")
    whole = toy.run(config, catalogue=CATALOGUE, results_root=tmp_path / "b")
    assert len(toy.Witness.last.epochs_) == 3
    assert scores(resumed.folder) == scores(whole.folder)
    assert record_of(resumed)["training"] == record_of(whole)["training"]


@pytest.mark.parametrize("file", ["last.pt", "scores.parquet", "history.parquet", "network.pt", "run.json"])
def test_a_full_disk_leaves_earlier_results_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    earlier = go(tmp_path)
    before = everything(earlier.folder)
    replace = Path.replace

    def full(self: Path, target: Any) -> Any:
        if Path(target).name == file:
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        go(tmp_path, seed=1)
    monkeypatch.undo()
    assert everything(earlier.folder) == before
    assert len(results.complete_runs(tmp_path)) == 1
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob(".writing-*"))
    resumed, whole = go(tmp_path, seed=1), go(tmp_path / "whole", seed=1)
    assert resumed.fresh and scores(resumed.folder) == scores(whole.folder)


def test_damaged_results_are_named_and_made_again_as_it_says(tmp_path: Path) -> None:
    first = go(tmp_path)
    before, record = scores(first.folder), record_of(first)
    assert set(record["digests"]) == {"scores.parquet", "history.parquet"} and len(record["seal"]) == 64
    file = first.folder / "scores.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataInvalid, match="delete this one file and give its command again"):
        results.read_scores(tmp_path)
    file.unlink()
    again = go(tmp_path)
    assert again.fresh and not again.trained and again.added and scores(again.folder) == before
    assert not go(tmp_path).fresh
    (first.folder / "run.json").write_text((first.folder / "run.json").read_text().replace('"seed": 0', '"seed": 1', 1))
    with pytest.raises(DataInvalid, match=r"run\.json is damaged, or was edited"):
        go(tmp_path)


# ------------------------------------------------------------------------------------------------ from the command line

COMMAND = (
    *(sys.executable, "-m", "segbench", "run", "--plugin", str(TOY), "--dataset", "toy", "--network", "toy2d"),
    *("--method", "witness", "--metric", "dice", "--epochs", "3", "--set", "recipe.steps_per_epoch=3"),
    *("--device", "cpu", "--precision", "32-true"),
)


def segbench(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, env=variables, check=False)


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_values(tmp_path: Path) -> None:
    killed = segbench("--out", str(tmp_path / "a"), TOY_KILL_AT="4")  # in the second of three epochs
    assert killed.returncode == -signal.SIGKILL
    assert not list((tmp_path / "a").rglob("run.json")) and list((tmp_path / "a").rglob("last.pt"))
    resumed = segbench("--out", str(tmp_path / "a"), TOY_KILL_AT="6")  # six steps are left: it does not begin anew
    whole = segbench("--out", str(tmp_path / "b"))
    assert (resumed.returncode, whole.returncode) == (0, 0), resumed.stderr + whole.stderr
    assert scores(tmp_path / "a") == scores(tmp_path / "b")
    again = segbench("--out", str(tmp_path / "a"))
    assert again.returncode == 0 and "nothing to do" in again.stderr


@pytest.mark.slow
def test_a_plugin_that_raises_ends_with_its_name_and_code(tmp_path: Path) -> None:
    failed = segbench("--out", str(tmp_path), "--set", "method.fault=loss")
    assert failed.returncode == 4
    assert "Plugin toy" in failed.stderr and "no prior today" in failed.stderr and "Traceback" not in failed.stderr
    assert segbench("--out", str(tmp_path), "--set", "dataset.fault=nan").returncode == 3
    assert segbench("--out", str(tmp_path), "--set", "method.wieght=1").returncode == 2


# ------------------------------------------------------------------------------------------------------------ smoke


def test_smoke_runs_leave_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    outcome = go(tmp_path / "results", smoke=True, recipe={"epochs": 50})
    assert record_of(outcome)["training"]["epochs"] == 2
    assert outcome.folder.is_relative_to(tmp_path / "results" / ".smoke")
    assert not list((tmp_path / "tmp").iterdir()) and not (tmp_path / "results" / ".cache").exists()


def test_assembling_starts_no_work(tmp_path: Path) -> None:
    parts = assemble(toy.configuration(), CATALOGUE, tmp_path)
    assert str(parts.splits) == "4 train, 1 validation, 1 test" and not list(tmp_path.iterdir())
    assert Recipe() == Recipe() and parts.splits.unlabelled == ()
