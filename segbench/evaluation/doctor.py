"""Is every metric what it claims to be: compute a sample with the peers that are installed and compare.

A peer (``segbench.types.Peer``) is another package's way to compute the same number; metrics list theirs, so that the
host needs to know no package.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segbench.contracts import Metric
from segbench.errors import SegbenchError, UsageError
from segbench.evaluation.labelling import Structures, chosen_structures, structures_found, task_of
from segbench.evaluation.layouts import Layout, find_pairs
from segbench.evaluation.samples import MaskPair, mask_pairs
from segbench.files.images import read_label_map
from segbench.host import Catalogue, blame
from segbench.scoring.geometry import align, on_common_box
from segbench.scoring.layers import Layer, Overlaps, read_layers
from segbench.scoring.naming import by_names
from segbench.scoring.pairs import Pair
from segbench.types import Choice, LabelMap, Peer, Structure, Task

TASK = Task("doctor", "1", ("background", "structure"))


@dataclass(frozen=True)
class Comparison:
    """One metric against one peer.

    Attributes:
        metric: name of the metric.
        peer: package and function.
        version: of the package; None if it is not installed.
        pairs: mask pairs for which both gave a number.
        largest: largest difference, relative where the value is above 1; None if there is none.
        where: the pair it was found on.
        differs: in what the peer's definition differs; "" if the values must agree.
        tolerance: up to which values agree.
        refused: what the peer said to pairs it gave no number for, or "".
    """

    metric: str
    peer: str
    version: str | None
    pairs: int = 0
    largest: float | None = None
    where: str = ""
    differs: str = ""
    tolerance: float = 0.0
    refused: str = ""

    @property
    def verdict(self) -> str:
        """Return "agrees", "DIFFERS", "another definition", "not installed" or "not compared"."""
        if self.version is None:
            return "not installed"
        if self.largest is None:
            return "not compared"
        if self.largest <= self.tolerance:
            return "agrees"
        return "another definition" if self.differs else "DIFFERS"


def examine(
    catalogue: Catalogue,
    metrics: Sequence[str] | None = None,
    pairs: Sequence[MaskPair] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Comparison]:
    """Compare metrics with their peers.

    Args:
        catalogue: where metrics come from.
        metrics: names; by default all that have peers.
        pairs: none with an empty mask (on those the field agrees on nothing); by default 48 made up ones.
        progress: called with peers done, peers in all, and the metric just done.

    Raises:
        UnknownName: if there is no such metric.
        UsageError: if none of the metrics has a peer.
    """
    wanted = list(dict.fromkeys(metrics)) if metrics is not None else catalogue.names("metrics")
    made = {name: catalogue.metric(Choice(name)) for name in wanted}
    found = [(name, made[name], peer) for name, peer in _peers(catalogue) if name in made]
    if not found:
        raise UsageError(f"No peer is known for {', '.join(wanted)}, so there is nothing to compare.")
    pairs = list(mask_pairs(48)) if pairs is None else pairs
    results = []
    for index, (name, metric, peer) in enumerate(found):
        with blame(f"of metric {name}", f"comparing it with {peer.name}"):
            results.append(compare(metric, peer, pairs))
        if progress is not None:
            progress(index + 1, len(found), name)
    return results


def _peers(catalogue: Catalogue) -> list[tuple[str, Peer]]:
    """Return the peers of all metrics, sorted by the metric they compute."""
    found = []
    for name in catalogue.names("metrics"):
        with blame(f"of metric {name}", "listing its peers"):
            found += [(peer.metric or name, peer) for peer in catalogue.metric(Choice(name)).peers()]
    return sorted(found, key=lambda one: (one[0], bool(one[1].differs), one[1].name))


def compare(metric: Metric, peer: Peer, pairs: Iterable[MaskPair]) -> Comparison:
    """Compute a metric and a peer on every pair; a peer that raises on a pair is passed over there.

    Args:
        metric: scores one structure.
        peer: see ``segbench.types.Peer``.
        pairs: no mask is empty.
    """
    version = _version(peer.module)
    count, largest, where, refused = 0, -1.0, "", ""
    for pair in pairs if version is not None else ():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of peers, about themselves
                theirs = float(peer.value(pair.predicted, pair.truth, pair.spacing))
        except Exception as error:
            refused = f"{type(error).__name__}: {error}"
            continue
        ours = value_of(metric, pair)
        if ours is None or not math.isfinite(theirs):
            refused = refused or f"no number on {pair.name}"
            continue
        difference = abs(ours - theirs) / max(1.0, abs(ours))
        count += 1
        if difference > largest:
            largest, where = difference, pair.name
    found = largest if count else None
    return Comparison(
        metric.name, peer.name, version, count, found, where, peer.differs, peer.tolerance, " ".join(refused.split())
    )


def value_of(metric: Metric, pair: MaskPair) -> float | None:
    """Return a metric's value for one pair of masks."""
    maps = [LabelMap(mask.astype(np.uint8), pair.spacing) for mask in (pair.predicted, pair.truth)]
    (score,) = metric.score(maps[0], maps[1], TASK)
    return score.value


