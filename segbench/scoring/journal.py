"""What an unfinished evaluation has already found out, one line per case, so that a rerun goes on where it was.

A line is a checksum and JSON.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any

from segbench.atomic import writing
from segbench.digests import checksum
from segbench.scoring.cases import Outcome
from segbench.scoring.pairs import CaseProblem

FILE = "journal.jsonl"


class Journal:
    """Outcomes of cases by position; a line that was cut off or damaged is as if it had not been written.

    Args:
        folder: of the run; created.
        cases: number of cases.
        key: names what is scored; the journal of another request is thrown away.
    """

    def __init__(self, folder: Path, cases: int, key: str) -> None:
        self.path, self.key = folder / FILE, key
        self.done: dict[int, Outcome] = {}
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.is_file() else []
        self.known = bool(lines) and lines[0] == self._head()
        for line in lines[1:] if self.known else ():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                index, outcome = _read(_checked(line))
                if 0 <= index < cases:
                    self.done[index] = outcome

    def _head(self) -> str:
        return json.dumps({"key": self.key})

    def __enter__(self) -> Journal:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("a" if self.known else "w", encoding="utf-8")
            self._stream.write("\n" if self.known else self._head() + "\n")  # the first ends a line that was cut off
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self.path):
            self._stream.close()

    def add(self, index: int, outcome: Outcome) -> None:
        """Keep the outcome of a case; one that may turn out better next time is not written down."""
        self.done[index] = outcome
        if outcome.passing:
            return
        problems = [(one.case, one.kind, one.what, one.rater, one.metric) for one in outcome.problems]
        entry = {"case": index, "scores": outcome.scores, "problems": problems, "truth": outcome.truth}
        entry |= {"unit": outcome.unit, "flat": outcome.flat}
        entry |= {"values": outcome.values, "left_out": outcome.left_out}
        text = json.dumps(entry)
        with writing(self.path):
            self._stream.write(f"{checksum(text.encode())} {text}\n")
            self._stream.flush()  # to the system, which survives a killed process


def remove(folder: Path) -> None:
    """Delete the journal of a run, once everything is in its results."""
    (folder / FILE).unlink(missing_ok=True)


def _checked(line: str) -> dict[str, Any]:
    """Return what a line says.

    Raises:
        ValueError: it is not what was written.
    """
    told, _, text = line.partition(" ")
    if told != checksum(text.encode()):
        raise ValueError("damaged")
    entry: dict[str, Any] = json.loads(text)
    return entry


def _read(entry: dict[str, Any]) -> tuple[int, Outcome]:
    scores = [(int(metric), name, label, value, status) for metric, name, label, value, status in entry["scores"]]
    problems = tuple(CaseProblem(*problem) for problem in entry["problems"])
    values = None if entry["values"] is None else tuple(map(int, entry["values"]))
    known = {"truth": str(entry["truth"]), "unit": entry["unit"], "flat": bool(entry["flat"])}
    return int(entry["case"]), Outcome(scores, problems, **known, values=values, left_out=int(entry["left_out"]))
