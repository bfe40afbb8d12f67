"""Rows -> ranked boards: one board per dataset whose truths agree, and the overall order over datasets.

Order of operations: a status gives a missing value its worth, repetitions are averaged within a case, each task
(label and metric) is ranked by the scheme, task ranks are averaged over metrics within a label, over labels within a
dataset, over datasets. Nothing here knows a plugin; any table of ``score_table.SCHEMA`` will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from segbench.errors import UnknownName, VerificationError, did_you_mean
from segbench.ranking.assembling import board_of
from segbench.ranking.boards import Leaderboard, Place, Request
from segbench.ranking.bootstrap import Stability
from segbench.ranking.chunks import Scores, chunks_of_table
from segbench.ranking.comparability import comparable
from segbench.ranking.entrants import (
    ENTRANT,
    Names,
    builds_note,
    common_variant,
    competitor_names,
    names_by_dataset,
    only,
    resolve,
)
from segbench.ranking.grid import COLUMNS, Floats, combinations, select
from segbench.ranking.holdings import board_parts, divisions, grid_of, part_of
from segbench.ranking.pairwise import Family
from segbench.ranking.ranked import Ranked, firm_places, rank_grid
from segbench.ranking.truths import Division

if TYPE_CHECKING:
    import pyarrow as pa


def leaderboard(table: pa.Table, request: Request | None = None) -> Leaderboard:
    """Rank a table of ``score_table.SCHEMA``; see ``rank_scores``."""
    return rank_scores(chunks_of_table(table, COLUMNS), request or Request())


def rank_scores(scores: Scores, request: Request) -> Leaderboard:
    """Rank scores.

    Raises:
        UnknownName: a dataset, metric, label or run that does not occur.
        VerificationError: values that must not be compared; says which and what to do.
    """
    chosen = choose(scores, request)
    ranked, boards = [], []
    for division, part in board_parts(chosen.scores):
        names = chosen.names[division.dataset]
        ranked.append(rank_grid(comparable(grid_of(part, division, names), request), request))
        family = family_of(chosen, division, part, request) if request.methods else None
        boards.append(board_of(ranked[-1], part, names, request, family))
    datasets = [item.grid.dataset for item in ranked]
    repeated = sorted({name for name in datasets if datasets.count(name) > 1})
    notes = tuple(
        f"{name} has {datasets.count(name)} boards, whose truths differ; choose one with --dataset {name}@REVISION."
        for name in repeated
    )
    notes = (*chosen.notes, *_of_names({name: chosen.names[name] for name in datasets}), *notes)
    overall, firm = ((), None) if repeated else _overall(ranked, chosen)
    return Leaderboard(request, tuple(boards), overall, notes, firm)


def _of_names(names: Mapping[str, Names]) -> list[str]:
    """Say what names leave out and what tells builds apart; of which dataset, where they differ."""
    said: dict[str, list[str]] = {}
    for dataset, own in names.items():
        shared = common_variant(own)
        for note in (f"All with {shared}." if shared else "", builds_note(own)):
            said.setdefault(note, []).append(dataset)
    said.pop("", None)
    return [note if len(of) == len(names) else f"{', '.join(of)}: {note}" for note, of in said.items()]


@dataclass(frozen=True)
class Chosen:
    """The rows that were asked for, and who takes part.

    Attributes:
        scores: the rows.
        names: dataset -> names of all competitors there, asked for or not.
        methods: dataset -> the competitors that were asked for by name, in that order; empty = all.
        notes: what a reader must know.
        everyone: the rows, of all competitors.
    """

    scores: Scores
    names: Mapping[str, Names]
    methods: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    everyone: Scores = field(default_factory=lambda: Scores({}))


def family_of(chosen: Chosen, division: Division, part: Scores, request: Request) -> Family:
    """Return the board whose methods are judged together with those that were asked for.

    Args:
        chosen: see ``choose``.
        division: the board of those asked for; part: its rows.
        request: says which cases must be there.

    Raises:
        VerificationError: values that must not be compared, of those asked for.
    """
    names = chosen.names[division.dataset]
    wholes = (pair for pair in board_parts(chosen.everyone) if pair[0].runs >= division.runs)
    whole, rows = next(wholes, (division, part))
    shown, everyone = ({names[key] for key in combinations(one, ENTRANT)} for one in (part, rows))
    try:
        return Family(comparable(grid_of(rows, whole, names), request), len(everyone))
    except VerificationError as refusal:
        if everyone == shown:
            raise
        note = (
            f"Tests with the other {len(everyone) - len(shown)} methods could not be made and count as p = 1: {refusal}"
        )
        return Family(comparable(grid_of(part, division, names), request), len(everyone), note)


def choose(scores: Scores, request: Request) -> Chosen:
    """Return the rows that were asked for; ``name@revision`` asks for the whole board that holds the revision.

    Raises:
        UnknownName: a dataset, metric, label, method or run that does not occur.
        UsageError: a method that may be any of several.
    """
    for column, wanted, what in (
        ("metric", request.metrics, "metric"),
        ("label_name", request.labels, "label"),
        ("run_id", request.without, "run"),
    ):
        _check_known(wanted, scores.vocabulary[column], what)
    taking_part = select(scores, not_run_id=set(request.without) or None)
    chosen = select(taking_part, metric=set(request.metrics) or None, label_name=set(request.labels) or None)
    chosen = _of_datasets(chosen, request.datasets, scores)
    if not chosen.chunks or not sum(chunk.rows for chunk in chosen.chunks):
        raise UnknownName("The results hold no value of this combination of datasets, metrics, labels and runs.")
    there = {str(dataset) for (dataset,) in combinations(chosen, ("dataset",))}
    names = {dataset: own for dataset, own in names_by_dataset(taking_part).items() if dataset in there}
    left_out = tuple(f"Left out: {reason}" for reason in scores.left_out)
    if not request.methods:
        return Chosen(chosen, names, notes=left_out, everyone=chosen)
    methods, notes = resolve(request.methods, names)
    part = only(chosen, methods, names)
    if not part.chunks:
        raise UnknownName(f"No value of this choice is of {', '.join(request.methods)}.")
    return Chosen(part, names, methods, (*left_out, *notes), chosen)


def _of_datasets(chosen: Scores, wanted: Sequence[str], everything: Scores) -> Scores:
    """Return the rows of the boards that were asked for."""
    if not wanted:
        return chosen
    names = {str(name) for (name,) in combinations(everything, ("dataset",))}
    if set(wanted) <= names:
        return select(chosen, dataset=set(wanted))
    boards = divisions(chosen)
    revisions = {f"{name}@{revision}" for name, revision in combinations(everything, ("dataset", "dataset_revision"))}
    _check_known(wanted, names | revisions | {one.name for one in boards}, "dataset")
    kept = [one for one in boards if one.names & set(wanted)]
    parts = [part_of(chosen, replace(one, left_off=frozenset())) for one in kept]
    return Scores(chosen.vocabulary, [chunk for part in parts for chunk in part.chunks])


def _check_known(wanted: Sequence[str], known: Iterable[str], what: str) -> None:
    names = {str(name) for name in known}
    for name in wanted:
        if name not in names:
            raise UnknownName(f"The results have no {what} {name!r}. {did_you_mean(name, names)}")


def _overall(ranked: Sequence[Ranked], chosen: Chosen) -> tuple[tuple[Place, ...], Stability | None]:
    """Average the datasets' mean ranks; who is absent from a dataset shares its last ranks.

    Competitors are the same if their names, formed of all datasets together, are.
    """
    common = competitor_names(chosen.scores)
    own = [_translated(chosen.names[item.grid.dataset], common, item.grid.competitors) for item in ranked]
    everyone = sorted({name for names in own for name in names})
    full: list[Floats] = []
    resampled: list[Floats] = []
    for item, names in zip(ranked, own, strict=True):
        present = [everyone.index(name) for name in names]
        absent = len(everyone) - len(present)
        for source, target in ((item.mean_rank, full), (item.resampled, resampled)):
            if source is not None:
                extended = np.full((*source.shape[:-1], len(everyone)), len(present) + (absent + 1) / 2)
                extended[..., present] = source
                target.append(extended)
    return firm_places(everyone, np.mean(full, axis=0), np.mean(resampled, axis=0) if resampled else None)


def _translated(names: Names, common: Names, competitors: Sequence[str]) -> list[str]:
    """Return what a dataset's competitors are called where all datasets are spoken of."""
    words = {name: common[key] for key, name in names.items() if key in common}
    return [words[name] for name in competitors]
