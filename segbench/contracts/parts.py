"""The contracts of the five parts of a run: dataset, network, method, decision, metric.

Every part is a dataclass: its init fields are its parameters, ``name``, ``summary``, ``source`` and ``version`` are
class attributes, constructing it does no work, and what it learns is kept in attributes ending in ``_``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from segbench.params import parameter
from segbench.types import Batch, Case, CaseRef, Geometry, LabelMap, Peer, Score, Structure, Task
from segbench.views import Slices

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from segbench.contracts.stage import Epoch, Stage, Step
    from segbench.views import Patches


UNLABELLED = "unlabelled"
"""In ``Method.needs``: every step also carries unlabelled samples."""
FIXED_SAMPLES = "fixed_samples"
"""In ``Method.needs``: samples are a fixed, numbered list, so that a state per sample makes sense."""


class Part:
    """What all kinds of parts have in common.

    Attributes:
        name: unique among parts of its kind; letters, digits, ``_`` and ``-``.
        summary: one line for ``segbench list``.
        source: DOI or URL of what it implements; "" if it is nobody's.
        version: raised whenever results change.
        default: taken when nobody names a part of its kind; for metrics: computed unasked.
        bibtex: BibTeX entry of the source, for ``segbench cite``.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    source: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    default: ClassVar[bool] = False
    bibtex: ClassVar[str] = ""


class Dataset(Part):
    """A source of cases. Life: construct, ``prepare(root)``, then ``task``, ``refs()`` and ``load(ref)``.

    Attributes:
        path: datasets that read files declare a parameter of this name, set by ``--set dataset.path=DIR``.
    """

    def prepare(self, root: Path) -> None:
        """Locate, generate or verify the data.

        Args:
            root: folder where datasets may keep files of their own; created on demand by the dataset.

        Raises:
            DataMissing: says what to download, from where, under which terms.
            DataInvalid: the folder is there but is not what it should be.
        """

    @property
    def task(self) -> Task:
        """What is to be segmented; valid after ``prepare``."""
        raise NotImplementedError

    def refs(self) -> Sequence[CaseRef]:
        """Return all cases by name, in a fixed order; reads no voxel."""
        raise NotImplementedError

    def load(self, ref: CaseRef) -> Case:
        """Read one case.

        Raises:
            DataInvalid: with the case's name, what was expected and what was found.
        """
        raise NotImplementedError

    def write_prediction(self, ref: CaseRef, predicted: LabelMap, folder: Path) -> None:
        """Write a prediction as the dataset's own masks look, beside the NIfTI the host writes; by default nothing.

        Args:
            ref: the case.
            predicted: label indices on the case's own grid.
            folder: where to; made on demand.
        """

    def load_truth(self, ref: CaseRef) -> LabelMap | None:
        """Read the truth of one case alone, for scoring; the same as that of ``load``, which need not be quick.

        Raises:
            DataInvalid: as ``load``.
        """
        return self.load(ref).truth

    def folds(self) -> Sequence[Mapping[str, Sequence[str]]]:
        """Return the dataset's own cross-validation folds as ``{"train": ids, "val": ids}``, or nothing."""
        return ()

    def forge(self, root: Path) -> Dataset:
        """Write a made-up miniature in the native layout below ``root`` and return a dataset that reads it."""
        raise NotImplementedError


class Network(Part):
    """A network by its parameters.

    Attributes:
        dims: 2 or 3, the number of spatial axes of its input.
    """

    dims: ClassVar[int]

    def adapt(self, geometry: Geometry) -> Network:
        """Return a copy in which parameters left open (patch size, pooling per axis) are settled for this geometry."""
        return self

    @property
    def view(self) -> Slices | Patches:
        """How cases are cut for this network."""
        raise NotImplementedError

    def build(self, channels: int, labels: int) -> torch.nn.Module:
        """Return a module ``(B, channels, *S) -> (B, labels, *S)`` of logits, for any S.

        Args:
            channels: input channels, the view's context included.
            labels: number of labels K, background included.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class SliceNetwork(Network):
    """A 2D network on slices: what such networks share. Subclasses are frozen dataclasses and add ``build``."""

    dims: ClassVar[int] = 2

    context: int = parameter(0, "neighbouring slices on either side as extra channels", low=0, high=16)
    axis: int | None = parameter(None, "axis that is sliced (0 = D, 1 = H, 2 = W); none = the coarsest", low=0, high=2)
    size: tuple[int, int] | None = parameter(None, "in-plane training size; none = the largest training slice", low=8)

    def adapt(self, geometry: Geometry) -> Self:
        """Settle axis (the first of the coarsest) and in-plane size."""
        spacing = geometry.spacing
        axis = self.axis if self.axis is not None else max(range(3), key=lambda index: (spacing[index], -index))
        height, width = (n for index, n in enumerate(geometry.largest) if index != axis)
        return replace(self, axis=axis, size=self.size or (height, width))

    @property
    def view(self) -> Slices:
        """Slices along the settled axis."""
        return Slices(self.context, self.axis or 0, self.size or (0, 0))


class Method(Part):
    """A training objective with prior knowledge. Called by the engine, in the order of the verbs below.

    Attributes:
        needs: subset of ``{UNLABELLED, FIXED_SAMPLES}``.
        supervision: what it learns from: "masks", "descriptors", "semi" or "none".
        unlabelled: how many unlabelled cases it wants if it needs them; 0 means all there are, and more than there are
            is an error. A method that lets its user choose declares a parameter of this name.
        dims: spatial dimensions it works in.
        arms: arm -> parameter overrides that make it a control (prior off) or a placebo (meaningless prior).

    What parameters change of ``needs``, ``supervision`` and ``unlabelled``, an instance sets in ``__post_init__``.
    """

    needs: frozenset[str] = frozenset()
    supervision: str = "masks"
    unlabelled: int = 0
    dims: ClassVar[frozenset[int]] = frozenset({2, 3})
    arms: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def incompatible(self, task: Task) -> str | None:
        """Return in words why this method cannot work on a task, or None."""
        return None

    def inert(self, task: Task, truths: Iterable[LabelMap]) -> str | None:
        """Return in words why its prior cannot act on these data, so that it would be trained without one, or None.

        Asked before anything is trained. Reading truths takes time: look at no more of them than needed.

        Args:
            task: what is segmented.
            truths: of the labelled training cases on their own grids, one read after the other.
        """
        return None

    def derive(self, truth: LabelMap) -> Mapping[str, NDArray[np.float32]]:
        """Return whole-volume maps ``(D, H, W)`` or ``(c, D, H, W)`` of a training case, in mm where it matters.

        They are computed once, cached by content, and cropped, flipped and warped with image and target before
        they arrive in ``batch.derived``.
        """
        return {}

    def prepare(self, stage: Stage) -> None:
        """Read priors from the training split; train helper networks with ``stage.fit``."""

    def shares(self) -> Mapping[str, Any] | None:
        """Return the parameters that decide what ``prepare`` leaves in ``stage.shared`` for other runs, or None.

        A plan lets one of the runs that agree in them, and in what the method sees, come first: it trains the helper
        that the others then find.
        """
        return None

    def loss(self, batch: Batch, logits: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Return named, already weighted scalar terms whose sum is minimised.

        Args:
            batch: see ``Batch``.
            logits: float ``(B, K, *S)``; may be half precision, convert where the mathematics needs it.
        """
        raise NotImplementedError

    def after_step(self, step: Step) -> None:
        """Called after every optimiser step (also a skipped one): update duals, auxiliaries."""

    def after_epoch(self, epoch: Epoch) -> None:
        """Called after every epoch and its validation: move schedules, log, ask to stop."""

    def state(self) -> Mapping[str, Any]:
        """Return what a resumed run needs: tensors, numbers, texts, lists and dicts of them (no other objects)."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned; called after ``prepare``."""


