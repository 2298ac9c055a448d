# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures for every area."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from on_devices import CARDS, EveryTestOnEveryCard, cuda_demanded

from cryolith import _core, files, simulate

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

# Files that take long, longest first: workers that share the files (pytest -n auto) begin with them, so that at the
# end none works alone.
LONG_FILES: tuple[str, ...] = ()

# Each worker may use every core, and does for a part of its time; with one a core, cores squared threads would run.
MOST_WORKERS = 4

# A shell starts what it puts in the background with SIGINT ignored, which the programs that are interrupted here would
# inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means."""
    return min(_core.available_threads(), MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file stays with one worker, which makes its fixtures once; files are handed out in the order of collection."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    if cuda_demanded():
        config.pluginmanager.register(EveryTestOnEveryCard(CARDS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: i for i, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: rank.get(item.path.relative_to(TESTS).as_posix(), len(LONG_FILES)))


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
def tiny_run(tiny_series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished folder of `cryolith run` on the tiny series; copy it before you change it."""
    out = tmp_path_factory.mktemp("run") / "out"
    command = [sys.executable, "-m", "cryolith", "run", tiny_series, "-o", out, "--threads", "1"]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def needle_job(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the main job on the real needle, with no option but the output: for validations only."""
    folder = tmp_path_factory.mktemp("needle") / "out"
    series = shared_data / "haadf_needle" / "HAADF.mrc"
    command = [sys.executable, "-m", "cryolith", "run", series, "-o", folder, "--quiet"]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="session")
def needle_series() -> Path:
    """The real tilt series that ships with the package: 77 images of 128 x 128."""
    return files.sample_path()


def _missing(what: str) -> None:
    if os.environ.get("CRYOLITH_REQUIRE_BROWSER") == "1":
        pytest.fail(f"CRYOLITH_REQUIRE_BROWSER=1, but {what}")
    pytest.skip(what)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Headless Chromium."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        _missing("selenium is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser = next((path for path in map(shutil.which, names) if path), None)
    service = shutil.which("chromedriver")
    if browser is None or service is None:
        _missing("no chromium or no chromedriver is on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(service))
    yield found
    found.quit()
