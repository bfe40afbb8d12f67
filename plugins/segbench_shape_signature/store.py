"""Trained signatures by content: the same masks, settings and seed are never trained twice.

A signature is looked for in the run's own folder, in the folder that runs share, and among those made earlier in this
process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from segbench import SegbenchError, load_checkpoint, save_checkpoint
from segbench_shape_signature.pretraining import Spread, build, pretrain, scaled
from segbench_shape_signature.settings import Pretraining
from segbench_shape_signature.signature import SignatureNetwork
from segbench_shape_signature.subjects import Subjects

FORMAT = 1
"""Raised whenever the same content gives another signature."""
KEPT = 256
"""Signatures remembered by a process; one takes some 70 KiB."""
_remembered: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True, eq=False)
class Signature:
    """A frozen signature network and what was measured of it."""

    network: SignatureNetwork
    spread: Spread

    def state(self) -> dict[str, Any]:
        """Return tensors and numbers."""
        weights = {name: value.cpu() for name, value in self.network.state_dict().items()}
        return {"weights": weights, "spread": asdict(self.spread)}


def restored(state: dict[str, Any], settings: Pretraining, device: torch.device | str = "cpu") -> Signature:
    """Return a signature from ``Signature.state``."""
    with torch.random.fork_rng(devices=[]):  # weights are drawn, only to be replaced
        network = SignatureNetwork(settings.levels, settings.width)
    network.load_state_dict(state["weights"])
    network.to(device).eval().requires_grad_(False)
    return Signature(network, Spread(**state["spread"]))


def obtain(
    name: str,
    subjects: Subjects,
    settings: Pretraining,
    generate: Callable[[str], torch.Generator],
    fit: Callable[..., list[float]],
    *,
    device: torch.device | str = "cpu",
    folders: Sequence[Path] = (),
    trained: bool = True,
) -> Signature:
    """Return the signature of a structure, trained now unless it has been before.

    Args:
        name: of the structure, for progress.
        subjects: its masks.
        settings: of network and pre-training.
        generate: purpose -> seeded generator; its seed is part of the content.
        fit: see ``Stage.fit``.
        device: where it is trained and returned.
        folders: where it is looked for and kept.
        trained: False leaves the weights as drawn and only scales the signature.
    """
    purpose = f"shape signature of {name}"
    generator = generate(purpose)
    key = _key(subjects, settings, generator.initial_seed(), trained)
    paths = [folder / f"signature-{key}.pt" for folder in folders]
    kept = {path: _read(path) for path in paths}
    state = _remembered.get(key) or next(filter(None, kept.values()), None)
    if state is None:
        network = build(settings, generator).to(device)
        spread = scaled(network, subjects, settings, generate(f"{purpose}, drawn"))
        if trained:
            pretrain(network, subjects, settings, fit, purpose=purpose)
            spread = scaled(network, subjects, settings, generate(f"{purpose}, trained"))
        state = Signature(network, spread).state()
    _remembered[key] = state
    while len(_remembered) > KEPT:
        del _remembered[next(iter(_remembered))]
    for path, there in kept.items():
        if there is None:
            save_checkpoint(path, {**state, "name": name})
    return restored(state, settings, device)


def _key(subjects: Subjects, settings: Pretraining, seed: int, trained: bool) -> str:
    content = f"{FORMAT} {subjects.digest()} {settings!r} {seed} {trained}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any] | None:
    """Return a kept signature; one that is damaged counts as none, and is written again."""
    try:
        state = load_checkpoint(path)
        return {"weights": dict(state["weights"]), "spread": dict(state["spread"])}
    except (SegbenchError, KeyError, TypeError, ValueError):
        return None
