# SPDX-License-Identifier: BSD-3-Clause
"""One Dask cluster for all tests of this area: starting one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryolith.schedule import DaskLocal, Here, Pool, Scheduler


@pytest.fixture(scope="package")
def dask() -> Iterator[DaskLocal]:
    scheduler = DaskLocal(2, memory_limit=2_000_000_000)
    with scheduler:
        yield scheduler


@pytest.fixture(params=["here", "pool", "dask"])
def engine(request: pytest.FixtureRequest) -> Iterator[Scheduler]:
    if request.param == "dask":
        yield request.getfixturevalue("dask")
        return
    with Here() if request.param == "here" else Pool(2) as scheduler:
        yield scheduler


@pytest.fixture(params=["pool", "dask"])
def processes(request: pytest.FixtureRequest) -> Iterator[Scheduler]:
    """Those whose workers may die."""
    if request.param == "dask":
        yield request.getfixturevalue("dask")
        return
    with Pool(2) as scheduler:
        yield scheduler
