"""The loop keeps what the contracts promise a method: each test sends a method that remembers through a small run."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from segbench.config import Recipe
from segbench.errors import DataInvalid, Incompatible, PluginError
from segbench.host import load_catalogue
from segbench.training.checkpoints import load_checkpoint, save_checkpoint
from segbench.training.loop import learning_rate

CATALOGUE = load_catalogue([Path(__file__).parents[1] / "toy.py"])
toy: Any = sys.modules["segbench_file_toy"]
STILL = dict.fromkeys(("rotation", "scale", "shift", "elastic", "blur", "noise", "gamma", "brightness"), 0.0)


def go(root: Path, *arguments: Any, **others: Any) -> Any:
    return toy.go(root, CATALOGUE, *arguments, **others)


def witness(root: Path, *arguments: Any, **others: Any) -> Any:
    """Carry out a run and return the method that saw it."""
    toy.Witness.last = toy.Other.last = None
    go(root, *arguments, **others)
    return toy.Witness.last or toy.Other.last


def history(outcome: Any, name: str) -> list[float]:
    rows = pq.read_table(outcome.folder / "history.parquet").to_pylist()
    return [row["value"] for row in rows if row["name"] == name]


def strong(**others: Any) -> dict[str, Any]:
    from segbench.config import Augmentation

    return {"augmentation": Augmentation(rotation=30, shift=0.1, flip=(0, 1), probability=1.0), **others}


# ---------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
def test_derived_maps_are_cropped_and_warped_with_the_image(tmp_path: Path, network: str) -> None:
    method = witness(tmp_path, network=network, recipe=strong())
    assert len(method.steps_) == 6
    for step in method.steps_:
        copy, target = step["derived"]["copy"][:, 0], step["target"]
        assert copy.shape == target.shape and step["derived"]["two"].shape[1] == 2
        assert torch.equal(step["derived"]["two"][:, 0], copy) and torch.equal(step["derived"]["two"][:, 1], -copy)
        sure = (target >= 0) & ((copy > 0.999) | (copy < 0.001))
        assert torch.equal((copy > 0.5)[sure], (target == 1)[sure]) and sure.float().mean() > 0.3
    assert any((step["target"] == -1).any() for step in method.steps_)
    for batch in method.stage_["batches"]:  # not augmented
        assert torch.equal(batch["derived"]["copy"][:, 0] == 1, batch["target"] == 1)


def test_the_stage_shows_the_training_split_and_nothing_else(tmp_path: Path) -> None:
    outcome = go(tmp_path)
    splits = toy_record(outcome)["splits"]
    stage, method = toy.Witness.last.stage_, toy.Witness.last
    assert stage["cases"] == splits["train"] and len(stage["volumes"]) == len(splits["train"])
    seen = {case for batch in [*stage["batches"], *method.steps_] for case in batch["ids"]}
    assert seen <= set(splits["train"]) and not seen & set(splits["val"] + splits["test"])
    assert sum(len(batch["ids"]) for batch in stage["batches"]) == 5 * len(splits["train"])
    assert stage["budget"] == (2, 3, 2) and stage["samples"] == 0 and stage["folder"].is_dir()
    assert len(method.helper_losses_) == 30 and method.helper_losses_[-1] < 0.5 * method.helper_losses_[0]


def toy_record(outcome: Any) -> Any:
    import json

    return json.loads((outcome.folder / "run.json").read_text())


def test_generators_depend_on_seed_and_fold_only(tmp_path: Path) -> None:
    first = witness(tmp_path / "a").stage_["draw"]
    assert witness(tmp_path / "b", "other").stage_["draw"] == first
    assert witness(tmp_path / "c", "witness", {"weight": 2.0}).stage_["draw"] == first
    assert witness(tmp_path / "d", seed=1).stage_["draw"] != first


def test_after_step_sees_the_updated_network(tmp_path: Path) -> None:
    method = witness(tmp_path)
    assert [step["index"] for step in method.steps_] == list(range(6))
    assert [step["epoch"] for step in method.steps_] == [0, 0, 0, 1, 1, 1]
    assert all(step["moved"] > 0 and step["logits_kept"] and not step["skipped"] for step in method.steps_)


def test_steps_that_are_not_finite_are_skipped_and_reported(tmp_path: Path) -> None:
    outcome = go(tmp_path, "witness", {"fault": "nan", "fault_at": 1})
    method = toy.Witness.last
    assert [step["skipped"] for step in method.steps_] == [False, True, False, False, False, False]
    assert method.steps_[1]["moved"] == 0 and method.steps_[2]["moved"] > 0
    assert [epoch["skipped"] for epoch in method.epochs_] == [1, 0] and history(outcome, "skipped") == [1, 0]
    assert all(math.isfinite(value) for epoch in method.epochs_ for value in epoch["train"].values())
    assert toy_record(outcome)["training"]["skipped_steps"] == 1


def test_after_epoch_logs_and_sees_all_outputs(tmp_path: Path) -> None:
    outcome = go(tmp_path)
    first, second = toy.Witness.last.epochs_
    assert (first["index"], first["total"], first["last"], second["last"]) == (0, 2, False, True)
    assert set(first["train"]) == {"ce", "prior"} and 0 <= first["val"]["dice"] <= 1
    shown = [(ids, shape) for ids, shape, gradient in first["outputs"] if not gradient]
    assert sum(shape[0] for _, shape in shown) == 20 and all(shape[1:] == (3, 13, 11) for _, shape in shown)
    assert len(history(outcome, "method/dual")) == 2 and len(history(outcome, "train/ce")) == 2
    assert history(outcome, "val/dice") == [epoch["val"]["dice"] for epoch in (first, second)]


def test_a_method_may_stop_training(tmp_path: Path) -> None:
    outcome = go(tmp_path, "witness", {"fault": "stop", "fault_at": 0}, recipe={"epochs": 5})
    assert len(toy.Witness.last.epochs_) == 1
    training = toy_record(outcome)["training"]
    assert training["stopped"] == "enough" and training["epochs"] == 1 and training["steps"] == 3


@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
def test_fixed_samples_keep_their_numbers(tmp_path: Path, network: str) -> None:
    options: dict[str, Any] = {"network": network, "recipe": {"steps_per_epoch": 30, "normalisation": "none"}}
    options["recipe"] |= {"augmentation": still()}
    seen: list[dict[int, tuple[str, bytes]]] = []
    for run in ("a", "b"):
        method = witness(tmp_path / run, "witness", {"fixed": True}, **options)
        known: dict[int, tuple[str, bytes]] = {}
        for step in method.steps_:
            for row, number in enumerate(step["numbers"]):
                what = (step["ids"][row], step["image"][row].numpy().tobytes())
                assert known.setdefault(number, what) == what
        assert set(known) == set(range(method.stage_["samples"])) == set(numbers(method.stage_["batches"]))
        assert len(method.dual_) == method.stage_["samples"] > 0
        seen.append(known)
    assert seen[0] == seen[1]
    assert len(set(seen[0].values())) == len(seen[0])


def still() -> Any:
    from segbench.config import Augmentation

    return Augmentation(**STILL)  # type: ignore[arg-type]


def numbers(batches: list[dict[str, Any]]) -> list[int]:
    return [number for batch in batches for number in batch["numbers"]]


@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
@pytest.mark.parametrize("fixed", [True, False])
def test_frozen_copies_are_the_same_every_epoch(tmp_path: Path, network: str, fixed: bool) -> None:
    recipe = strong(frozen_copies=2, steps_per_epoch=40)
    method = witness(tmp_path, "witness", {"fixed": fixed}, network=network, dataset={"cases": 4}, recipe=recipe)
    per_epoch: list[set[bytes]] = [set(), set()]
    for step in method.steps_:
        per_epoch[step["epoch"]] |= {image.numpy().tobytes() for image in step["image"]}
    assert per_epoch[0] == per_epoch[1]
    plain = [image.numpy().tobytes() for batch in method.stage_["batches"] for image in batch["image"]]
    assert set(plain) == per_epoch[0] and len(plain) == len(set(plain))
    if fixed:
        assert numbers(method.stage_["batches"]) == list(range(method.stage_["samples"]))


def test_unlabelled_samples_come_without_truth(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset": {"unlabelled": 3}, "recipe": {"unlabelled_ratio": 1.5}}
    outcome = go(tmp_path, "witness", {"mixed": True, "unlabelled": 2}, **options)
    for step in toy.Witness.last.steps_:
        assert step["labelled"] == [True, True, False, False, False]
        assert (step["target"][2:] == -1).all() and (step["target"][:2] >= 0).any()
        assert all(case.startswith("bare") for case in step["ids"][2:])
        assert (step["derived"]["copy"][2:] == 0).all() and step["numbers"] == [-1] * 5
    assert toy_record(outcome)["splits"]["unlabelled"] == ["bare_0", "bare_1"]
    assert not any(case.startswith("bare") for batch in toy.Witness.last.stage_["batches"] for case in batch["ids"])


def test_labels_of_spared_cases_are_never_read(tmp_path: Path) -> None:
    outcome = go(tmp_path, "witness", {"mixed": True}, recipe={"labelled": 1})
    splits = toy_record(outcome)["splits"]
    assert len(splits["train"]) == 1 and len(splits["unlabelled"]) == 3
    for step in toy.Witness.last.steps_:
        for case, labelled, target in zip(step["ids"], step["labelled"], step["target"], strict=True):
            assert labelled == (case in splits["train"]) and (labelled or bool((target == -1).all()))
    named = {path.parent.name.rsplit("-", 1)[0] for path in (tmp_path / ".cache/toy").glob("*/target.npy")}
    assert named == set(splits["train"] + splits["val"])


@pytest.mark.parametrize(("ratio", "count"), [(3.0, 6), (0.5, 1), (0.1, 1), (1.0, 2)])
@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
def test_fixed_samples_go_with_unlabelled_ones(tmp_path: Path, network: str, ratio: float, count: int) -> None:
    options: dict[str, Any] = {"dataset": {"unlabelled": 2}, "network": network}
    for copies in (0, 2):
        recipe = strong(unlabelled_ratio=ratio, frozen_copies=copies)
        method = witness(tmp_path / str(copies), "witness", {"mixed": True, "fixed": True}, **options, recipe=recipe)
        for step in method.steps_:
            assert step["labelled"] == [True, True] + [False] * count
            assert min(step["numbers"][:2]) >= 0 and step["numbers"][2:] == [-1] * count
            assert (step["target"][2:] == -1).all()
        assert method.stage_["samples"] > 0 and len(method.dual_) == method.stage_["samples"]


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
def test_what_shows_no_image_is_marked(tmp_path: Path, network: str, mixed: bool) -> None:
    """Padding is marked in labelled and unlabelled samples alike; a truth of known labels is an oracle."""
    dataset = {"shape": (2, 10, 20), "unlabelled": 2}
    options: dict[str, Any] = {"network": network, "dataset": dataset}
    recipe = {"normalisation": "none", "augmentation": still()}
    method = witness(tmp_path / "still", "witness", {"mixed": mixed}, **options, recipe=recipe)
    for step in method.steps_:
        assert step["inside"].dtype == torch.bool and step["inside"].shape == step["target"].shape
        assert torch.equal(step["inside"], step["image"][:, 0] != 0)  # noise is never exactly zero, padding is
        rows = torch.tensor(step["labelled"])
        assert torch.equal(step["inside"][rows], step["target"][rows] >= 0)
        assert not step["inside"].all()
    for batch in method.stage_["batches"]:
        assert torch.equal(batch["inside"], batch["target"] >= 0)
    moved = witness(tmp_path / "moved", "witness", {"mixed": mixed}, **options, recipe=strong())
    for step in moved.steps_:
        rows = torch.tensor(step["labelled"])
        assert torch.equal(step["inside"][rows], step["target"][rows] >= 0)
        if mixed:
            assert 0.2 < step["inside"][~rows].float().mean() < 1 and (step["target"][~rows] == -1).all()


def test_unknown_labels_show_image_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = toy.Toy.load

    def ignoring(self: Any, ref: Any) -> Any:
        case = load(self, ref)
        case.truth.array[:, :4] = -1
        return case

    monkeypatch.setattr(toy.Toy, "load", ignoring)
    method = witness(tmp_path, recipe={"augmentation": still()})
    for step in method.steps_:
        assert step["inside"].all() and (step["target"] == -1).any()


def test_stored_labels_on_the_unlabelled_path_are_refused(tmp_path: Path) -> None:
    from segbench.errors import VerificationError
    from segbench.training.batches import Samples
    from segbench.training.cache import Cache

    cache = Cache(tmp_path, toy.Toy(), Recipe())
    one, two = (cache.store(ref, labelled=True) for ref in cache.dataset.refs()[:2])
    for mixed in (True, False):
        with pytest.raises(VerificationError, match="toy_1 is to be seen without labels, but they were stored"):
            Samples(
                toy.Toy2D().view,
                [one],
                [two],
                Recipe(),
                seed=0,
                fold=0,
                device=torch.device("cpu"),
                mix_unlabelled=mixed,
            )


# --------------------------------------------------------------------------------------------------------- fairness


@pytest.mark.parametrize("network", ["toy2d", "toy3d"])
def test_methods_with_one_seed_see_the_same(tmp_path: Path, network: str) -> None:
    options: dict[str, Any] = {"network": network, "dataset": {"unlabelled": 2}, "recipe": strong()}
    methods = [
        witness(tmp_path / "a", "witness", **options),
        witness(tmp_path / "b", "other", **options),
        witness(tmp_path / "c", "witness", {"weight": 0.3}, **options),
        witness(tmp_path / "d", "witness", {"mixed": True}, **options),
    ]
    first = methods[0]
    for other in methods[1:]:
        assert torch.equal(first.first_logits_, other.first_logits_[: len(first.first_logits_)])  # the same weights
        for one, two in zip(first.steps_, other.steps_, strict=True):
            rows = len(one["ids"])
            assert one["ids"] == two["ids"][:rows]
            assert torch.equal(one["image"], two["image"][:rows]) and torch.equal(one["target"], two["target"][:rows])
    seed = witness(tmp_path / "e", "witness", seed=1, **options)
    assert not torch.equal(first.first_logits_, seed.first_logits_)
    assert [step["ids"] for step in first.steps_] != [step["ids"] for step in seed.steps_]


def test_fixed_and_drawn_slices_are_the_same_slices(tmp_path: Path) -> None:
    options: dict[str, Any] = {"recipe": strong(), "dataset": {"shape": (5, 10, 10)}}
    drawn = witness(tmp_path / "a", "witness", **options)
    fixed = witness(tmp_path / "b", "witness", {"fixed": True}, **options)
    for one, two in zip(drawn.steps_, fixed.steps_, strict=True):
        assert one["ids"] == two["ids"] and torch.equal(one["image"], two["image"])


# ----------------------------------------------------------------------------------------------- budget and choice


def test_learning_rates() -> None:
    constant = Recipe(learning_rate=0.1, warmup=0, schedule="constant")
    assert [learning_rate(constant, step, 10) for step in (0, 5, 9)] == [0.1] * 3
    cosine = Recipe(learning_rate=0.1, warmup=0, schedule="cosine")
    assert [learning_rate(cosine, step, 10) for step in (0, 5, 10)] == pytest.approx([0.1, 0.05, 0])
    poly = Recipe(learning_rate=0.1, warmup=0, schedule="poly")
    assert learning_rate(poly, 5, 10) == pytest.approx(0.1 * 0.5**0.9) and learning_rate(poly, 10, 10) == 0
    warm = Recipe(learning_rate=0.1, warmup=4, schedule="constant")
    assert [learning_rate(warm, step, 10) for step in (0, 1, 3, 4)] == pytest.approx([0.025, 0.05, 0.1, 0.1])


def test_the_rate_of_every_epoch_is_written_down(tmp_path: Path) -> None:
    recipe = {"schedule": "cosine", "learning_rate": 0.1, "epochs": 4}
    outcome = go(tmp_path, recipe=recipe)
    expected = [learning_rate(Recipe(**{**toy.RECIPE, **recipe}), step, 12) for step in (2, 5, 8, 11)]
    assert history(outcome, "learning_rate") == pytest.approx(expected)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_optimisers_learn(tmp_path: Path, optimizer: str) -> None:
    recipe = {"optimizer": optimizer, "epochs": 6, "steps_per_epoch": 5, "warmup": 2}
    recipe |= {"learning_rate": 0.3 if optimizer == "sgd" else 0.03, "augmentation": still()}
    losses = history(go(tmp_path, recipe=recipe), "train/ce")
    assert losses[-1] < 0.8 * losses[0]


def test_the_best_checkpoint_is_scored_if_asked_for(tmp_path: Path) -> None:
    recipe = {"choose": "best", "epochs": 6, "learning_rate": 0.5, "schedule": "constant"}
    outcome = go(tmp_path, recipe=recipe)
    dice, record = history(outcome, "val/dice"), toy_record(outcome)
    assert (
        record["training"]["best_epoch"] == int(np.argmax(dice)) and record["training"]["scored_checkpoint"] == "best"
    )
    last = go(tmp_path, recipe={**recipe, "choose": "last"})
    assert history(last, "val/dice") == dice
    weights = [load_checkpoint(one.folder / "checkpoint/network.pt")["network"] for one in (outcome, last)]
    same = all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert same == (int(np.argmax(dice)) == 5)


def test_validation_when_it_is_due(tmp_path: Path) -> None:
    outcome = go(tmp_path, recipe={"epochs": 5, "validate_every": 2})
    assert [bool(epoch["val"]) for epoch in toy.Witness.last.epochs_] == [False, True, False, True, True]
    assert len(history(outcome, "val/dice")) == 3
    alone = go(tmp_path, dataset={"cases": 2}, recipe={"choose": "best"})  # one patient trains, one tests
    assert not history(alone, "val/dice") and toy_record(alone)["training"]["scored_checkpoint"] == "last"


def test_validation_that_nobody_reads_is_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = history(go(tmp_path, recipe={"epochs": 4}), "val/dice")
    assert len(seen) == 4, "this method reads the curve"
    monkeypatch.setattr(toy.Witness, "after_epoch", lambda self, epoch: None)
    assert history(go(tmp_path, recipe={"epochs": 4}, seed=1), "val/dice") == history(
        go(tmp_path, recipe={"epochs": 4, "validate_every": 0}, seed=1), "val/dice"
    )
    assert len(history(go(tmp_path, recipe={"epochs": 4, "choose": "best"}, seed=1), "val/dice")) == 4
    few = go(tmp_path, recipe={"epochs": 4, "steps_per_epoch": 60}, seed=1)  # one case of 5 slices, 120 samples: 1.4 %
    assert len(history(few, "val/dice")) == 4
    weights = [
        load_checkpoint(one.folder / "checkpoint/network.pt")["network"]
        for one in (few, go(tmp_path, recipe={"epochs": 4, "steps_per_epoch": 60, "validate_every": 3}, seed=1))
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


# ------------------------------------------------------------------------------------------------------ bad plugins


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("loss", PluginError, "toy.*computing its loss: ZeroDivisionError: no prior today"),
        ("terms", PluginError, "loss returned no term"),
        ("vector", PluginError, "must be a scalar tensor"),
        ("derive", PluginError, "derived map 'copy' has shape"),
        ("uneven", PluginError, "expected the same for all"),
        ("state", PluginError, r"state\(\)\['odd'\] is a ndarray"),
        ("incompatible", Incompatible, "it has moods"),
    ],
)
def test_methods_that_break_their_contract(tmp_path: Path, fault: str, error: type[Exception], words: str) -> None:
    dataset = {"shape": (6, 14, 10)}
    with pytest.raises(error, match=words) as caught:
        go(tmp_path, "witness", {"fault": fault}, dataset=dataset)
    assert caught.value.exit_code == (4 if error is PluginError else 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "words"), [("raises", "building its network: ValueError"), ("labels", "expected logits .2, 3, 13, 11.")]
)
def test_networks_that_break_their_contract(tmp_path: Path, fault: str, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        go(tmp_path, network_parameters={"fault": fault})


# ------------------------------------------------------------------------------------------------------ checkpoints


def interrupted(root: Path, recipe: dict[str, Any]) -> Path:
    """Break a run in its second epoch and return its last checkpoint."""
    with pytest.raises(PluginError, match="no prior today"):
        go(root, "witness", {"fault": "loss", "fault_at": 4}, recipe=recipe)
    (checkpoint,) = root.glob("toy/witness/*/checkpoint/last.pt")
    return checkpoint


def test_a_checkpoint_is_plain_data(tmp_path: Path) -> None:
    saved = torch.load(interrupted(tmp_path, {}), weights_only=True)
    assert saved["progress"]["epoch"] == 1 and saved["progress"]["step"] == 3
    assert set(saved) == {"network", "optimizer", "precision", "method", "progress"}
    assert isinstance(saved["method"]["dual"], torch.Tensor)


@pytest.mark.parametrize("damage", ["truncated", "text", "other"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    checkpoint = interrupted(tmp_path, {})
    if damage == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    elif damage == "text":
        checkpoint.write_text("import os")
    else:
        save_checkpoint(checkpoint, {"network": {}})
    with pytest.raises(DataInvalid, match=r"last\.pt.*[Dd]elete the"):
        go(tmp_path, "witness", {"fault": "loss", "fault_at": 4})


def test_no_flip_in_a_checkpoint_goes_unseen(tmp_path: Path) -> None:
    path = tmp_path / "network.pt"
    state = {"network": {"w": torch.arange(40.0), "b": torch.tensor([1, 2])}, "progress": {"epoch": 3, "best": 0.5}}
    save_checkpoint(path, state)
    content, refused = path.read_bytes(), 0
    for bit in range(0, 8 * len(content), 13):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            found = load_checkpoint(path)
        except DataInvalid as error:
            refused += 1
            assert "network.pt is damaged" in str(error) and "delete the run's folder" in str(error)
        else:  # padding, times
            assert found["progress"] == state["progress"]
            assert all(torch.equal(found["network"][name], tensor) for name, tensor in state["network"].items())
    assert refused > 100


def test_a_disk_that_is_full_at_the_checkpoint(tmp_path: Path) -> None:
    """torch itself would say "unexpected pos 704 vs 598"."""
    script = """
