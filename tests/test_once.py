"""Trained once, predicted and scored as often as one likes; and trained again when, and only when, it would differ."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench import results
from segbench.completing import score
from segbench.config import RunConfig
from segbench.errors import DataInvalid, DataMissing, Incompatible
from segbench.evaluation.folders import evaluate
from segbench.host import Catalogue, load_catalogue
from segbench.records import DIGESTS, SEAL, write_record
from segbench.runner import Outcome, assemble, folder_of, predict, settled
from segbench.standing import edited_since
from segbench.training import inference
from segbench.training.loop import Reporter
from segbench.types import Choice

TOY = Path(__file__).parent / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]

PLUGIN = '''
from dataclasses import dataclass

import numpy as np

from segbench import Decision, Method, Metric, Score, cross_entropy, hookimpl


@dataclass
class Mine(Method):
    """Cross-entropy weighted by a map."""

    name = "mine"

    def derive(self, truth):
        return {"map": (truth.array == 1).astype(np.float32) * SIGN}

    def loss(self, batch, logits):
        return {"ce": cross_entropy(logits, batch.target), "map": (batch.derived["map"] * logits[:, :1]).mean()}


@dataclass
class Flipped(Decision):
    """Labels turned round."""

    name = "flipped"

    def refine(self, labels, task):
        return np.ascontiguousarray(labels[..., ::STEP])


@dataclass
class Size(Metric):
    """Predicted voxels."""

    name = "size"
    better = "lower"
    unit = "1"

    def score(self, predicted, truth, task):
        return [Score(one, float(predicted.mask(one).sum()) * FACTOR) for one in task.structures]


@hookimpl
def segbench_methods():
    return [Mine]


@hookimpl
def segbench_decisions():
    return [Flipped]


@hookimpl
def segbench_metrics():
    return [Size]
'''


def plugin(root: Path, *, sign: int = 1, step: int = -1, factor: int = 1) -> Catalogue:
    """Write the plugin as a user edits it, and load it."""
    file = root / "mine.py"
    root.mkdir(parents=True, exist_ok=True)
    text = PLUGIN.replace("SIGN", str(sign)).replace("STEP", str(step)).replace("FACTOR", str(factor))
    file.write_text(text, encoding="utf-8")
    return load_catalogue([TOY, file])


def run(config: RunConfig, root: Path, catalogue: Catalogue = CATALOGUE, reporter: Reporter | None = None) -> Outcome:
    outcome: Outcome = toy.run(config, catalogue=catalogue, results_root=root, reporter=reporter)
    return outcome


def asked(config: RunConfig, *metrics: str, decision: str = "") -> RunConfig:
    chain = (Choice(decision),) if decision else ()
    return dataclasses.replace(config, metrics=tuple(map(Choice, metrics)), decision=chain)


def rows(folder: Path, **wanted: str) -> list[tuple[Any, ...]]:
    table = results.read_scores(folder).to_pylist()
    kept = [row for row in table if all(row[name] == value for name, value in wanted.items())]
    return sorted((row["case_id"], row["label_name"], row["metric"], row["decision"], row["value"]) for row in kept)


def weights(outcome: Outcome) -> bytes:
    return (outcome.folder / "checkpoint" / "network.pt").read_bytes()


class Notes(Reporter):
    """Keeps what is said; may be interrupted at a case that is scored."""

    def __init__(self, stop_at: int = 0) -> None:
        self.notes: list[str] = []
        self.stop_at = stop_at

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, what: str, done: int, total: int) -> None:
        if what == "Scoring" and done == self.stop_at:
            raise KeyboardInterrupt


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let training or prediction raise if anybody tries."""

    def never(*arguments: Any, **others: Any) -> Any:
        raise AssertionError("done twice")

    if "predict" in names:
        monkeypatch.setattr(inference, "predict", never)
    if "train" in names:
        monkeypatch.setattr("segbench.training.loop.train", never)


# --------------------------------------------------------------------------------------------------------- metrics


