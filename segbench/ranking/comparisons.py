"""Comparisons -> a table for the terminal and a JSON document."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from segbench.ranking.identical import identical
from segbench.ranking.verdicts import FEWEST_CASES, STRICTER, Comparison

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {
    "better": "green",
    "worse": "red",
    "practically equal": "cyan",
    "no evidence": "yellow",
    "identical": "magenta",
}


def draw_comparisons(found: list[Comparison], console: Console, rope: float, alpha: float = 0.05) -> None:
    """Print one block per pair: the verdict, then the figures it rests on."""
    from rich.table import Table
    from rich.text import Text

    for one in found:
        verdict = {"better": "is better than", "worse": "is worse than"}.get(one.verdict, "and")
        line = Text.assemble((one.first, "bold"), f" {verdict} ", (one.second, "bold"))
        if verdict == "and":
            line.append(f": {_words(one)}")
        line.stylize(_COLOURS[one.verdict])
        line.append(f"  ({one.metric}, {one.dataset})", style="dim")
        console.print(line)
        figures = Table.grid(padding=(0, 2, 0, 0))
        for name, figure in _figures(one, rope):
            figures.add_row(Text(f"  {name}", style="dim"), Text(figure))
        console.print(figures)
        console.print()
    for note in _notes(found, alpha):
        console.print(note, style="dim", markup=False, highlight=False)


def _words(one: Comparison) -> str:
    return identical(one.pairs, one.never_acted) if one.verdict == "identical" else one.verdict


def _figures(one: Comparison, rope: float) -> list[tuple[str, str]]:
    """Return name and text of each figure."""
    unit = f" {one.unit}" if one.unit not in ("", "1") else ""
    sizes = one.effect
    seeds = str(one.seeds[0]) if one.seeds[0] == one.seeds[1] else f"{one.seeds[0]} and {one.seeds[1]}"
    figures = [
        ("mean difference", _sized(sizes.mean, unit) + _between(one.mean_interval)),
        ("  with other seeds", _between(one.nested_interval).strip() or _why_unknown(one)),
        ("median difference", _sized(sizes.median, unit) + _between(one.median_interval)),
        ("Hodges-Lehmann", _sized(sizes.hodges_lehmann, unit)),
        ("rank-biserial", f"{sizes.rank_biserial:+.2f}   first better in {sizes.common_language:.0%} of cases"),
        ("p (Holm)", f"{one.p:.2g}   {one.cases} cases, {seeds} seed{'s' if max(one.seeds) > 1 else ''}"),
    ]
    if rope:
        figures.insert(0, ("of no importance", f"within ±{rope:g}{unit}"))
    if 0 < one.same < one.pairs:
        figures.append(("equal to the last bit", f"{one.same} of {one.pairs} cases"))
    if one.substituted:
        number = f"counted as {one.missing:g}" if isinstance(one.missing, int | float) else ""
        fate = {"worst": "counted as worst", "drop": "left out"}.get(str(one.missing), number)
        figures.append(("missing", f"{one.substituted} {'value' if one.substituted == 1 else 'values'} {fate}"))
    if one.verdict == "no evidence":
        figures.append(("would probably decide", _needed(one, rope)))
    return figures


def _sized(number: float, unit: str) -> str:
    return "undefined" if math.isnan(number) else f"{number:+.4g}{unit}"


def _why_unknown(one: Comparison) -> str:
    if min(one.seeds) < 2:
        return "unknown: needs two seeds of each"
    if one.cases < FEWEST_CASES:
        return f"unknown: needs {FEWEST_CASES} cases"
    return "unknown: infinite values, or a seed without any"


def _needed(one: Comparison, rope: float) -> str:
    if one.cases < FEWEST_CASES:
        return f"at least {FEWEST_CASES} cases are needed for any test"
    if math.isnan(one.effect.mean):
        return "cannot be said: the mean difference is undefined"
    if abs(one.effect.mean) <= rope:
        return "cannot be said: the observed difference is within what is of no importance"
    ways = []
    if one.more_cases is not None:
        ways.append(f"{one.more_cases} more case{'s' if one.more_cases > 1 else ''}")
    if one.more_seeds is not None:
        ways.append(f"{one.more_seeds} more seed{'s' if one.more_seeds > 1 else ''} of each")
    return " or ".join(ways) or "out of reach: 20 times as many cases would not be enough"


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"   [{interval[0]:+.4g}, {interval[1]:+.4g}]"


def _notes(found: list[Comparison], alpha: float) -> list[str]:
    notes = ["Paired over cases (labels and seeds averaged); positive = the first is better; 95 % intervals."]
    if any(one.verdict == "identical" for one in found):
        notes.append(
            "Identical: every value is the same to the last bit, in each seed. The same predictions under two names "
            "would look so too."
        )
    if any(min(one.seeds) < 2 for one in found):
        notes.append(
            f"With one seed a verdict speaks of these trained networks, not of the methods, and must reach p <= "
            f"{alpha / STRICTER:g}: train more seeds."
        )
    return notes


def comparison_document(found: list[Comparison], rope: float, alpha: float) -> dict[str, Any]:
    """Return the JSON document ``{"rope", "alpha", "comparisons": [...]}``."""
    return {"rope": rope, "alpha": alpha, "comparisons": [dataclasses.asdict(one) for one in found]}
