"""Metrics over one case. No network and no torch anywhere below here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from segbench.contracts import Metric
from segbench.host import Origin, blame
from segbench.params import changes, fingerprint, flattened
from segbench.truths import truth_digest
from segbench.types import UNKNOWN, LabelMap, Score, Status, Task

Scored = tuple[Metric, Score]
KNOWLEDGE_DIGITS = 8


def version_of(metric: Metric) -> str:
    """Return the version that a metric's scores carry, e.g. ``1 tolerance=2.0`` or ``1 prior=9c0d1f2a``.

    It is the metric's own, what its parameters change of their defaults (of a file the digest of its bytes), and the
    digest of what it learnt: values of other parameters or another prior are another measure, and a leaderboard refuses
    to compare two versions. A prior that was learnt and the same prior read from a file are one.
    """
    changed = flattened(changes(metric)[0])
    if metric.knowledge_:
        changed = {key: value for key, value in changed.items() if key != "prior"} | {"prior": metric.knowledge_}
    return " ".join([metric.version, *(f"{key}={_plain(key, value)}" for key, value in changed.items())])


def _plain(key: str, value: Any) -> str:
    return value if key == "prior" else json.dumps(value, separators=(",", ":"))


def prepare_metrics(
    metrics: Iterable[Metric], task: Task, truths: Callable[[], Iterable[LabelMap]], origins: Mapping[str, Origin]
) -> None:
    """Prepare metrics; each that learns is shown the training truths once, and what it learnt becomes its version.

    Args:
        metrics: constructed.
        task: what is scored.
        truths: gives the training truths on their own grids, anew at each call.
        origins: metric -> the plugin it comes from, named when it fails.

    Raises:
        PluginError: a metric failed.
    """
    for metric in metrics:
        digests: list[str] = []
        shown = _watched(truths(), digests) if metric.learns else iter(())
        with blame(origins.get(metric.name, f"of metric {metric.name}"), f"preparing metric {metric.name}"):
            metric.prepare(task, shown)
            metric.structures(task)
            knowledge = metric.knowledge()
        if knowledge is None and metric.learns:
            for _ in shown:  # what it did not look at is part of what it was given
                pass
            knowledge = sorted(digests)
        if knowledge is not None:
            metric.knowledge_ = fingerprint(knowledge)[:KNOWLEDGE_DIGITS]


def _watched(truths: Iterable[LabelMap], digests: list[str]) -> Iterator[LabelMap]:
    for truth in truths:
        digests.append(truth_digest(truth))
        yield truth


def score_case(
    predicted: LabelMap, truth: LabelMap, task: Task, metrics: Iterable[Metric], reasons: dict[str, str] | None = None
) -> list[Scored]:
    """Score one case with every metric; a metric that raises fails alone.

    Args:
        predicted: integer ``(D, H, W)`` or ``(H, W)``; negative values count as background.
        truth: same shape; voxels that are ``UNKNOWN`` (-1) count as background on both sides.
        task: gives the structures.
        metrics: prepared metrics.
        reasons: receives metric -> why it failed.

    Returns:
        A list of (metric, score). Where a metric raised, or returned NaN, or nothing, or no value although its status
        says "ok", the status is "failed" and the value None.

    Raises:
        ValueError: if the shapes differ.
    """
    if predicted.array.shape != truth.array.shape:
        raise ValueError(f"prediction {predicted.array.shape} and truth {truth.array.shape} differ in shape.")
    predicted, truth = _without_unknown(predicted, truth)
    reasons = {} if reasons is None else reasons
    scored: list[Scored] = []
    for metric in metrics:
        try:
            scores = _checked(metric.score(predicted, truth, task))
        except (Exception, SystemExit) as error:
            reasons[metric.name] = f"metric {metric.name}: {type(error).__name__}: {error}"
            scores = [Score(structure, None, "failed") for structure in metric.structures(task)]
        else:
            if any(score.status == "failed" for score in scores):
                reasons[metric.name] = f"metric {metric.name}: no number for some structures"
        scored += [(metric, score) for score in scores]
    return scored


def missing_scores(task: Task, metrics: Iterable[Metric], status: Status = "missing") -> list[Scored]:
    """Return what stands in for the scores of a case that has no usable prediction.

    Args:
        task: gives the structures.
        metrics: prepared metrics.
        status: "missing", or "failed" for predictions that exist but cannot be used.
    """
    return [(metric, Score(one, None, status)) for metric in metrics for one in metric.structures(task)]


def _checked(scores: Iterable[Score]) -> list[Score]:
    """Return the scores with every value that is no number marked as failed."""
    checked = []
    for score in scores:
        if not isinstance(score, Score):
            raise TypeError(f"score() gave {score!r}, expected segbench.Score")
        value = None if score.value is None or math.isnan(score.value) else float(score.value)
        if value is None and (score.value is not None or score.status == "ok"):
            checked.append(Score(score.structure, None, "failed"))
        else:
            checked.append(Score(score.structure, value, score.status))
    if not checked:
        raise ValueError("score() gave nothing")
    return checked


def _without_unknown(predicted: LabelMap, truth: LabelMap) -> tuple[LabelMap, LabelMap]:
    """Set voxels whose truth is unknown to background on both sides; copies only what has to change."""
    import numpy as np

    unknown = truth.array == UNKNOWN if _has_negative(truth) else None
    if unknown is not None and unknown.any():
        truth = truth.with_array(np.where(unknown, 0, truth.array))
        predicted = LabelMap(
            np.where(unknown, 0, predicted.array), predicted.spacing, predicted.affine, unit=predicted.unit
        )
    if _has_negative(predicted):
        predicted = predicted.with_array(np.maximum(predicted.array, 0))
    return predicted, truth


def _has_negative(labels: LabelMap) -> bool:
    array = labels.array
    return array.dtype.kind == "i" and array.size > 0 and bool(array.min() < 0)
