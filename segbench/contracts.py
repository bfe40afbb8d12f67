"""The contracts a plugin fulfils (four parts of a run; priors, figures, studies), and what they may see of a run.

Every part is a dataclass: its init fields are its parameters, ``name``, ``summary``, ``source`` and ``version`` are
class attributes, constructing it does no work, and what it learns is kept in attributes ending in ``_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from segbench.params import parameter
from segbench.types import Audit, Batch, Case, CaseRef, Choice, Geometry, LabelMap, Peer, Score, Structure, Task
from segbench.views import Slices

if TYPE_CHECKING:
    import matplotlib.figure
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from segbench.config import Recipe, RunConfig
    from segbench.views import Patches

UNLABELLED = "unlabelled"
"""In ``Method.needs``: every step also carries unlabelled samples."""
FIXED_SAMPLES = "fixed_samples"
"""In ``Method.needs``: samples are a fixed, numbered list, so that a state per sample makes sense."""


class Part:
    """What the four kinds of parts have in common.

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
        needs: subset of ``{UNLABELLED, FIXED_SAMPLES}``; an instance may narrow or widen it in ``__post_init__``.
            A method that needs UNLABELLED may declare a parameter ``unlabelled``, the number of such cases it wants;
            0, or no such parameter, means all there are; more than there are is an error.
        dims: spatial dimensions it works in.
        supervision: what it learns from: "masks", "descriptors", "semi" or "none".
        arms: arm -> parameter overrides that make it a control (prior off) or a placebo (meaningless prior).
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    dims: ClassVar[frozenset[int]] = frozenset({2, 3})
    supervision: ClassVar[str] = "masks"
    arms: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def incompatible(self, task: Task) -> str | None:
        """Return in words why this method cannot work on a task, or None."""
        return None

    def derive(self, truth: LabelMap) -> Mapping[str, NDArray[np.float32]]:
        """Return whole-volume maps ``(D, H, W)`` or ``(c, D, H, W)`` of a training case, in mm where it matters.

        They are computed once, cached by content, and cropped, flipped and warped with image and target before
        they arrive in ``batch.derived``.
        """
        return {}

    def prepare(self, stage: Stage) -> None:
        """Read priors from the training split; train helper networks with ``stage.fit``."""

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


class Metric(Part):
    """A number per structure and case.

    Attributes:
        unit: "" for ratios, "mm", "mL", "1" ...
        better: "higher" or "lower".
        needs_training: True if ``prepare`` must see training truths; such metrics are left out of ``evaluate``
            unless a prior is given by parameter.
        prior_kind: name of the ``Prior`` whose files its parameter ``prior`` takes, so that ``evaluate --prior FILE``
            finds it; "" if it takes none.
    """

    unit: ClassVar[str] = ""
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    needs_training: ClassVar[bool] = False
    prior_kind: ClassVar[str] = ""

    def prepare(self, task: Task, truths: Iterable[LabelMap]) -> None:
        """Learn dataset-wide facts from training truths only."""

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


class Prior(Part):
    """Prior knowledge as a file that a person can read and edit: learnt from truths, or written by hand.

    Life: construct, then ``learn`` or ``read``, then ``write`` or ``audit``.

    Attributes:
        ending: of the files it writes.
    """

    ending: ClassVar[str] = ".csv"

    def learn(self, task: Task, cases: Iterable[Case]) -> None:
        """Learn from cases with a truth on their own grids (the training split, unless a user asks for others)."""
        raise NotImplementedError

    def write(self, path: Path) -> None:
        """Write what was learnt or read; labels go by their names. The caller sees to it that files appear whole."""
        raise NotImplementedError

    def recognises(self, path: Path) -> bool:
        """Say whether a file looks like this kind of prior; must not raise for any file."""
        raise NotImplementedError

    def labels(self, path: Path) -> Sequence[str]:
        """Return the label names a file speaks of, background first, in the order of their values if it has one."""
        raise NotImplementedError

    def values(self, path: Path) -> Mapping[str, int]:
        """Return label names and their values, the background's too; empty if the file records none."""
        return {}

    def read(self, path: Path, task: Task) -> None:
        """Read a file, for the labels of a task.

        Raises:
            DataInvalid: with the file's name, what was expected and what was found.
        """
        raise NotImplementedError

    def audit(self, case_id: str, labels: LabelMap, task: Task) -> Audit:
        """Say how a label map breaks the prior; its measures have the same names for every label map.

        Args:
            case_id: for priors that hold bounds per case.
            labels: values of the task only; ``-1`` where a truth is unknown.
            task: as given to ``learn`` or ``read``.
        """
        raise NotImplementedError


