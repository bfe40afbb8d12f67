"""A run in somebody's notebook: the process is afterwards as it was before, whether the run ended or raised."""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from segbench import allocator, runner
from segbench.cli import app
from segbench.errors import PluginError
from segbench.host import load_catalogue
from segbench.training import memory
from segbench.training.memory import AT_MOST, OF_THE_RUN, UNKNOWN, PeakMemory

TOY = Path(__file__).parent / "toy.py"
CATALOGUE = load_catalogue([TOY])
toy: Any = sys.modules["segbench_file_toy"]
ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20


def state() -> dict[str, Any]:
    """Return what belongs to the guest's host."""
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "benchmark": torch.backends.cudnn.benchmark,
        "cudnn": torch.backends.cudnn.deterministic,
        "filters": list(warnings.filters),
        "environment": dict(os.environ),
        "levels": {name: logging.getLogger(name).level for name in ("", "segbench", "lightning.fabric")},
        "fabric": logging.getLogger("lightning_fabric").level,
        "torch": torch.get_rng_state().tolist(),
        "seed": torch.initial_seed(),
        "numpy": [np.asarray(one).tolist() for one in np.random.get_state()],
        "random": random.getstate(),
        "threads": torch.get_num_threads(),
    }


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Furnish the process in a way that no run would, and tidy up after the test."""
    import lightning_fabric  # noqa: F401 - its import sets a level

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv("A_GUEST", "came")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    levels = {name: logging.getLogger(name).level for name in ("lightning_fabric", "lightning.fabric")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    torch.manual_seed(7)
    torch.rand(5)
    np.random.seed(8)
    random.seed(9)
    with warnings.catch_warnings():
        warnings.simplefilter("once", FutureWarning)
        yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def meddle(self: Any, stage: Any) -> None:
    """Do what a plugin may do: change the environment and draw from everybody's generators."""
    assert torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    os.environ["A_PLUGIN"] = "was here"
    del os.environ["A_GUEST"]
    random.random()
    np.random.rand()
    prepare(self, stage)


prepare = toy.Witness.prepare


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("fault", ["", "loss"])
def test_a_run_leaves_the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(toy.Witness, "prepare", meddle)
    before = state()
    if fault:
        with pytest.raises(PluginError, match="no prior today"):
            toy.go(tmp_path, CATALOGUE, "witness", {"fault": fault})
    else:
        assert toy.go(tmp_path, CATALOGUE).fresh
    after = state()
    assert [name for name in before if after[name] != before[name]] == []


def test_the_host_of_a_run_draws_on_where_it_was(tmp_path: Path) -> None:
    def draws() -> list[float]:
        return [float(torch.rand(1)), float(np.random.rand()), random.random()]

    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    expected = [draws(), draws()]
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    found = [draws()]
    toy.go(tmp_path, CATALOGUE)
    assert [*found, draws()] == expected


def test_only_the_command_line_tunes_the_allocator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naming = [path for path in (ROOT / "segbench").rglob("*.py") if "mallopt" in path.read_text()]
    assert [path.relative_to(ROOT / "segbench").as_posix() for path in naming] == ["allocator.py"]
    calls: list[str] = []
    monkeypatch.setattr(allocator, "keep_pages", lambda: calls.append("tuned"))
    toy.go(tmp_path, CATALOGUE)
    assert calls == []
    monkeypatch.setattr(runner, "run", lambda config, **_: runner.Outcome(config, "x", tmp_path, fresh=False))
    result = CliRunner().invoke(app, ["run", "-m", "ce", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert calls == ["tuned"]


# ---------------------------------------------------------------------------------------------------------- peak memory


def filled(mebibytes: int) -> list[Any]:
    """Return so much memory, touched, in pieces that an allocator may keep."""
    return [np.ones(MIB // 8) for _ in range(mebibytes)]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux resets a high-water mark")
def test_a_small_run_after_a_large_one_reports_less(tmp_path: Path) -> None:
    allocator.keep_pages()
    watch = PeakMemory(torch.device("cpu"))
    large = filled(600)
    highest, measured = watch.read()
    del large
    assert highest is not None and measured == OF_THE_RUN
    outcome = toy.go(tmp_path, CATALOGUE)
    record = json.loads((outcome.folder / "run.json").read_text())
    assert 30 * MIB < record["peak_memory_bytes"] < highest - 400 * MIB
    assert record["hardware"]["peak_memory"] == OF_THE_RUN


def test_without_a_reset_the_record_says_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    highest = [500]
    monkeypatch.setattr(memory, "_PROC", tmp_path / "not there")
    monkeypatch.setattr(memory, "_highest_ever", lambda: highest[0])
    watch = PeakMemory(torch.device("cpu"))
    assert watch.read() == (500, AT_MOST)
    highest[0] = 700
    assert watch.read() == (700, OF_THE_RUN)


def test_where_nothing_tells_the_peak_none_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path / "not there")
    monkeypatch.setattr(memory, "_highest_ever", lambda: None)
    assert PeakMemory(torch.device("cpu")).read() == (None, UNKNOWN)