def test_another_metric_is_no_other_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(asked(toy.configuration(), "dice"), tmp_path)
    before, made = weights(first), rows(first.folder)
    forbid(monkeypatch, "train", "predict")
    second = run(asked(toy.configuration(), "dice", "hd95"), tmp_path)
    assert (second.run_id, second.trained, second.predicted, second.added) == (first.run_id, False, 0, ("hd95",))
    assert weights(second) == before and rows(second.folder, metric="dice") == made
    assert {row[2] for row in rows(second.folder)} == {"dice", "hd95"}
    assert not run(asked(toy.configuration(), "hd95"), tmp_path).fresh


def test_a_plugin_with_a_new_metric_finishes_no_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(toy.configuration(), metrics=())
    first = run(config, tmp_path / "results")
    catalogue = plugin(tmp_path)
    monkeypatch.setattr(catalogue.entries["metrics"]["size"].cls, "default", True)
    forbid(monkeypatch, "train", "predict")
    second = run(config, tmp_path / "results", catalogue)
    assert second.run_id == first.run_id and second.added == ("size",)


def test_score_adds_what_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(asked(toy.configuration(), "dice"), tmp_path)
    fresh = run(asked(toy.configuration(), "dice", "hd95", "volume_error"), tmp_path / "fresh")
    forbid(monkeypatch, "train", "predict")
    for name in ("hd95", "volume_error"):
        done = score(first.folder, [Choice("dice"), Choice(name)], catalogue=CATALOGUE)
        assert done.added == (name,) and done.run_id == first.run_id
    assert rows(first.folder) == rows(fresh.folder)
    assert score(first.folder, [Choice("dice")], catalogue=CATALOGUE).added == ()
    assert not (first.folder / "journal.jsonl").exists()


@pytest.mark.slow
def test_the_command_line_scores_and_predicts_in_processes(tmp_path: Path) -> None:
    def segbench(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "segbench", *arguments, "--plugin", str(TOY), "--results", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    small = ("--set", "recipe.steps_per_epoch=2", "--epochs", "1", "--set", "dataset.cases=12", "--network", "toy2d")
    code, text = segbench("run", "--method", "other", "--dataset", "toy", "--metric", "dice", *small)
    assert code == 0, text
    (folder,) = (path.parent for path in tmp_path.rglob("run.json"))
    code, text = segbench("score", "--metric", "hd95", "--jobs", "2")
    assert code == 0 and "added hd95" in text, text
    assert "nothing lacking" in segbench("score", folder.name[:6], "--metric", "hd95")[1]
    code, text = segbench("predict", str(folder), "--decision", "rank_dice+fill_holes", "--metric", "dice", "-j", "2")
    assert code == 0 and "predicted 2 cases" in text, text
    code, text = segbench("run", "--method", "other", "--dataset", "toy", "--decision", "rank_dice+fill_holes", *small)
    assert code == 0 and "Trained before" in text, text
    code, text = segbench("score", "--set", "decision.x.y=1")
    assert code == 2 and "expected metric.NAME.KEY=VALUE" in text
    code, text = segbench("predict", str(folder), "--decision", "nothing")
    assert code == 2 and "No decision is called 'nothing'" in text


def test_a_full_disk_while_scoring_leaves_the_scores_there_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(asked(toy.configuration(), "dice"), tmp_path)
    before, replace = rows(first.folder), Path.replace

    def full(self: Path, target: Any) -> Any:
        if Path(target).name == "scores.parquet":
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        score(first.folder, [Choice("hd95")], catalogue=CATALOGUE)
    monkeypatch.undo()
    assert rows(first.folder) == before
    assert score(first.folder, [Choice("hd95")], catalogue=CATALOGUE).added == ("hd95",)


def test_other_parameters_of_a_metric_take_the_place_of_its_rows(tmp_path: Path) -> None:
    first = run(asked(toy.configuration(), "nsd", "dice"), tmp_path)
    done = score(first.folder, [Choice("nsd", {"tolerance": 3.0})], catalogue=CATALOGUE)
    table = results.read_scores(first.folder).to_pylist()
    assert done.added == ("nsd",)
    assert {row["metric_version"] for row in table if row["metric"] == "nsd"} == {
        f"{CATALOGUE.entries['metrics']['nsd'].cls.version} tolerance=3.0"
    }
    assert len({(row["case_id"], row["label_name"], row["metric"]) for row in table}) == len(table)


def test_a_run_that_is_killed_while_scoring_predicts_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asked(toy.configuration(dataset={"cases": 12}), "dice", "hd95")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "a", reporter=Notes(stop_at=1))
    (folder,) = (path.parent for path in (tmp_path / "a").rglob("trained.json"))
    assert not results.is_complete(folder) and len(list((folder / "predictions").iterdir())) == 2
    scored: list[str] = []
    real = inference.predict
    forbid(monkeypatch, "train", "predict")
    monkeypatch.setattr(
        CATALOGUE.entries["metrics"]["dice"].cls,
        "score",
        lambda self, *arguments, real=CATALOGUE.entries["metrics"]["dice"].cls.score: (
            scored.append(self.name),
            real(self, *arguments),
        )[1],
    )
    resumed = run(config, tmp_path / "a")
    assert len(scored) == 1, "the case that was scored before is in the journal"
    monkeypatch.undo()
    assert inference.predict is real
    whole = run(config, tmp_path / "b")
    assert rows(resumed.folder) == rows(whole.folder) and not (folder / "trained.json").exists()


