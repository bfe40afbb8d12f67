"""The metric, the recipe and the two tables."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segbench import Choice, LabelMap, Task, UsageError, load_catalogue
from segbench_shape_signature import store
from segbench_shape_signature.fitting import fit, generate
from segbench_shape_signature.metric import SignatureDistance
from segbench_shape_signature.settings import CONTRASTIVE, Pretraining
from segbench_shape_signature.store import obtain
from segbench_shape_signature.study import MARGIN_OFF, MARGIN_ON, NAMES, WITH, WITHOUT, Protocol, Table1, Table2
from segbench_shape_signature.subjects import collect

SMALL = Pretraining(iterations=2, levels=2, width=2)
TASK = Task("boxes", "1", ("background", "a", "b"), regions={"a": (1,), "both": (1, 2)})


def maps(count, shape=(16, 15, 14), seed=0):
    drawn = np.random.default_rng(seed)
    for _ in range(count):
        array = np.zeros(shape, dtype=np.int16)
        for label in (1, 2):
            start, size = drawn.integers(0, 8, 3), drawn.integers(2, 7, 3)
            array[tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))] = label
        yield LabelMap(array, (1.0, 1.0, 1.0))


def prepared(**parameters):
    metric = SignatureDistance(**{"pretraining": SMALL, **parameters})
    metric.prepare(TASK, maps(4))
    return metric


def test_metric_is_the_norm_between_the_signatures_of_whole_maps():
    metric = prepared()
    predicted, truth = maps(2, seed=9)
    scores = list(metric.score(predicted, truth, TASK))
    for score in scores:
        g = metric.signatures_[score.structure.name].network
        masks = [torch.from_numpy(one.mask(score.structure))[None, None].float() for one in (predicted, truth)]
        assert score.value == pytest.approx(float((g(masks[0]) - g(masks[1])).norm()), rel=1e-5) and score.value > 0


def test_metric_is_deterministic_and_its_seed_matters():
    predicted, truth = maps(2, seed=9)
    values = []
    for seed in (0, 0, 1):
        store._remembered.clear()
        values.append([score.value for score in prepared(seed=seed).score(predicted, truth, TASK)])
    assert values[0] == values[1] != values[2]


def test_metric_without_training_truths():
    first, _ = maps(2)
    with pytest.raises(UsageError, match="training"):
        list(SignatureDistance().score(first, first, TASK))
    metric = SignatureDistance(pretraining=SMALL)
    metric.prepare(TASK, [])
    assert [score.status for score in metric.score(first, first, TASK)] == ["failed"] * 2


def test_recipe_is_the_papers():
    recipe = Protocol().recipe()
    assert recipe.epochs * recipe.steps_per_epoch == 1200 and recipe.batch == 1
    assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == ("adam", 1e-4, "constant")
    assert (recipe.augmentation.rotation, recipe.augmentation.scale) == (8.0, 0.15)


def test_rows():
    cells = {cell.label: cell.config for cell in Table1(contrastive=Pretraining(margin=0.3)).cells(Choice("brain"))}
    assert "pretraining" not in cells[MARGIN_OFF].method.parameters
    assert cells[MARGIN_ON].method.parameters["pretraining"] == {"margin": 0.3}
    fair, paper = (Table2(protocol=protocol).cells(Choice("lpba40")) for protocol in ("fair", "paper"))
    assert [cell.config.arm for cell in fair] == ["control", "method", "placebo"]
    assert fair[0].config.recipe.labelled == 4 and paper[0].config.recipe_name == "shape-signature"
    assert fair[0].config.dataset.parameters == {"structures": "caudate,hippocampus"}
    assert Table2(protocol="paper").cells(Choice("decathlon"))[0].config.method.parameters == {}
    assert len({json.dumps(cell.config.method.parameters) for cell in fair}) == 1
    assert load_catalogue().method(fair[1].config.method).pretraining == CONTRASTIVE
    method = load_catalogue().method(cells[MARGIN_ON].method)
    assert method.pretraining.margin == 0.3 and method.structures == ("caudate", "hippocampus")


def test_published_values():
    found = {(row["row"], row["label"], row["metric"]): row["value"] for row in Table2().published()}
    assert len(found) == 16
    assert found[WITHOUT, "right hippocampus", "hd"] == 54.553 and found[WITH, "left caudate", "dice"] == 0.835
    assert {label for _, label, _ in found} == set(NAMES)


def test_table_1_of_finished_runs(tmp_path):
    task = Task("heads", "1", ("background", "left caudate", "b"))
    subjects = collect(maps(4), task.structures)
    for name, masks in subjects.items():
        obtain(name, masks, SMALL, generate(0), fit(0), folders=[tmp_path / "method"])
    cases = dict(enumerate(maps(3, seed=5)))
    parameters = {"structures": [], "most": 8, "pretraining": vars(SMALL)}
    run = SimpleNamespace(
        folder=tmp_path, task=task, case_ids=list(cases), record=json.loads(json.dumps({"method": parameters})),
        case=lambda case_id: SimpleNamespace(truth=cases[case_id]), truths=lambda: maps(4),
    )  # fmt: skip
    (table,) = Table1().tables({MARGIN_OFF: [run, run], MARGIN_ON: [run]})
    assert [row[:2] for row in table.rows] == [
        (name, row) for name in ("b", "left caudate") for row in (MARGIN_OFF, MARGIN_ON)
    ]
    caudate = table.rows[2]
    assert caudate[5:] == (0.120, 0.316, pytest.approx(0.38, abs=0.01)) and table.rows[0][5:] == (None, None, None)
    assert caudate[4] == pytest.approx(caudate[2] / caudate[3]) and caudate[2:5] == table.rows[3][2:5]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_listing_the_parts_imports_nothing_heavy():
    code = (
        "import sys, segbench_shape_signature as plugin\n"
        "plugin.segbench_methods(), plugin.segbench_metrics(), plugin.segbench_studies()\n"
        "print([name for name in ('torch', 'numpy', 'scipy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
