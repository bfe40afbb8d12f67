"""The frozen data that travel through the house. No behaviour beyond what the data themselves know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

Split = Literal["train", "val", "test", "unlabelled", ""]
Status = Literal["ok", "both_empty", "truth_empty", "pred_empty", "missing", "failed"]
Unit = Literal["mm", "px"]
"""Unit of length of a grid: millimetres, or pixels where nothing says what a pixel measures."""
STATUSES: tuple[Status, ...] = ("ok", "both_empty", "truth_empty", "pred_empty", "missing", "failed")
LEARNT_NOTHING = "learnt nothing"
"""Status of a run whose loss or gradient was of no use, so that its network is not a trained one; boards say so."""
FAMILIES = ("overlap", "boundary")
"""Families of metrics: those of one family say nearly the same, so a board's order rests on one of each."""
UNKNOWN = -1
"""Target value of a voxel whose label is not known (an ignore label, padding, an unlabelled case)."""


@dataclass(frozen=True)
class Structure:
    """What a score speaks of: one label, a region (union of labels), or the whole label map.

    Attributes:
        name: the name shown; unique within a task.
        values: label values whose union is the structure; empty for the whole map.
        label: the label value if the structure is exactly one label, else None.
    """

    name: str
    values: tuple[int, ...] = ()
    label: int | None = None


WHOLE = Structure("all")
"""The structure of scores that describe a whole label map rather than one label."""


@dataclass(frozen=True)
class Task:
    """What is to be segmented.

    Attributes:
        name: the dataset's name.
        revision: identifies the content; results of different revisions are never compared.
        labels: label names; the index is the value in label maps, 0 is background.
        channels: names of the image channels, e.g. ``("T1",)``.
        regions: name -> label values; when given, regions are scored instead of single labels.
        synthetic: True for phantoms; printed wherever results are printed.
        notes: sentences a reader of the results must know.
    """

    name: str
    revision: str
    labels: tuple[str, ...]
    channels: tuple[str, ...] = ("image",)
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    @property
    def structures(self) -> tuple[Structure, ...]:
        """The structures that per-label metrics score: the regions if there are any, else every foreground label."""
        if self.regions:
            return tuple(
                Structure(name, tuple(values), values[0] if len(values) == 1 else None)
                for name, values in self.regions.items()
            )
        return tuple(Structure(name, (value,), value) for value, name in enumerate(self.labels) if value > 0)


