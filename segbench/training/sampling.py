"""Seeds, splits by patient, and the order in which training samples come. The same for every method."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segbench.config import HELD_OUT, RunConfig
from segbench.errors import DataInvalid, UsageError, did_you_mean
from segbench.types import CaseRef

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2
ROLES = ("train", "val", "test", "unlabelled")
"""What a case may be to a run; attributes of ``Splits``."""
POOL = "pool"


@dataclass(frozen=True)
class Splits:
    """Cases by role; no patient stands in two of train, val and test.

    ``pool`` holds all training cases, also those whose labels ``recipe.labelled`` leaves out: metrics learn their
    priors from these, so that a recipe does not change what is measured.
    """

    train: tuple[CaseRef, ...]
    val: tuple[CaseRef, ...]
    test: tuple[CaseRef, ...]
    unlabelled: tuple[CaseRef, ...] = ()
    pool: tuple[CaseRef, ...] = ()

    def __str__(self) -> str:
        counts = f"{len(self.train)} train, {len(self.val)} validation, {len(self.test)} test"
        return counts + (f", {len(self.unlabelled)} unlabelled" if self.unlabelled else "")


def seed_of(purpose: str, *values: int | str) -> int:
    """Return a 63-bit seed: SHA-256 of the purpose and the axes that are allowed to vary.

    The method is never among them: two methods with one seed see the same folds, weights and batch order.
    """
    text = "/".join([purpose, *map(str, values)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def split_cases(
    refs: Sequence[CaseRef], config: RunConfig, folds: Sequence[Mapping[str, Sequence[str]]] = ()
) -> Splits:
    """Split cases by patient.

    In this order of precedence: fixed lists (``config.split``), k folds (``config.folds``; the dataset's own if it has
    as many), the dataset's own folds, the dataset's own split, one seeded split of 70/10/20 %.

    Args:
        refs: all cases of the dataset.
        config: split, fold, folds, recipe.split_seed, recipe.labelled and seed are used.
        folds: the dataset's own folds; the ``val`` cases of fold ``config.fold`` are the test cases.

    Raises:
        DataInvalid: if a part would be empty or a patient stands on both sides.
        UsageError: for a fold that does not exist, an unknown case in a fixed list, or more labelled cases than
            there are.
    """
    labelled = [ref for ref in refs if ref.split != "unlabelled"]
    unlabelled = [ref for ref in refs if ref.split == "unlabelled"]
    if config.split is not None:
        splits = _listed(labelled, config.split, config)
    elif config.folds and config.folds != len(folds):
        splits = _fold(labelled, config)
    elif folds:  # also where as many are asked for as the dataset has
        splits = _own_fold(labelled, config, folds)
    elif config.fold:
        raise UsageError(f"--fold {config.fold}: there are no folds; give their number with --folds.")
    elif any(ref.split for ref in labelled):
        splits = _own(labelled)
    else:
        test, rest = _take_groups(labelled, TEST_SHARE, seed_of("test", config.recipe.split_seed))
        val, train = _take_groups(rest, VALIDATION_SHARE, seed_of("val", config.recipe.split_seed))
        splits = Splits(train, val, test)
    _check(splits)
    return _limit(splits, unlabelled, config)


def split_words(refs: Sequence[CaseRef], config: RunConfig, folds: Sequence[Mapping[str, Sequence[str]]] = ()) -> str:
    """Return in words how ``split_cases`` splits these cases."""
    if config.split is not None:
        return f"fold {config.fold} of {config.folds} listed by --split" if config.folds else "as listed by --split"
    if config.folds and config.folds != len(folds):
        return f"fold {config.fold} of {config.folds}, drawn here by patient"
    if folds:
        return f"fold {config.fold} of the dataset's own {len(folds)}"
    if any(ref.split for ref in refs if ref.split != "unlabelled"):
        return "the dataset's own"
    rest = 1 - TEST_SHARE
    shares = (rest * (1 - VALIDATION_SHARE), rest * VALIDATION_SHARE, TEST_SHARE)
    return "drawn here by patient: {:.0%} train, {:.0%} validation, {:.0%} test".format(*shares)


def _listed(refs: Sequence[CaseRef], lists: Mapping[str, Sequence[str]], config: RunConfig) -> Splits:
    """Return the cases listed, or those of a fold that is listed: ``train`` and ``held_out``, as ``_own_fold``."""
    known = {ref.id: ref for ref in refs}
    for role, names in lists.items():
        if role not in ("train", "val", "test", HELD_OUT):
            raise UsageError(f"The split list has a part {role!r}; expected train, val and test.")
        if len(set(names)) < len(names):
            raise UsageError(f"The split list names a case twice in {role}; name each once.")
        for name in names:
            if name not in known:
                raise UsageError(f"The split list names case {name!r}. {did_you_mean(name, known)}")
    chosen = {role: tuple(known[name] for name in names) for role, names in lists.items()}
    train = chosen.get("train", ())
    if HELD_OUT not in chosen:
        return Splits(train, chosen.get("val", ()), chosen.get("test", ()))
    val, train = _take_groups(train, VALIDATION_SHARE, seed_of("val", config.recipe.split_seed, config.fold))
    return Splits(train, val, chosen[HELD_OUT])


def _fold(refs: Sequence[CaseRef], config: RunConfig) -> Splits:
    if not 0 <= config.fold < config.folds:
        raise UsageError(f"--fold {config.fold}: expected 0 to {config.folds - 1} with --folds {config.folds}.")
    groups = _shuffled_groups(refs, seed_of("folds", config.recipe.split_seed))
    if len(groups) < config.folds:
        raise UsageError(f"--folds {config.folds}: expected at most {len(groups)}, the number of patients.")
    held = set(groups[config.fold :: config.folds])
    test = tuple(ref for ref in refs if ref.group in held)
    rest = [ref for ref in refs if ref.group not in held]
    val, train = _take_groups(rest, VALIDATION_SHARE, seed_of("val", config.recipe.split_seed, config.fold))
    return Splits(train, val, test)


def _own_fold(refs: Sequence[CaseRef], config: RunConfig, folds: Sequence[Mapping[str, Sequence[str]]]) -> Splits:
    if not 0 <= config.fold < len(folds):
        raise UsageError(f"--fold {config.fold}: the dataset's own split list has folds 0 to {len(folds) - 1}.")
    known = {ref.id: ref for ref in refs}
    fold = folds[config.fold]
    test = tuple(known[name] for name in fold["val"] if name in known)
    rest = [known[name] for name in fold["train"] if name in known]
    val, train = _take_groups(rest, VALIDATION_SHARE, seed_of("val", config.recipe.split_seed, config.fold))
    return Splits(train, val, test)


def _own(refs: Sequence[CaseRef]) -> Splits:
    by_role = {role: tuple(ref for ref in refs if ref.split == role) for role in ("train", "val", "test", "")}
    train = by_role["train"] + by_role[""]
    return Splits(train, by_role["val"], by_role["test"])


def _shuffled_groups(refs: Sequence[CaseRef], seed: int) -> list[str]:
    groups = sorted({ref.group for ref in refs})
    np.random.default_rng(seed).shuffle(groups)
    return groups


def _take_groups(refs: Sequence[CaseRef], share: float, seed: int) -> tuple[tuple[CaseRef, ...], tuple[CaseRef, ...]]:
    """Return (taken, rest): a share of the patients, at least one if two or more are there."""
    groups = _shuffled_groups(refs, seed)
    count = max(1, round(share * len(groups))) if len(groups) > 1 else 0
    held = set(groups[:count])
    return tuple(ref for ref in refs if ref.group in held), tuple(ref for ref in refs if ref.group not in held)


def _check(splits: Splits) -> None:
    for role in ("train", "test"):
        if not getattr(splits, role):
            raise DataInvalid(
                f"The split leaves no {role} case ({splits}). Use more cases, other --folds or a --split list."
            )
    roles = {role: {ref.group for ref in getattr(splits, role)} for role in ("train", "val", "test")}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = roles[one] & roles[other]
        if shared:
            raise DataInvalid(f"Patient {min(shared)!r} stands in both {one} and {other}; split by patient.")


def _limit(splits: Splits, unlabelled: Sequence[CaseRef], config: RunConfig) -> Splits:
    """Keep ``recipe.labelled`` training cases; the others join the unlabelled ones (their labels are never read).

    Unlabelled cases of patients who are held out for validation or test are left out: their images must not be seen.
    """
    held = {ref.group for ref in splits.val + splits.test}
    unlabelled = [ref for ref in unlabelled if ref.group not in held]
    count, there = config.recipe.labelled, len(splits.train)
    if count > there and not config.smoke:
        raise UsageError(f"recipe.labelled={count}: this split has {there} training cases; 0 = all of them.")
    if not count or count >= there:
        return Splits(splits.train, splits.val, splits.test, tuple(unlabelled), splits.train)
    order = np.random.default_rng(seed_of("labelled", config.seed, config.fold)).permutation(there)
    kept = set(order[:count].tolist())
    train = tuple(ref for index, ref in enumerate(splits.train) if index in kept)
    spare = tuple(ref for index, ref in enumerate(splits.train) if index not in kept)
    return Splits(train, splits.val, splits.test, tuple(unlabelled) + spare, splits.train)


def passes(count: int, purpose: str, *values: int | str) -> Iterator[int]:
    """Yield sample indices for ever: one seeded permutation of ``range(count)`` after another."""
    generator = np.random.default_rng(seed_of(purpose, *values))
    while True:
        yield from generator.permutation(count).tolist()
