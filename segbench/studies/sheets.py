"""A study's tables as texts, ready to print."""

from __future__ import annotations

from collections.abc import Iterator

from segbench.contracts import Table
from segbench.studies.tables import StudyTable, Value


def sheets(found: StudyTable) -> Iterator[Table]:
    """Yield a study's table, and the comparisons if it has some, ready to print."""
    where = f"{found.dataset}@{found.revision}" + (f", {found.label}" if found.label else "")
    columns = ("", "seeds", *(_head(name, *kind) for name, kind in found.metrics.items()))
    rows = tuple(
        (
            _marked(row.label, row.role),
            str(row.seeds) if row.seeds else "–",
            *(_shown(row.values[metric], row.seeds) for metric in found.metrics),
        )
        for row in found.rows
    )
    yield Table(f"{where}, {found.cases} cases", columns, rows, (*_remarks(found), *found.notes))
    if found.comparisons:
        yield _comparison_sheet(found, where)


def _marked(label: str, role: str) -> str:
    """Return a row's label, with its role if that is a control or a placebo and the label does not say so."""
    return f"{label} ({role})" if role in ("control", "placebo") and role not in label.lower() else label


def _head(metric: str, unit: str, better: str) -> str:
    arrow = "↑" if better == "higher" else "↓"
    return f"{metric} {unit} {arrow}" if unit not in ("", "1") else f"{metric} {arrow}"


def _shown(value: Value, seeds: int) -> str:
    own = "–" if not seeds or value.mean is None else _with_sd(value.mean, value.sd)
    own += f" ({value.undefined} missing)" if value.undefined else ""
    return own if value.published is None else f"{own}\n[{_with_sd(*value.published)}]"


def _with_sd(mean: float, sd: float | None) -> str:
    largest = max(abs(mean), sd or 0.0)
    digits = 1 if largest >= 10 else 3 if largest >= 0.02 else 5  # shares of contacts are of the order of 1e-4
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


def _remarks(found: StudyTable) -> Iterator[str]:
    what = "of this label" if found.label else "averaged over labels"
    yield f"Mean over cases and seeds, {what}, ± sd over cases (averaged over seeds)."
    values = [value for row in found.rows for value in row.values.values()]
    if any(value.published for value in values):
        yield "In brackets: as published, on the paper's own data."
    if any(value.undefined for value in values):
        yield "Missing values count as 0 where higher is better and are left out of means where lower is better."
    for metric in found.metrics:
        spread = [row.values[metric].seed_sd for row in found.rows]
        known = [one for one in spread if one is not None]
        if known:
            yield f"{metric}: between seeds the mean varies by an sd of up to {max(known):.2g}."
    if found.synthetic:
        yield "Synthetic phantom: these numbers say nothing about patients."


def _comparison_sheet(found: StudyTable, where: str) -> Table:
    from segbench.ranking.pairwise import FEWEST

    rows = []
    for one in found.comparisons:
        unit = f" {one.unit}" if one.unit not in ("", "1") else ""
        interval = "" if one.mean_interval is None else f" [{one.mean_interval[0]:+.3g}, {one.mean_interval[1]:+.3g}]"
        gain = f"{one.effect.mean:+.3g}{unit}{interval}"
        rows.append((f"{one.first} against {one.second}", one.metric, gain, f"{one.p:.2g}", one.verdict))
    few = f" Below {FEWEST} patients no test can tell anything." if found.cases < FEWEST else ""
    notes = (
        "Positive = the first is better; 95 % interval over patients, each the mean of its scans and seeds; Wilcoxon's "
        "signed rank test over patients, and the seeds' own spread where there are several; p by Holm over the "
        "comparisons by the same metric." + few,
    )
    return Table(f"{where}: comparisons", ("", "metric", "mean difference", "p", "verdict"), tuple(rows), notes)
