"""Which runs stand on one board: those that were scored against the same truths, case by case.

A truth is known by its digest (``truths.truth_digest``). Rows without one, of old records, stand for the truth of their
dataset's revision, which is that of a digest where other rows of the revision carry one. Revisions are for reading:
they bring runs together, and never keep apart what has the same truths.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from segbench.names import first_few
from segbench.truths import difference

Place = tuple[str, str]
"""A case and, where a dataset has several, whose reference it was; else ""."""
Key = tuple[str, str]
"""A truth: ``(digest, "")``, or ``("", revision)`` where no digest is known."""
Run = tuple[str, ...]
RUN = ("dataset", "dataset_revision", "source", "method", "run_id")
"""Columns that tell runs apart; imported tables may hold several methods."""
Truths = Mapping[Place, frozenset[Key]]


@dataclass(frozen=True)
class Held:
    """Runs of one dataset revision whose rows name the same truths.

    Attributes:
        dataset, revision: of the rows.
        source: of the values; "imported" ones come from a table.
        runs: method and ``run_id`` of each.
        truths: place -> digests in its rows; "" stands for rows without one.
    """

    dataset: str
    revision: str
    source: str
    runs: tuple[tuple[str, str], ...]
    truths: Mapping[Place, frozenset[str]]

    @property
    def imported(self) -> bool:
        """Whether the values come from a table."""
        return self.source == "imported"


@dataclass(frozen=True)
class Division:
    """The runs of one board.

    Attributes:
        dataset: its name.
        revision: the most common one of its runs whose truth is known, for reading; unlike that of any other board.
        revisions: of all its runs, sorted.
        runs: which they are.
        left_off: places whose truths differ between its runs.
        notes: what a reader must know.
    """

    dataset: str
    revision: str
    revisions: tuple[str, ...]
    runs: frozenset[Run]
    left_off: frozenset[Place]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """``dataset@revision``."""
        return f"{self.dataset}@{self.revision}"

    @property
    def names(self) -> frozenset[str]:
        """All that it may be asked for by: its dataset's name, and that with any of its revisions."""
        return frozenset({self.dataset, self.name, *(f"{self.dataset}@{one}" for one in self.revisions)})


@dataclass
class _Group:
    """Runs that stand together: indices into what is held, and the truths of all of them by place."""

    members: list[int]
    truths: dict[Place, frozenset[Key]]

    def conflicts(self, other: _Group) -> bool:
        """Return whether some place has another truth there than here."""
        few, many = sorted((self.truths, other.truths), key=len)
        return any(keys and many.get(place) and len(keys | many[place]) > 1 for place, keys in few.items())

    def shared(self, other: _Group) -> int:
        """Return how many places both have."""
        return len(self.truths.keys() & other.truths.keys())

    def take(self, other: _Group) -> None:
        """Take in another group."""
        self.members += other.members
        for place, keys in other.truths.items():
            self.truths[place] = self.truths.get(place, frozenset()) | keys


def divide(held: Iterable[Held]) -> list[Division]:
    """Return the boards, by dataset and revision; the order of what is held plays no part.

    Runs that agree on the truth of a case stand together. Then runs of one revision do, then all of one dataset's name
    (folds), unless they differ on the truth of any case, or were trained on different revisions and share no case. A
    run that is no more than imported, of a revision that nobody else has, agrees with everybody.

    Args:
        held: see ``Held``.
    """
    of: dict[str, list[Held]] = {}
    for one in held:
        of.setdefault(one.dataset, []).append(one)
    found = []
    for dataset in sorted(of):
        known = sorted(of[dataset], key=lambda one: (one.revision, one.source, sorted(one.runs)))
        truths = keys_of(known)
        groups = _groups(known, truths)
        found += _apart([_division([known[i] for i in g.members], [truths[i] for i in g.members]) for g in groups])
    return found


def keys_of(held: Sequence[Held]) -> list[Truths]:
    """Return for each of one dataset's holders: place -> its truths; more than one contradict each other, none is
    unknown and agrees with every other.
    """
    linked: dict[tuple[str, Place], set[str]] = {}
    for one in held:
        for place, digests in one.truths.items() if not one.imported else ():
            linked.setdefault((one.revision, place), set()).update(digests - {""})
    known = {one.revision for one in held if not one.imported}
    return [_keys(one, linked, known) for one in held]


def _keys(one: Held, linked: Mapping[tuple[str, Place], set[str]], known: set[str]) -> Truths:
    # A run that names truths elsewhere has rows without one where its reference could not be read.
    named = any(digests - {""} for digests in one.truths.values())
    unknown = named or (one.imported and one.revision not in known)
    found = {}
    for place, digests in one.truths.items():
        own = digests - {""} or linked.get((one.revision, place), set())
        if own and (len(own) == 1 or digests - {""}):
            found[place] = frozenset((digest, "") for digest in own)
        else:
            found[place] = frozenset() if unknown else frozenset({("", one.revision)})
    return found


