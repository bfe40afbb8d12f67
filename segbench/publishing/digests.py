"""Digests of what a board or a run says: of the values themselves, not of the bytes of the files they are kept in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from segbench.score_table import LATER


def scores_digest(table: pa.Table) -> str:
    """Return the SHA-256 of scores, in hexadecimal: of every value of every column, rows in their order."""
    digest = hashlib.sha256()
    for name in table.column_names:
        values = table.column(name).to_pylist()
        if name not in LATER or any(values):
            digest.update(json.dumps([name, values]).encode())
    return digest.hexdigest()


def records_digest(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of the records of runs, in hexadecimal; the order of their keys does not matter."""
    return hashlib.sha256(json.dumps(list(records), sort_keys=True).encode()).hexdigest()
