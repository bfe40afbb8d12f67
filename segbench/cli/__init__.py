"""The command line: parse, call, print. Each module here is one group of commands and imports heavy code lazily."""

from __future__ import annotations

from segbench.cli import audit, doctor, evaluate, figure, leaderboard, parts, prior, run, study
from segbench.cli.application import app, main

__all__ = ["app", "audit", "doctor", "evaluate", "figure", "leaderboard", "main", "parts", "prior", "run", "study"]
