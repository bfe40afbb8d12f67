"""Where values lie, against looking voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segbench import LabelMap, enclosing, foreground_box, mask_box, memory_order, value_boxes
from segbench.boxes import values_of
from segbench.scoring.cases import values_in


def by_definition(array: np.ndarray) -> dict[int, tuple[slice, ...]]:
    found = {}
    for value in np.unique(array[array != 0]):
        places = np.argwhere(array == value)
        low, high = places.min(axis=0).tolist(), (places.max(axis=0) + 1).tolist()
        found[int(value)] = tuple(slice(*pair) for pair in zip(low, high, strict=True))
    return found


@given(
    st.data(),
    st.one_of(*(st.tuples(*[st.integers(1, longest)] * axes) for axes, longest in ((1, 40), (2, 12), (3, 7)))),
    st.sampled_from([np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.uint64]),
)
@settings(max_examples=150, deadline=None)
def test_boxes_of_any_label_map(data: st.DataObject, shape: tuple[int, ...], dtype: type) -> None:
    values = [0, 0, 0, 1, 2, 127] + ([-1] if np.dtype(dtype).kind == "i" else [])
    values += [614454277] if np.dtype(dtype).itemsize > 2 else []
    values = data.draw(st.sampled_from([values, [0, 0, 1, 3, 4]]))  # few small values are looked for one by one
    array = data.draw(arrays.arrays(dtype, shape, elements=st.sampled_from(values)))
    for turned in (array, np.asfortranarray(array), np.flip(array, 0), np.repeat(array, 2, axis=-1)[..., ::2]):
        labels = LabelMap(turned, (1.0,) * array.ndim)
        assert value_boxes(labels) == by_definition(turned)
        assert values_of(labels) == set(np.unique(turned).tolist()) == values_in(turned) == values_in(labels)


@pytest.mark.parametrize("width", [512, 509])
def test_boxes_of_a_map_looked_at_in_pieces(width: int) -> None:
    array = np.zeros((9, 300, width), dtype=np.uint8)
    array[1:3, 5:7, 8:11] = 4
    array[8, 299, width - 1] = 9
    array[3:5] = 7  # runs that go on in the next row and the next plane
    assert value_boxes(LabelMap(array, (1.0, 1.0, 1.0))) == by_definition(array)
    assert value_boxes(LabelMap(array.transpose(2, 0, 1), (1.0, 1.0, 1.0))) == by_definition(array.transpose(2, 0, 1))


def test_more_values_than_a_byte_holds() -> None:
    array = np.arange(3000, dtype=np.int32).reshape(10, 300) * 1_000_003
    assert value_boxes(LabelMap(array, (1.0, 1.0))) == by_definition(array)


def test_one_look_serves_whoever_asks() -> None:
    labels = LabelMap(np.ones((2, 3), dtype=np.uint8), (1.0, 1.0))
    assert value_boxes(labels) is value_boxes(labels)
    assert values_of(labels) == {1}
    assert value_boxes(LabelMap(np.zeros((0, 3), dtype=np.uint8), (1.0, 1.0))) == {}


def test_rows_never_lie_along_an_axis_of_length_one() -> None:
    picture = np.zeros((5, 6), dtype=np.uint8)
    assert memory_order(picture[None]) == [0, 1, 2]  # its stride is 0
    assert memory_order(picture[:, :, None]) == [2, 0, 1]
    assert memory_order(np.zeros((2, 3, 4)).T) == [2, 1, 0]


@given(arrays.arrays(np.bool_, st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple)))
@settings(max_examples=80, deadline=None)
def test_the_box_of_a_mask_of_any_shape(mask: np.ndarray) -> None:
    assert mask_box(mask) == by_definition(mask.astype(np.uint8)).get(1)


def test_the_box_of_the_foreground_of_several_maps() -> None:
    first, second = np.zeros((5, 6), dtype=np.int16), np.zeros((5, 6), dtype=np.uint8)
    maps = LabelMap(first, (1.0, 1.0)), LabelMap(second, (1.0, 1.0))
    assert foreground_box(*maps) == (slice(0, 0), slice(0, 0))
    first[1, 2], second[3, 1] = -1, 200
    maps = LabelMap(first, (1.0, 1.0)), LabelMap(second, (1.0, 1.0))
    assert foreground_box(*maps) == (slice(1, 4), slice(1, 3)) and foreground_box(maps[1]) == (slice(3, 4), slice(1, 2))
    assert enclosing([]) == ()