class Decision(Part):
    """From probabilities to a label map. Several form a chain: the first decides, each further one refines its labels.

    Attributes:
        needs_probabilities: True if it looks at more than the likeliest label, so that it cannot follow another
            decision, nor be applied to predictions of which only label maps are left.
    """

    needs_probabilities: ClassVar[bool] = False

    def decide(self, probabilities: NDArray[np.floating[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return the label map ``(*S)`` of one case; by default the likeliest labels, refined.

        Args:
            probabilities: ``(K, *S)``, at least 0, summing to 1 over K; ``*S`` is ``(D, H, W)`` or ``(H, W)``.
            task: what is segmented; K labels, background first.
        """
        return self.refine(probabilities.argmax(0), task)

    def refine(self, labels: NDArray[np.integer[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return a better label map than ``labels`` ``(*S)``, which stays as it is; by default the same.

        Args:
            labels: values 0 to K - 1.
            task: what is segmented.
        """
        return labels


class Metric(Part):
    """A number per structure and case.

    Attributes:
        unit: "" for ratios, "mm", "mL", "1" ...
        better: "higher" or "lower".
        family: "overlap" or "boundary" if it measures what the others of that family measure, else "": correlated
            metrics are not counted twice in a board's order, which rests on one of each family.
        preference: which of a family's metrics a board's order rests on: the highest, then the first by name.
        needs_training: True if ``prepare`` must see training truths; such metrics are left out of ``evaluate``
            unless a prior is given by parameter.
        prior_kind: name of the ``Prior`` whose files its parameter ``prior`` takes, so that ``evaluate --prior FILE``
            finds it; "" if it takes none.
        prior: the file that it reads instead of learning; a metric that has a ``prior_kind`` declares it a parameter.
        knowledge_: digest of what ``prepare`` learnt or read; set by the host, part of the version of its scores.
    """

    unit: ClassVar[str] = ""
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    family: ClassVar[Literal["overlap", "boundary", ""]] = ""
    preference: ClassVar[int] = 0
    needs_training: ClassVar[bool] = False
    prior_kind: ClassVar[str] = ""
    prior: Path | None = None
    knowledge_: str = ""

    @property
    def learns(self) -> bool:
        """Whether ``prepare`` must be shown training truths: it needs them and was given no file instead."""
        return self.needs_training and self.prior is None

    def prepare(self, task: Task, truths: Iterable[LabelMap]) -> None:
        """Learn dataset-wide facts from training truths only.

        Args:
            task: what is scored.
            truths: of all training cases of the split on their own grids, whatever the recipe; none for predictions
                made elsewhere.
        """

    def knowledge(self) -> Any:
        """Return what ``prepare`` learnt or read as JSON values: equal knowledge gives comparable scores.

        None (the default) lets the digests of the training truths stand for it.
        """
        return None

    def score(self, predicted: LabelMap, truth: LabelMap, task: Task) -> Iterable[Score]:
        """Score one case.

        Args:
            predicted: no unknown voxels; background where the truth is unknown.
            truth: same grid; unknown voxels already set to background.
            task: gives the structures to score.
        """
        raise NotImplementedError

    def structures(self, task: Task) -> Sequence[Structure]:
        """Return what ``score`` speaks of, in its order; ``[WHOLE]`` for metrics of the whole map."""
        return task.structures

    def examples(self) -> Sequence[tuple[LabelMap, LabelMap, Sequence[float | None]]]:
        """Return hand-computed ``(predicted, truth, values per structure)`` for the conformance checks."""
        return ()

    def peers(self) -> Sequence[Peer]:
        """Return other packages' ways to compute this metric, with its parameters."""
        return ()
