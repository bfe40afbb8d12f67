"""What of a run's record may be published: what determines and describes the run, and no path of a machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = (
    *("run_id", "source", "dataset", "dataset_revision", "revision", "config", "task", "network", "method"),
    *(
        "parameters",
        "splits",
        "training",
        "seconds",
        "peak_memory_bytes",
        "energy_joules",
        "hardware",
        "failed_scores",
        "versions",
    ),
    *("plugins", "git_commit", "verification", "structures", "metrics", "ignore_label", "geometry", "on_missing"),
    *("name", "layout", "seeds", "rows"),
)
_PATH = re.compile(r"(file://|~|/|\\\\|[A-Za-z]:[\\/])\S.*")
SELF_REPORTED, RESCORED, SCORED_HERE = "self-reported", "re-scored", "scored here"


def public_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a record that is published; of absolute paths only the last name is left."""
    return {key: _without_paths(record[key]) for key in KEPT if key in record}


def distinct(table: pa.Table, column: str) -> list[Any]:
    """Return the values that occur in a column of scores, sorted; an imported run may have several seeds."""
    return sorted(table.column(column).unique().to_pylist())


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(item) for item in value]
    if isinstance(value, str) and _PATH.fullmatch(value):
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return value


def provenance_of(record: Mapping[str, Any]) -> str:
    """Return who computed a run's scores: "self-reported", "re-scored", both with counts, or "scored here"."""
    marked = record.get("verification")
    if isinstance(marked, Mapping):
        rescored, reported = marked.get(RESCORED) or [], marked.get(SELF_REPORTED) or []
        if rescored and reported:
            return f"{RESCORED}: {', '.join(map(str, rescored))}; {SELF_REPORTED}: {', '.join(map(str, reported))}"
        return RESCORED if rescored else SELF_REPORTED
    return SELF_REPORTED if record.get("source") == "imported" else SCORED_HERE
