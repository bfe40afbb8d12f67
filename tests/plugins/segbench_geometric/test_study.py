"""The study's rows, comparisons, protocols and published numbers."""

from __future__ import annotations

from typing import Any

import pytest

from segbench import Choice, load_catalogue
from segbench_geometric.study import CE, CONSTRAINED, CROP, DICE, PLACEBO, SETTING, Table1

PHANTOM = Choice("thorax")


def rows(dataset: Choice = PHANTOM, **parameters: Any) -> dict[str, Any]:
    return {cell.label: cell for cell in Table1(**parameters).cells(dataset)}


def test_rows_of_the_table() -> None:
    cells = rows()
    assert [(cell.role, cell.config.arm) for cell in cells.values()] == [
        (arm, arm) for arm in ["control"] * 2 + ["method"] * 3 + ["placebo"]
    ]
    assert [cell.config.method.parameters["fidelity"] for cell in cells.values()] == [
        "dice", "ce", "dice", "dice_ms", "ce_ms", "dice",
    ]  # fmt: skip
    assert list(cells)[:3] == [DICE, CE, CONSTRAINED] and list(cells)[-1] == PLACEBO


@pytest.mark.parametrize("protocol", ["fair", "paper"])
def test_rows_share_budget_data_and_network_and_differ_otherwise(protocol: str) -> None:
    configs = [cell.config for cell in rows(protocol=protocol).values()]
    assert all(one.recipe == configs[0].recipe and one.recipe.frozen_copies == 3 for one in configs)
    assert all((one.dataset, one.network) == (configs[0].dataset, configs[0].network) for one in configs)
    assert len({one.run_id("1") for one in configs}) == len(configs)


def test_protocols() -> None:
    fair, paper = (rows(protocol=protocol)[CONSTRAINED].config for protocol in ("fair", "paper"))
    assert (fair.recipe_name, fair.recipe.labelled, fair.recipe.crop) == ("fair", 4, CROP)
    assert (paper.recipe_name, paper.recipe.labelled, paper.recipe.crop) == ("lambert2021-table1", 0, None)
    assert paper.network.parameters == {"size": (256, 152)} and paper.dataset == PHANTOM
    assert (paper.recipe.optimizer, paper.recipe.learning_rate, paper.recipe.batch) == ("sgd", 1e-3, 6)
    assert rows(labelled=9)[DICE].config.recipe.labelled == 9


@pytest.mark.parametrize(
    ("dataset", "parameters", "crop"),
    [
        (PHANTOM, SETTING, CROP),
        (Choice("thorax", {"cases": 12, "noise": 0.2}), {**SETTING, "cases": 12, "noise": 0.2}, CROP),
        (Choice("thorax", {"spacing": (3.5, 2.2, 2.2)}), {**SETTING, "spacing": (3.5, 2.2, 2.2)}, None),
        (Choice("segthor"), {}, None),
    ],
)
def test_the_setting_is_the_coarse_phantoms(dataset: Choice, parameters: dict[str, Any], crop: object) -> None:
    for cell in rows(dataset).values():
        assert (cell.config.dataset.parameters, cell.config.recipe.crop) == (parameters, crop)


def test_the_crop_leaves_no_aorta_out_and_enough_cases_to_tell() -> None:
    dataset = load_catalogue().dataset(rows()[DICE].config.dataset)
    refs = dataset.refs()
    assert sum(ref.split == "test" for ref in refs) >= 10  # fewer: no p below .05 after Holm
    for ref in refs[:3]:
        truth = dataset.load(ref).truth
        rows_, columns = (
            slice((n - k) // 2, (n + k) // 2) for n, k in zip(truth.array.shape[1:], CROP[1:], strict=True)
        )
        assert truth.array[:, rows_, columns].sum() == truth.array.sum() > 0


def test_comparisons_and_published_values_name_rows() -> None:
    study, labels = Table1(), set(rows())
    assert {label for pair in study.comparisons() for label in pair} <= labels
    assert {(CONSTRAINED, DICE), (PLACEBO, DICE), (CONSTRAINED, PLACEBO)} <= set(study.comparisons())
    published = study.published()
    assert len(published) == 10 and {row["row"] for row in published} == labels - {PLACEBO}
    assert {row["value"] for row in published if row["row"] in (DICE, CE)} == {0.9344, 0.9366, 51.68, 54.69}
    best = min((row for row in published if row["metric"] == "hd"), key=lambda row: row["value"])
    assert (best["row"], best["value"], best["sd"]) == ("constrained ce + MS", 42.77, 19.62)


def test_parts_exist() -> None:
    catalogue = load_catalogue()
    for protocol in ("fair", "paper"):
        for cell in rows(protocol=protocol).values():
            assert catalogue.network(cell.config.network).dims == 2 and catalogue.method(cell.config.method)
    assert set(Table1.metrics) <= set(catalogue.entries["metrics"])
    assert "lambert2021-table1" in catalogue.names("studies")
