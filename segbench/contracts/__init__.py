"""The contracts a plugin fulfils (five parts of a run; priors, figures, studies), and what they may see of a run."""

from segbench.contracts.knowledge import Figure, FinishedRun, Prior
from segbench.contracts.parts import (
    FIXED_SAMPLES,
    UNLABELLED,
    Dataset,
    Decision,
    Method,
    Metric,
    Network,
    Part,
    SliceNetwork,
)
from segbench.contracts.stage import Epoch, Stage, Step
from segbench.contracts.studies import Cell, Study, Table

__all__ = [
    "FIXED_SAMPLES",
    "UNLABELLED",
    "Cell",
    "Dataset",
    "Decision",
    "Epoch",
    "Figure",
    "FinishedRun",
    "Method",
    "Metric",
    "Network",
    "Part",
    "Prior",
    "SliceNetwork",
    "Stage",
    "Step",
    "Study",
    "Table",
]
