"""Pages from templates: everything that came from outside is escaped, data are JSON that cannot end its script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from segbench.reporting.evidence import Floats, MetricEvidence
from segbench.reporting.statuses import Place

_HERE = Path(__file__).parent
_DIGITS = 5
"""Significant digits of values in the drill-down."""


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(_HERE / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The page's own style and script, not data: they come from this folder.
    environment.globals["css"] = Markup((_HERE / "report.css").read_text(encoding="utf-8"))
    environment.globals["js"] = Markup((_HERE / "report.js").read_text(encoding="utf-8"))
    return environment


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return a page.

    Args:
        template: its name in ``templates/``.
        context: what it shows; texts are escaped, only ``Markup`` is not.
    """
    return _environment().get_template(template).render(context)


def values_script(
    index: int,
    evidence: MetricEvidence,
    board: str,
    axes: tuple[Sequence[str], Sequence[str]],
    odd: Mapping[Place, str],
) -> str:
    """Return the script that hands one metric's values to the page.

    Args:
        index: of the metric on its page.
        evidence: its values.
        board: its name, ``dataset@revision``.
        axes: cases and methods.
        odd: statuses other than ok.
    """
    cases, methods = axes
    case_at = {name: place for place, name in enumerate(cases)}
    label_at = {name: place for place, name in enumerate(evidence.labels)}
    method_at = {name: place for place, name in enumerate(methods)}
    status = {
        f"{label_at[label]}:{case_at[case]}:{method_at[method]}": text
        for (its, metric, label, case, method), text in odd.items()
        if its == board and metric == evidence.metric and label in label_at and case in case_at and method in method_at
    }
    document = {
        "labels": list(evidence.labels),
        "values": [_flat(one) for one in evidence.values],
        "mean": _flat(evidence.per_case),
        "status": status,
    }
    return f"segbench.receive({index}, {htmlsafe_json_dumps(document, separators=(',', ':'))});\n"


def _flat(values: Floats) -> list[float | str | None]:
    """Return a matrix row after row, rounded; NaN is null, infinity, which JSON lacks, is "inf" or "-inf"."""
    return [_plain(value) for value in values.ravel().tolist()]


def _plain(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else float(f"{value:.{_DIGITS}g}")


def number(value: float) -> str:
    """Return a mean as tables show it, "–" if there is none."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    size = abs(value)
    if 0 < size < 0.01:
        return f"{value:.2g}"
    return f"{value:.{3 if size < 10 else 2 if size < 1000 else 0}f}"
