"""Results made up for reports, and pages read back as a browser would read them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from segbench.results import write_table
from segbench.score_table import scores_table

HOSTILE = "<script>alert(1)</script>"
ATTRIBUTE = '"><img src=x onerror=alert(2)>'
CLOSING = "</script><script>alert(3)</script>"


def rows(methods: list[str], cases: int = 8, labels: tuple[str, ...] = ("left", "right"), **changes: Any) -> list[dict]:
    """Rows of two metrics of structures and one of the whole map; the last method misses one structure."""
    generator = np.random.default_rng(0)
    found = []
    for k, method in enumerate(methods):
        for c in range(cases):
            for metric, unit, better, its in (
                ("dice", "", "higher", labels),
                ("hd95", "mm", "lower", labels),
                ("broken", "contacts", "lower", ("all",)),
            ):
                for label in its:
                    value: float | None = 0.9 - 0.05 * k + 0.02 * generator.standard_normal()
                    value = value if better == "higher" else 10 * (1 - value)
                    gone = method == methods[-1] and c == 3 and label == labels[0]
                    found.append(
                        {
                            "run_id": f"run{k}",
                            "dataset": "toy",
                            "dataset_revision": "1",
                            "network": "net",
                            "method": method,
                            "arm": "method",
                            "seed": 0,
                            "fold": 0,
                            "case_id": f"case_{c:02d}",
                            "group": f"case_{c:02d}",
                            "label": None,
                            "label_name": label,
                            "metric": metric,
                            "metric_version": "1",
                            "unit": unit,
                            "better": better,
                            "value": None if gone else value,
                            "status": "pred_empty" if gone else "ok",
                            "source": "imported",
                        }
                        | changes
                    )
    return found


def scores_file(folder: Path, found: list[dict]) -> Path:
    """Write rows as a Parquet file."""
    file = folder / "scores.parquet"
    write_table(file, scores_table(found))
    return file


class Page(HTMLParser):
    """Elements and tables of a page, as a parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._cell = False
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables:
            self.tables[-1][-1].append("")
            self._cell = True
        elif tag == "script":
            self._script = dict(attrs)
            self.scripts.append((self._script, ""))

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")
        self._script = None if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[-1] = (self._script, self.scripts[-1][1] + data)
        elif self._cell:
            self.tables[-1][-1][-1] += data

    @property
    def data(self) -> dict[str, Any]:
        """The document embedded for the page's script."""
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "board-data"))
