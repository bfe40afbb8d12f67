"""What waits between looking for labels and scoring is what was read."""

from __future__ import annotations

import numpy as np
import pytest

from segbench import LabelMap, memory_order
from segbench.scoring.references import _Kept


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("value", [3, -2, 0])
def test_a_kept_reference_is_whole_again(order: tuple[int, ...], value: int) -> None:
    array = np.zeros((4, 5, 6), dtype=np.int16).transpose(order)
    array[1:3, 2, 1:4] = value
    labels = LabelMap(array, (1.0, 2.0, 3.0), notes=("turned",), names={"liver": (3,)})
    kept = _Kept.of(labels)
    assert kept.inside.array.size == (6 if value else 0)
    again = kept.whole()
    np.testing.assert_array_equal(again.array, array)
    assert again.array.dtype == array.dtype and memory_order(again.array) == memory_order(array)
    assert (again.spacing, again.notes, again.names) == (labels.spacing, labels.notes, labels.names)
