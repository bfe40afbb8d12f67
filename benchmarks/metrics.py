"""How fast Dice, HD, HD95, ASSD and NSD of all labels of a case are, against the peers that are installed.

    python benchmarks/metrics.py                      # surface-distance and mikan-rs, if installed
    python benchmarks/metrics.py --slow               # MONAI and MedPy, too (minutes)
    python benchmarks/metrics.py --data shared/data   # real label maps as well
    python benchmarks/metrics.py --bodies             # whole bodies of 117 structures, too (minutes)

Every repetition times segbench and each peer one after the other in seconds of the processor; the ratio is the median
over the repetitions. Peers measure by their own definitions; where one agrees with ours the largest difference of its
values is printed. surface-distance is given the box of each label, as its users do by hand.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bodies import four_organs, whole_body
from numpy.typing import NDArray
from scipy import ndimage

from segbench import LabelMap, Task
from segbench_overlap.metric import Dice
from segbench_surface.metric import AverageSymmetricSurfaceDistance, HausdorffDistance, HausdorffDistance95
from segbench_surface.tolerance import NormalisedSurfaceDistance

METRICS = (
    Dice(),
    HausdorffDistance(),
    HausdorffDistance95(),
    AverageSymmetricSurfaceDistance(),
    NormalisedSurfaceDistance(),
)
TOLERANCE = 1.0


@dataclass(frozen=True)
class Pair:
    """Two label maps ``(D, H, W)`` with labels 1 to ``labels``, spacing in mm."""

    name: str
    predicted: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    labels: int


Values = NDArray[np.float64]
"""``(labels, metrics)``; NaN where a peer does not compute the metric or defines it differently."""


def segbench(pair: Pair) -> Values:
    """Score as a run does: one pair of label maps, all metrics, nothing kept from before."""
    predicted, truth = LabelMap(pair.predicted, pair.spacing), LabelMap(pair.truth, pair.spacing)
    task = Task("benchmark", "1", ("background", *(str(label) for label in range(1, pair.labels + 1))))
    columns = [[score.value for score in metric.score(predicted, truth, task)] for metric in METRICS]
    return np.array(columns, dtype=np.float64).T


def surface_distance(pair: Pair) -> Values:
    """Google DeepMind's package: surface elements, so that only Dice agrees with ours."""
    peer = importlib.import_module("surface_distance")
    np.Inf = np.inf  # type: ignore[attr-defined]  # it knows NumPy 1 only
    values = np.full((pair.labels, 5), np.nan)
    for row, label in enumerate(range(1, pair.labels + 1)):
        predicted, truth = pair.predicted == label, pair.truth == label
        if not (predicted.any() and truth.any()):
            continue
        distances = peer.compute_surface_distances(truth, predicted, pair.spacing)
        values[row, 0] = peer.compute_dice_coefficient(truth, predicted)
        peer.compute_robust_hausdorff(distances, 100)
        peer.compute_robust_hausdorff(distances, 95)
        peer.compute_average_surface_distance(distances)
        peer.compute_surface_dice_at_tolerance(distances, TOLERANCE)
    return values


def mikan(pair: Pair) -> Values:
    """mikan-rs (Rust): no NSD; ignores border voxels on the image edge."""
    peer = importlib.import_module("mikan")
    evaluator = peer.ArrayEvaluator(pair.truth, pair.predicted, pair.spacing)
    labels = list(range(1, pair.labels + 1))
    evaluator.labels(labels).metrics(["dice", "hausdorff_distance", "hausdorff_distance_95", "assd"])
    return np.full((pair.labels, 5), np.nan)


def monai(pair: Pair) -> Values:
    """MONAI on one-hot tensors."""
    torch, metrics = importlib.import_module("torch"), importlib.import_module("monai.metrics")
    labels = np.arange(pair.labels + 1)[:, None, None, None]
    predicted, truth = (torch.from_numpy(array[None] == labels)[None] for array in (pair.predicted, pair.truth))
    options = {"include_background": False, "spacing": list(pair.spacing)}
    columns = [
        metrics.compute_dice(predicted, truth, include_background=False),
        metrics.compute_hausdorff_distance(predicted, truth, **options),
        metrics.compute_hausdorff_distance(predicted, truth, percentile=95, **options),
        metrics.compute_average_surface_distance(predicted, truth, symmetric=True, **options),
        metrics.compute_surface_dice(predicted, truth, class_thresholds=[TOLERANCE] * pair.labels, **options),
    ]
    return np.array([column[0].numpy() for column in columns], dtype=np.float64).T


