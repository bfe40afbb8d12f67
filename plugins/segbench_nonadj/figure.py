"""The paper's two pictures as a part: adjacency matrices side by side, slices with forbidden contacts marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from segbench import Figure, Incompatible, parameter
from segbench_nonadj.citation import BIBTEX, DOI

if TYPE_CHECKING:
    import matplotlib.figure

    from segbench import FinishedRun


@dataclass
class AdjacencyFigure(Figure):
    """Figures (b) and (c) of the poster, for any runs on the same cases.

    Forbidden are the pairs that touch in no labelled training truth of the first run; the same pairs are marked in all
    panels.
    """

    name: ClassVar[str] = "adjacency"
    summary: ClassVar[str] = "which labels touch in truth and predictions: matrices, slices"
    source: ClassVar[str] = DOI
    bibtex: ClassVar[str] = BIBTEX

    cells: Literal["union", "share"] = parameter(
        "union", "a matrix cell: union = touches in any test case; share = shaded by the share of test cases"
    )
    case: str = parameter("", "case of the slices; empty = the one with most forbidden contacts")
    axis: int | None = parameter(None, "axis that is sliced (0 = D, 1 = H, 2 = W); none = the coarsest", low=0, high=2)
    zoom: float = parameter(36.0, "edge of the magnified square, mm", low=1)

    def draw(self, runs: Sequence[FinishedRun]) -> Iterator[tuple[str, matplotlib.figure.Figure]]:
        """Yield ``adjacency_matrices`` and ``adjacency_slices``.

        Raises:
            Incompatible: if the runs have different labels, no scored case in common, or not the case asked for.
        """
        cases = self._cases(runs)
        from segbench_nonadj import matrices, montage
        from segbench_nonadj.evidence import gather

        evidence = gather(runs, cases)
        yield "adjacency_matrices", matrices.draw(evidence, shares=self.cells == "share")
        chosen = (self.case,) if self.case else cases
        yield "adjacency_slices", montage.draw(evidence, runs, chosen, axis=self.axis, zoom=self.zoom)

    def _cases(self, runs: Sequence[FinishedRun]) -> list[str]:
        """Return the scored cases that all runs share."""
        if not runs:
            raise Incompatible("figure adjacency: expected at least one run, found none.")
        first = runs[0]
        for run in runs[1:]:
            if run.task.labels != first.task.labels:
                raise Incompatible(
                    f"figure adjacency: expected runs with the same labels, found {len(first.task.labels)} in "
                    f"{first.title} and {len(run.task.labels)} or other ones in {run.title}. Draw them apart."
                )
        shared = set(first.case_ids).intersection(*(run.case_ids for run in runs))
        if not shared or (self.case and self.case not in shared):
            wanted = f"case {self.case}" if self.case else "a scored case"
            raise Incompatible(
                f"figure adjacency: expected {wanted} in every run, found "
                f"{', '.join(sorted(shared)) or 'none in common'}. Draw runs of the same dataset, fold and split."
            )
        return [case for case in first.case_ids if case in shared]
