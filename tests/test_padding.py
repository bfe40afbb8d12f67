"""Images of any size: what the network is shown, and what comes back."""

from __future__ import annotations

import pytest
import torch

from segbench import of_any_size


@pytest.mark.parametrize(
    ("shape", "multiple", "least", "shown"),
    [
        ((5, 8), 4, 0, (8, 8)),
        ((8, 4), 4, 0, (8, 4)),
        ((1, 1), 4, 8, (8, 8)),
        ((9, 3), 4, 8, (12, 8)),
        ((3, 7, 10), (1, 2, 4), 0, (3, 8, 12)),
        ((3, 7, 10), 4, 0, (4, 8, 12)),
    ],
)
def test_a_network_sees_multiples_and_gives_the_size_back(
    shape: tuple[int, ...], multiple: int | tuple[int, ...], least: int, shown: tuple[int, ...]
) -> None:
    image = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    seen = []

    def run(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return 2 * x[:, :1]

    result = of_any_size(run, image, multiple, least=least)
    assert tuple(seen[0].shape) == (2, 3, *shown)
    assert torch.equal(result, 2 * image[:, :1])
    repeated = image
    for axis, (n, size) in enumerate(zip(shape, shown, strict=True), start=2):
        repeated = repeated.index_select(axis, torch.arange(size).clamp(max=n - 1))
    assert torch.equal(seen[0], repeated)


def test_what_fits_already_is_not_copied() -> None:
    image = torch.zeros(1, 1, 8, 4)
    assert of_any_size(lambda x: x, image, 4).data_ptr() == image.data_ptr()


def test_a_multiple_per_axis_must_be_one_per_axis() -> None:
    with pytest.raises(ValueError, match="argument"):
        of_any_size(lambda x: x, torch.zeros(1, 1, 8, 4), (2, 2, 2))
