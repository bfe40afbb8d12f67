"""Who takes part in a board, what each is called there, and whom a word of the user's means.

Names are formed per dataset, of all its runs: neither another dataset nor a choice of metrics or labels changes them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from segbench.errors import UnknownName, UsageError, did_you_mean
from segbench.ranking.chunks import Scores
from segbench.ranking.grid import combinations, select

ENTRANT = ("method", "network", "arm", "variant", "build")
"""Columns that together name a competitor."""
Key = tuple[str, ...]
"""Values of ``ENTRANT``."""
Names = Mapping[Key, str]
PLAIN_ARMS = ("method", "", None)
"""Arms that a name does not speak of."""


def competitor_names(scores: Scores) -> dict[Key, str]:
    """Return ``ENTRANT -> name``, no two alike: the network where several occur, the arm if it is not "method", the
    variant as far as it is not shared by all, the build where one configuration of a dataset was trained in several.
    """
    return _named(combinations(scores, ("dataset", *ENTRANT)))


def names_by_dataset(scores: Scores) -> dict[str, dict[Key, str]]:
    """Return dataset -> names, each as ``competitor_names`` gives them for that dataset alone."""
    of: dict[str, list[tuple[Any, ...]]] = {}
    for one in combinations(scores, ("dataset", *ENTRANT)):
        of.setdefault(str(one[0]), []).append(one)
    return {dataset: _named(found) for dataset, found in of.items()}


def _named(found: Sequence[tuple[Any, ...]]) -> dict[Key, str]:
    """Return the names of combinations of dataset and ``ENTRANT``."""
    keys = list(dict.fromkeys(one[1:] for one in found))
    networks = len({network for _, network, *_ in keys if network}) > 1
    shared = set(_shared_changes({variant for *_, variant, _ in keys}))
    builds: dict[tuple[Any, ...], set[Any]] = {}
    for dataset, *entrant, build in found:
        builds.setdefault((dataset, *entrant), set()).add(build)
    several = {(*key[1:], build) for key, words in builds.items() if len(words) > 1 for build in words}
    heads, rests = {}, {}
    for key in keys:
        method, network, arm, variant, build = key
        heads[key] = (f"{method}/{network}" if networks and network else str(method)) + _armed(arm)
        rests[key] = [change for change in _changes(variant) if change not in shared]
        rests[key] += [f"build={build or 'unknown'}"] if key in several else []
    for place, what in ((1, "network"), (2, "arm")):  # predictions from elsewhere do not say what made them
        for key in _alike(keys, heads, rests, place):
            rests[key].append(f"{what}={key[place] or 'unknown'}")
    return {key: heads[key] + (f" [{' '.join(rests[key])}]" if rests[key] else "") for key in keys}


def _alike(keys: Sequence[Key], heads: Mapping[Key, str], rests: Mapping[Key, list[str]], place: int) -> list[Key]:
    """Return the keys whose names so far are also those of keys that differ at a place."""
    words: dict[tuple[str, ...], set[str]] = {}
    for key in keys:
        words.setdefault((heads[key], *rests[key]), set()).add(key[place])
    return [key for key in keys if len(words[(heads[key], *rests[key])]) > 1]


def _armed(arm: str | None) -> str:
    return "" if arm in PLAIN_ARMS else f":{arm}"


def builds_note(names: Names) -> str:
    """Say that trainings are shown apart which differ in what their configuration does not say; "" if none do."""
    apart = sorted({key[0] for key, name in names.items() if f"build={key[-1] or 'unknown'}" in name})
    return (
        f"Shown apart by build: {', '.join(apart)}. Data, versions, edited code, precision or kind of device differ; "
        f'"identity" in their run.json says which.'
        if apart
        else ""
    )


def faults_note(scores: Scores, names: Names) -> str:
    """Say which trainings learnt nothing, and why; "" if none is known."""
    found: dict[tuple[str, str], list[str]] = {}
    for *entrant, seed, fold, fault in sorted(combinations(scores, (*ENTRANT, "seed", "fold", "fault")), key=repr):
        if fault and (name := names.get(tuple(entrant))):
            where = f"seed {seed}" + (f", fold {fold}" if fold else "")
            found.setdefault((name, fault), []).append(where)
    words = [f"{name} ({'; '.join(where)}): {fault}" for (name, fault), where in found.items()]
    return f"Learnt nothing: {'. '.join(words)}. Its places say nothing about the method." if words else ""


def common_variant(names: Names) -> str:
    """Return what the variants of all competitors share, "" if nothing."""
    return " ".join(_shared_changes({variant for *_, variant, _ in names}))


def _changes(variant: str | None) -> list[str]:
    """Return ``key=value`` of a variant, one by one; a value may hold spaces."""
    return re.split(r" (?=[\w.-]+=)", variant) if variant else []


def _shared_changes(variants: Collection[str | None]) -> list[str]:
    """Return the changes that occur in all variants; none if the variants could not be told apart without them."""
    first, *others = sorted(map(_changes, variants)) or [[]]
    shared = [change for change in first if all(change in other for other in others)]
    rests = {tuple(change for change in one if change not in shared) for one in (first, *others)}
    return shared if len(rests) == len(others) + 1 else []


def meant(word: str, names: Names) -> list[str]:
    """Return the names that a word may mean on a board, sorted.

    These are, of the first kind of which there is one: the name itself; those of which the word gives the method, and
    with it the network, the arm or some of the parameters in brackets, or not; those that begin like the word.

    Args:
        word: ``METHOD[/NETWORK][:ARM][ [KEY=VALUE ...]]`` or the beginning of a name.
        names: of the board.
    """
    if word in names.values():
        return [word]
    for fits in (_says, _begins):
        found = {name for key, name in names.items() if fits(word, key, name)}
        if found:
            return sorted(found)
    return []


def _says(word: str, key: Key, name: str) -> bool:
    method, network, arm, variant, build = key
    match = re.fullmatch(r"(?P<head>.*?)(?: \[(?P<changes>.*)\])?", word, re.DOTALL)
    if match is None:
        return False
    arms = {_armed(arm), f":{arm}"} if arm else {""}
    heads = {f"{method}{with_network}{with_arm}" for with_network in ("", f"/{network}") for with_arm in arms}
    known = {*_changes(variant), f"build={build or 'unknown'}", f"network={network or 'unknown'}"}
    return match["head"] in heads and set(_changes(match["changes"])) <= known


def _begins(word: str, key: Key, name: str) -> bool:
    return bool(word) and name.startswith(word)


def resolve(words: Sequence[str], named: Mapping[str, Names]) -> tuple[dict[str, list[str]], list[str]]:
    """Return for each dataset whom some words mean there, in their order, and what a reader must know.

    A word means nobody where nobody fits, or where several do; that is said if it means one elsewhere.

    Args:
        words: see ``meant``.
        named: dataset -> names.

    Raises:
        UnknownName: a word fits nobody on any dataset.
        UsageError: a word fits several on every dataset on which it fits at all; lists them.
    """
    chosen: dict[str, list[str]] = {dataset: [] for dataset in named}
    notes = []
    for word in dict.fromkeys(words):
        found = {dataset: meant(word, names) for dataset, names in named.items()}
        counts = Counter(min(len(one), 2) for one in found.values())
        if not counts[1] and not counts[2]:
            known = {name for names in named.values() for name in names.values()}
            raise UnknownName(f"The results have no method {word!r}. {did_you_mean(word, known)}")
        unsure = [
            f"{word!r} may be any of {', '.join(map(repr, candidates))} on {dataset}"
            for dataset, candidates in found.items()
            if len(candidates) > 1
        ]
        if not counts[1]:
            raise UsageError(f"{'; '.join(unsure)}. Say which, with as much of its name as tells it apart.")
        notes += [f"{one}: none of them was taken there." for one in unsure]
        for dataset, candidates in found.items():
            if len(candidates) == 1 and candidates[0] not in chosen[dataset]:
                chosen[dataset] += candidates
    return chosen, notes


def only(scores: Scores, wanted: Mapping[str, Sequence[str]], named: Mapping[str, Names]) -> Scores:
    """Return the rows of some competitors.

    Args:
        scores: what to choose from.
        wanted: dataset -> names.
        named: dataset -> all names.
    """
    parts = [
        select(scores, dataset={dataset}, **{column: {word} for column, word in zip(ENTRANT, key, strict=True)})
        for dataset, names in named.items()
        for key, name in names.items()
        if name in wanted.get(dataset, ())
    ]
    return Scores(scores.vocabulary, [chunk for part in parts for chunk in part.chunks])
