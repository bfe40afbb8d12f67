"""JSON that somebody else wrote: one reader for dataset descriptions, summaries of scores and lists of cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segbench.errors import DataInvalid


def read_json(path: Path) -> Any:
    """Read a JSON file; ``NaN`` and infinities, which other tools write, are numbers.

    Raises:
        DataInvalid: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataInvalid(f"{path}: expected JSON, found: {error}. Correct it, or get an intact copy.") from error
