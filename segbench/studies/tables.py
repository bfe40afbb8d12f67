"""The tables of a study, from what is finished: means beside published values, comparisons, the study's own.

Means are those of the leaderboard (see ``ranking.means``): labels averaged, a missed structure counted as 0 where
higher is better and left out, but counted, where lower is better.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segbench.contracts import FinishedRun, Table
from segbench.errors import SegbenchError
from segbench.host import Catalogue, blame
from segbench.params import flattened
from segbench.results import of_decision, read_scores
from segbench.runs import open_run
from segbench.studies.running import Attempt, Plan

if TYPE_CHECKING:
    import pyarrow as pa

    from segbench.ranking.means import Mean, RunMeans
    from segbench.ranking.verdicts import Comparison

ALPHA = 0.05
MEAN = ("", "all", "mean")
"""Labels by which published values speak of the mean over labels."""


@dataclass(frozen=True)
class Value:
    """A cell of the table: one metric of one row.

    Attributes:
        mean: over cases and seeds.
        sd: over cases, averaged over seeds, as papers print it; None for one case.
        seed_sd: of the seeds' means; None for one seed.
        undefined: values that are missing, over all seeds.
        published: what the paper prints (mean, sd), or None.
    """

    mean: float | None
    sd: float | None = None
    seed_sd: float | None = None
    undefined: int = 0
    published: tuple[float, float | None] | None = None


@dataclass(frozen=True)
class StudyRow:
    """A row of the table."""

    label: str
    role: str
    seeds: int
    run_ids: tuple[str, ...]
    values: Mapping[str, Value]


@dataclass(frozen=True)
class StudyTable:
    """The table of one dataset and label ("" = mean over labels), and the comparisons it rests on."""

    dataset: str
    revision: str
    label: str
    cases: int
    synthetic: bool
    metrics: Mapping[str, tuple[str, str]]
    rows: tuple[StudyRow, ...]
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()


def tables(plan: Plan, attempts: Sequence[Attempt], catalogue: Catalogue) -> list[StudyTable]:
    """Return the tables of what is finished: per dataset the mean over labels, then each label the paper has.

    Args:
        plan: as it was run.
        attempts: of all cells, in their order.
        catalogue: to know whose fault an error is.
    """
    from segbench.ranking.means import means_of_run

    with blame(catalogue.entry("studies", plan.study.name).origin, "reading the published values"):
        published, pairs = list(plan.study.published()), list(plan.study.comparisons())
    found = []
    for dataset in dict.fromkeys(one.dataset for one in attempts):
        mine = [one for one in attempts if one.dataset == dataset]
        if not any(one.finished for one in mine):
            continue
        values = [row for row in published if row.get("dataset") == dataset]
        labels = dict.fromkeys(str(row.get("label") or "") for row in values)
        means = {id(one): means_of_run(_scores(one)) for one in mine if one.finished}
        whole, notes = _table(mine, means, "", values, plan.study.metrics), _departures(plan, mine)
        comparisons = _compared(mine, pairs, list(whole.metrics), notes)
        found.append(replace(whole, comparisons=tuple(comparisons), notes=tuple(notes)))
        found += [_table(mine, means, label, values, plan.study.metrics) for label in labels if label not in MEAN]
    return found


def _departures(plan: Plan, attempts: Sequence[Attempt]) -> list[str]:
    """Return in words what was changed of the study's own recipe, and what was trained in other ways than here."""
    changed = ", ".join(f"{key}={value}" for key, value in flattened(plan.recipe, "recipe.").items())
    notes = [f"Not the study's own protocol: {changed}, for all rows alike."] if changed else []
    ways = Counter(one.differs for one in attempts if one.finished and one.differs)
    finished = sum(one.finished for one in attempts)
    return notes + [f"{count} of {finished} runs were trained in {words}." for words, count in sorted(ways.items())]


