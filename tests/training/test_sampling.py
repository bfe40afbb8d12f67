"""Splits by patient, folds, fixed lists, scarce labels, and seeds that know no method."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segbench.config import Recipe, RunConfig
from segbench.errors import DataInvalid, UsageError
from segbench.training.sampling import Splits, passes, seed_of, split_cases, split_words
from segbench.types import CaseRef, Choice


def config(recipe: Mapping[str, Any] | None = None, **others: Any) -> RunConfig:
    return RunConfig(Choice("d"), Choice("n"), Choice("m"), recipe=Recipe(**dict(recipe or {})), **others)


def cases(groups: list[int], split: str = "") -> list[CaseRef]:
    return [CaseRef(f"c{index}", f"p{group}", split) for index, group in enumerate(groups)]  # type: ignore[arg-type]


def ids(refs: tuple[CaseRef, ...]) -> list[str]:
    return [ref.id for ref in refs]


def assert_by_patient(splits: Splits) -> None:
    roles = [{ref.group for ref in part} for part in (splits.train, splits.val, splits.test)]
    assert all(not one & other for one, other in itertools.combinations(roles, 2))
    assert splits.train and splits.test


MANY = st.lists(st.integers(0, 6), min_size=4, max_size=25).filter(lambda groups: len(set(groups)) >= 3)


@given(MANY, st.integers(0, 1000))
def test_no_patient_stands_on_both_sides(groups: list[int], seed: int) -> None:
    refs = cases(groups)
    splits = split_cases(refs, config({"split_seed": seed}))
    assert_by_patient(splits)
    assert sorted(ids(splits.train + splits.val + splits.test)) == sorted(ref.id for ref in refs)


@given(MANY, st.integers(0, 1000), st.data())
def test_folds_partition_the_cases(groups: list[int], seed: int, data: st.DataObject) -> None:
    refs = cases(groups)
    folds = data.draw(st.integers(2, len(set(groups))))
    tested: list[str] = []
    for fold in range(folds):
        splits = split_cases(refs, config({"split_seed": seed}, folds=folds, fold=fold))
        assert_by_patient(splits)
        assert len(splits.train + splits.val + splits.test) == len(refs)
        tested += ids(splits.test)
    assert sorted(tested) == sorted(ref.id for ref in refs)


def test_splits_do_not_depend_on_seed_method_or_order() -> None:
    refs = cases(list(range(12)))
    first = split_cases(refs, config(seed=0))
    other = split_cases(refs[::-1], RunConfig(Choice("d"), Choice("n2"), Choice("m2"), seed=7, arm="control"))
    assert {role: sorted(ids(getattr(first, role))) for role in ("train", "val", "test")} == {
        role: sorted(ids(getattr(other, role))) for role in ("train", "val", "test")
    }
    assert [len(first.train), len(first.val), len(first.test)] == [9, 1, 2]
    assert ids(split_cases(refs, config({"split_seed": 1})).test) != ids(first.test)


def test_fixed_lists_come_before_all_else() -> None:
    refs = [CaseRef("a", "a", "test"), CaseRef("b", "b", "train"), CaseRef("c", "c", "train"), CaseRef("d", "d")]
    lists = {"train": ("a", "d"), "test": ("b",)}
    splits = split_cases(refs, config(split=lists, folds=2), [{"train": ["b"], "val": ["c"]}])
    assert (ids(splits.train), ids(splits.val), ids(splits.test)) == (["a", "d"], [], ["b"])


def test_the_datasets_own_folds_test_on_their_val() -> None:
    refs = cases([0, 1, 2, 3, 4, 5])
    folds = [{"train": ["c0", "c1", "c2", "c3"], "val": ["c4", "c5"]}, {"train": ["c4", "c5", "c0"], "val": ["c1"]}]
    splits = split_cases(refs, config(fold=1), folds)
    assert ids(splits.test) == ["c1"] and len(splits.train) == 2 and len(splits.val) == 1
    with pytest.raises(UsageError, match="folds 0 to 1"):
        split_cases(refs, config(fold=2), folds)


def test_a_fold_that_is_listed_is_as_one_of_the_datasets_own() -> None:
    refs = cases([0, 1, 2, 3, 4, 5])
    folds = [{"train": ["c0", "c1", "c2", "c3"], "val": ["c4", "c5"]}, {"train": ["c4", "c5", "c0"], "val": ["c1"]}]
    for number, fold in enumerate(folds):
        listed = {"train": tuple(fold["train"]), "held_out": tuple(fold["val"])}
        assert split_cases(refs, config(split=listed, fold=number)) == split_cases(refs, config(fold=number), folds)


def test_the_datasets_own_split() -> None:
    refs = [CaseRef("a", "a", "train"), CaseRef("b", "b", "val"), CaseRef("c", "c", "test"), CaseRef("d", "d")]
    splits = split_cases(refs, config())
    assert (ids(splits.train), ids(splits.val), ids(splits.test)) == (["a", "d"], ["b"], ["c"])


def test_cases_that_are_spared_become_unlabelled() -> None:
    refs = [*cases(list(range(10))), CaseRef("bare", "bare", "unlabelled")]
    whole = split_cases(refs, config())
    scarce = split_cases(refs, config({"labelled": 2}))
    assert ids(whole.unlabelled) == ["bare"]
    assert len(scarce.train) == 2 and len(scarce.unlabelled) == len(whole.train) - 2 + 1
    assert set(ids(scarce.train + scarce.unlabelled)) == {*ids(whole.train), "bare"}
    assert (scarce.val, scarce.test) == (whole.val, whole.test)
    drawn = {tuple(ids(split_cases(refs, config({"labelled": 2}, seed=seed)).train)) for seed in range(8)}
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("refs", "options", "error", "words"),
    [
        ([], {}, DataInvalid, "no train case"),
        (cases([0]), {}, DataInvalid, "no test case"),
        (cases([0, 0, 0]), {}, DataInvalid, "no test case"),
        (cases([0, 1]), {"folds": 3}, UsageError, "at most 2"),
        (cases([0, 1, 2]), {"folds": 3, "fold": 3}, UsageError, "0 to 2"),
        (cases([0, 1]), {"split": {"train": ("c0",), "test": ("c9",)}}, UsageError, "'c9'"),
        (cases([0, 0]), {"split": {"train": ("c0",), "test": ("c1",)}}, DataInvalid, "both train and test"),
        (cases([0, 1, 2]), {"split": {"train": ("c0", "c0"), "test": ("c1",)}}, UsageError, "twice"),
        (cases([0, 1, 2]), {"split": {"train": ("c0",), "validation": ("c2",), "test": ("c1",)}}, UsageError, "valida"),
        (cases([0, 1], "train"), {}, DataInvalid, "no test case"),
        (cases([0, 1], "unlabelled"), {}, DataInvalid, "no train case"),
    ],
)
def test_splits_that_cannot_be(refs: Any, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        split_cases(refs, config(**options))


def test_more_labelled_cases_than_there_are() -> None:
    refs = cases([0, 1, 2, 3])
    assert len(split_cases(refs, config({"labelled": 2})).train) == len(split_cases(refs, config()).train) == 2
    with pytest.raises(UsageError, match=r"recipe\.labelled=3: this split has 2 training cases; 0 = all"):
        split_cases(refs, config({"labelled": 3}))
    assert len(split_cases(refs, config({"labelled": 3}, smoke=True)).train) == 2  # a miniature has fewer cases


def test_unlabelled_cases_of_held_out_patients_are_left_out() -> None:
    roles = ("train", "val", "test")
    refs = [CaseRef(role, role, role) for role in roles]  # type: ignore[arg-type]
    refs += [CaseRef(f"more of {role}", role, "unlabelled") for role in roles]
    assert ids(split_cases(refs, config()).unlabelled) == ["more of train"]


def test_seeds_are_hashes_of_purpose_and_axes() -> None:
    assert seed_of("weights", 0, 1) == seed_of("weights", 0, 1)
    assert len({seed_of("weights", 0, 1), seed_of("weights", 1, 0), seed_of("order", 0, 1), seed_of("weights", 0)}) == 4
    assert all(0 <= seed_of("x", value) < 2**63 for value in range(100))


def test_passes_see_every_sample_once_each() -> None:
    drawn = list(itertools.islice(passes(5, "order", 0), 15))
    assert [sorted(drawn[first : first + 5]) for first in (0, 5, 10)] == [list(range(5))] * 3
    assert drawn == list(itertools.islice(passes(5, "order", 0), 15)) != list(itertools.islice(passes(5, "o", 0), 15))


def test_as_many_folds_as_the_dataset_has_are_its_own() -> None:
    refs = [CaseRef(f"c{index}", f"c{index}") for index in range(6)]
    own = [{"train": ["c2", "c3", "c4", "c5"], "val": ["c0", "c1"]}, {"train": ["c0", "c1", "c2"], "val": ["c3", "c4"]}]
    asked = config(folds=2, fold=1)
    assert [ref.id for ref in split_cases(refs, asked, own).test] == ["c3", "c4"]
    assert split_words(refs, asked, own) == "fold 1 of the dataset's own 2"
    drawn = dataclasses.replace(asked, folds=3)
    assert len(split_cases(refs, drawn, own).test) == 2 and "drawn here" in split_words(refs, drawn, own)
