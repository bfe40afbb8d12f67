"""Where training patches come from: the promised share is centred on foreground."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.config import Augmentation, Recipe
from segbench.training.batches import Samples
from segbench.training.cache import StoredCase
from segbench.types import CaseRef
from segbench.views import Patches

SHAPE = (40, 40, 40)
PATCHES = 600


def stored(folder: Path, voxel: tuple[int, int, int] | None) -> StoredCase:
    """Store a case whose foreground is one voxel, which a patch placed at random hardly ever holds."""
    target = np.zeros((1, *SHAPE), dtype=np.int16)
    if voxel:
        target[0][voxel] = 1
    np.save(folder / "image.npy", np.zeros((1, *SHAPE), dtype=np.float32))
    np.save(folder / "target.npy", target)
    np.save(folder / "foreground.npy", np.argwhere(target[0]).astype(np.int32))
    ones = (1.0, 1.0, 1.0)
    return StoredCase(CaseRef("a", "a"), folder, ones, SHAPE, (0, 0, 0), SHAPE, ones, np.eye(4), "uint8", "", True)


def targets(case: StoredCase, view: Patches) -> Iterator[torch.Tensor]:
    """Yield the target of every patch of an epoch."""
    recipe = Recipe(batch=20, steps_per_epoch=PATCHES // 20, augmentation=Augmentation(probability=0.0))
    samples = Samples(view, [case], [], recipe, seed=0, fold=0, device=torch.device("cpu"))
    for batch in samples.epoch(0):
        yield from batch.target


@pytest.mark.parametrize("share", [0.0, 0.3, None, 1.0])
def test_the_promised_share_of_patches_holds_foreground(tmp_path: Path, share: float | None) -> None:
    case = stored(tmp_path, (31, 20, 12))
    view = Patches((6, 6, 6)) if share is None else Patches((6, 6, 6), foreground=share)
    held = [bool((target == 1).any()) for target in targets(case, view)]
    expected = 0.5 if share is None else share
    chance = (1 - expected) * (6 / 35) ** 3
    spread = 4 * (expected * (1 - expected) / PATCHES) ** 0.5 + 3 / PATCHES
    assert len(held) == PATCHES
    assert np.mean(held) == pytest.approx(expected + chance, abs=spread)


def test_a_case_without_foreground_gives_patches_all_the_same(tmp_path: Path) -> None:
    assert sum(int((target == 0).all()) for target in targets(stored(tmp_path, None), Patches((6, 6, 6)))) == PATCHES
