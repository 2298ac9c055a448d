# SPDX-License-Identifier: BSD-3-Clause
"""`cryolith watch`: from the last tilt on disk to the coarse volume, and to the finished run.

``pytest benchmarks/bench_watch.py --benchmark-only``; ``CRYOLITH_BENCH_LARGE=1`` adds 61 x 1024 x 1024 and the runs.
The time a file has to stand still (1 s) and the wait for the next look (at most 1 s) come on top.
"""

from __future__ import annotations

from pathlib import Path

import cases
import mrcfile
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cryolith import pipeline
from cryolith.config import job_from_mapping
from cryolith.projection import Geometry, project
from cryolith.watch import HereRunner, Watch, WatchSettings

Series = tuple[np.ndarray, np.ndarray]
SIZES = [(41, 512), *([(61, 1024)] if cases.LARGE else [])]


def simulated(n: int, edge: int) -> Series:
    """Counts of a needle of random layers, in dose-symmetric order."""
    rng = np.random.default_rng(11)
    angles = np.linspace(-60, 60, n)
    angles = angles[np.lexsort((-angles, np.abs(angles)))]
    z, y, x = np.ogrid[-64:64, :256, -64:64]
    layers = np.repeat(rng.uniform(0.3, 1, 16), 16)[y]
    body = ((z**2 + x**2 < 50**2) * layers).astype(np.float32)
    shifts = rng.normal(0, 2, (n, 2))
    geometry = Geometry.single_axis(angles, tilt_axis_deg=3.0, shifts_px=shifts)
    small = np.maximum(project(body, geometry, (256, 256)), 0) * 30
    images = small.repeat(edge // 256, axis=1).repeat(edge // 256, axis=2)
    return rng.poisson(images + 5).astype(np.int16), angles


class Now:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Recorded:
    """A folder that holds a series but for its last tilt, and a watch that has seen it."""

    def __init__(self, place: Path, series: Series, runner: HereRunner) -> None:
        self.images, self.angles = series
        self.folder, self.clock = place / "in", Now()
        self.folder.mkdir(parents=True)
        job = job_from_mapping({"reconstruct": {"method": "wbp"}, "series": {"tilt_axis": 3.0}})
        self.watch = Watch(
            self.folder, place / "out", job=job, clock=self.clock, runner=runner,
            settings=WatchSettings(tilts=len(self.images)),
        )  # fmt: skip
        for i in range(len(self.images) - 1):
            self.write(i)
        self.look(), self.look()

    def write(self, i: int) -> None:
        with mrcfile.new(self.folder / f"ts_{i:03d}_{self.angles[i]:.2f}.mrc") as mrc:
            mrc.set_data(self.images[i])
            mrc.voxel_size = 5.0

    def last(self) -> None:
        self.write(len(self.images) - 1)
        self.look()

    def look(self) -> None:
        self.clock.now += 2.0
        self.watch.poll()


class Later:
    """Begins no run."""

    def start(self, job: object, live: Path) -> None: ...
    def outcome(self) -> None: ...
    def stop(self) -> None: ...


@pytest.mark.benchmark(group="watch: a tilt")
@pytest.mark.parametrize(("n", "edge"), SIZES)
def test_last_tilt_to_coarse_volume(
    benchmark: BenchmarkFixture, tmp_path: Path, n: int, edge: int
) -> None:
    series = simulated(n, edge)
    made: list[Recorded] = []

    def setup() -> tuple[tuple[Recorded], dict[str, object]]:
        made.append(Recorded(tmp_path / str(len(made)), series, Later()))  # type: ignore[arg-type]
        made[-1].last()
        return (made[-1],), {}

    benchmark.pedantic(Recorded.look, setup=setup, rounds=3)
    for recorded in made:
        assert recorded.watch.series["ts"].taken == n
        assert recorded.watch.ledger.alerts == []
        recorded.watch.close()
    volume = made[-1].watch.series["ts"].live.volume
    benchmark.extra_info |= {"volume": "x".join(map(str, np.shape(volume)))}


@pytest.mark.skipif(not cases.LARGE, reason="minutes: set CRYOLITH_BENCH_LARGE=1")
@pytest.mark.benchmark(group="watch: the run")
@pytest.mark.parametrize(("n", "edge"), SIZES)
def test_last_tilt_to_settled(
    benchmark: BenchmarkFixture, tmp_path: Path, n: int, edge: int
) -> None:
    """With wbp; the run's own time, its report and the coarse volume with its alignment included."""
    recorded = Recorded(tmp_path, simulated(n, edge), HereRunner(pipeline.run))
    recorded.last()

    def settle() -> None:
        recorded.look(), recorded.look()

    benchmark.pedantic(settle, rounds=1)
    assert recorded.watch.series["ts"].state == "settled"
    recorded.watch.close()
