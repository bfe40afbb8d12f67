"""Device and precision: what "auto" becomes, and what a run leaves as it found it."""

from __future__ import annotations

import pytest
import torch

from segbench.errors import UsageError
from segbench.training import device


@pytest.mark.parametrize(
    ("cuda", "mps", "bf16", "expected"),
    [
        (False, False, False, ("cpu", "32-true")),
        (False, False, True, ("cpu", "bf16-mixed")),
        (False, True, True, ("mps", "32-true")),
        (True, False, True, ("cuda", "bf16-mixed")),
        (True, True, False, ("cuda", "16-mixed")),
    ],
)
def test_auto_is_resolved_without_a_launch(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, bf16: bool, expected: tuple[str, str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": bf16}, raising=False)
    before = torch.are_deterministic_algorithms_enabled()
    assert device.resolved("auto", "auto") == expected
    assert device.resolved("auto", "32-true") == (expected[0], "32-true")
    assert device.resolved("cpu", "bf16-mixed") == ("cpu", "bf16-mixed")
    assert torch.are_deterministic_algorithms_enabled() == before


def test_what_cannot_be_resolved_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"--device cuda: this machine has none"):
        device.resolved("cuda", "auto")
    with pytest.raises(UsageError, match=r"--device 'tpu': expected one of auto, cpu, cuda, mps"):
        device.resolved("tpu", "auto")
    with pytest.raises(UsageError, match=r"--precision '64': expected one of auto, 32-true"):
        device.resolved("cpu", "64")
