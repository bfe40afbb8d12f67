"""segbench: does prior knowledge help to segment? The public names a plugin or a notebook may import, nothing else.

Importing this package is cheap: heavy libraries (torch, numpy, scipy, pyarrow, nibabel) are loaded by what needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.atomic import atomically as atomically
    from segbench.atomic import writing as writing
    from segbench.boxes import enclosing as enclosing
    from segbench.boxes import foreground_box as foreground_box
    from segbench.boxes import mask_box as mask_box
    from segbench.boxes import memory_order as memory_order
    from segbench.boxes import value_boxes as value_boxes
    from segbench.completing import score as score
    from segbench.config import Augmentation as Augmentation
    from segbench.config import Recipe as Recipe
    from segbench.config import RunConfig as RunConfig
    from segbench.contracts import FIXED_SAMPLES as FIXED_SAMPLES
    from segbench.contracts import UNLABELLED as UNLABELLED
    from segbench.contracts import Cell as Cell
    from segbench.contracts import Dataset as Dataset
    from segbench.contracts import Decision as Decision
    from segbench.contracts import Epoch as Epoch
    from segbench.contracts import Figure as Figure
    from segbench.contracts import FinishedRun as FinishedRun
    from segbench.contracts import LiveRun as LiveRun
    from segbench.contracts import Method as Method
    from segbench.contracts import Metric as Metric
    from segbench.contracts import Network as Network
    from segbench.contracts import Prior as Prior
    from segbench.contracts import Reporter as Reporter
    from segbench.contracts import SliceNetwork as SliceNetwork
    from segbench.contracts import Stage as Stage
    from segbench.contracts import Step as Step
    from segbench.contracts import Study as Study
    from segbench.contracts import Table as Table
    from segbench.errors import DataInvalid as DataInvalid
    from segbench.errors import DataMissing as DataMissing
    from segbench.errors import Incompatible as Incompatible
    from segbench.errors import PluginError as PluginError
    from segbench.errors import SegbenchError as SegbenchError
    from segbench.errors import UnknownName as UnknownName
    from segbench.errors import UsageError as UsageError
    from segbench.errors import VerificationError as VerificationError
    from segbench.errors import did_you_mean as did_you_mean
    from segbench.errors import safe_name as safe_name
    from segbench.evaluation.folders import evaluate as evaluate
    from segbench.files.cases import CaseFiles as CaseFiles
    from segbench.files.cases import check_grid as check_grid
    from segbench.files.cases import content_revision as content_revision
    from segbench.files.cases import read_case as read_case
    from segbench.files.cases import renumber as renumber
    from segbench.files.cases import tell_notes as tell_notes
    from segbench.files.colours import parse_colour as parse_colour
    from segbench.files.documents import read_json as read_json
    from segbench.files.filenames import voxel_file as voxel_file
    from segbench.files.folders import FolderDataset as FolderDataset
    from segbench.files.folders import visible as visible
    from segbench.files.images import image_header as image_header
    from segbench.files.images import read_image as read_image
    from segbench.files.images import read_label_map as read_label_map
    from segbench.files.images import write_image as write_image
    from segbench.files.images import write_label_map as write_label_map
    from segbench.hookspecs import hookimpl as hookimpl
    from segbench.host import Catalogue as Catalogue
    from segbench.host import load_catalogue as load_catalogue
    from segbench.losses import cross_entropy as cross_entropy
    from segbench.losses import median_frequency_weights as median_frequency_weights
    from segbench.losses import pixel_terms as pixel_terms
    from segbench.losses import soft_dice as soft_dice
    from segbench.losses import soft_dice_loss as soft_dice_loss
    from segbench.maps import centre_offsets as centre_offsets
    from segbench.maps import components as components
    from segbench.maps import distance_to_skeleton as distance_to_skeleton
    from segbench.maps import signed_distance as signed_distance
    from segbench.maps import signed_distances as signed_distances
    from segbench.maps import voronoi as voronoi
    from segbench.morphology import dilate as dilate
    from segbench.morphology import erode as erode
    from segbench.morphology import line_sums as line_sums
    from segbench.morphology import near_axes as near_axes
    from segbench.morphology import opening as opening
    from segbench.morphology import soft_skeleton as soft_skeleton
    from segbench.names import case_id as case_id
    from segbench.names import first_few as first_few
    from segbench.names import folder_task_name as folder_task_name
    from segbench.names import patient_of as patient_of
    from segbench.padding import of_any_size as of_any_size
    from segbench.params import parameter as parameter
    from segbench.results import read_scores as read_scores
    from segbench.runner import predict as predict
    from segbench.runner import run as run
    from segbench.schedules import Schedule as Schedule
    from segbench.skeletons import skeleton as skeleton
    from segbench.solvers import augmented_lagrangian as augmented_lagrangian
    from segbench.solvers import log_barrier as log_barrier
    from segbench.solvers import next_multiplier as next_multiplier
    from segbench.solvers import quadratic_penalty as quadratic_penalty
    from segbench.training.checkpoints import load_checkpoint as load_checkpoint
    from segbench.training.checkpoints import save_checkpoint as save_checkpoint
    from segbench.types import UNKNOWN as UNKNOWN
    from segbench.types import WHOLE as WHOLE
    from segbench.types import Audit as Audit
    from segbench.types import Batch as Batch
    from segbench.types import Case as Case
    from segbench.types import CaseRef as CaseRef
    from segbench.types import Choice as Choice
    from segbench.types import Geometry as Geometry
    from segbench.types import LabelMap as LabelMap
    from segbench.types import Peer as Peer
    from segbench.types import Score as Score
    from segbench.types import Split as Split
    from segbench.types import Status as Status
    from segbench.types import Structure as Structure
    from segbench.types import Task as Task
    from segbench.types import Violation as Violation
    from segbench.views import Patches as Patches
    from segbench.views import Slices as Slices

_HOME = {
    "segbench.atomic": ("atomically", "writing"),
    "segbench.boxes": ("enclosing", "foreground_box", "mask_box", "memory_order", "value_boxes"),
    "segbench.completing": ("score",),
    "segbench.config": ("Augmentation", "Recipe", "RunConfig"),
    "segbench.contracts": (
        "FIXED_SAMPLES",
        "UNLABELLED",
        "Cell",
        "Dataset",
        "Decision",
        "Epoch",
        "Figure",
        "FinishedRun",
        "LiveRun",
        "Method",
        "Metric",
        "Network",
        "Prior",
        "Reporter",
        "SliceNetwork",
        "Stage",
        "Step",
        "Study",
        "Table",
    ),
    "segbench.errors": (
        "DataInvalid",
        "DataMissing",
        "Incompatible",
        "PluginError",
        "SegbenchError",
        "UnknownName",
        "UsageError",
        "VerificationError",
        "did_you_mean",
        "safe_name",
    ),
    "segbench.evaluation.folders": ("evaluate",),
    "segbench.hookspecs": ("hookimpl",),
    "segbench.host": ("Catalogue", "load_catalogue"),
    "segbench.files.colours": ("parse_colour",),
    "segbench.files.cases": ("CaseFiles", "check_grid", "content_revision", "read_case", "renumber", "tell_notes"),
    "segbench.files.documents": ("read_json",),
    "segbench.files.filenames": ("voxel_file",),
    "segbench.files.folders": ("FolderDataset", "visible"),
    "segbench.files.images": ("image_header", "read_image", "read_label_map", "write_image", "write_label_map"),
    "segbench.losses": ("cross_entropy", "median_frequency_weights", "pixel_terms", "soft_dice", "soft_dice_loss"),
    "segbench.maps": (
        "centre_offsets",
        "components",
        "distance_to_skeleton",
        "signed_distance",
        "signed_distances",
        "voronoi",
    ),
    "segbench.morphology": ("dilate", "erode", "line_sums", "near_axes", "opening", "soft_skeleton"),
    "segbench.names": ("case_id", "first_few", "folder_task_name", "patient_of"),
    "segbench.padding": ("of_any_size",),
    "segbench.params": ("parameter",),
    "segbench.results": ("read_scores",),
    "segbench.runner": ("predict", "run"),
    "segbench.training.checkpoints": ("load_checkpoint", "save_checkpoint"),
    "segbench.schedules": ("Schedule",),
    "segbench.skeletons": ("skeleton",),
    "segbench.solvers": ("augmented_lagrangian", "log_barrier", "next_multiplier", "quadratic_penalty"),
    "segbench.types": (
        "UNKNOWN",
        "WHOLE",
        "Audit",
        "Batch",
        "Case",
        "CaseRef",
        "Choice",
        "Geometry",
        "LabelMap",
        "Peer",
        "Score",
        "Split",
        "Status",
        "Structure",
        "Task",
        "Violation",
    ),
    "segbench.views": ("Patches", "Slices"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_WHERE)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'segbench' has no public name {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