class FinishedRun(Protocol):
    """A finished run, to be drawn or reported.

    Attributes:
        run_id, folder: what it is and where it lies.
        title: method, arm if it is not the method itself, and what was changed, as boards show it.
        record: the content of run.json.
        task: what was segmented.
        case_ids: the scored cases.
    """

    @property
    def run_id(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def title(self) -> str: ...
    @property
    def record(self) -> Mapping[str, Any]: ...
    @property
    def task(self) -> Task: ...
    @property
    def case_ids(self) -> Sequence[str]: ...

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Return rows ``{"epoch", "name", "value"}`` of the training's history."""
        ...

    def scores(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of scores.parquet."""
        ...

    def prediction(self, case_id: str) -> LabelMap:
        """Read one prediction."""
        ...

    def case(self, case_id: str) -> Case:
        """Load one case from its dataset, with image and truth.

        Raises:
            DataMissing: if the dataset is not here any more.
        """
        ...

    def truths(self) -> Iterator[LabelMap]:
        """Yield the truths of the labelled training cases."""
        ...


class Figure(Part):
    """A picture of one or several finished runs."""

    def draw(self, runs: Sequence[FinishedRun]) -> Iterator[tuple[str, matplotlib.figure.Figure]]:
        """Yield (file name without ending, figure); the caller writes PNG, SVG or PDF and closes the figure.

        Raises:
            Incompatible: if these runs cannot be drawn together.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Cell:
    """A row of a study's table.

    Attributes:
        label: the row's name, as in the paper.
        config: the run, with seed 0; the host varies the seed.
        role: "method", "baseline", "control" or "placebo".
    """

    label: str
    config: RunConfig
    role: str = "method"


@dataclass(frozen=True)
class Table:
    """A table to print: a title, column names, rows of texts and numbers, remarks below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    notes: tuple[str, ...] = ()


class Study(Part):
    """A paper's table: its recipe, its grid of runs, its published numbers.

    Attributes:
        datasets: datasets of the table when nobody names one.
        seeds: number of seeds when nobody says.
        metrics: columns of the table; they are computed for every cell.
    """

    datasets: ClassVar[tuple[str, ...]] = ()
    seeds: ClassVar[int] = 3
    metrics: ClassVar[tuple[str, ...]] = ()

    def recipe(self) -> Recipe:
        """Return the paper's own training protocol, offered as ``--recipe <name>``."""
        raise NotImplementedError

    def cells(self, dataset: Choice) -> Sequence[Cell]:
        """Return the rows of the table on a dataset, labels unique, without metrics and seeds: the host adds them."""
        return ()

    def comparisons(self) -> Sequence[tuple[str, str]]:
        """Return pairs of row labels (A, B) whose cases are compared: is A better than B?"""
        return ()

    def published(self) -> Sequence[Mapping[str, Any]]:
        """Return published values as rows (dataset, row, label, metric, value, sd); row is a cell's label."""
        return ()

    def tables(self, runs: Mapping[str, Sequence[FinishedRun]]) -> Sequence[Table]:
        """Return further tables of the study's own for one dataset, from row label -> finished runs (one per seed).

        Rows of which no run is finished are left out.
        """
        return ()


class Stage(Protocol):
    """What a method may see before training: the training split and nothing else.

    Attributes:
        task: what is segmented.
        dims: 2 or 3.
        epochs, steps_per_epoch: the budget.
        device: where training happens.
        folder: a folder of this run for files of the method's own; survives a resume and is kept with the results,
            all but what lies in its sub-folder ``scratch`` (memory maps, say), which goes when the run is complete.
        shared: a folder of this method in the cache of the results, for what several runs would make alike; it may not
            be there yet, anybody may delete it, and runs write there at the same time: name files by their content, and
            write them with ``segbench.atomically``.
        samples: number of fixed samples (FIXED_SAMPLES methods), else 0.
        native: whether the labelled training cases are seen as they lie in their files, neither resampled nor cropped.
    """

    @property
    def task(self) -> Task: ...
    @property
    def dims(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def folder(self) -> Path: ...
    @property
    def shared(self) -> Path: ...
    @property
    def samples(self) -> int: ...
    @property
    def native(self) -> bool: ...

    def truths(self) -> Iterator[LabelMap]:
        """Yield the labelled training truths, whole volumes on the training grid."""
        ...

    def cases(self) -> Iterator[Case]:
        """Yield the labelled training cases, preprocessed, whole volumes on the training grid."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Yield one pass over the training samples without augmentation, on the device."""
        ...

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator seeded by purpose, seed and fold."""
        ...

    def fit(
        self,
        module: torch.nn.Module,
        objective: Callable[[int, torch.Generator], torch.Tensor],
        *,
        steps: int,
        learning_rate: float = 1e-4,
        purpose: str = "helper",
    ) -> list[float]:
        """Train a helper network with Adam: ``objective(step, generator)`` returns the loss; returns all losses."""
        ...


class Step(Protocol):
    """One optimiser step, seen afterwards.

    Attributes:
        index: steps so far in the run, from 0.
        epoch: current epoch, from 0.
        batch: what was seen.
        logits: detached logits before the update ``(B, K, *S)``.
        skipped: True if the loss or its gradient was not finite and no update was made.
    """

    @property
    def index(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def batch(self) -> Batch: ...
    @property
    def logits(self) -> torch.Tensor: ...
    @property
    def skipped(self) -> bool: ...

    def forward(self) -> torch.Tensor:
        """Run the updated network on the same batch, without gradient: logits ``(B, K, *S)``."""
        ...


class Epoch(Protocol):
    """One epoch, seen after its validation.

    Attributes:
        index: from 0.
        total: number of epochs of the run.
        last: whether this is the last one.
        train: mean of each loss term over the epoch's finite steps.
        val: validation measures, ``{"dice": mean foreground Dice}``; empty when there was no validation.
        skipped: non-finite steps in this epoch.
    """

    @property
    def index(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def last(self) -> bool: ...
    @property
    def train(self) -> Mapping[str, float]: ...
    @property
    def val(self) -> Mapping[str, float]: ...
    @property
    def skipped(self) -> int: ...

    def outputs(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Yield one pass over the training samples without augmentation, with their logits, without gradient."""
        ...

    def log(self, name: str, value: float) -> None:
        """Write a number of the method's own into the run's history."""
        ...

    def stop(self, reason: str) -> None:
        """Ask the engine to end training after this epoch; the reason is recorded."""
        ...
