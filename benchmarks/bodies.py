"""Large and small label maps for the benchmarks: whole bodies, four organs of a full CT, blobs in pictures."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Prediction and reference."""
ORGANS = (2, 3, 4, 1)
"""Kidneys, gallbladder, spleen."""


def two_models(data: Path | None) -> Maps:
    """Return what two models made of one CT of 3 mm; without data ellipsoids that are disturbed differently."""
    folder = data / "ct_totalsegmentator" / "ct" if data else Path("absent")
    if folder.exists():
        nibabel = importlib.import_module("nibabel")
        names = ("label_fast_model.nii.gz", "label.nii.gz")
        maps = [np.asarray(nibabel.load(folder / name).dataobj).T.astype(np.uint8) for name in names]
    else:
        random = np.random.default_rng(7)
        axes = np.ogrid[-1:1:30j, -1:1:101j, -1:1:122j]
        truth = np.zeros((30, 101, 122), dtype=np.uint8)
        for label in range(1, 42):
            centre, radius = random.uniform(-0.8, 0.8, 3), random.uniform(0.08, 0.3, 3)
            truth[sum(((one - c) / r) ** 2 for one, c, r in zip(axes, centre, radius, strict=True)) < 1] = label
        maps = [np.roll(truth, 1, axis=2), truth]
    return maps[0], maps[1]


def whole_body(shape: tuple[int, int, int], data: Path | None) -> Maps:
    """Return 117 structures, mean Dice about .8, of which the prediction lacks three: the CT three times along z."""
    maps = two_models(data)
    values = np.setdiff1d(np.unique(np.stack(maps)), [0])
    table = np.zeros(256, dtype=np.uint8)
    table[values] = np.arange(1, len(values) + 1)
    tiled = []
    for one in maps:
        numbered = table[one].astype(np.int64)
        parts = [np.where(numbered > 0, numbered + tile * len(values), 0) for tile in range(3)]
        tiled.append(np.concatenate([np.where(part > 117, 0, part) for part in parts]).astype(np.uint8))
    scale = shape[1] / 300
    predicted = warped(tiled[0], shape, (1, 2), (4 * scale, scale))
    predicted[np.isin(predicted, (5, 50, 100))] = 0
    return predicted, warped(tiled[1], shape, (1,), (4 * scale,))


def four_organs(case: int, data: Path | None) -> Maps:
    """Return a pair of 512 x 512 x 200 voxels with four organs millimetres apart, Dice .7 to .9."""
    pair = []
    for one, seeds, strengths in zip(
        two_models(data), ((11 + case, 21 + case), (11 + case,)), ((4.0, 2.5 + 0.5 * case), (4.0,)), strict=True
    ):
        organs = np.zeros_like(one)
        for label, organ in enumerate(ORGANS, start=1):
            organs[one == organ] = label
        large = np.zeros((200, 512, 512), dtype=np.uint8)
        large[50:150, 60:448, 20:488] = warped(organs, (100, 388, 468), seeds, strengths)
        pair.append(large)
    return pair[0], pair[1]


def warped(
    labels: NDArray[np.uint8], shape: tuple[int, int, int], seeds: tuple[int, ...], strengths: tuple[float, ...]
) -> NDArray[np.uint8]:
    """Enlarge a label map and move its voxels smoothly, by so many voxels of the result for each seed."""
    moves = np.zeros((3, 48, 48, 48), dtype=np.float32)
    for seed, strength in zip(seeds, strengths, strict=True):
        for axis in range(3):
            coarse = np.random.default_rng(10 * seed + axis).standard_normal((6, 6, 6)).astype(np.float32)
            moves[axis] += strength * ndimage.zoom(coarse, 8, order=3)
    result = np.empty(shape, dtype=np.uint8)
    planes = np.linspace(0, 47, shape[0])
    for z, place in enumerate(planes):
        low, high, weight = int(place), min(int(place) + 1, 47), place - int(place)
        index = []
        for axis, (old, new) in enumerate(zip(labels.shape, shape, strict=True)):
            plane = moves[axis, low] * (1 - weight) + moves[axis, high] * weight
            at = ndimage.zoom(plane, [shape[1] / 48, shape[2] / 48], order=1)
            at += z if axis == 0 else np.arange(new)[:, None] if axis == 1 else np.arange(new)[None]
            index.append(np.clip(np.rint((at + 0.5) * old / new - 0.5), 0, old - 1).astype(np.int64))
        result[z] = labels[tuple(index)]
    return result


def picture(seed: int) -> Maps:
    """Return a blob in a picture of 256 x 256 pixels and its outline drawn again, Dice about .92."""
    places = np.random.default_rng(seed)
    centre, radius = places.uniform(90, 166, 2), places.uniform(25, 70, 2)
    y, x = (axis - middle for axis, middle in zip(np.mgrid[:256, :256], centre, strict=True))
    angle, distance = np.arctan2(y, x), np.hypot(y / radius[0], x / radius[1])
    shared = sum(places.normal(0, 0.08 / k) * np.cos(k * angle + places.uniform(0, 6.3)) for k in range(1, 6))
    drawn = []
    for hand in (2 * seed + 1, 2 * seed):
        own = np.random.default_rng(hand)
        wave = sum(own.normal(0, 0.06 / k**0.5) * np.cos(k * angle + own.uniform(0, 6.3)) for k in range(1, 9))
        drawn.append((distance < 1 + shared + wave).astype(np.uint8))
    return drawn[0], drawn[1]
