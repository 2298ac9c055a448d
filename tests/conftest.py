# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures for every area."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: $CRYOLITH_SHARED/data, or ../shared/data beside the repository."""
    shared = Path(os.environ.get("CRYOLITH_SHARED") or ROOT.parent / "shared")
    data = shared / "data"
    if not data.is_dir():
        pytest.skip(f"no real data at {data}; set CRYOLITH_SHARED to the folder that holds data/")
    return data


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a written seed: the same numbers in every run."""
    return np.random.default_rng(20260)
