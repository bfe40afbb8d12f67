"""Comparisons -> a table for the terminal and a JSON document."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from segbench.ranking.identical import identical
from segbench.ranking.pairwise import FEWEST, STRICTER
from segbench.ranking.verdicts import Comparison

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
    unit_of = _unit_of(one)
    shares = f"first better in {sizes.better:.0%} of {unit_of}s"
    shares += f", tied in {sizes.tied:.0%}" if sizes.tied else ""
    size = _several(one.cases, "case")
    if one.patients != one.cases:
        size = f"{_several(one.patients, 'patient')} ({size})"
    figures = [
        ("mean difference", _sized(sizes.mean, unit) + _between(one.mean_interval)),
        ("  with other seeds", _between(one.nested_interval).strip() or _why_unknown(one)),
        ("median difference", _sized(sizes.median, unit) + _between(one.median_interval)),
        ("Hodges-Lehmann", _sized(sizes.hodges_lehmann, unit)),
        ("rank-biserial", f"{sizes.rank_biserial:+.2f}   {shares}"),
        ("p (Holm)", f"{one.p:.2g}   {size}, {seeds} seed{'s' if max(one.seeds) > 1 else ''}"),
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


def _unit_of(one: Comparison) -> str:
    return "case" if one.patients == one.cases else "patient"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _why_unknown(one: Comparison) -> str:
    if one.of_networks:
        return "unknown: needs a method with two seeds"
    if one.patients < FEWEST:
        return f"unknown: needs {FEWEST} {_unit_of(one)}s"
    return "unknown: infinite values, or a seed without any"


def _needed(one: Comparison, rope: float) -> str:
    if one.patients < FEWEST:
        return f"at least {FEWEST} {_unit_of(one)}s are needed for any test"
    if math.isnan(one.effect.mean):
        return "cannot be said: the mean difference is undefined"
    if abs(one.effect.mean) <= rope:
        return "cannot be said: the observed difference is within what is of no importance"
    ways = []
    if one.more_patients is not None:
        ways.append(f"{one.more_patients} more {_unit_of(one)}{'s' if one.more_patients > 1 else ''}")
    if one.more_seeds is not None:
        ways.append(f"{one.more_seeds} more seed{'s' if one.more_seeds > 1 else ''} of each")
    if not ways and not one.of_networks:
        return f"out of reach of 20 times as many {_unit_of(one)}s alone, and of 20 more seeds of each alone"
    return " or ".join(ways) or f"out of reach: 20 times as many {_unit_of(one)}s would not be enough"


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"   [{interval[0]:+.4g}, {interval[1]:+.4g}]"


def _notes(found: list[Comparison], alpha: float) -> list[str]:
    units = {_unit_of(one) for one in found}
    many = "patients" if "patient" in units else "cases"
    drawn = "patients, each the mean of its scans" if "patient" in units else "cases"
    notes = [
        f"Paired over {drawn} (labels and seeds averaged); positive = the first is better. 95 % intervals: "
        f"{many} drawn again, the trainings the same; with other seeds: {many} and seeds vary."
    ]
    if any(one.verdict == "identical" for one in found):
        notes.append(
            "Identical: every value is the same to the last bit, in each seed. The same predictions under two names "
            "would look so too."
        )
    families = sorted({one.family for one in found if one.family > 2})
    if families:
        notes.append(
            f"Holm over the {' or '.join(map(str, families))} ordered pairs of the board's methods, as its letters."
        )
    if any(one.of_networks for one in found):
        notes.append(
            f"With one seed a verdict speaks of these trained networks, not of the methods, and must reach p <= "
            f"{alpha / STRICTER:g}: train more seeds."
        )
    elif any(min(one.seeds) < 2 for one in found):
        notes.append("A method with one seed is held to the spread that the others' seeds have.")
    return [*notes, *dict.fromkeys(one.note for one in found if one.note)]


def comparison_document(found: list[Comparison], rope: float, alpha: float) -> dict[str, Any]:
    """Return the JSON document ``{"rope", "alpha", "comparisons": [...]}``."""
    return {"rope": rope, "alpha": alpha, "comparisons": [dataclasses.asdict(one) for one in found]}
