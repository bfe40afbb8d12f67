"""Checks of studies: the recipe, the rows and what they name, the comparisons and the published values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from segbench.config import Recipe, RunConfig, changed_recipe
from segbench.conformance.common import Check, Skipped, Subject, expect
from segbench.contracts import Cell, Study
from segbench.host import Catalogue
from segbench.studies.running import cells_of
from segbench.types import Choice

PUBLISHED = ("dataset", "row", "label", "metric", "value", "sd")


def _cells(subject: Subject) -> dict[str, Sequence[Cell]]:
    """Return dataset -> rows, for the study's own datasets."""
    study: Study = subject.make()
    if not study.datasets:
        raise Skipped("it offers a recipe only; give datasets and cells() for a table")
    return {name: cells_of(study, Choice(name), subject.catalogue) for name in study.datasets}


def gives_its_recipe(subject: Subject) -> None:
    """``recipe`` returns a valid segbench.Recipe."""
    recipe = subject.make().recipe()
    expect(isinstance(recipe, Recipe), f"recipe() must return a segbench.Recipe; found {recipe!r}")
    changed_recipe(recipe, {})


def rows_name_parts_that_exist(subject: Subject) -> None:
    """Every row's parts and arm exist and take the parameters given; no configuration is there twice."""
    for name, cells in _cells(subject).items():
        seen: dict[str, str] = {}
        for cell in cells:
            expect(isinstance(cell.config, RunConfig), f"row {cell.label!r}: expected a segbench.RunConfig")
            expect(cell.config.dataset.name == name, f"row {cell.label!r} is on {cell.config.dataset.name}, not {name}")
            expect(cell.config.seed == 0, f"row {cell.label!r} has seed {cell.config.seed}; the host varies it, give 0")
            same = seen.setdefault(str(_settled(cell.config, subject.catalogue)), cell.label)
            expect(same == cell.label, f"rows {same!r} and {cell.label!r} are one configuration")
    for metric in subject.cls.metrics:  # type: ignore[attr-defined]
        subject.catalogue.metric(Choice(metric))


def _settled(config: RunConfig, catalogue: Catalogue) -> dict[str, object]:
    from segbench.runner import settled

    arms = {"method", *catalogue.arms(config.method.name)}
    expect(
        config.arm in arms, f"method {config.method.name} has no arm {config.arm!r}; it has {', '.join(sorted(arms))}"
    )
    return settled(config, catalogue).canonical()


def rows_and_comparisons_fit(subject: Subject) -> None:
    """Comparisons speak of two different rows that exist."""
    labels = {cell.label for cells in _cells(subject).values() for cell in cells}
    for pair in subject.make().comparisons():
        expect(len(pair) == 2 and pair[0] != pair[1], f"expected two different rows, found {pair}")
        expect(set(pair) <= labels, f"comparison {pair} names a row that no dataset has: {sorted(set(pair) - labels)}")


def published_values_fit(subject: Subject) -> None:
    """Published values are finite and speak of the study's metrics; on its own datasets, of its rows."""
    cells = {name: {cell.label for cell in rows} for name, rows in _cells(subject).items()}
    for row in subject.make().published():
        missing = [key for key in PUBLISHED[:2] + PUBLISHED[3:5] if key not in row]
        expect(not missing and set(row) <= set(PUBLISHED), f"expected the keys {PUBLISHED}, found {tuple(row)}")
        expect(row["metric"] in subject.cls.metrics, f"{row['metric']!r} is none of the study's metrics")  # type: ignore[attr-defined]
        for key in ("value", "sd"):
            expect(row.get(key) is None or math.isfinite(row[key]), f"{key} of {row['row']!r} is not finite")
        rows = cells.get(row["dataset"])
        expect(rows is None or row["row"] in rows, f"{row['row']!r} is no row on dataset {row['dataset']}")


CHECKS: tuple[Check, ...] = (
    gives_its_recipe,
    rows_name_parts_that_exist,
    rows_and_comparisons_fit,
    published_values_fit,
)