def _version(module: str) -> str | None:
    """Return the version of an importable module ("" if it does not say), or None."""
    try:
        importlib.import_module(module)
    except Exception:  # a broken installation is as good as none
        return None
    for name in importlib.metadata.packages_distributions().get(module, ()):
        return importlib.metadata.version(name)
    return ""


def folder_pairs(predictions: Path, references: Path, number: int, seed: int = 0) -> list[MaskPair]:
    """Return a seeded sample of mask pairs from folders that ``segbench evaluate`` would take.

    Args:
        predictions, references: folders or files.
        number: how many; cases that cannot be read and structures empty on either side are passed over.
        seed: same seed, same pairs.

    Raises:
        DataMissing: if no such pair can be found.
        UsageError: likewise, if files fit but no structure is on both sides.
    """
    found = find_pairs(predictions, references)
    if any(pair.predicted and bool(pair.truth_layers) != bool(pair.predicted_layers) for pair in found.pairs):
        raise UsageError(
            f"{predictions} and {references}: expected label maps on both sides, or one file per structure on both, "
            f"found one of each. Make them alike."
        )
    order = np.random.default_rng(seed).permutation(len(found.pairs))
    result: list[MaskPair] = []
    for index in order:
        if len(result) >= number:
            break
        result += _structures_of(found.pairs[index], found)
    if not result:
        raise UsageError(f"No structure is on both sides of any pair of {predictions} and {references}.")
    return result[:number]


def _structures_of(pair: Pair, found: Layout) -> Iterator[MaskPair]:
    """Yield the pairs of masks of one case, or nothing if it cannot be read."""
    if pair.fault or pair.predicted is None:
        return
    try:
        declared = chosen_structures(None, None, found.declaration)
        overlaps = Overlaps(max((value for values in declared.values() for value in values), default=0) + 1)
        truth = _map_of(pair.truth, pair.truth_layers, declared, overlaps, "reference")
        predicted = _map_of(pair.predicted, pair.predicted_layers, declared, overlaps, "prediction", truth)
        values = (int(value) for value in np.unique(truth.array))
        task = overlaps.task(task_of("doctor", "1", declared or dict(truth.names) or structures_found(values)))
        predicted, truth, task, _ = by_names(predicted, truth, task)
        predicted, truth, _ = on_common_box(predicted, truth)
        predicted = align(predicted, truth).predicted
    except (SegbenchError, OSError):
        return
    for structure in task.structures:
        one, other = _cropped(predicted, truth, structure)
        if one.any() and other.any():
            yield MaskPair(f"{pair.case} {structure.name}", one, other, truth.spacing)


def _map_of(
    path: Path,
    layers: Sequence[Layer],
    declared: Structures,
    overlaps: Overlaps,
    role: str,
    like: LabelMap | None = None,
) -> LabelMap:
    """Return the label map of a file, or of one file per structure."""
    if not layers:
        return read_label_map(path, like)
    return read_layers(layers, {name: values[0] for name, values in declared.items()}, overlaps, role)


def _cropped(predicted: LabelMap, truth: LabelMap, structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Return the masks in their joint box and one voxel around it, since peers can be slow."""
    one, other = predicted.mask(structure), truth.mask(structure)
    places = np.argwhere(one | other)
    if not len(places):
        return one, other
    box = tuple(
        slice(max(0, int(low) - 1), int(high) + 2) for low, high in zip(places.min(0), places.max(0), strict=True)
    )
    return one[box], other[box]
