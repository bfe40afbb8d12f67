"""How far a run is that somebody asks for, and which finished runs are nearly the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segbench import results
from segbench.assembly import Parts
from segbench.config import RunConfig
from segbench.host import Catalogue
from segbench.runs import known_of, read_facts
from segbench.scoring.stored import lacking


def state_of(folder: Path, parts: Parts, catalogue: Catalogue) -> str:
    """Return how far a run is: "finished already", "to be scored", "to be resumed" or "to be run"."""
    if not results.is_complete(folder):
        return "to be resumed" if folder.exists() else "to be run"
    record = read_facts(folder)
    lacks = lacking(known_of(record, folder), parts.chain.text, parts.metrics, catalogue)
    return "to be scored" if lacks else "finished already"


def edited_since(config: RunConfig, parts: Parts, folder: Path) -> str:
    """Say which plugins were edited since the nearest finished run that is otherwise the same; "" if there is none.

    Nearest is the run of which the fewest parts were edited, then the one that was finished last.
    """
    now = parts.data["code"]
    edited = []
    for other, theirs in alike(config, parts, folder, "code"):
        before = theirs.get("code") or {}
        edited.append((sorted(role for role in {*before, *now} if before.get(role) != now.get(role)), other.name))
    if not edited:
        return ""
    roles, name = min(edited, key=lambda one: len(one[0]))
    return f"The code of the {' and the '.join(roles)} changed since run {name}: another training."


def trained_otherwise(config: RunConfig, parts: Parts, folder: Path) -> tuple[Path, str] | None:
    """Return the latest finished run that differs in device or precision alone, and in words what it was trained in.

    What the configuration names is not left to chance: only what is ``auto`` may differ.
    """
    open_ = [name for name in ("device", "precision") if getattr(config, name) == "auto"]
    for other, theirs in alike(config, parts, folder, *open_):
        return other, f"{theirs.get('precision')} on {theirs.get('device')}"
    return None


def alike(config: RunConfig, parts: Parts, folder: Path, *apart: str) -> list[tuple[Path, dict[str, Any]]]:
    """Return finished runs, and their identities, that differ from a configuration in parts of the identity alone.

    Args:
        config, parts: the run that is not there.
        folder: where it would be.
        apart: keys of ``RunConfig.identity``.

    Returns:
        The one finished last comes first; none where the run itself is there.
    """
    if folder.exists() or not folder.parent.is_dir():
        return []
    anything = dict.fromkeys(apart)
    mine = json.loads(json.dumps(config.identity(parts.data))) | anything
    found = []
    for other in results.complete_runs(folder.parent):
        record = other / results.RECORD
        try:
            theirs = dict(json.loads(record.read_text(encoding="utf-8")).get("identity") or {})
            finished = record.stat().st_mtime
        except (OSError, ValueError, TypeError):
            continue
        if theirs | anything == mine:
            found.append((finished, other, theirs))
    return [(other, theirs) for _, other, theirs in sorted(found, key=lambda one: -one[0])]
