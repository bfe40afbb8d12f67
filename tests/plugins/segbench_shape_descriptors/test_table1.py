"""The study's rows, protocols and published values."""

from __future__ import annotations

import pytest

from segbench import Choice, load_catalogue
from segbench_shape_descriptors.table1 import CROSS_ENTROPY, DESCRIPTORS, PLACEBO, Table1

HEART = Choice("heart")


def rows(dataset=HEART, **parameters):
    return {cell.label: cell for cell in Table1(**parameters).cells(dataset)}


def test_rows_of_the_table():
    cells = rows()
    penalty, lagrangian = "descriptors, penalty", "descriptors, augmented Lagrangian"
    assert list(cells) == [CROSS_ENTROPY, DESCRIPTORS, penalty, lagrangian, PLACEBO]
    assert [cell.role for cell in cells.values()] == ["control", *["method"] * 3, "placebo"]
    assert [cell.config.arm for cell in cells.values()] == ["control", *["method"] * 3, "placebo"]
    assert {cell.config.method.name for cell in cells.values()} == {"shape_descriptors"}
    assert all(cell.config.seed == 0 and cell.config.metrics == () for cell in cells.values())


@pytest.mark.parametrize("protocol", ["fair", "paper"])
@pytest.mark.parametrize("dataset", ["heart", "prostate", "acdc", "promise12"])
def test_rows_share_everything_but_the_supervision(protocol, dataset):
    cells = rows(Choice(dataset), protocol=protocol)
    assert len({cell.config.recipe for cell in cells.values()}) == 1
    assert len({str(cell.config.network) for cell in cells.values()}) == 1
    assert len({cell.config.run_id("1") for cell in cells.values()}) == len(cells)
    shared = [{**cell.config.method.parameters, "solver": ""} for cell in cells.values()]
    assert all(one == shared[0] for one in shared)


def test_only_the_baseline_sees_pixel_labels():
    """The placebo must not either: it is the same method with others' numbers."""
    catalogue = load_catalogue()
    for cell in rows().values():
        cls = catalogue.entry("methods", "shape_descriptors").cls
        method = cls(**{**cell.config.method.parameters, **cls.arms.get(cell.config.arm, {})})
        assert method.supervision == ("masks" if cell.label == CROSS_ENTROPY else "descriptors")


def test_protocols():
    fair, paper = rows()[DESCRIPTORS].config, rows(Choice("acdc"), protocol="paper")[DESCRIPTORS].config
    assert (
        fair.recipe == Table1().recipe() and fair.network.name == "unet2d" and "weights" not in fair.method.parameters
    )
    assert (paper.network.name, paper.network.parameters["size"]) == ("enet", (256, 256))
    assert (paper.recipe.learning_rate, paper.recipe.batch, paper.method.parameters["weights"]) == (5e-4, 8, (0.01,))
    gland = rows(Choice("promise12"), protocol="paper", variant="authors_code")[DESCRIPTORS].config
    assert (gland.network.name, gland.recipe.batch) == ("residual_unet", 4)
    assert gland.method.parameters["distance_margin"] == 20


def test_comparisons_name_rows():
    pairs = Table1().comparisons()
    assert {label for pair in pairs for label in pair} <= set(rows())
    assert {(DESCRIPTORS, CROSS_ENTROPY), (DESCRIPTORS, PLACEBO)} <= set(pairs)


def test_published_values():
    found = {(row["dataset"], row["row"], row["label"]): (row["value"], row["sd"]) for row in Table1().published()}
    assert found["acdc", DESCRIPTORS, ""] == (0.768, 0.128) and found["acdc", CROSS_ENTROPY, ""] == (0.876, 0.076)
    assert found["promise12", DESCRIPTORS, ""] == (0.651, 0.098)
    for row, digits in ((CROSS_ENTROPY, 1e-3), (DESCRIPTORS, 1e-3)):  # the overall value is the mean of the three
        mean = sum(found["acdc", row, label][0] for label in ("RV", "Myo", "LV")) / 3
        assert mean == pytest.approx(found["acdc", row, ""][0], abs=digits)
    assert {row["dataset"] for row in Table1().published()} == {"acdc", "promise12"}  # none for phantoms
