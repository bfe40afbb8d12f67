"""The study's rows, comparisons and recipe."""

from __future__ import annotations

import pytest

from segbench import Choice, load_catalogue
from segbench_nonadj.study import PENALISED, SHORT_RUN, SUPERVISED, Ganaye2018

PHANTOM = Choice("brain")


def rows(dataset=PHANTOM, **parameters):
    return {cell.label: cell for cell in Ganaye2018(**parameters).cells(dataset)}


def test_rows_of_the_table():
    cells = rows()
    semi = ["NonAdjLoss(6)", "NonAdjLoss(12)"]
    assert list(cells) == [SUPERVISED, PENALISED, *semi, "placebo(12)"]
    assert [cell.role for cell in cells.values()] == ["control", *["method"] * 3, "placebo"]
    assert [cell.config.arm for cell in cells.values()] == ["control", *["method"] * 3, "placebo"]
    assert [cells[row].config.method.parameters["unlabelled"] for row in semi] == [6, 12]
    assert all(cell.config.recipe.labelled == 4 and cell.config.seed == 0 for cell in cells.values())
    assert all(cell.config.metrics == () for cell in cells.values())


def test_nothing_is_trained_twice():
    for protocol in ("fair", "paper"):
        ids = [cell.config.run_id("1") for cell in rows(protocol=protocol, unlabelled=(5, 5, 10)).values()]
        assert len(set(ids)) == len(ids) == 5


def test_arms_of_a_protocol_share_everything_but_the_prior():
    for protocol in ("fair", "paper"):
        cells = rows(protocol=protocol)
        settings = [{**cell.config.method.parameters, "unlabelled": 0} for cell in cells.values()]
        schedules = [one.pop("schedule", None) for one in settings]
        assert all(one == settings[0] for one in settings)
        assert all(one == schedules[1] for one in schedules[1:]), "the control has no lambda to steer"
        assert len({cell.config.recipe for cell in cells.values()}) == 1


def test_protocols():
    fair, paper = rows()[PENALISED].config, rows(protocol="paper", labelled=10)[PENALISED].config
    assert (fair.network.name, fair.recipe_name, fair.method.parameters) == (
        "unet25d",
        "fair",
        {"schedule": dict(SHORT_RUN)},
    )
    assert (paper.network.name, paper.recipe_name, paper.recipe.labelled) == ("modsegnet", "ganaye2018", 10)
    assert paper.method.parameters == {"dice_weight": 5.0, "class_weighting": "median"}
    recipe = Ganaye2018().recipe()
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 1e-4)
    assert recipe.schedule == "poly" and recipe.augmentation.elastic > 0 and recipe.augmentation.rotation == 0
    assert recipe.unlabelled_ratio == 3


@pytest.mark.parametrize(
    ("dataset", "parameters", "expected"),
    [
        (PHANTOM, {}, {"cases": 40}),
        (PHANTOM, {"unlabelled": (60,)}, {"cases": 107}),
        (Choice("brain", {"structures": 134}), {}, {"structures": 134, "cases": 40}),
        (Choice("brain", {"cases": 12}), {}, {"cases": 12}),
        (Choice("miccai2012"), {}, {}),
    ],
)
def test_the_phantom_gets_enough_cases(dataset, parameters, expected):
    for cell in rows(dataset, **parameters).values():
        assert cell.config.dataset.parameters == expected and cell.config.dataset.name == dataset.name


def test_enough_training_cases_for_the_unlabelled():
    cell = rows(unlabelled=(60,))["NonAdjLoss(60)"]
    refs = load_catalogue().dataset(cell.config.dataset).refs()
    assert sum(ref.split == "train" for ref in refs) >= 64


def test_comparisons_name_rows():
    study = Ganaye2018(unlabelled=(3, 7))
    labels = {cell.label for cell in study.cells(PHANTOM)}
    pairs = study.comparisons()
    assert {label for pair in pairs for label in pair} <= labels
    assert (PENALISED, SUPERVISED) in pairs and ("NonAdjLoss(7)", PENALISED) in pairs
    assert ("NonAdjLoss(7)", "placebo(7)") in pairs


def test_parts_and_parameters_exist():
    catalogue = load_catalogue()
    for protocol in ("fair", "paper"):
        for cell in rows(protocol=protocol).values():
            assert catalogue.network(cell.config.network).dims == 2
            assert catalogue.method(cell.config.method).dice_weight == (5 if protocol == "paper" else 1)
    assert set(Ganaye2018.metrics) <= set(catalogue.entries["metrics"])
    assert Ganaye2018().published() == ()
