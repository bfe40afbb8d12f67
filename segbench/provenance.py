"""Which versions made a result: of the packages, and of the checkout."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("segbench", "torch", "lightning-fabric", "numpy", "scipy", "nibabel", "pyarrow")
CODE = ("segbench", "plugins", "pyproject.toml")
"""What of the checkout results depend on."""


def versions() -> dict[str, str]:
    """Return package -> version of what training and scoring run on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def git_commit() -> str | None:
    """Return the commit of the checkout segbench runs from; None outside a checkout.

    A ``+`` behind it says that the code has changes which no commit holds; documents, tests and boards do not count.
    """
    here = Path(__file__).resolve().parent
    if shutil.which("git") is None or not (here.parent / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10)
        status = ["git", "status", "--porcelain", "--", *CODE]
        dirty = subprocess.run(status, cwd=here.parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
