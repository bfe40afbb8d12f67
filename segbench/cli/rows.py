"""Commands over several runs: one that fails is said and is a row of ``--json``, and the others go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from segbench.cli import console
from segbench.errors import EXIT_SOME_FAILED
from segbench.failures import Failure, debugging, failure_of
from segbench.names import first_few
from segbench.types import LEARNT_NOTHING

FAILED = ("failed", "incompatible")
"""Statuses of a run that has no results, or not those that were asked for."""


def failed_row(
    title: str, about: Mapping[str, Any], error: Exception, before: Sequence[Mapping[str, Any]], *, alone: bool
) -> dict[str, Any]:
    """Say why a run failed, and return its row.

    Args:
        title: what the run is called.
        about: further keys of its row.
        error: what ended it.
        before: the rows so far: the same reason is not said twice.
        alone: whether the command is about this run only.
    """
    failure = failure_of(error)
    if debugging(error) and failure.unexpected and alone:
        raise error
    return say_failure(title, about, failure, before, alone=alone)


def say_failure(
    title: str, about: Mapping[str, Any], failure: Failure, before: Sequence[Mapping[str, Any]], *, alone: bool
) -> dict[str, Any]:
    """Say why a run failed, and return its row; arguments as for ``failed_row``."""
    known = failure.reason in [row.get("reason") for row in before]
    reason = "For the same reason as before." if known else failure.reason
    console.say(failure.message if alone else f"{title}: {failure.status}. {reason}", style="yellow")
    row = {"title": title, **about, "status": failure.status}
    return {**row, "reason": failure.reason, "exit_code": failure.exit_code}


def leave(rows: Sequence[Mapping[str, Any]]) -> None:
    """Say how many runs failed or learnt nothing, and leave with an exit code.

    It is that of all if every run failed with the same, else 1.

    Raises:
        Exit: something failed.
    """
    failed = [row for row in rows if row["status"] in FAILED]
    empty = [row for row in rows if row["status"] == LEARNT_NOTHING]
    if empty and len(rows) > 1:
        folders = first_few([row["folder"] for row in empty], 3)
        console.say(f"{len(empty)} of {len(rows)} runs learnt nothing; boards say so: {folders}.")
    if failed and len(rows) > 1:
        names = first_few([row["title"] for row in failed], 3)
        console.say(f"{len(failed)} of {len(rows)} runs failed: {names}. The same command tries only these again.")
    codes = {row["exit_code"] for row in failed} if len(failed) == len(rows) else set()
    if failed or empty or any(row.get("failed_scores") for row in rows):
        raise typer.Exit(codes.pop() if len(codes) == 1 else EXIT_SOME_FAILED)
