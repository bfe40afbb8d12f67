"""Energy is what the machine's counters tell: wrapped counters are unwrapped, and what is not told is not guessed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from segbench.host import load_catalogue
from segbench.training import energy, loop
from segbench.training.energy import PROCESSOR, Energy

TOY = Path(__file__).parents[1] / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]
CPU = torch.device("cpu")


def zone(root: Path, number: str, name: str, microjoules: float, span: float = 1e9) -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{span:.0f}\n")
    (folder / "energy_uj").write_text(f"{microjoules:.0f}\n")
    return folder / "energy_uj"


def test_packages_and_memory_are_added_and_what_they_contain_is_not(tmp_path: Path) -> None:
    files = [
        zone(tmp_path, number, name, 5e6)
        for number, name in (("0", "package-0"), ("1", "package-1"), ("0:0", "core"), ("0:1", "dram"), ("2", "psys"))
    ]
    counted = Energy(CPU, tmp_path)
    for joules, file in zip((1, 20, 300, 4000, 50000), files, strict=True):
        file.write_text(f"{(5 + joules) * 1e6:.0f}")
    assert counted.spent() == {PROCESSOR: pytest.approx(1 + 20 + 4000)}
    assert counted.spent() == {PROCESSOR: 0.0}, "since the last call"


def test_a_counter_that_overflowed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zone(tmp_path, "0", "package-0", 900e6, span=1000e6)
    counted = Energy(CPU, tmp_path)
    file.write_text("50000000")
    counted.look()
    file.write_text("940000000")
    counted.look()
    assert counted.spent() == {PROCESSOR: pytest.approx(40)}, "looked at too often to be read: once round is not seen"
    monkeypatch.setattr(energy, "_EVERY", 0.0)
    file.write_text("30000000")  # 90 J later
    counted.look()
    file.write_text("920000000")  # 890 J later
    counted.look()
    file.write_text("10000000")  # 90 J later
    assert counted.spent() == {PROCESSOR: pytest.approx(90 + 890 + 90)}


def test_nothing_is_guessed(tmp_path: Path) -> None:
    assert Energy(CPU, tmp_path / "none").spent() == {}
    file = zone(tmp_path, "0", "package-0", 1e6)
    other = zone(tmp_path, "1", "package-1", 1e6)
    other.unlink()
    assert Energy(CPU, tmp_path).spent() == {}, "half a machine is no measure of it"
    other.write_text("1000000")
    counted = Energy(CPU, tmp_path)
    file.write_text("not a number")
    assert counted.spent() == {}
    file.write_text("9000000")
    assert counted.spent() == {}, "what passed meanwhile is not known"


class Interrupted(loop.Reporter):
    def epoch(self, index: int, *arguments: Any) -> None:
        if index == 0:
            raise KeyboardInterrupt


def counting(monkeypatch: pytest.MonkeyPatch, *sessions: dict[str, float]) -> None:
    """Let each epoch of a session take so many joules."""
    left = iter(sessions)

    class Fake:
        def __init__(self, device: torch.device) -> None:
            self.each = next(left)

        def look(self) -> None: ...

        def spent(self) -> dict[str, float]:
            return dict(self.each)

    monkeypatch.setattr(loop, "Energy", Fake)


@pytest.mark.parametrize(
    ("sessions", "known"),
    [
        (({"processor": 2.0, "gpu": 5.0}, {"processor": 3.0, "gpu": 5.0}), {"processor": 8.0, "gpu": 15.0}),
        (({"processor": 2.0, "gpu": 5.0}, {"gpu": 5.0}), {"gpu": 15.0}),
        (({}, {"gpu": 5.0}), None),
        (({"gpu": 5.0}, {}), None),
    ],
)
def test_a_resumed_training_knows_what_every_session_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: Any, known: Any
) -> None:
    counting(monkeypatch, *sessions)
    config = toy.configuration("witness", {}, recipe={"epochs": 3})
    with pytest.raises(KeyboardInterrupt):
        toy.run(config, catalogue=CATALOGUE, results_root=tmp_path, reporter=Interrupted())
    outcome = toy.run(config, catalogue=CATALOGUE, results_root=tmp_path)
    record = json.loads((outcome.folder / "run.json").read_text())
    assert record["energy_joules"] == known
    words = record["hardware"]["energy"]
    assert words == "nothing here tells it" if known is None else set(words) == set(known)


class Library:
    """NVIDIA's management library, made up."""

    def __init__(self, joules: list[float | None], known: bytes = b"GPU-one") -> None:
        self.joules, self.known = iter(joules), known

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: Any) -> int:
        return 0 if name == self.known else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, found: Any) -> int:
        now = next(self.joules)
        if now is None:
            return 3
        found._obj.value = round(now * 1000)
        return 0


@pytest.mark.parametrize(
    ("joules", "uuid", "told"),
    [
        ([100.0, 250.5], "one", {"gpu": 150.5}),
        ([None], "one", {}),  # older than Volta
        ([100.0, None], "one", {}),
        ([100.0, 3.0], "one", {}),  # its driver was loaded anew
        ([], "MIG-one", {}),
    ],
)
def test_a_gpu_is_asked_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joules: Any, uuid: str, told: Any
) -> None:
    monkeypatch.setattr(energy.ctypes, "CDLL", lambda name: Library(joules))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: type("Properties", (), {"uuid": uuid}))
    assert Energy(torch.device("cuda", 0), tmp_path).spent() == told


def test_a_machine_without_the_library_tells_nothing_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(energy.ctypes, "CDLL", missing)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: type("Properties", (), {"uuid": "one"}))
    assert Energy(torch.device("cuda", 0), tmp_path).spent() == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_tells_a_plausible_power() -> None:
    import time

    device = torch.device("cuda", 0)
    counted = Energy(device)
    matrix = torch.rand(4096, 4096, device=device)
    begin = time.perf_counter()
    while time.perf_counter() - begin < 3:
        matrix = (matrix @ matrix).softmax(0)
        torch.cuda.synchronize()
    watts = counted.spent()["gpu"] / (time.perf_counter() - begin)
    assert 50 < watts < 1500