def medpy(pair: Pair) -> Values:
    """MedPy: no NSD; its hd95 is pooled."""
    peer = importlib.import_module("medpy.metric.binary")
    values = np.full((pair.labels, 5), np.nan)
    for row, label in enumerate(range(1, pair.labels + 1)):
        predicted, truth = pair.predicted == label, pair.truth == label
        peer.hd95(predicted, truth, voxelspacing=pair.spacing)
        hausdorff = peer.hd(predicted, truth, voxelspacing=pair.spacing)
        average = peer.assd(predicted, truth, voxelspacing=pair.spacing)
        values[row] = peer.dc(predicted, truth), hausdorff, np.nan, average, np.nan
    return values


FAST = {"surface_distance": surface_distance, "mikan": mikan}
SLOW = {"monai": monai, "medpy": medpy}


def ellipsoids(shape: tuple[int, int, int], number: int, roughness: float, seed: int) -> NDArray[np.uint8]:
    """Draw ellipsoids, the same for every seed, whose surfaces are displaced by smooth noise of the seed."""
    places, noises = np.random.default_rng(7), np.random.default_rng(seed)
    coarse = noises.standard_normal([max(3, length // 24) for length in shape]).astype(np.float32)
    noise = ndimage.zoom(coarse, [length / size for length, size in zip(shape, coarse.shape, strict=True)], order=1)
    axes = np.ogrid[tuple(slice(-1, 1, length * 1j) for length in shape)]
    result = np.zeros(shape, dtype=np.uint8)
    for label in range(1, number + 1):
        centre, radius = places.uniform(-0.55, 0.55, 3), places.uniform(0.12, 0.35, 3)
        distance = sum(((axis - middle) / half) ** 2 for axis, middle, half in zip(axes, centre, radius, strict=True))
        result[distance + roughness * noise < 1] = label
    return result


def synthetic_pairs() -> Iterator[Pair]:
    """Yield a full-size CT pair, the same with a far false island in every label, and a pair of hippocampus size."""
    shape = (200, 512, 512)
    truth, predicted = ellipsoids(shape, 4, 0.05, 1), ellipsoids(shape, 4, 0.05, 2)
    yield Pair("CT 512×512×200, 4 labels", predicted, truth, (1.5, 0.8, 0.8), 4)
    islands = predicted.copy()
    for label in range(1, 5):
        islands[3:9, 20 * label : 20 * label + 12, 480:500] = label
    yield Pair("the same with far islands", islands, truth, (1.5, 0.8, 0.8), 4)
    shape = (36, 50, 35)
    yield Pair("36×50×35, 2 labels", ellipsoids(shape, 2, 0.15, 1), ellipsoids(shape, 2, 0.15, 2), (1.0, 1.0, 1.0), 2)


def hard_pairs(data: Path | None) -> Iterator[Pair]:
    """Yield full CTs whose four organs lie millimetres apart."""
    for case, spacing in ((0, (1.25, 0.7, 0.7)), (3, (1.5, 0.78125, 0.78125))):
        yield Pair(f"hard pair {case}, 512×512×200, 4 organs", *four_organs(case, data), spacing, 4)


def body_pairs(data: Path | None) -> Iterator[Pair]:
    """Yield whole bodies."""
    yield Pair("body 300×300×400, 117 labels", *whole_body((400, 300, 300), data), (2.0, 1.5, 1.5), 117)
    yield Pair("body 512×512×600, 117 labels", *whole_body((600, 512, 512), data), (1.5, 0.98, 0.98), 117)


def real_pairs(data: Path) -> Iterator[Pair]:
    """Yield two models' labels of a CT (four organs, upsampled to 512 × 512 × 150) and a disturbed hippocampus."""
    nibabel = importlib.import_module("nibabel")
    folder = data / "ct_totalsegmentator" / "ct"
    if folder.exists():
        maps = []
        for name in ("label_fast_model.nii.gz", "label.nii.gz"):
            labels = np.asarray(nibabel.load(folder / name).dataobj).T
            factors = [new / old for new, old in zip((150, 512, 512), labels.shape, strict=True)]
            large = np.zeros((150, 512, 512), dtype=np.uint8)
            for label, organ in enumerate((5, 1, 6, 20), start=1):  # liver, spleen, stomach, colon
                large[ndimage.zoom((labels == organ).astype(np.float32), factors, order=1) > 0.5] = label
            maps.append(large)
        yield Pair("CT, two models, 512×512×150", maps[0], maps[1], (0.8, 0.7, 0.7), 4)
    files = sorted((data / "msd_hippocampus").rglob("labelsTr/hippocampus*.nii.gz"))
    if files:
        truth = np.ascontiguousarray(np.asarray(nibabel.load(files[0]).dataobj).T).astype(np.uint8)
        noise = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(truth.shape), 1.5)
        predicted = np.where(noise > 0.05, np.roll(truth, 1, axis=1), truth).astype(np.uint8)
        yield Pair("hippocampus, disturbed", predicted, truth, (1.0, 1.0, 1.0), 2)


def seconds(function: Callable[[Pair], Values], pair: Pair, times: int) -> tuple[float, Values]:
    """Return the seconds per call, and the values."""
    start = time.process_time()
    for _ in range(times):
        values = function(pair)
    return (time.process_time() - start) / times, values


def extra_memory(function: Callable[[Pair], Values], pair: Pair) -> float | None:
    """Return the growth of the process's peak memory during a call in MiB (Linux only)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists():
        return None

    def kibibytes(key: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(key + ":"))

    ctypes.CDLL(None).malloc_trim(0)  # give back what earlier calls have freed
    reset.write_text("5")
    before = kibibytes("VmRSS")
    function(pair)
    return (kibibytes("VmHWM") - before) / 1024


def compare(pair: Pair, peers: dict[str, Callable[[Pair], Values]], repeats: int) -> None:
    """Print the time of segbench, and for every peer its time, the ratio, and the largest difference of values."""
    times = 1 if pair.truth.size > 1 << 22 else 20
    segbench(pair)
    memory = extra_memory(segbench, pair)
    own: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    taken: dict[str, list[float]] = {name: [] for name in peers}
    difference: dict[str, float] = {}
    for _ in range(repeats):
        elapsed, values = seconds(segbench, pair, times)
        own.append(elapsed)
        for name, peer in peers.items():
            theirs, found = seconds(peer, pair, times)
            taken[name].append(theirs)
            ratios[name].append(theirs / elapsed)
            gaps = np.abs(found - values)
            difference[name] = float(np.nanmax(gaps)) if np.isfinite(gaps).any() else float("nan")
    extra = "" if memory is None else f", extra memory {memory:.0f} MiB"
    print(f"\n{pair.name}: segbench {1e3 * statistics.median(own):.2f} ms{extra}")
    for name in peers:
        print(
            f"  {name:17} {1e3 * statistics.median(taken[name]):10.2f} ms   {statistics.median(ratios[name]):7.1f}×"
            f"   largest difference of values that should agree {difference[name]:.1e}"
        )


def installed(peers: dict[str, Any]) -> dict[str, Any]:
    """Return the peers whose module can be imported; name the others."""
    found = {}
    for name, peer in peers.items():
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"{name} is left out: {error}")
        else:
            found[name] = peer
    return found


def main() -> None:
    """Compare on every pair."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slow", action="store_true", help="compare with MONAI and MedPy, too")
    parser.add_argument("--data", type=Path, help="folder with msd_hippocampus and ct_totalsegmentator")
    parser.add_argument("--bodies", action="store_true", help="whole bodies, too")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions; medians are printed")
    parser.add_argument("--only", default="", help="pairs whose name contains this text")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    peers = installed(FAST | SLOW if options.slow else FAST)
    everything = [synthetic_pairs(), hard_pairs(options.data)]
    everything += [real_pairs(options.data)] if options.data else []
    everything += [body_pairs(options.data)] if options.bodies else []
    for pairs in everything:
        for pair in pairs:
            if options.only in pair.name:
                compare(pair, peers, options.repeats)


if __name__ == "__main__":
    main()
