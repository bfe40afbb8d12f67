"""A table before it is drawn, and how much its cells say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

FULL, SHORT, BARE = 0, 1, 2
"""How much a metric's cell says: mean ± sd (m undefined, n %), mean ± sd (n %), or mean (n %)."""


@dataclass
class Sheet:
    """A table before it is drawn.

    Attributes:
        title: what it shows.
        header: column heads; rows: their cells.
        left: columns aligned to the left; the others hold numbers.
        bold: ``(row, column)`` of the best values.
        notes: sentences below the table.
        lead: the sentence that matters most, in plain words.
        names: column of names, whose words may be broken.
        code: columns whose characters are of one width.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    left: set[int] = field(default_factory=lambda: {1})
    bold: set[tuple[int, int]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    lead: str = ""
    names: int = 1
    code: set[int] = field(default_factory=set)

    def without(self, column: int) -> Sheet:
        """Return the sheet without a column."""
        return replace(
            self,
            header=[head for j, head in enumerate(self.header) if j != column],
            rows=[[cell for j, cell in enumerate(row) if j != column] for row in self.rows],
            left={j - (j > column) for j in self.left if j != column},
            bold={(i, j - (j > column)) for i, j in self.bold if j != column},
            code={j - (j > column) for j in self.code if j != column},
            names=self.names - (self.names > column),
        )
