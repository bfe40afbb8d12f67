"""Training samples: which box of which case comes when, and the batch it becomes.

Everything random is drawn from generators seeded by purpose, seed, fold, epoch and step, so a resumed run continues
with the very batches an uninterrupted one would have seen, whatever the method.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from segbench.config import Recipe
from segbench.errors import VerificationError
from segbench.training import augmentation
from segbench.training.augmentation import OUTSIDE
from segbench.training.cache import StoredCase
from segbench.training.sampling import passes, seed_of
from segbench.types import UNKNOWN, Batch
from segbench.views import Patches, Slices, Window

STEPS = {2: 120, 3: 50}
"""Dimensions -> steps of an epoch when the recipe leaves them open: a budget, whatever the number of cases."""
BATCH = {2: 4, 3: 2}
"""Dimensions -> labelled samples per step when the recipe leaves them open."""


@dataclass(frozen=True)
class Sample:
    """A box of a case.

    Attributes:
        case: the stored case.
        window: fixed place, or None to draw one.
        index: which of the case's samples (the slice index for slices).
        number: stable number for FIXED_SAMPLES methods, else -1.
        copy: 0 = untouched; n > 0 = n-th frozen augmentation.
    """

    case: StoredCase
    window: Window | None
    index: int
    number: int = -1
    copy: int = 0


class Samples:
    """All training samples of a run and the order in which they come.

    Args:
        view: how cases are cut.
        labelled: training cases.
        unlabelled: cases whose labels nobody reads; used only if ``mix_unlabelled``.
        recipe: batch, steps, augmentation, frozen copies.
        seed, fold: of the run.
        device: where batches go.
        derived_keys: case id -> key of its derived maps.
        fixed: a numbered list of fixed samples instead of drawn ones.
        mix_unlabelled: every step also carries unlabelled samples, at least one.

    Raises:
        VerificationError: if labels were stored for a case on the unlabelled path.
    """

    def __init__(
        self,
        view: Slices | Patches,
        labelled: Sequence[StoredCase],
        unlabelled: Sequence[StoredCase],
        recipe: Recipe,
        *,
        seed: int,
        fold: int,
        device: torch.device,
        derived_keys: dict[str, str] | None = None,
        fixed: bool = False,
        mix_unlabelled: bool = False,
    ) -> None:
        self.view, self.recipe, self.seed, self.fold, self.device = view, recipe, seed, fold, device
        for case in unlabelled:
            if case.labelled:
                raise VerificationError(f"Case {case.ref.id} is to be seen without labels, but they were stored.")
        self.derived_keys = derived_keys or {}
        self.fixed = fixed
        copies = max(1, recipe.frozen_copies)
        self.labelled = _numbered(view, labelled, copies) if fixed else _drawn(view, labelled, copies)
        self.unlabelled = _drawn(view, unlabelled, copies) if mix_unlabelled else []
        self.batch = recipe.batch or BATCH[view.dims]
        self.unlabelled_batch = max(1, round(self.batch * recipe.unlabelled_ratio)) if self.unlabelled else 0
        self.steps = recipe.steps_per_epoch or STEPS[view.dims]

    def epoch(self, index: int) -> Iterator[Batch]:
        """Yield the augmented batches of epoch ``index``."""
        order = passes(len(self.labelled), "order", self.seed, self.fold, index)
        other = passes(len(self.unlabelled), "unlabelled", self.seed, self.fold, index) if self.unlabelled else None
        for step in range(self.steps):
            chosen = [self.labelled[next(order)] for _ in range(self.batch)]
            if other is not None:
                chosen += [self.unlabelled[next(other)] for _ in range(self.unlabelled_batch)]
            place = np.random.default_rng(seed_of("window", self.seed, self.fold, index, step))
            batch = self._assemble(chosen, place)
            yield _shown(
                self._frozen(batch, chosen) if self.recipe.frozen_copies else self._augment(batch, index, step)
            )

    def plain(self) -> Iterator[Batch]:
        """Yield one pass over the labelled samples, in order, not augmented (frozen copies keep theirs)."""
        for first in range(0, len(self.labelled), self.batch):
            chosen = self.labelled[first : first + self.batch]
            batch = self._assemble(chosen, np.random.default_rng(seed_of("plain", self.seed, self.fold, first)))
            yield _shown(self._frozen(batch, chosen) if self.recipe.frozen_copies else batch)

    def _assemble(self, chosen: Sequence[Sample], place: np.random.Generator) -> Batch:
        """Cut the samples; the target is ``OUTSIDE`` where a window reaches beyond its case (see ``_shown``)."""
        images, targets, derived = [], [], []
        for sample in chosen:
            window = sample.window or self._place(sample, place)
            case = sample.case
            images.append(self.view.cut_image(case.image, window))
            if case.labelled:
                targets.append(self.view.cut(case.target, window, fill=OUTSIDE)[0])
                maps = case.derived(self.derived_keys[case.ref.id]) if case.ref.id in self.derived_keys else {}
                derived.append({name: self.view.cut(value, window, fill=0) for name, value in maps.items()})
            else:
                nothing = np.broadcast_to(np.int16(UNKNOWN), (1, *case.shape))  # one number, however large the case
                targets.append(self.view.cut(nothing, window, fill=OUTSIDE)[0])
                derived.append({})
        names = {name: maps[name] for maps in derived for name in maps}
        stacked = {
            name: np.stack([maps.get(name, np.zeros_like(example)) for maps in derived])
            for name, example in names.items()
        }
        spacing = [_spacing(sample.case, self.view) for sample in chosen]
        return Batch(
            image=torch.from_numpy(np.stack(images)).to(self.device),
            target=torch.from_numpy(np.stack(targets).astype(np.int64)).to(self.device),
            derived={name: torch.from_numpy(value).to(self.device) for name, value in stacked.items()},
            labelled=torch.tensor([sample.case.labelled for sample in chosen], device=self.device),
            spacing=torch.tensor(spacing, dtype=torch.float32, device=self.device),
            case_ids=[sample.case.ref.id for sample in chosen],
            sample_ids=torch.tensor([sample.number for sample in chosen], dtype=torch.int64),
        )

    def _place(self, sample: Sample, place: np.random.Generator) -> Window:
        if self.recipe.frozen_copies:  # one place for the whole run, the same for all copies
            place = np.random.default_rng(seed_of("place", self.seed, self.fold, sample.case.ref.id, sample.index))
        focus = None
        if isinstance(self.view, Patches) and sample.case.labelled and place.random() < self.view.foreground:
            voxels = sample.case.foreground
            if len(voxels):
                d, h, w = (int(value) for value in voxels[place.integers(len(voxels))])
                focus = (d, h, w)
        return self.view.draw(sample.case.shape, sample.index, place, focus)

    def _augment(self, batch: Batch, index: int, step: int) -> Batch:
        """Augment labelled and unlabelled samples from streams of their own: the former see what they always see."""
        parts = []
        for purpose, rows in (("augment", slice(0, self.batch)), ("augment unlabelled", slice(self.batch, None))):
            if len(batch.case_ids[rows]):
                generator = torch.Generator().manual_seed(seed_of(purpose, self.seed, self.fold, index, step))
                parts.append(self._changed(_rows(batch, rows), generator))
        return parts[0] if len(parts) == 1 else _joined(parts, batch)

    def _changed(self, batch: Batch, generator: torch.Generator) -> Batch:
        change = augmentation.draw(self.recipe.augmentation, batch.image.shape[2:], batch.spacing, generator)
        image, target, derived = augmentation.apply(change, batch.image, batch.target, batch.derived)
        return replace(batch, image=image, target=target, derived=derived)

    def _frozen(self, batch: Batch, chosen: Sequence[Sample]) -> Batch:
        """Give every sample the augmentation that belongs to it for the whole run."""
        parts = []
        for row, sample in enumerate(chosen):
            one = _rows(batch, slice(row, row + 1))
            if sample.copy:
                identity = f"{sample.case.ref.id}/{sample.window}/{sample.index}"
                seed = seed_of("frozen", self.seed, self.fold, identity, sample.copy)
                one = self._changed(one, torch.Generator().manual_seed(seed))
            parts.append(one)
        return _joined(parts, batch)


def _shown(batch: Batch) -> Batch:
    """Return a batch as methods see it: what lies outside is unknown in the target and False in ``inside``."""
    return replace(batch, target=batch.target.clamp(min=UNKNOWN), inside=batch.target > OUTSIDE)


def _drawn(view: Slices | Patches, cases: Sequence[StoredCase], copies: int) -> list[Sample]:
    return [
        Sample(case, None, index, copy=copy)
        for case in cases
        for index in range(view.count(case.shape))
        for copy in range(copies)
    ]


def _numbered(view: Slices | Patches, cases: Sequence[StoredCase], copies: int) -> list[Sample]:
    places = [(case, window) for case in cases for window in view.windows(case.shape)]
    return [
        Sample(case, window, index, number=index * copies + copy, copy=copy)
        for index, (case, window) in enumerate(places)
        for copy in range(copies)
    ]


def _spacing(case: StoredCase, view: Slices | Patches) -> list[float]:
    if isinstance(view, Slices):
        return [value for axis, value in enumerate(case.spacing) if axis != view.axis]
    return list(case.spacing)


def _rows(batch: Batch, rows: slice) -> Batch:
    return Batch(
        batch.image[rows],
        batch.target[rows],
        {name: value[rows] for name, value in batch.derived.items()},
        batch.labelled[rows],
        batch.spacing[rows],
        batch.case_ids[rows],
        batch.sample_ids[rows],
    )


def _joined(parts: Sequence[Batch], whole: Batch) -> Batch:
    """Return ``whole`` with the images, targets and maps of its parts."""
    return replace(
        whole,
        image=torch.cat([part.image for part in parts]),
        target=torch.cat([part.target for part in parts]),
        derived={name: torch.cat([part.derived[name] for part in parts]) for name in whole.derived},
    )
