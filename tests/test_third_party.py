"""A stranger's package, built and installed with pip, is found and runs without any edit here, and goes as it came."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "stranger-loss"
version = "2.5"
dependencies = ["segbench"]

[project.entry-points.segbench]
stranger = "stranger_loss"
"""
PLUGIN = '''
"""A loss by somebody we have never met."""

from dataclasses import dataclass

from segbench import Method, cross_entropy, hookimpl, parameter


@dataclass
class Theirs(Method):
    """Cross-entropy times a number."""

    name = "theirs"
    summary = "scaled cross-entropy"
    scale: float = parameter(1.0, "factor", low=0)

    def loss(self, batch, logits):
        return {"ce": self.scale * cross_entropy(logits, batch.target)}


@hookimpl
def segbench_methods():
    return [Theirs]
'''


def python(*arguments: str, path: Path | None = None, cwd: Path) -> str:
    environment = {**os.environ, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(path: Path, cwd: Path) -> dict[str, Any]:
    """Return the methods that ``segbench list`` shows with ``path`` on the search path."""
    document = json.loads(python("-m", "segbench", "list", "methods", "--json", path=path, cwd=cwd))
    assert document["problems"] == []
    return {part["name"]: part for part in document["methods"]}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the stranger's wheel without network."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "stranger_loss").mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "stranger_loss" / "__init__.py").write_text(PLUGIN)
    python("-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index", ".", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_a_strangers_package_is_found_runs_and_goes(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    before = listed(site, tmp_path)
    assert "theirs" not in before
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    python(*install, cwd=tmp_path)
    found = listed(site, tmp_path)
    theirs = found.pop("theirs")
    assert found == before
    assert (theirs["plugin"], theirs["distribution"], theirs["plugin_version"]) == ("stranger", "stranger-loss", "2.5")
    run = ("-m", "segbench", "run", "--method", "theirs", "--set", "method.scale=2", "--smoke", "--device", "cpu")
    (outcome,) = json.loads(python(*run, "--json", path=site, cwd=tmp_path))["runs"]
    record = json.loads((tmp_path / outcome["folder"] / "run.json").read_text())
    assert outcome["status"] == "done" and record["plugins"]["stranger"] == "stranger-loss 2.5"
    assert record["config"]["method"] == {"name": "theirs", "parameters": {"scale": 2.0}}
    checked = json.loads(python("-m", "segbench", "check", "stranger", "--json", path=site, cwd=tmp_path))
    assert checked["failed"] == 0
    shutil.rmtree(site)  # pip cannot uninstall from a --target folder; removing it is how such an install is undone
    assert listed(site, tmp_path) == before


def test_pip_uninstall_removes_it(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own that sees this one's packages."""
    environment = tmp_path / "environment"
    python("-m", "venv", "--without-pip", str(environment), cwd=tmp_path)
    own = environment / "bin" / "python"
    (site,) = (environment / "lib").glob("python*/site-packages")
    here = [entry for entry in sys.path if entry and Path(entry).is_dir()]
    (site / "outer.pth").write_text("\n".join(here))

    def methods() -> set[str]:
        command = [str(own), "-m", "segbench", "list", "methods", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=True)
        return {part["name"] for part in json.loads(done.stdout)["methods"]}

    def pip(*arguments: str) -> None:
        command = [str(own), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
        assert done.returncode == 0, done.stderr

    before = methods()
    pip("install", "--no-deps", "--no-index", str(wheel))
    assert methods() == before | {"theirs"}
    pip("uninstall", "--yes", "stranger-loss")
    assert methods() == before
