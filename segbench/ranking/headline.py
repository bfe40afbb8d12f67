"""Which metrics the headline order rests on: correlated metrics are not averaged twice.

Dice and IoU rank the predictions of a case alike, and so, nearly, do the distances between boundaries. Where a board
has metrics of both families the order rests on one of each, as in the Medical Segmentation Decathlon
(doi:10.1038/s41467-022-30695-9); the others are shown and ranked task by task, but count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from segbench.errors import UnknownName, did_you_mean

OVERLAP = ("dice", "dsc", "dc", "f1", "medpy_dc", "iou", "jaccard", "jc", "medpy_jc", "precision", "recall")
BOUNDARY = (
    *("nsd", "surface_dice", "nsd_surfel", "hd95", "medpy_hd95", "hd95_pooled", "hd_percentile", "assd", "medpy_assd"),
    *("masd", "asd", "medpy_asd", "msd", "hd", "medpy_hd", "boundary_iou"),
)
"""Names of metrics in the order of preference; case does not matter."""
ALL = "all"


def headline(metrics: Sequence[str], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the metrics that count for the order, sorted.

    Args:
        metrics: all that a board has.
        wanted: those to use, or ``("all",)``; None = one overlap and one boundary metric where both are there, one of
            the family and all others where only one of the two is, all where neither is.

    Raises:
        UnknownName: one is wanted that the board does not have.
    """
    known = sorted(set(metrics))
    if wanted is not None and tuple(wanted) == (ALL,):
        return tuple(known)
    if wanted:
        for name in wanted:
            if name not in known:
                raise UnknownName(f"--headline {name}: no such metric on the board. {did_you_mean(name, known)}")
        return tuple(sorted(set(wanted)))
    families = [
        sorted((n for n in known if n.lower() in f), key=lambda n: f.index(n.lower())) for f in (OVERLAP, BOUNDARY)
    ]
    chosen = {family[0] for family in families if family}
    if not all(families):
        chosen |= {name for name in known if not any(name in family for family in families)}
    return tuple(sorted(chosen))
