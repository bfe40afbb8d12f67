"""Checks of priors: learnt from a few cases, written, recognised, read again and audited with."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from segbench.conformance.cases import CASES, LABELS, TASK, case_of, truth_of
from segbench.conformance.common import Broken, Check, Subject, expect
from segbench.contracts import Prior
from segbench.errors import DataInvalid
from segbench.types import Audit, LabelMap, Task


def _learnt(subject: Subject) -> Prior:
    prior: Prior = subject.make()
    prior.learn(TASK, (case_of(index) for index in range(CASES)))
    return prior


def _written(subject: Subject) -> Path:
    """Return a file the part wrote; made once per examination."""
    path = subject.folder / f"prior{subject.cls.ending}"  # type: ignore[attr-defined]
    if not path.is_file():
        _learnt(subject).write(path)
        expect(path.is_file(), f"write({path.name!r}) wrote no file of this name")
    return path


def _read(subject: Subject) -> Prior:
    prior: Prior = subject.make()
    prior.read(_written(subject), TASK)
    return prior


def _noise(seed: int = 0) -> LabelMap:
    """Return a label map that breaks anything one might know: every label anywhere."""
    truth = truth_of(0)
    array = np.random.default_rng(seed).integers(0, LABELS, truth.array.shape).astype(truth.array.dtype)
    return LabelMap(array, truth.spacing, truth.affine)


def written_files_are_recognised(subject: Subject) -> None:
    """What it writes, it recognises, by its content."""
    expect(subject.make().recognises(_written(subject)), "recognises() says no to a file that write() wrote")


def other_files_are_not_recognised(subject: Subject) -> None:
    """Files of any other content, and what is no file, are answered with no, never with an error."""
    files = {"empty": b"", "bytes": bytes(range(256)), "text": b"x,y\n1,2\n", "json": b'{"a": 1}', "toml": b"a = 1\n"}
    paths = [subject.folder, subject.folder / "nothing"]
    for name, content in files.items():
        for ending in (subject.cls.ending, ".toml"):  # type: ignore[attr-defined]
            paths.append(subject.folder / f"{name}{ending}")
            paths[-1].write_bytes(content)
    for path in paths:
        expect(subject.make().recognises(path) is False, f"recognises() does not say False to {path.name}")


def labels_come_back_in_order(subject: Subject) -> None:
    """``labels`` names the task's labels, background first."""
    found = tuple(subject.make().labels(_written(subject)))
    expect(found == TASK.labels, f"expected labels {TASK.labels}, found {found}")


def recorded_values_are_the_tasks(subject: Subject) -> None:
    """``values`` gives every label's value, or none at all."""
    expected = {name: value for value, name in enumerate(TASK.labels)}
    found = dict(subject.make().values(_written(subject)))
    expect(found in ({}, expected), f"expected {expected} or no values, found {found}")


def what_is_read_is_written_again(subject: Subject) -> None:
    """A file read and written again has the same bytes."""
    again = subject.folder / f"again{subject.cls.ending}"  # type: ignore[attr-defined]
    _read(subject).write(again)
    expect(again.read_bytes() == _written(subject).read_bytes(), "reading a file and writing it again changed it")


def labels_go_by_their_names(subject: Subject) -> None:
    """For a task that numbers the same labels otherwise, the audit of the same anatomy is the same."""
    order = [0, *range(LABELS - 1, 0, -1)]
    task = Task("check", "1", tuple(TASK.labels[value] for value in order))
    prior: Prior = subject.make()
    prior.read(_written(subject), task)
    renumbered = np.argsort(order)
    noise = _noise()
    other = LabelMap(renumbered[noise.array].astype(noise.array.dtype), noise.spacing, noise.affine)
    expected = _read(subject).audit("case0", noise, TASK).measures
    found = prior.audit("case0", other, task).measures
    same = expected.keys() == found.keys() and all(math.isclose(expected[key], found[key]) for key in expected)
    expect(same, f"expected {dict(expected)}, found {dict(found)} for another order of labels")


def other_labels_are_refused(subject: Subject) -> None:
    """A file that speaks of labels the task does not have raises DataInvalid."""
    try:
        subject.make().read(_written(subject), Task("check", "1", ("background", "other", "another", "third")))
    except DataInvalid:
        return
    raise Broken("read() accepted a file of other labels; expected DataInvalid")


def audits_are_well_formed(subject: Subject) -> None:
    """Measures are finite numbers of the same names for every label map; violations name labels of the task."""
    prior = _read(subject)
    names = None
    for labels in (truth_of(0), _noise(), LabelMap(np.zeros_like(truth_of(0).array), truth_of(0).spacing)):
        audit = prior.audit("case0", labels, TASK)
        expect(isinstance(audit, Audit) and bool(audit.measures), f"expected a segbench.Audit, found {audit!r}")
        names = names or list(audit.measures)
        expect(list(audit.measures) == names, f"measures {names} for one label map, {list(audit.measures)} for another")
        strange = [name for name, value in audit.measures.items() if not math.isfinite(value)]
        expect(not strange, f"{', '.join(strange)} is not finite")
        for violation in audit.violations:
            unknown = set(violation.structures) - set(TASK.labels)
            expect(not unknown, f"violation {violation.what!r} names the labels {sorted(unknown)}")
            expect(math.isfinite(violation.amount), f"violation {violation.what!r}: amount {violation.amount}")


def learning_and_reading_agree(subject: Subject) -> None:
    """The prior that was read audits as the one that was learnt."""
    learnt, read = (prior.audit("case0", _noise(), TASK) for prior in (_learnt(subject), _read(subject)))
    expect(learnt == read, f"learnt: {dict(learnt.measures)}, read from its file: {dict(read.measures)}")


def nonsense_is_worse_than_truth(subject: Subject) -> None:
    """A label map of noise is worse than a training truth in some measure, and better in none."""
    prior = _read(subject)
    truth, noise = (prior.audit("case0", labels, TASK).measures for labels in (truth_of(0), _noise()))
    better = [name for name in truth if noise[name] < truth[name]]
    expect(not better, f"noise has a lower {', '.join(better)} than a truth; lower must be better")
    expect(any(noise[name] > truth[name] for name in truth), "noise breaks it no more than a truth does")


def inputs_are_left_alone(subject: Subject) -> None:
    """Read-only label maps can be audited, and are the same afterwards."""
    prior, noise = _read(subject), _noise()
    before = noise.array.copy()
    noise.array.setflags(write=False)
    prior.audit("case0", noise, TASK)
    expect(np.array_equal(before, noise.array), "audit() changed its input")


CHECKS: tuple[Check, ...] = (
    written_files_are_recognised,
    other_files_are_not_recognised,
    labels_come_back_in_order,
    recorded_values_are_the_tasks,
    what_is_read_is_written_again,
    labels_go_by_their_names,
    other_labels_are_refused,
    audits_are_well_formed,
    learning_and_reading_agree,
    nonsense_is_worse_than_truth,
    inputs_are_left_alone,
)
