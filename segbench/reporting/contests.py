"""What a page says of one metric's contest: the tests in words, charts and tables; for print the same as PDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from segbench.reporting import charts, figures
from segbench.reporting.charts import Matrix
from segbench.reporting.evidence import Contest
from segbench.reporting.files import Site


@dataclass
class Shown:
    """A contest on the page.

    Attributes:
        words: what was tested, and why something is not shown.
        charts: each with its caption and the link to its PDF.
        tables: likewise.
    """

    words: list[str] = field(default_factory=list)
    charts: list[tuple[Markup, str, Markup]] = field(default_factory=list)
    tables: list[tuple[Matrix, str, Markup]] = field(default_factory=list)


def show_contest(contest: Contest | None, methods: Sequence[str], name: str, site: Site) -> Shown:
    """Return what is shown of a contest; with too few cases for a test nothing that rests on one.

    Args:
        contest: of one metric; None for a single method or a single case.
        methods: in the order of the board.
        name: of the metric, safe in names of files and unique within the site.
        site: takes the PDFs.
    """
    if contest is None:
        return Shown(["Ranks and tests need at least two methods and two cases."])
    shown = Shown()
    if contest.decides:
        shown.words.append(_overall(contest))
        link = site.printed(f"{name}-cd", lambda: figures.critical_difference_diagram(contest, methods))
        shown.charts.append((charts.critical_differences(contest, methods), _caption(_DIFFERENCES, contest), link))
    else:
        shown.words.append(contest.why_nobody_is_better)
    if contest.stability is not None:
        firm, ranks = contest.stability, contest.ranks.tolist()
        link = site.printed(f"{name}-blob", lambda: figures.blob_plot(firm, ranks, methods))
        shown.charts.append((charts.blobs(firm, ranks, methods, "Bootstrapped ranks"), _caption(_BLOBS, contest), link))
    link = site.printed(f"{name}-heat", lambda: figures.rank_heatmap(contest, methods))
    shown.tables.append((charts.ranks_within_cases(contest, methods), _RANKS, link))
    if contest.decides:
        won = charts.significance(contest, methods)
        if won is None:
            shown.words.append(contest.why_nobody_is_better)
        else:
            link = site.printed(f"{name}-tests", lambda: figures.significance_map(contest, methods))
            shown.tables.append((won, _caption(_TESTS, contest), link))
    return shown


_DIFFERENCES = (
    "Critical differences: mean ranks over {unit}s; a bar joins methods that Nemenyi's test does not tell apart. "
    "The test depends on who takes part and knows nothing of seeds: a picture, not a verdict."
)
_BLOBS = (
    "Bootstrapped ranks: how firm this metric's ranking is when {unit}s are drawn again, with the same trainings. Area "
    "is the share of resamples, the cross the median, the line the 95 % interval."
)
_RANKS = "Ranks within cases: how often, in % of cases, a method was first, second, and so on."
_TESTS = (
    "Significance map: ● where the row is better than the column, as the letters and segbench compare say (signed rank "
    "test over {unit}s{seeds}, Holm over all ordered pairs, p ≤ {level:g})."
)


def _caption(text: str, contest: Contest) -> str:
    seeds = " and a test with the spread between seeds" if contest.pairs.of_trainings else ""
    return text.format(unit=contest.unit, seeds=seeds, level=contest.pairs.level())


def _overall(contest: Contest) -> str:
    overall = contest.friedman
    strength = "" if math.isnan(overall.w) else f", Kendall's W {overall.w:.2f}"
    p = f"p = {overall.p:.2g}" if overall.p >= 1e-15 else "p < 1e-15"
    words = "Friedman's test that all methods rank alike, with these trainings"
    return f"{words}: {p}{strength}, {overall.n} {contest.unit}s."
