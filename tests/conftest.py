# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures for every area."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryolith import files, simulate

ROOT = Path(__file__).resolve().parent.parent

# A shell starts what it puts in the background with SIGINT ignored, which the programs that are interrupted here would
# inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def tiny_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tilt series of a layered needle, small enough to run through the whole pipeline in seconds."""
    phantom = simulate.needle((40, 48, 40), voids=1, seed=7)
    angles = np.arange(-70.0, 71.0, 10.0)
    shifts = np.random.default_rng(8).normal(0, 1.5, (len(angles), 2))
    series, _ = simulate.tilt_series(
        phantom, angles, tilt_axis_deg=4.0, shifts_px=shifts, dose_per_pixel=300.0, seed=9
    )
    path = tmp_path_factory.mktemp("tiny") / "tiny.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(np.asarray(series.images, np.float32))
        mrc.voxel_size = 20.0
    np.savetxt(path.with_suffix(".rawtlt"), angles, fmt="%.2f")
    return path


@pytest.fixture(scope="session")
def needle_series() -> Path:
    """The real tilt series that ships with the package: 77 images of 128 x 128."""
    return files.sample_path()
