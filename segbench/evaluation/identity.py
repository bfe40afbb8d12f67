"""The identity of outside predictions: a hash of the request, less its metrics, and of the bytes of every file."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from segbench.contracts import Metric
from segbench.evaluation.layouts import Layout
from segbench.files.filenames import content_hash
from segbench.params import fingerprint, to_json
from segbench.scoring.pairs import Pair


def hashes_of(pairs: Sequence[Pair], jobs: int) -> list[tuple[str, str | None]]:
    """Return the content hashes of reference and prediction of every pair."""
    with ThreadPoolExecutor(jobs) as threads:  # hashing releases the interpreter
        truths = threads.map(_reference, pairs)
        predicted = threads.map(_prediction, pairs)
        return list(zip(truths, predicted, strict=True))


def _reference(pair: Pair) -> str:
    return _layered(pair.truth_layers) if pair.truth_layers else content_hash(pair.truth)


def _prediction(pair: Pair) -> str | None:
    """Return the hash of the files that make a prediction."""
    if pair.predicted_layers:
        return _layered(pair.predicted_layers)
    found = list(dict.fromkeys(path for path in (pair.predicted, pair.probabilities) if path is not None))
    hashes = [content_hash(path) for path in found]
    return hashes[0] if len(hashes) == 1 else fingerprint(hashes) if hashes else None


def _layered(layers: Sequence[tuple[str, Path]]) -> str:
    return fingerprint(sorted((name, content_hash(path)) for name, path in layers))


def identity(
    dataset: str,
    wanted: dict[str, Any],
    ignore: int | None,
    found: Layout,
    hashes: Sequence[tuple[str, str | None]],
) -> tuple[str, str, dict[str, Any]]:
    """Return the revision of the references, the identity of the run, and the request behind it.

    Args:
        dataset: its name.
        wanted: what was asked for.
        ignore: label of voxels that do not count.
        found: the pairs.
        hashes: of each pair, see ``hashes_of``.
    """
    truths = [(pair.case, pair.rater, truth) for pair, (truth, _) in zip(found.pairs, hashes, strict=True)]
    named = sorted(wanted["structures"])  # which value is what; none if the files alone decide
    said = [wanted[key] for key in ("colours", "named_by") if key in wanted]
    revision = "ref-" + fingerprint([truths, ignore, *([named] if named else []), *said])[:8]
    request = {
        **wanted,
        "dataset": dataset,
        "revision": revision,
        "ignore_label": ignore,
        "cases": [
            {"case": pair.case, "rater": pair.rater, "fault": pair.fault, "reference": truth, "prediction": predicted}
            | ({"fold": pair.fold} if pair.fold else {})
            for pair, (truth, predicted) in zip(found.pairs, hashes, strict=True)
        ],
    }
    return revision, fingerprint(request)[:12], request


def described(metric: Metric) -> dict[str, Any]:
    """Return what makes a metric this metric: its parameters, and the bytes of files they name."""
    files = {name: content_hash(value) for name, value in vars(metric).items() if isinstance(value, Path)}
    return {"name": metric.name, "version": metric.version, "parameters": to_json(metric), "files": files}
