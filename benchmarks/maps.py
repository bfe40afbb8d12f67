"""Signed distance maps of all labels of a head beside SciPy's distance transform of each label on the whole volume.

    python benchmarks/maps.py                      # 31 ellipsoids in 160 x 192 x 160
    python benchmarks/maps.py --data shared/data   # a real label map of a head

One thread, seconds of the processor, both in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segbench import LabelMap, read_label_map, signed_distances


def head(data: Path | None) -> LabelMap:
    """Return a label map with some thirty labels."""
    if data is not None:
        found = max((data / "brain_labelmaps").rglob("*.nii.gz"), key=lambda path: path.stat().st_size)
        return read_label_map(found)
    random, shape = np.random.default_rng(0), (160, 192, 160)
    array = np.zeros(shape, dtype=np.uint8)
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    for label in range(1, 32):
        radii = np.full(3, 70 * 0.92**label) * random.uniform(0.7, 1.0, 3)
        centre = [random.uniform(0.35, 0.65) * n for n in shape]
        inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii, strict=True)) < 1
        array[inside] = label
    return LabelMap(array, (1.0, 1.0, 1.0))


def by_scipy(truth: LabelMap, values: list[int]) -> list[NDArray[np.float64]]:
    """Return the maps from two distance transforms of the whole volume per label."""
    half, found = min(truth.spacing) / 2, []
    for value in values:
        mask = truth.array == value
        outside, inside = (ndimage.distance_transform_edt(one, sampling=truth.spacing) for one in (~mask, mask))
        found.append(np.where(mask, half - inside, outside - half))
    return found


def main() -> None:
    """Print both times, their ratio and the largest difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with brain_labelmaps")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    truth = head(options.data)
    values = sorted({int(value) for value in np.unique(truth.array)} - {0})
    taken = []
    for _ in range(options.repeats):
        marks = [time.process_time()]
        ours = signed_distances(truth, values)
        marks.append(time.process_time())
        theirs = by_scipy(truth, values)
        marks.append(time.process_time())
        taken.append((marks[1] - marks[0], marks[2] - marks[1]))
        truth = LabelMap(truth.array, truth.spacing)  # nothing is remembered
    apart = max(float(np.abs(ours[value] - peer).max()) for value, peer in zip(values, theirs, strict=True))
    own, peer = (statistics.median(column) for column in zip(*taken, strict=True))
    print(
        f"{len(values)} labels of {truth.array.shape}: {own:.2f} s, SciPy {peer:.2f} s, {peer / own:.1f} times as fast;"
    )
    print(f"   largest difference {apart:.1e} mm")


if __name__ == "__main__":
    main()
