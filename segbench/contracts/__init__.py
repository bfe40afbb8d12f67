"""The contracts a plugin fulfils (five parts of a run; priors, figures, studies, reporters), and what they may see."""

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
from segbench.contracts.reporters import LiveRun, Reporter
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
    "LiveRun",
    "Method",
    "Metric",
    "Network",
    "Part",
    "Prior",
    "Reporter",
    "SliceNetwork",
    "Stage",
    "Step",
    "Study",
    "Table",
]
