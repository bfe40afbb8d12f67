"""Scores -> what each run was scored against, and the rows of each board; on codes, so that many rows are quick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from segbench.errors import VerificationError
from segbench.ranking.chunks import Chunk, Scores
from segbench.ranking.counting import build
from segbench.ranking.entrants import Names, faults_note
from segbench.ranking.grid import Grid, mixed
from segbench.ranking.truths import RUN, Division, Held, Place, divide

_PLACE = ("case_id", "rater")
_TRUTH = (*_PLACE, "truth")
_SMALL = 10**6
"""Places for which a table takes no noticeable memory."""


def divisions(scores: Scores) -> list[Division]:
    """Return the boards of some scores; see ``truths.divide``."""
    return divide(holdings(scores))


def board_parts(scores: Scores) -> list[tuple[Division, Scores]]:
    """Return every board with its rows."""
    return [(one, part_of(scores, one)) for one in divisions(scores)]


def grid_of(part: Scores, division: Division, names: Names) -> Grid:
    """Return the grid of a board's rows, with the notes of its division and of trainings that learnt nothing.

    Raises:
        VerificationError: as ``counting.build``; or no case is left whose truths agree.
    """
    if not any(chunk.rows for chunk in part.chunks):
        raise VerificationError(
            f"{division.name}: no case has the same truth for all runs. {' '.join(division.notes)} Leave runs out with "
            f"--without RUN, or score all predictions against the same references."
        )
    grid = build(part, names, revision=division.revision)
    grid.notes.extend(note for note in (*division.notes, faults_note(part, names)) if note)
    return grid


def holdings(scores: Scores) -> list[Held]:
    """Return what the runs were scored against, those together whose rows say the same."""
    profiles: dict[tuple[int, ...], set[bytes]] = {}
    tables: dict[bytes, NDArray[np.int64]] = {}
    met: dict[tuple[int, ...], bytes] = {}
    for chunk in scores.chunks:
        for unit, part in _by_run(chunk, scores):
            layout = tuple(code if isinstance(code, int) else -1 - id(code) for code in map(part.codes.get, _TRUTH))
            if part is not chunk or layout not in met:  # the arrays of whole chunks live as long as the scores
                table = _truths_in(part, scores)
                profile = table.tobytes()
                tables[profile] = table
                met |= {layout: profile} if part is chunk else {}
            else:
                profile = met[layout]
            profiles.setdefault(unit, set()).add(profile)
    words = {profile: _words(table, scores) for profile, table in tables.items()}
    alike: dict[tuple[str, str, str, frozenset[bytes]], list[tuple[str, str]]] = {}
    for unit, mine in profiles.items():
        dataset, revision, source, method, run = (str(scores.word(n, c)) for n, c in zip(RUN, unit, strict=True))
        alike.setdefault((dataset, revision, source, frozenset(mine)), []).append((method, run))
    found = []
    for (dataset, revision, source, parts), runs in alike.items():
        truths: dict[Place, frozenset[str]] = {}
        for place, digest in (pair for profile in parts for pair in words[profile]):
            truths[place] = truths.get(place, frozenset()) | {digest}
        found.append(Held(dataset, revision, source, tuple(sorted(runs)), truths))
    return found


def part_of(scores: Scores, division: Division) -> Scores:
    """Return the rows of a board: of its runs, without the places whose truths differ."""
    runs = _codes_of(scores, RUN, division.runs)
    odd = _codes_of(
        scores, _PLACE, ((case, word) for case, rater in division.left_off for word in {rater, rater or None})
    )
    kept = [_kept(chunk, mixed(chunk, RUN, scores), runs, wanted=True) for chunk in scores.chunks]
    chunks = [chunk for chunk in kept if chunk is not None]
    if odd:
        agreed = [_kept(chunk, mixed(chunk, _PLACE, scores), odd, wanted=False) for chunk in chunks]
        chunks = [chunk for chunk in agreed if chunk is not None]
    return Scores(scores.vocabulary, chunks)


def _kept(chunk: Chunk, key: int | NDArray[np.int64], codes: set[int], wanted: bool) -> Chunk | None:
    """Return the rows whose number is among the codes, or is not; None if there is none."""
    if isinstance(key, int):
        return chunk if (key in codes) == wanted else None
    keep = np.isin(key, np.fromiter(codes, dtype=np.int64), invert=not wanted)
    return chunk.take(keep) if keep.any() else None


def _codes_of(scores: Scores, columns: tuple[str, ...], wanted: Iterable[tuple[str | None, ...]]) -> set[int]:
    """Return the mixed-radix numbers (see ``grid.mixed``) of combinations of values, as far as they may occur."""
    tables = [{word: code for code, word in enumerate(scores.vocabulary[name])} for name in columns]
    found = set()
    for words in wanted:
        key = 0
        for table, word in zip(tables, words, strict=True):
            if word not in table:
                break
            key = key * len(table) + table[word]
        else:
            found.add(key)
    return found


def _by_run(chunk: Chunk, scores: Scores) -> Iterator[tuple[tuple[int, ...], Chunk]]:
    """Yield the codes of ``RUN`` and the rows of each run in a chunk; the chunk itself where it is one run's."""
    codes = [chunk.codes[name] for name in RUN]
    if all(isinstance(code, int) for code in codes):
        yield tuple(codes), chunk  # type: ignore[arg-type]
        return
    key = np.asarray(mixed(chunk, RUN, scores))
    order = np.argsort(key, kind="stable")
    edges = np.flatnonzero(np.diff(key[order])) + 1
    for rows in np.split(order, edges):
        unit = tuple(code if isinstance(code, int) else int(code[rows[0]]) for code in codes)
        part = {name: code if isinstance(code, int) else code[rows] for name in _TRUTH for code in [chunk.codes[name]]}
        yield unit, Chunk(len(rows), part, np.empty(0))  # nobody asks for the values


def _truths_in(chunk: Chunk, scores: Scores) -> NDArray[np.int64]:
    """Return the distinct pairs of place and truth ``(found, 2)``, sorted; places as mixed-radix numbers."""
    size = len(scores.vocabulary["case_id"]) * len(scores.vocabulary["rater"])
    place = np.atleast_1d(np.asarray(mixed(chunk, _PLACE, scores)))
    truth = np.broadcast_to(np.asarray(chunk.codes["truth"], dtype=np.int64), (chunk.rows,))
    place = np.broadcast_to(place, (chunk.rows,))
    if size <= _SMALL:
        table = np.full(size, -1, dtype=np.int64)
        table[place] = truth
        if np.array_equal(table[place], truth):  # one truth for each place, as it should be
            found = np.flatnonzero(table >= 0)
            return np.stack([found, table[found]], axis=1)
    many = len(scores.vocabulary["truth"])
    return np.stack(np.divmod(np.unique(place * many + truth), many), axis=1)


def _words(table: NDArray[np.int64], scores: Scores) -> list[tuple[Place, str]]:
    """Return the pairs of ``_truths_in`` in words."""
    raters = len(scores.vocabulary["rater"])
    found = []
    for place, truth in table.tolist():
        case, rater = divmod(place, raters)
        words = str(scores.word("case_id", case)), str(scores.word("rater", rater) or "")
        found.append((words, str(scores.word("truth", truth))))
    return found
