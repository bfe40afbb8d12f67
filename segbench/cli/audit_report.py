"""What ``segbench audit`` prints and writes: a table of cases, the worst violations, one JSON document, CSV."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from segbench.cli import console
from segbench.texts import csv_cell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segbench.contracts import Prior, Table
    from segbench.evaluation.auditing import CaseAudit, Material
    from segbench.types import Violation

SHOWN = 40
"""Cases shown in the table; all are in ``--json`` and ``--csv``."""
WIDE = 4
"""Measures shown side by side."""


def _measures(audits: list[CaseAudit]) -> list[str]:
    """Return the names of the measures in the order in which the prior gives them."""
    return list(dict.fromkeys(name for one in audits if one.predicted for name in one.predicted.measures))


def print_report(prior: Prior, audits: list[CaseAudit], worst: int) -> None:
    """Print the measures of every case, their means, and the worst violations."""
    from segbench.cli.sheets import draw_sheet

    good = [one for one in audits if one.predicted is not None]
    if good:
        draw_sheet(_measure_sheet(prior, good), console.stdout())
    if good and worst:
        draw_sheet(_worst_sheet(good, worst), console.stdout())


def _measure_sheet(prior: Prior, audits: list[CaseAudit]) -> Table:
    """Return the measures case by case, the reference's own in brackets, and their means; "empty" for no prediction.

    What an empty prediction measures would flatter it, so it is not shown and in no mean.
    """
    from segbench.contracts import Table
    from segbench.evaluation.auditing import means

    every, beside = _measures(audits), any(one.truth is not None for one in audits)
    names, counted = every[:WIDE], sum(one.status == "ok" for one in audits)
    predicted, truth = means(audits)
    ordered = sorted(audits, key=lambda one: -_first(one, names)) if len(audits) > SHOWN else audits
    rows = [(one.case, *(_cell(one, name) for name in names)) for one in ordered[:SHOWN]]
    rows.append(("mean", *(_pair(_number(predicted.get(name)), truth.get(name)) for name in names)))
    title = f"Prior {prior.name}, {len(audits)} cases; lower is better"
    rest = [f"{len(every) - WIDE} more measures"] if len(every) > WIDE else []
    rest += [f"{len(audits) - SHOWN} more cases"] if len(audits) > SHOWN else []
    notes = [f"{' and '.join(rest)} in --json and --csv."] if rest else []
    if counted < len(audits):
        notes.append(f"Means of {counted} of {len(audits)} cases: {len(audits) - counted} with an empty prediction.")
    title += "; in brackets: the reference's own" if beside else ""
    return Table(title, ("case", *names), tuple(rows), tuple(notes))


def _sides(one: CaseAudit) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the measures of prediction and reference, none where there are none or they do not count."""
    return one.measures or {}, one.truth.measures if one.truth is not None else {}


def _first(one: CaseAudit, names: list[str]) -> float:
    """Return what cases are sorted by, those with an empty prediction first."""
    return _sides(one)[0].get(names[0], 0.0) if one.status == "ok" and names else math.inf


def _cell(one: CaseAudit, name: str) -> str:
    own, truth = _sides(one)
    return _pair(_number(own.get(name)) if one.status == "ok" else "empty", truth.get(name))


def _pair(text: str, truth: float | None) -> str:
    return text + ("" if truth is None else f" ({_number(truth)})")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if value == round(value) else f"{value:.4g}"


def _worst_sheet(audits: list[CaseAudit], worst: int) -> Table:
    """Return the worst violations, with what the reference has of the same."""
    from segbench.contracts import Table

    found, beside = _ordered(audits), any(one.truth is not None for one in audits)
    columns = ("case", "violation", "amount", *(["reference"] if beside else []), "at x, y, z (mm)")
    rows = tuple(
        (
            *(one.case, violation.what, f"{_number(violation.amount)} {violation.unit}".strip()),
            *([_of_truth(one, violation)] if beside else []),
            _place(violation),
        )
        for one, violation in found[:worst]
    )
    title = f"The worst {len(rows)} of {len(found)} violations" if found else "No violation"
    return Table(title, columns if found else (), rows)


def _ordered(audits: list[CaseAudit]) -> list[tuple[CaseAudit, Violation]]:
    """Return all violations, the worst first: by amount if they have one unit, else by their place in their case."""
    found = [
        (place, one, violation)
        for one in audits
        if one.predicted is not None
        for place, violation in enumerate(one.predicted.violations)
    ]
    alike = len({violation.unit for _, _, violation in found}) < 2
    found.sort(key=lambda item: (-item[2].amount, item[1].case) if alike else (item[0], item[1].case))
    return [(one, violation) for _, one, violation in found]


def _of_truth(one: CaseAudit, violation: Violation) -> str:
    """Return how much of the same the reference has."""
    if one.truth is None:
        return "–"
    same = [own.amount for own in one.truth.violations if own.what == violation.what]
    return _number(same[0]) if same else "0"


def _place(violation: Violation) -> str:
    return "" if violation.position is None else ", ".join(f"{value:.1f}" for value in violation.position)


def document(prior: Prior, file: Path, material: Material, audits: list[CaseAudit]) -> dict[str, Any]:
    """Return everything as one document; ``mean`` is over ``mean_over`` cases, those of status "ok"."""
    from dataclasses import asdict

    from segbench.evaluation.auditing import means, statuses

    predicted, truth = means(audits)
    return {
        "prior": prior.name,
        "file": str(file),
        "labels": list(material.task.labels),
        "geometry": material.geometry,
        "mean": {"prediction": predicted, "reference": truth},
        "mean_over": sum(one.status == "ok" for one in audits),
        "statuses": statuses(audits),
        "cases": [
            {
                "case": one.case,
                "status": one.status,
                "prediction": one.measures and dict(one.measures),
                "reference": one.truth and dict(one.truth.measures),
                "violations": [asdict(violation) for violation in one.predicted.violations] if one.predicted else [],
                "problems": list(one.problems),
            }
            for one in audits
        ],
    }


def write_csv(path: Path, audits: list[CaseAudit]) -> None:
    """Write one row per case: its status, every measure of the prediction and, if there are references, of these."""
    import csv

    from segbench.atomic import atomically

    names = _measures(audits)

    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            head = ["case", "status", *names, *(f"reference_{name}" for name in names)]
            writer.writerow(map(csv_cell, head))
            for one in audits:
                cells = [one.case, one.status, *(side.get(name) for side in _sides(one) for name in names)]
                writer.writerow(map(csv_cell, cells))

    atomically(path, write)
