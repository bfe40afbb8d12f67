"""Forbidden pairs and contacts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segbench import LabelMap, Task, UsageError
from segbench_nonadj import contacts, write_prior
from segbench_nonadj.metric import ForbiddenContacts, ForbiddenPairs

TASK = Task("t", "1", ("background", "a", "b"))
BOTH = [ForbiddenPairs, ForbiddenContacts]


def label_map(array):
    return LabelMap(np.asarray(array), (1.0,) * np.ndim(array))


@pytest.mark.parametrize("kind", BOTH)
def test_examples_hold(kind):
    metric = kind()
    examples = metric.examples()
    metric.prepare(TASK, [truth for _, truth, _ in examples])
    for predicted, truth, values in examples:
        assert [score.value for score in metric.score(predicted, truth, TASK)] == pytest.approx(values)


def test_a_diagonal_contact_counts():
    truth = label_map([[0, 0, 0], [1, 0, 2], [0, 0, 0]])
    predicted = label_map([[1, 0], [0, 2]])
    for kind, expected in ((ForbiddenPairs, 1.0), (ForbiddenContacts, 1 / 5)):
        metric = kind()
        metric.prepare(TASK, [truth])
        (score,) = metric.score(predicted, truth, TASK)
        assert score.value == pytest.approx(expected) and score.structure.name == "all" and score.status == "ok"


@pytest.mark.parametrize("kind", BOTH)
def test_empty_predictions_do_not_look_perfect(kind):
    metric, empty, truth = kind(), label_map([[0, 0]]), label_map([[0, 1]])
    metric.prepare(TASK, [truth])
    assert [(s.value, s.status) for s in metric.score(empty, truth, TASK)] == [(None, "pred_empty")]
    assert [(s.value, s.status) for s in metric.score(empty, empty, TASK)] == [(0.0, "both_empty")]
    assert [(s.value, s.status) for s in metric.score(label_map([[1, 1]]), truth, TASK)] == [(0.0, "ok")]


@pytest.mark.parametrize("kind", BOTH)
def test_prior_from_a_file_equals_prior_from_truths(kind, tmp_path):
    truth, predicted = label_map([[0, 1, 0, 2]]), label_map([[0, 1, 2, 0]])
    write_prior(tmp_path / "prior.csv", contacts(truth.array, 3), TASK.labels)
    learnt, read = kind(), kind(prior=tmp_path / "prior.csv")
    learnt.prepare(TASK, [truth])
    read.prepare(TASK, [])
    assert learnt.score(predicted, truth, TASK) == read.score(predicted, truth, TASK)


def test_without_a_prior_it_says_what_to_do():
    with pytest.raises(UsageError, match=r"metric\.forbidden_pairs\.prior=FILE"):
        ForbiddenPairs().score(label_map([[0, 1]]), label_map([[0, 1]]), TASK)
