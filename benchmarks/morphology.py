"""The soft skeleton beside MONAI's: time of forward and backward, and what is kept for the gradient.

    pip install --no-deps monai==1.6.1 && python benchmarks/morphology.py

One thread, seconds of the processor, both in turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from monai.losses.cldice import soft_skel

from segbench import soft_skeleton

ITERATIONS, REPEATS = 10, 9
Skeleton = Callable[[torch.Tensor, int], torch.Tensor]


def seconds(skeleton: Skeleton, maps: torch.Tensor, weight: torch.Tensor) -> float:
    """Return the seconds of the processor of one forward and backward pass."""
    maps.grad = None
    begun = time.process_time()
    (skeleton(maps, ITERATIONS) * weight).sum().backward()
    return time.process_time() - begun


def kept(skeleton: Skeleton, maps: torch.Tensor) -> float:
    """Return how many times the size of the maps is kept for the gradient."""
    tensors: dict[int, int] = {}
    alive = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        alive.append(tensor)
        tensors[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        skeleton(maps, ITERATIONS)
    return sum(tensors.values()) / maps.nbytes


def main() -> None:
    """Print time and memory in 2D and 3D."""
    torch.set_num_threads(1)
    for shape in ((4, 1, 256, 256), (1, 1, 48, 64, 48)):
        maps = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        pool = torch.nn.functional.avg_pool2d if len(shape) == 4 else torch.nn.functional.avg_pool3d
        maps = pool(maps, 9, 1, 4)
        maps = ((maps - maps.min()) / (maps.max() - maps.min())).requires_grad_()
        weight = torch.rand(shape)
        assert torch.equal(soft_skel(maps, ITERATIONS), soft_skeleton(maps, ITERATIONS))
        taken = [(seconds(soft_skel, maps, weight), seconds(soft_skeleton, maps, weight)) for _ in range(REPEATS)]
        theirs, ours = (1e3 * statistics.median(column) for column in zip(*taken, strict=True))
        ratio = statistics.median(peer / own for peer, own in taken)
        print(f"{shape}, {ITERATIONS} iterations: {ours:.0f} ms, MONAI {theirs:.0f} ms, {ratio:.2f} times as fast;")
        print(f"   kept for the gradient: {kept(soft_skeleton, maps):.0f} maps, MONAI {kept(soft_skel, maps):.0f}")


if __name__ == "__main__":
    main()