def _scores(one: Attempt) -> pa.Table:
    """Return the scores of a run under its row's label instead of its method, arm and variant."""
    import pyarrow as pa

    assert one.folder is not None
    table = of_decision(read_scores(one.folder))
    for name, word in {"method": one.cell.label, "network": "", "arm": "method", "variant": "", "build": ""}.items():
        column = pa.array([word] * table.num_rows, pa.string()).dictionary_encode()
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _table(
    attempts: Sequence[Attempt],
    means: Mapping[int, RunMeans],
    label: str,
    published: Sequence[Mapping[str, Any]],
    wanted: Sequence[str],
) -> StudyTable:
    first = next(iter(means.values()))
    known = {mean.metric: mean for one in means.values() for mean in one.metrics}
    metrics = {name: (known[name].unit, known[name].better) for name in wanted or known if name in known}
    rows = []
    for name in dict.fromkeys(one.cell.label for one in attempts):
        mine = [one for one in attempts if one.cell.label == name]
        done = [one for one in mine if one.finished]
        summaries = [_of_label(means[id(one)], label) for one in done]
        values = {
            metric: replace(
                _value([one[metric] for one in summaries if metric in one]),
                published=_published(published, name, label, metric),
            )
            for metric in metrics
        }
        run_ids = tuple(one.folder.name for one in done if one.folder is not None)
        rows.append(StudyRow(name, mine[0].cell.role, len(done), run_ids, values))
    return StudyTable(first.dataset, first.revision, label, first.cases, first.synthetic, metrics, tuple(rows))


def _of_label(means: RunMeans, label: str) -> Mapping[str, Mean]:
    """Return metric -> mean of a run: over labels, or of one label."""
    chosen = [one for one in means.structures if one.structure == label] if label else means.metrics
    return {one.metric: one for one in chosen}


def _value(summaries: Sequence[Mean]) -> Value:
    """Return the mean over seeds of a run's mean and sd over cases."""
    means = [one.mean for one in summaries if math.isfinite(one.mean)]
    sds = [one.sd for one in summaries if math.isfinite(one.sd)]
    return Value(
        statistics.fmean(means) if means else None,
        statistics.fmean(sds) if sds else None,
        statistics.stdev(means) if len(means) > 1 else None,
        int(sum(one.undefined for one in summaries)),
    )


def _published(
    rows: Sequence[Mapping[str, Any]], row: str, label: str, metric: str
) -> tuple[float, float | None] | None:
    for one in rows:
        of = str(one.get("label") or "")
        if (one["row"], one["metric"]) == (row, metric) and (of == label or (not label and of in MEAN)):
            return float(one["value"]), None if one.get("sd") is None else float(one["sd"])
    return None


def _compared(
    attempts: Sequence[Attempt], pairs: Sequence[tuple[str, str]], metrics: Sequence[str], notes: list[str]
) -> list[Comparison]:
    """Return the comparisons of the study for every metric, with Holm over those by the same metric on this dataset."""
    import pyarrow as pa

    from segbench.ranking.chunks import chunks_of_table
    from segbench.ranking.grid import COLUMNS
    from segbench.ranking.significance import adjust
    from segbench.ranking.verdicts import compare

    scores: dict[str, list[pa.Table]] = {}
    for one in attempts:
        if one.finished:
            scores.setdefault(one.cell.label, []).append(_scores(one))
    found: list[Comparison] = []
    for first, second in pairs:
        if not {first, second} <= scores.keys():
            continue
        both = chunks_of_table(pa.concat_tables([*scores[first], *scores[second]]).unify_dictionaries(), COLUMNS)
        for metric in metrics:
            try:
                found += compare(both, [first, second], metric, alpha=ALPHA)
            except SegbenchError as error:
                notes.append(f"{first} and {second} cannot be compared by {metric}: {error}")
    adjusted: dict[str, Iterator[float]] = {
        metric: iter(adjust([one.p for one in found if one.metric == metric], "holm").tolist()) for metric in metrics
    }
    return [_held(one, next(adjusted[one.metric]), one.level) for one in found]


def _held(one: Comparison, p: float, level: float) -> Comparison:
    """Return a comparison with its p adjusted for all others; a claim that p does not bear out is withdrawn."""
    claimed = one.verdict in ("better", "worse")
    return replace(one, p=p, verdict="no evidence" if claimed and p > level else one.verdict)


def further_tables(plan: Plan, attempts: Sequence[Attempt], catalogue: Catalogue) -> Iterator[Table]:
    """Yield the tables of the study's own, dataset by dataset."""
    for dataset in dict.fromkeys(one.dataset for one in attempts if one.finished):
        runs: dict[str, list[FinishedRun]] = {}
        for one in attempts:
            if one.dataset == dataset and one.folder is not None and one.finished:
                runs.setdefault(one.cell.label, []).append(open_run(one.folder, catalogue))
        with blame(catalogue.entry("studies", plan.study.name).origin, f"making tables of study {plan.study.name}"):
            yield from plan.study.tables(runs)