import resource, signal, sys, pathlib, torch
from segbench.errors import Unwritable
from segbench.training.checkpoints import save_checkpoint
path = pathlib.Path(sys.argv[1]) / "last.pt"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
save_checkpoint(path, {"epoch": 1})
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_checkpoint(path, {"w": torch.rand(100_000)})
except Unwritable as error:
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == ["last.pt"]
    sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert f"{tmp_path / 'last.pt'} cannot be written: File too large. No file may be this large" in done.stderr


def test_a_resumed_run_restores_optimiser_method_and_rate(tmp_path: Path) -> None:
    recipe = {"epochs": 2, "schedule": "cosine", "choose": "best"}
    interrupted(tmp_path / "a", recipe)  # the resumed method counts its steps anew and meets no fault
    resumed = go(tmp_path / "a", "witness", {"fault": "loss", "fault_at": 4}, recipe=recipe)
    whole = go(tmp_path / "b", "witness", {"fault": "loss", "fault_at": 99}, recipe=recipe)
    for name in ("train/ce", "train/prior", "val/dice", "method/dual", "learning_rate"):
        assert history(resumed, name) == history(whole, name)
    weights = [load_checkpoint(one.folder / "checkpoint/network.pt")["network"] for one in (resumed, whole)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not list((resumed.folder / "checkpoint").glob("last.pt"))


def test_a_gradient_scaler_recovers_from_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision

    from segbench.training import device

    def launch(*arguments: Any) -> Any:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
        return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])

    monkeypatch.setattr(device, "launch", launch)
    recipe = {"epochs": 2, "steps_per_epoch": 120, "clip": 1.0, "optimizer": "sgd", "learning_rate": 0.3}
    outcome = go(tmp_path, recipe=recipe | {"augmentation": still()})
    skipped = history(outcome, "skipped")
    assert skipped[0] > 50 and skipped[1] == 0  # the scale is halved until gradients fit, and kept in the checkpoint
    assert all(step["moved"] == 0 for step in toy.Witness.last.steps_ if step["skipped"])
    losses = history(outcome, "train/ce")
    assert losses[1] < 0.8 * losses[0]