def _groups(held: Sequence[Held], truths: Sequence[Truths]) -> list[_Group]:
    """Return the boards of one dataset as groups of holders."""
    root = list(range(len(held)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    first: dict[tuple[Place, Key], int] = {}
    for i, mine in enumerate(truths):
        for place, keys in mine.items():
            if len(keys) == 1:
                (key,) = keys
                root[find(i)] = find(first.setdefault((place, key), i))
    together: dict[int, _Group] = {}
    for i, mine in enumerate(truths):
        together.setdefault(find(i), _Group([], {})).take(_Group([i], dict(mine)))
    by_revision = _merged(list(together.values()), held, of_a_revision=True)
    return _merged(by_revision, held, of_a_revision=False)


def _merged(groups: list[_Group], held: Sequence[Held], of_a_revision: bool) -> list[_Group]:
    """Return groups merged where they do not conflict, the largest first; at first only those of one revision."""

    def rank(group: _Group) -> tuple[object, ...]:
        runs = sorted(run for i in group.members for run in held[i].runs)
        return -len(runs), sorted({held[i].revision for i in group.members}), runs

    def revisions(group: _Group) -> set[str]:
        return {held[i].revision for i in group.members}

    def trained(group: _Group) -> bool:
        return any(held[i].source == "trained" for i in group.members)

    def belong(board: _Group, group: _Group) -> bool:
        if revisions(board) & revisions(group):
            return True
        apart = trained(board) and trained(group) and not board.shared(group)  # two makings of one phantom, say
        return not of_a_revision and not apart

    boards: list[_Group] = []
    for group in sorted(groups, key=rank):
        fitting = [board for board in boards if belong(board, group) and not board.conflicts(group)]
        if fitting:
            max(fitting, key=group.shared).take(group)
        else:
            boards.append(group)
    return boards


def _division(held: Sequence[Held], truths: Sequence[Truths]) -> Division:
    """Return the board of some holders."""
    everything: dict[Place, set[Key]] = {}
    for mine in truths:
        for place, keys in mine.items():
            everything.setdefault(place, set()).update(keys)
    odd = sorted(place for place, keys in everything.items() if len(keys) > 1)
    certain = [one for one, mine in zip(held, truths, strict=True) if any(mine.values())] or list(held)
    counts = Counter({one.revision: 0 for one in certain})
    for one in certain:
        counts[one.revision] += len(one.runs)
    revision = min(counts, key=lambda word: (-counts[word], word))
    everyone = Counter(one.revision for one in held for _ in one.runs)
    notes = [*_several(everyone), *_unknown(held, truths), *_differing(odd, held, truths)]
    runs = frozenset((one.dataset, one.revision, one.source, *run) for one in held for run in one.runs)
    return Division(held[0].dataset, revision, tuple(sorted(everyone)), runs, frozenset(odd), tuple(notes))


def _apart(boards: list[Division]) -> list[Division]:
    """Return boards whose revisions all differ, sorted; of two with the same one the smaller adds a digest."""
    seen: set[str] = set()
    result = []
    for board in sorted(boards, key=lambda one: (one.revision, -len(one.runs), sorted(one.runs))):
        if board.revision in seen:
            digest = hashlib.sha256(repr(sorted(board.runs)).encode()).hexdigest()
            board = replace(board, revision=f"{board.revision}+{digest[:6]}")
        seen.add(board.revision)
        result.append(board)
    return sorted(result, key=lambda one: one.revision)


def _several(revisions: Mapping[str, int]) -> list[str]:
    if len(revisions) < 2:
        return []
    words = [f"{name} ({count} run{'s' if count > 1 else ''})" for name, count in sorted(revisions.items())]
    return [f"Runs of several revisions stand here, for they share truths: {first_few(words)}."]


def _unknown(held: Sequence[Held], truths: Sequence[Truths]) -> list[str]:
    """Say of whom the truth is not known; runs of one revision, which name the same one, need not be told."""
    if len({one.revision for one in held}) < 2 and not any(any(mine.values()) for mine in truths):
        return []
    wholly: set[str] = set()
    partly: dict[str, set[str]] = {}
    for one, mine in zip(held, truths, strict=True):
        gaps = {case for (case, _), keys in mine.items() if not keys}
        for method, _ in one.runs:
            if gaps and not any(mine.values()):
                wholly.add(method)
            elif gaps:
                partly.setdefault(method, set()).update(gaps)
    notes = [f"The truth of {first_few(sorted(wholly))} is not known: taken to agree."] if wholly else []
    return notes + [
        f"The truth of {method} is not known in {first_few(sorted(cases), 3)}: taken to agree."
        for method, cases in sorted(partly.items())
    ]


def _differing(odd: Sequence[Place], held: Sequence[Held], truths: Sequence[Truths]) -> list[str]:
    """Say which cases are left off, between whom, and why; cases that the same runs disagree on in one sentence."""
    reasons: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for place in odd:
        sides: dict[Key, list[Held]] = {}
        for one, mine in zip(held, truths, strict=True):
            for key in mine.get(place, ()):
                sides.setdefault(key, []).append(one)
        count = {key: sum(len(one.runs) for one in side) for key, side in sides.items()}
        named = {key: _named(side) for key, side in sides.items()}
        first, second = sorted(sides, key=lambda key: (-count[key], named[key], key))[:2]
        words = named[first], named[second]
        reasons.setdefault(words, []).append((" of ".join(filter(None, place)), _why(first, second)))
    notes = []
    for (these, those), cases in reasons.items():
        several = "case is" if len(cases) == 1 else "cases are"
        names = first_few([case for case, _ in cases], 3)
        notes.append(
            f"{len(cases)} {several} left off, whose truth is not the same for {these} and for {those}: {names} "
            f"({cases[0][1]})."
        )
    return notes


def _named(side: Sequence[Held]) -> str:
    runs = sorted(run for one in side for run in one.runs)
    if len(runs) == 1:
        return f"{runs[0][0]} (run {runs[0][1]})"
    return f"{first_few(sorted({method for method, _ in runs}), 3)} ({len(runs)} runs)"


def _why(first: Key, second: Key) -> str:
    """Say how two truths differ."""
    if first[0] and second[0]:
        return difference(first[0], second[0])
    unknown = sorted(f"that of revision {revision}" for _, revision in (first, second) if revision)
    return f"{' and '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not known by its values"
