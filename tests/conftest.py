"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans: ``$SEGBENCH_TEST_DATA`` or ``shared/data`` beside the repository; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SEGBENCH_TEST_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set SEGBENCH_TEST_DATA to run this test")
    return folder