@dataclass(frozen=True)
class CaseRef:
    """A case by name, before anything is read.

    Attributes:
        id: unique within the dataset; safe as a file name.
        group: the patient; cases of one group never stand on both sides of a split.
        split: the dataset's own split, or "" to leave it to the host's seeded split.
        stamp: changes when the case's files change (size and time, say); part of the cache key.
    """

    id: str
    group: str
    split: Split = ""
    stamp: str = ""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map on its own grid.

    Attributes:
        array: integer ``(D, H, W)`` or ``(H, W)``; ``-1`` where the label is unknown. Treated as immutable.
        spacing: voxel size in ``unit`` in the axis order of the array.
        affine: ``(4, 4)`` array index (in array axis order) -> world, in ``unit``, or None.
        memo: values that several metrics derive from this map (surfaces, say); keyed by the deriving plugin.
        notes: what a reader of its scores must know of how it was read; sentences.
        unit: of lengths: "mm", or "px" where nothing says what a pixel measures (its sides are 1 then).
        names: structure -> its values, where the file names them; values of overlapping ones stand for combinations.
        cropped: whether the map covers only the box its structures need; outside is background.
    """

    array: NDArray[np.integer[Any]]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None = None
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    unit: Unit = "mm"
    names: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    cropped: bool = False

    def with_array(self, array: NDArray[np.integer[Any]]) -> LabelMap:
        """Return other values of the same shape on the same grid, without memo and notes."""
        return LabelMap(array, self.spacing, self.affine, unit=self.unit)

    def mask(self, structure: Structure) -> NDArray[np.bool_]:
        """Return the boolean mask of a structure, shape of ``array``."""
        if len(structure.values) == 1:
            return cast("NDArray[np.bool_]", self.array == structure.values[0])
        import numpy as np

        return np.isin(self.array, structure.values)


@dataclass(frozen=True, eq=False)
class Case:
    """One image, with its truth if it has one.

    Attributes:
        id: as in its ``CaseRef``.
        image: float32 ``(C, D, H, W)`` (a 2D image has D = 1).
        spacing: voxel size in mm, ``(D, H, W)`` order.
        affine: ``(4, 4)`` array index in ``(D, H, W)`` order -> world mm.
        truth: the label map on the same grid, or None.
    """

    id: str
    image: NDArray[np.float32]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    truth: LabelMap | None = None


@dataclass(frozen=True)
class Geometry:
    """What a network may know of the training grid before it is built.

    Attributes:
        shape: median shape ``(D, H, W)`` of the training cases on the training grid, voxels.
        spacing: median spacing ``(D, H, W)`` in mm.
        largest: largest shape per axis.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    largest: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a method sees in one step. ``*S`` is ``(H, W)`` for 2D and 2.5D networks, ``(D, H, W)`` for 3D ones.

    Attributes:
        image: float32 ``(B, C, *S)``.
        target: int64 ``(B, *S)``, ``-1`` = unknown (everywhere for unlabelled samples).
        derived: name -> float32 ``(B, c, *S)``, the method's own maps, cropped and warped with the image.
        labelled: bool ``(B,)``.
        spacing: float32 ``(B, len(S))`` mm.
        case_ids: case of each sample.
        sample_ids: stable index of each sample for FIXED_SAMPLES methods, else -1; int64 ``(B,)``.
        inside: bool ``(B, *S)``, True where the sample shows image, False where it was padded or, by augmentation,
            shows what lies beyond the image; for labelled and unlabelled samples alike. None = True everywhere.
    """

    image: torch.Tensor
    target: torch.Tensor
    derived: Mapping[str, torch.Tensor]
    labelled: torch.Tensor
    spacing: torch.Tensor
    case_ids: Sequence[str]
    sample_ids: torch.Tensor
    inside: torch.Tensor | None = None


@dataclass(frozen=True)
class Score:
    """One value of one metric for one structure of one case.

    Attributes:
        structure: what it speaks of.
        value: the number, or None where the definition gives none (see ``status``).
        status: ok | both_empty | truth_empty | pred_empty | missing | failed.
    """

    structure: Structure
    value: float | None
    status: Status = "ok"


@dataclass(frozen=True)
class Peer:
    """Another package's way to compute a metric, for ``segbench doctor metrics`` and for tests.

    Attributes:
        name: package and function, e.g. ``SciPy cdist``.
        module: what must be importable; a peer whose module is absent is named as not installed.
        value: called with two boolean masks ``(D, H, W)`` or ``(H, W)``, prediction first, neither of them empty, and
            the spacing in mm; imports its package inside.
        metric: name of the metric it computes; "" for the metric that lists it.
        differs: in what its definition differs, in words; "" if the values must agree.
        tolerance: how far values may be apart, relative to the value if that is above 1.
    """

    name: str
    module: str
    value: Callable[[NDArray[np.bool_], NDArray[np.bool_], Sequence[float]], float]
    metric: str = ""
    differs: str = ""
    tolerance: float = 1e-9


@dataclass(frozen=True)
class Choice:
    """A part by name with the parameters that were set for it (JSON values only).

    Attributes:
        name: of the part.
        parameters: those that can change results.
        local: those that cannot (paths, numbers of processes); they stay out of a run's identity and win over
            ``parameters``. ``Catalogue.settle`` puts each parameter where it belongs.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    local: Mapping[str, Any] = field(default_factory=dict, metadata={"content": False})


@dataclass(frozen=True)
class Violation:
    """One way in which a label map breaks prior knowledge.

    Attributes:
        what: in words, with label names, e.g. ``left caudate touches right putamen``.
        amount: how much of it there is, in ``unit``.
        unit: "contacts", "mm", "%", ...
        structures: names of the labels concerned.
        position: where, world mm of the label map's affine (x, y, z); None if it has no place.
    """

    what: str
    amount: float
    unit: str
    structures: tuple[str, ...] = ()
    position: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Audit:
    """What prior knowledge says of one label map.

    Attributes:
        measures: name -> value over the whole map, lower is better, e.g. a number of contacts.
        violations: the worst first.
    """

    measures: Mapping[str, float]
    violations: tuple[Violation, ...] = ()