# ------------------------------------------------------------------------------------------------- code that is edited


def test_an_edited_method_is_another_training(tmp_path: Path) -> None:
    config, root = asked(toy.configuration("mine"), "dice"), tmp_path / "results"
    first = run(config, root, plugin(tmp_path))
    assert not run(config, root, plugin(tmp_path)).fresh
    said = Notes()
    second = run(config, root, plugin(tmp_path, sign=-1), said)
    assert second.trained and second.run_id != first.run_id and weights(second) != weights(first)
    assert said.notes[0] == f"The code of the method changed since run {first.run_id}: another training."
    maps = {path.name: np.load(path / "map.npy").max() for path in root.glob(".cache/toy/*/derived-*")}
    assert len(maps) == 2 and sorted(maps.values()) == [0.0, 1.0], "the sign of the first does not live on"
    assert json.loads((first.folder / "run.json").read_text())["identity"]["code"]["method"]


def test_an_edited_metric_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, root = asked(toy.configuration(), "dice", "size"), tmp_path / "results"
    first = run(config, root, plugin(tmp_path))
    made = rows(first.folder, metric="size")
    forbid(monkeypatch, "train", "predict")
    second = run(config, root, plugin(tmp_path, factor=3))
    assert (second.run_id, second.added) == (first.run_id, ("size",))
    assert [row[4] for row in rows(second.folder, metric="size")] == [3 * row[4] for row in made]


def test_an_edited_decision_predicts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, root = asked(toy.configuration(), "dice", decision="flipped"), tmp_path / "results"
    first = run(config, root, plugin(tmp_path))
    made = rows(first.folder)
    forbid(monkeypatch, "train")
    second = run(config, root, plugin(tmp_path, step=1))
    assert not second.trained and second.run_id == first.run_id and second.predicted == 1
    assert rows(second.folder) != made and len(rows(second.folder)) == len(made)
    monkeypatch.undo()
    plain = run(asked(toy.configuration(), "dice"), tmp_path / "plain")
    assert [row[4] for row in rows(second.folder)] == [row[4] for row in rows(plain.folder)]


def test_an_edited_method_is_said_to_differ_from_the_run_finished_last(tmp_path: Path) -> None:
    config, root = asked(toy.configuration("mine"), "dice"), tmp_path / "results"
    runs = [run(config, root, plugin(tmp_path, sign=sign)) for sign in (1, -1)]
    catalogue = plugin(tmp_path, sign=-3)
    config = settled(config, catalogue)
    parts = assemble(config, catalogue, root)
    for nearest in runs:
        for one in runs:
            os.utime(one.folder / "run.json", (0, 2_000 if one is nearest else 1_000))
        said = edited_since(config, parts, folder_of(config, parts, root))
        assert said == f"The code of the method changed since run {nearest.run_id}: another training."


