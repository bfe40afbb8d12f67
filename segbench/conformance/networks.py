"""Checks of networks: logits of the right shape for any size, finite gradients, the same weights for the same seed."""

from __future__ import annotations

from typing import Any

import torch

from segbench.conformance.common import Check, Subject, expect
from segbench.contracts import Network
from segbench.types import Geometry
from segbench.views import Patches, Slices

CHANNELS, LABELS = 2, 3
_SIZES = {2: ((37, 45), (16, 9)), 3: ((13, 22, 17), (3, 18, 16))}
"""dims -> odd and thin sizes that no pooling divides."""


def _network(subject: Subject) -> Network:
    """Return the network with what it left open settled for a small anisotropic geometry."""
    return subject.make().adapt(Geometry((13, 22, 17), (3.0, 1.0, 1.0), (16, 24, 24)))  # type: ignore[no-any-return]


def _built(subject: Subject) -> torch.nn.Module:
    torch.manual_seed(3)
    return _network(subject).build(CHANNELS, LABELS)


def declares_dims_and_view(subject: Subject) -> None:
    """``dims`` is 2 or 3 and the view cuts cases accordingly, before and after ``adapt``."""
    for network in (subject.make(), _network(subject)):
        expect(network.dims in (2, 3), f"dims must be 2 or 3; found {network.dims!r}")
        expect(isinstance(network.view, Slices | Patches), f"view must be Slices or Patches; found {network.view!r}")
        expect(network.view.dims == network.dims, f"dims is {network.dims} but its view is {network.view!r}")


def adapting_leaves_the_original(subject: Subject) -> None:
    """``adapt`` returns a network of the same class and changes nothing in place."""
    network = subject.make()
    before = repr(network)
    adapted = network.adapt(Geometry((20, 40, 40), (1.0, 1.0, 1.0), (20, 40, 40)))
    expect(isinstance(adapted, subject.cls), f"adapt() returned {type(adapted).__name__}")
    expect(repr(network) == before, "adapt() changed the network itself; return a copy")


def logits_for_any_size(subject: Subject) -> None:
    """(B, C, *S) gives finite (B, K, *S), for odd and thin sizes and one or two samples."""
    module = _built(subject).eval()
    for batch, size in enumerate(_SIZES[_network(subject).dims], start=1):
        with torch.no_grad():
            logits = module(torch.randn(batch, CHANNELS, *size))
        expected = (batch, LABELS, *size)
        expect(tuple(logits.shape) == expected, f"expected logits {expected}, found {tuple(logits.shape)}")
        expect(bool(torch.isfinite(logits).all()), f"logits for {size} are not all finite")


def gradients_reach_every_weight(subject: Subject) -> None:
    """A backward pass gives a finite gradient for every parameter, and not all are zero."""
    module = _built(subject).train()
    size = _SIZES[_network(subject).dims][0]
    module(torch.randn(2, CHANNELS, *size, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    parameters: dict[str, Any] = {name: one for name, one in module.named_parameters() if one.requires_grad}
    without = [name for name, one in parameters.items() if one.grad is None]
    expect(not without, f"no gradient for {', '.join(without[:3])}")
    bad = [name for name, one in parameters.items() if not torch.isfinite(one.grad).all()]
    expect(not bad, f"gradient not finite for {', '.join(bad[:3])}")
    expect(any(one.grad.abs().max() > 0 for one in parameters.values()), "all gradients are zero")


def same_seed_same_network(subject: Subject) -> None:
    """Building twice under one seed gives the same weights, and the same logits in evaluation mode."""
    first, second = _built(subject).eval(), _built(subject).eval()
    states = first.state_dict(), second.state_dict()
    expect(states[0].keys() == states[1].keys(), "two builds have different parameters")
    differ = [name for name, value in states[0].items() if not torch.equal(value, states[1][name])]
    expect(not differ, f"weights differ under one seed: {', '.join(differ[:3])}")
    image = torch.randn(1, CHANNELS, *_SIZES[_network(subject).dims][0])
    with torch.no_grad():
        expect(torch.equal(first(image), second(image)), "logits differ although the weights are the same")


def samples_do_not_influence_each_other(subject: Subject) -> None:
    """In evaluation mode a sample's logits do not depend on its neighbours in the batch."""
    module = _built(subject).eval()
    images = torch.randn(2, CHANNELS, *_SIZES[_network(subject).dims][0])
    with torch.no_grad():
        together, alone = module(images)[:1], module(images[:1])
    expect(torch.allclose(together, alone, atol=1e-4), "a sample's logits change with the rest of the batch")


CHECKS: tuple[Check, ...] = (
    declares_dims_and_view,
    adapting_leaves_the_original,
    logits_for_any_size,
    gradients_reach_every_weight,
    same_seed_same_network,
    samples_do_not_influence_each_other,
)
