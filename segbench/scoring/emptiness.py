"""What a metric says where a mask is empty: asked of the metric itself, on a cube of 27 mm3 and on nothing."""

from __future__ import annotations

from segbench.contracts import Metric
from segbench.scoring.metrics import prepare_metrics, score_case
from segbench.types import LabelMap, Score, Task

CASES = ("both_empty", "pred_empty", "truth_empty")
"""Which masks are empty, in the words of statuses."""
_TASK = Task("emptiness", "1", ("background", "cube"), ("image",))


def scores_of_empty(metric: Metric) -> dict[str, Score]:
    """Return what a metric gives of its first structure where prediction, truth or both are empty.

    Args:
        metric: freshly made; it is prepared here.

    Returns:
        One score for each of ``CASES``, its status "failed" where the metric raised; {} of a metric that learns, which
        may train a network to do so.

    Raises:
        PluginError: the metric cannot be prepared like this.
    """
    if metric.learns:
        return {}
    import numpy as np

    cube = np.zeros((5, 5, 5), np.uint8)
    cube[1:4, 1:4, 1:4] = 1

    def there() -> LabelMap:
        return LabelMap(cube, (1.0, 1.0, 1.0))

    def nothing() -> LabelMap:
        return LabelMap(np.zeros_like(cube), (1.0, 1.0, 1.0))

    prepare_metrics([metric], _TASK, lambda: iter(()), {})
    pairs = ((nothing(), nothing()), (nothing(), there()), (there(), nothing()))
    return {
        case: score_case(predicted, truth, _TASK, [metric])[0][1]
        for case, (predicted, truth) in zip(CASES, pairs, strict=True)
    }