def test_trainings_that_differ_in_code_or_precision_stand_apart_on_the_board(tmp_path: Path) -> None:
    from segbench.ranking.boards import Request
    from segbench.ranking.leaderboard import leaderboard

    config, root = asked(toy.configuration("mine"), "dice"), tmp_path / "results"
    for seed in range(2):
        run(dataclasses.replace(config, seed=seed), root, plugin(tmp_path))
    run(config, root, plugin(tmp_path, sign=-1))
    run(dataclasses.replace(config, precision="bf16-mixed"), root, plugin(tmp_path, sign=-1))
    (board,) = leaderboard(results.read_scores(root), Request()).boards
    names = [entry.place.method for entry in board.entries]
    assert len(set(names)) == 3 and all(name.startswith("mine [build=") for name in names)
    assert sorted(entry.seeds for entry in board.entries) == [1, 1, 2]


def test_edited_data_are_not_predicted_under_the_old_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(asked(toy.configuration(), "dice"), tmp_path)
    record = json.loads((first.folder / "run.json").read_text())
    record["identity"]["code"]["dataset"] = "0" * 12
    write_record(first.folder / "run.json", record)
    with pytest.raises(Incompatible, match="code of the dataset changed since run"):
        predict(first.folder, [Choice("fill_holes")], metrics=[Choice("dice")], catalogue=CATALOGUE)


def test_mixed_precision_never_shares_a_name(tmp_path: Path) -> None:
    full = run(asked(toy.configuration(), "dice"), tmp_path)
    half = run(dataclasses.replace(asked(toy.configuration(), "dice"), precision="bf16-mixed"), tmp_path)
    assert full.run_id != half.run_id and half.trained
    auto = dataclasses.replace(asked(toy.configuration(), "dice"), precision="auto")
    assert run(auto, tmp_path).run_id in (full.run_id, half.run_id)
    identity = json.loads((half.folder / "run.json").read_text())["identity"]
    assert (identity["precision"], identity["device"]) == ("bf16-mixed", "cpu")


