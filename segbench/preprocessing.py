"""The cases of a run, brought onto the training grid: through the cache, each by the path its role allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segbench.assembly import Parts, Source
from segbench.config import RunConfig
from segbench.errors import Incompatible
from segbench.host import blame
from segbench.training.cache import Cache, StoredCase, geometry_of
from segbench.training.label_grids import kept_on_grid, losses_in_words
from segbench.training.sampling import ROLES
from segbench.types import CaseRef

if TYPE_CHECKING:
    from segbench.training.loop import Reporter


@dataclass(frozen=True)
class Cases:
    """The preprocessed cases of a run, by role, and the cache that holds them."""

    cache: Cache
    train: list[StoredCase]
    val: list[StoredCase]
    test: list[StoredCase]
    unlabelled: list[StoredCase]

    def kept(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what the training grid leaves of each structure of training and validation; see ``kept_on_grid``."""
        return kept_on_grid([*self.train, *self.val], names)


def preprocess(parts: Parts, config: RunConfig, reporter: Reporter) -> Cases:
    """Bring every case of the run onto the training grid, those of another dataset onto the same one."""
    splits, source, other = parts.splits, parts.source, parts.unlabelled
    cache = Cache(source.cache, source.dataset, config.recipe, code=source.code, note=reporter.note)
    with blame(source.origin, "choosing the training grid"):
        cache.settle_spacing(splits.train)
    lent = other.lent if other else {}
    own = [ref for ref in splits.unlabelled if ref not in lent]
    total, done = sum(len(getattr(splits, role)) for role in ROLES), 0

    def store(cache: Cache, source: Source, refs: Iterable[CaseRef], **role: bool) -> list[StoredCase]:
        nonlocal done
        stored = []
        for ref in refs:
            with blame(source.origin, f"loading case {ref.id}"):
                stored.append(cache.store(ref, **role))
            done += 1
            reporter.progress("Preprocessing", done, total)
        return stored

    train, val = (store(cache, source, refs, labelled=True) for refs in (splits.train, splits.val))
    test = store(cache, source, splits.test, labelled=False, scored=True)
    unlabelled = store(cache, source, own, labelled=False)
    if other:
        borrowed = [ref for ref in splits.unlabelled if ref in lent]
        spacing = cache.spacing or geometry_of(train).spacing
        theirs = Cache(other.cache, other.dataset, config.recipe, spacing, other.code, reporter.note)
        stored = store(theirs, other, [lent[ref] for ref in borrowed], labelled=False)
        if not config.smoke:
            _refuse_held_out(stored, [*val, *test], other.task.name)
        unlabelled = [replace(case, ref=ref) for case, ref in zip(stored, borrowed, strict=True)] + unlabelled
    cases = Cases(cache, train, val, test, unlabelled)
    for sentence in losses_in_words(cases.kept(parts.task.labels)):
        reporter.note(sentence)
    return cases


def _refuse_held_out(lent: Sequence[StoredCase], held: Sequence[StoredCase], name: str) -> None:
    """Raise Incompatible if an image that is held out for validation or test was lent by another dataset."""
    known = {case.digest: case.ref.id for case in held}
    for case in lent:
        if case.digest in known:
            raise Incompatible(
                f"Case {case.ref.id} of unlabelled dataset {name} is the same image as case {known[case.digest]}, "
                f"which is held out for validation or test; training must not see it. Leave it out of {name}."
            )
