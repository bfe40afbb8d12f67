"""The command line: parse, call, print. Each module here is one group of commands and imports heavy code lazily."""

from __future__ import annotations

from segbench.cli import (
    audit,
    cite,
    compare,
    doctor,
    evaluate,
    figure,
    importing,
    info,
    leaderboard,
    parts,
    plan,
    prior,
    publish,
    report,
    run,
    score,
    study,
)
from segbench.cli.application import app, main

__all__ = [
    "app",
    "audit",
    "cite",
    "compare",
    "doctor",
    "evaluate",
    "figure",
    "importing",
    "info",
    "leaderboard",
    "main",
    "parts",
    "plan",
    "prior",
    "publish",
    "report",
    "run",
    "score",
    "study",
]