def test_another_split_is_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody asked for it: a list of folds appeared beside the data."""
    first = run(asked(toy.configuration(), "dice"), tmp_path)
    names = [f"toy_{index}" for index in range(6)]
    folds = [{"train": names[2:], "val": names[:2]}]
    monkeypatch.setattr(toy.Toy, "folds", lambda self: folds)
    second = run(asked(toy.configuration(), "dice"), tmp_path)
    assert second.trained and second.run_id != first.run_id
    assert {row[0] for row in rows(second.folder)} == {"toy_0", "toy_1"}


# ------------------------------------------------------------------------------------------------------------ decisions


def test_another_decision_is_no_other_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(asked(toy.configuration(dataset={"cases": 12}), "dice"), tmp_path)
    made = rows(first.folder)
    forbid(monkeypatch, "train")
    second = predict(first.folder, [Choice("threshold", {"value": 0.2})], metrics=[Choice("dice")], catalogue=CATALOGUE)
    assert not second.trained and second.predicted == 2 and second.run_id == first.run_id
    text = "threshold(value=0.2)"
    assert rows(second.folder, decision="") == made
    table = [row for row in results.read_scores(second.folder).to_pylist() if row["decision"]]
    assert {row["decision"] for row in table} == {text}
    assert all(row["variant"].endswith(f"decision={text}") for row in table) and len(table) == len(made)
    forbid(monkeypatch, "predict")
    config = dataclasses.replace(
        asked(toy.configuration(dataset={"cases": 12}), "dice"), decision=(Choice("threshold", {"value": 0.2}),)
    )
    assert not run(config, tmp_path).fresh
    done = score(first.folder, [Choice("iou")], catalogue=CATALOGUE)
    assert done.added == ("iou", f"iou ({text})")


def test_a_chain_that_needs_probabilities_twice_is_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(toy.configuration(), decision=(Choice("fill_holes"), Choice("rank_dice")))
    with pytest.raises(Incompatible, match="rank_dice needs probabilities, so it must come first"):
        run(config, tmp_path)
    assert not list(tmp_path.rglob("checkpoint"))


def test_only_trainings_can_be_predicted_with(tmp_path: Path) -> None:
    trained = run(asked(toy.configuration(), "dice"), tmp_path)
    truths = tmp_path / "truths"
    copy_truths(trained, truths)
    outside = evaluate(
        trained.folder / "predictions", truths, name="them", dataset="toy", labels={"a": 1, "b": 2}, metrics=["dice"],
        results=tmp_path,
    )  # fmt: skip
    with pytest.raises(DataMissing, match="no network to predict with"):
        predict(outside.folder, catalogue=CATALOGUE)
    with pytest.raises(DataMissing, match="no finished run"):
        predict(tmp_path / "nothing", catalogue=CATALOGUE)


# ---------------------------------------------------------------------------------------------------------- outside


def copy_truths(outcome: Outcome, folder: Path) -> None:
    from segbench import write_label_map

    dataset = toy.Toy()
    for ref in dataset.refs():
        if (outcome.folder / "predictions" / f"{ref.id}.nii.gz").is_file():
            write_label_map(folder / f"{ref.id}.nii.gz", dataset.load(ref).truth)


def test_outside_predictions_stand_beside_the_run_and_are_scored_further(tmp_path: Path) -> None:
    trained = run(asked(toy.configuration(), "dice"), tmp_path / "results")
    truths = tmp_path / "truths"
    copy_truths(trained, truths)
    options: dict[str, Any] = {"name": "them", "dataset": "toy", "labels": {"a": 1, "b": 2}, "catalogue": CATALOGUE}
    options["results"] = tmp_path / "results"
    outside = evaluate(trained.folder / "predictions", truths, metrics=["dice"], **options)
    mine, theirs = (results.read_scores(one.folder).to_pylist() for one in (trained, outside))
    assert {row["truth"] for row in mine} == {row["truth"] for row in theirs} != {""}
    assert [row["value"] for row in mine] == [row["value"] for row in theirs]
    again = evaluate(trained.folder / "predictions", truths, metrics=["dice", "hd95"], **options)
    assert again.run_id == outside.run_id and not again.reused, "metrics are no part of what was predicted"
    assert evaluate(trained.folder / "predictions", truths, metrics=["hd95"], **options).reused
    assert score(outside.folder, [Choice("volume_error")], catalogue=CATALOGUE).added == ("volume_error",)
    (truths / next(iter(truths.iterdir())).name).unlink()
    with pytest.raises(DataMissing):
        score(outside.folder, [Choice("iou")], catalogue=CATALOGUE)


# ------------------------------------------------------------------------------------------------- what metrics know


@pytest.mark.parametrize("recipe", [{"crop": (0, 7, 9)}, {"labelled": 1}, {"spacing": "6,2,2"}], ids=str)
def test_a_metrics_prior_does_not_depend_on_the_recipe(tmp_path: Path, recipe: dict[str, Any]) -> None:
    """It is learnt from the native truths of all training cases of the split, and its digest is in the version."""
    outcomes = [
        run(asked(toy.configuration(recipe=one), "forbidden_pairs"), tmp_path / str(index))
        for index, one in enumerate(({}, recipe))
    ]
    found = [results.read_scores(one.folder, ["metric_version"]).to_pydict()["metric_version"] for one in outcomes]
    assert found[0] == found[1] and set(found[0]) == set(found[1])
    assert all(" prior=" in version for version in found[0])
    record = json.loads((outcomes[1].folder / "run.json").read_text())
    assert len(record["splits"]["pool"]) == 4


def test_a_prior_that_was_learnt_is_the_same_prior_from_a_file(tmp_path: Path) -> None:
    from segbench.priors import Source, learn_prior, write_prior

    config = toy.configuration()
    learnt = run(asked(config, "forbidden_pairs"), tmp_path / "learnt")
    prior = learn_prior(Choice("adjacency"), Source(config.dataset, config.recipe), CATALOGUE, tmp_path)
    write_prior(prior.prior, tmp_path / "prior.csv", CATALOGUE)
    given = dataclasses.replace(config, metrics=(Choice("forbidden_pairs", {"prior": str(tmp_path / "prior.csv")}),))
    read = run(given, tmp_path / "read")
    first, second = (results.read_scores(one.folder).to_pylist() for one in (learnt, read))
    assert [row["metric_version"] for row in first] == [row["metric_version"] for row in second]
    assert [row["value"] for row in first] == [row["value"] for row in second]


def test_other_training_cases_are_another_prior(tmp_path: Path) -> None:
    split = {"train": ("toy_0",), "val": ("toy_1",), "test": ("toy_5",)}
    other = {**split, "train": ("toy_0", "toy_2", "toy_3")}
    found = []
    for index, lists in enumerate((split, other)):
        config = dataclasses.replace(asked(toy.configuration(), "signature_distance"), split=lists)
        config = dataclasses.replace(
            config, metrics=(Choice("signature_distance", {"pretraining": {"iterations": 2}}),)
        )
        table = results.read_scores(run(config, tmp_path / str(index)).folder, ["metric_version"]).to_pydict()
        found.append(set(table["metric_version"]))
    assert found[0] != found[1] and all("prior=" in version for versions in found for version in versions)


# ----------------------------------------------------------------------------------------------------- older records


def aged(folder: Path) -> None:
    """Make a run what it was before trainings, predictions and scores were told apart."""
    record = json.loads((folder / "run.json").read_text())
    for key in ("identity", "variant", "supervision", "decisions", "scores", "problems", SEAL, DIGESTS):
        record.pop(key, None)
    del record["splits"]["pool"], record["config"]["decision"]
    (folder / "run.json").write_text(json.dumps(record))
    table = results.read_scores(folder)
    results.write_table(folder / "scores.parquet", table.drop_columns(["decision", "truth", "family", "preference"]))


def test_older_records_stay_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(asked(toy.configuration(seed=1), "dice"), tmp_path)
    made = rows(first.folder)
    aged(first.folder)
    forbid(monkeypatch, "train")
    assert rows(first.folder) == made
    assert "hd95" in score(first.folder, [Choice("hd95")], catalogue=CATALOGUE).added
    assert rows(first.folder, metric="dice") == made
    second = predict(first.folder, [Choice("fill_holes")], metrics=[Choice("dice")], catalogue=CATALOGUE)
    assert not second.trained and {row[3] for row in rows(first.folder)} == {"", "fill_holes"}
    assert len(list((first.folder / "predictions").iterdir())) == 1, "the label maps there were are not thrown away"


def test_a_submission_holds_one_decision(tmp_path: Path) -> None:
    from segbench.publishing.submissions import pack
    from segbench.publishing.verification import verify

    first = run(asked(toy.configuration(), "dice"), tmp_path)
    predict(first.folder, [Choice("threshold", {"value": 0.2})], metrics=[Choice("dice")], catalogue=CATALOGUE)
    copy_truths(first, tmp_path / "truths")
    for text in ("", "threshold(value=0.2)"):
        packed = pack(first.folder, tmp_path / f"run{len(text)}.zip", enclose=True, decision=text)
        report = verify(packed.path, references=tmp_path / "truths", catalogue=CATALOGUE)
        assert not report.differences and report.rescored == ("dice",)
        assert set(report.table.column("decision").to_pylist()) == {text}
    with pytest.raises(DataInvalid, match=r"decisions: threshold\(value=0.2\)"):
        pack(first.folder, tmp_path / "none.zip", decision="rank_dice")
