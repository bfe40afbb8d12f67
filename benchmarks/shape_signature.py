"""What the shape signature costs and whether it knows shapes; ratios within one run.

python benchmarks/shape_signature.py [--threads 1] [--repeats 5] [--only step|memory|shapes]
    [--maps DIR --labels 17,53 [--swap]]

- step: a training step of the 3D U-Net with the shape term of 1, 2 and 8 structures against the plain step, in CPU
  seconds; the network is untrained, so that nothing can be cropped: the worst case.
- memory: growth of a fresh process's peak resident size over one forward and backward pass at 128^3: of the term, and
  of the 3D U-Net's whole step (batch 1, without the optimiser) without it and with it.
- shapes: table 1 on label maps of a folder, half of the subjects for training and half held out (an even number of
  maps and --swap: the other way round): mean distance of 50 affine pairs of the same subject and of different ones, and
  in how many of 200 triples a mask is closer to an affine copy of itself than to another subject's mask.

Variants take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from nonadj import Pass, once, peaks

from segbench import Choice, LabelMap, Structure, load_catalogue, pixel_terms, read_label_map
from segbench_shape_signature import SignatureNetwork, shape_loss
from segbench_shape_signature.affine import affine_copy
from segbench_shape_signature.distance import cropped, signature_distance
from segbench_shape_signature.fitting import fit, generate
from segbench_shape_signature.objective import shape_term
from segbench_shape_signature.pretraining import Spread, measure
from segbench_shape_signature.settings import CONTRASTIVE, Pretraining
from segbench_shape_signature.store import Signature, obtain
from segbench_shape_signature.subjects import Subjects, collect

SIZE, LARGE = (64, 64, 64), (128, 128, 128)
COUNTS = (1, 2, 8)
TRIPLES = 200
SETTINGS = {
    "the paper": Pretraining(),
    "the paper, no translation": Pretraining(translation=0.0),
    "margin alone": Pretraining(margin=0.5),
    "contrastive": CONTRASTIVE,
    "contrastive, 600 steps": replace(CONTRASTIVE, iterations=600),
}


def network() -> SignatureNetwork:
    """Return a frozen network."""
    torch.manual_seed(0)
    return SignatureNetwork().eval().requires_grad_(False)


def boxes(shape: tuple[int, int, int], labels: int) -> torch.Tensor:
    """Return a target ``(1, D, H, W)`` with a box of a quarter of each edge per label."""
    target = torch.zeros((1, *shape), dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    for label in range(1, labels):
        start = [int(torch.randint(n - n // 4, (1,), generator=generator)) for n in shape]
        target[(0, *(slice(s, s + n // 4) for s, n in zip(start, shape, strict=True)))] = label
    return target


def losses(shape: tuple[int, int, int]) -> tuple[torch.nn.Module, Callable[[int], torch.Tensor]]:
    """Return an untrained 3D U-Net, and its loss with the shape term of a number of structures; 0 = plain."""
    unet = load_catalogue().network(Choice("unet3d")).build(1, 9)
    image, target = torch.randn(1, 1, *shape), boxes(shape, 9)
    signatures = {label: Signature(network(), Spread(1, 1, 1)) for label in range(1, 9)}

    def loss(count: int) -> torch.Tensor:
        pixels = pixel_terms(unet(image), target)
        if not count:
            return pixels.dice_loss()
        chosen = {label: signatures[label] for label in range(1, count + 1)}
        return pixels.dice_loss() + 0.1 * shape_term(chosen, pixels.probabilities, target, cap=1e9)

    return unet, loss


def step_variants(shape: tuple[int, int, int]) -> tuple[torch.Tensor, dict[str, Pass]]:
    """Return a weight of the network, and its loss without the term and with it."""
    unet, loss = losses(shape)
    return next(unet.parameters()), {"plain": lambda: loss(0), "1 structure": lambda: loss(1)}


def steps(repeats: int) -> None:
    """Print the cost of the shape term beside the plain step."""
    unet, loss = losses(SIZE)
    optimizer = torch.optim.Adam(unet.parameters(), 1e-4)

    def step(count: int) -> float:
        start = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        loss(count).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return time.process_time() - start

    step(0)
    seconds: dict[int, list[float]] = {count: [] for count in (0, *COUNTS)}
    for _ in range(repeats):
        for count, times in seconds.items():
            times.append(step(count))
    plain = statistics.median(seconds[0])
    print(f"\ntraining step of unet3d, {SIZE}, 9 labels: {1e3 * plain:.0f} ms without the shape term")
    for count in COUNTS:
        print(f"  {count} structures: +{100 * (statistics.median(seconds[count]) / plain - 1):.1f} %")


def term_variants(shape: tuple[int, int, int]) -> tuple[torch.Tensor, dict[str, Pass]]:
    """Return the prediction and the ways to compute the term."""
    truth = boxes(shape, 2) > 0
    leaf = torch.where(truth, 0.9, 0.001).requires_grad_()
    g = network()

    def half() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return shape_loss(g, leaf, truth, 1e9)

    return leaf, {
        "whole": lambda: shape_loss(g, leaf, truth, 1e9),
        "whole, bf16": half,
        "cropped": lambda: shape_loss(g, *cropped(g, leaf, truth, 0.01), 1e9),
    }


def memory(repeats: int, threads: int) -> None:
    """Print time and memory of the term for one structure."""
    leaf, variants = term_variants(LARGE)
    found = peaks(term_variants, LARGE, threads)
    print(f"\nthe term for one structure at {LARGE}")
    for name, forward in variants.items():
        once(leaf, forward)
        median = statistics.median(once(leaf, forward) for _ in range(repeats))
        print(f"  {name:12s} {1e3 * median:7.1f} ms  {found[name]:6.0f} MiB")
    whole = peaks(step_variants, LARGE, threads)
    print(f"  whole step: {', '.join(f'{name} {size:.0f} MiB' for name, size in whole.items())}")


def shapes(folder: Path, values: tuple[int, ...], swap: bool) -> None:
    """Print table 1 and the triples for every label of a folder of label maps."""
    truths = [
        LabelMap(one.array, one.spacing) for one in map(read_label_map, sorted(folder.glob("*.nii.gz"), reverse=swap))
    ]
    structures = [Structure(str(value), (value,), value) for value in values]
    training, held_out = (collect(half, structures) for half in (truths[::2], truths[1::2]))
    print(f"\n{folder.name}: {len(truths[::2])} training subjects, {len(truths[1::2])} held out")
    for structure in structures:
        for title, settings in SETTINGS.items():
            start = time.process_time()
            found = obtain(structure.name, training[structure.name], settings, generate(0), fit(0))
            seconds = time.process_time() - start
            others = held_out[structure.name]
            spread = measure(found.network, others, settings, generate(0)("held out"))
            print(
                f"  label {structure.name}, {title:26s} same {spread.same:.3f}  different {spread.different:.3f}  "
                f"ratio {spread.ratio:.2f}  triples {triples(found, others, settings):.0%}  ({seconds:.1f} s)",
                flush=True,
            )


@torch.no_grad()
def triples(found: Signature, subjects: Subjects, settings: Pretraining) -> float:
    """Return the share of triples in which a mask is closer to its own affine copy than to another subject's mask."""
    generator, frame, won = generate(1)("triples"), subjects.frame(settings), 0.0
    for _ in range(TRIPLES):
        one, other = torch.randperm(len(subjects), generator=generator)[:2].tolist()
        masks = subjects.batch([one, other], frame)
        copy = affine_copy(masks[:1], generator, translation=settings.translation, spacing=subjects.spacing)
        mask, rival, own = found.network(torch.cat([masks, copy])).split(1)
        won += float(signature_distance(mask, own) < signature_distance(mask, rival)) / TRIPLES
    return won


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--labels", default="17,53")
    parser.add_argument("--swap", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only in "step":
        steps(options.repeats)
    if options.only in "memory":
        memory(options.repeats, options.threads)
    if options.only in "shapes" and options.maps:
        shapes(options.maps, tuple(int(value) for value in options.labels.split(",")), options.swap)


if __name__ == "__main__":
    main()
