"""The command line: parse, call, print. Each module here is one group of commands and imports heavy code lazily."""

from __future__ import annotations

from segbench.cli import doctor, evaluate, leaderboard, parts, run
from segbench.cli.application import app, main

__all__ = ["app", "doctor", "evaluate", "leaderboard", "main", "parts", "run"]
