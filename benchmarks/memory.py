# SPDX-License-Identifier: BSD-3-Clause
"""Measured peak memory beside what cryolith.reconstruct.plan() says: one child process per configuration.

    python -m benchmarks.memory [--tolerance 10]

Measured is the high-water mark of resident memory during reconstruct() less what the process held after a tiny call of
the same method, before the images were made: images, result and everything between count. Ends with status 1 where a
prediction is off by more than the tolerance.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.tables import write_machine, write_table

from cryolith import Alignment, TiltSeries, reconstruct
from cryolith.projection import Geometry

# n_tilts, height, width, nz: a cube's half, a thin slab of many pixels, a thick one with odd sizes.
SHAPES = ((61, 256, 256, 128), (41, 400, 480, 48), (75, 201, 150, 190))
HOW = ((1, 0.0), (2, 0.0), (2, 92.8))  # threads, tilt axis: along an edge of the images and not
METHODS = ("wbp", "sirt")  # in every combination
MORE_METHODS = ("sart", "cgls", "lsqr", "mlem", "tv", "dart")  # where this cryolith has them
TOP_DEG = 70.0
PIXEL_SIZE = 10.0


@dataclass(frozen=True)
class Configuration:
    method: str
    n_tilts: int
    height: int
    width: int
    nz: int
    threads: int
    axis_deg: float

    @property
    def angles_deg(self) -> np.ndarray:
        return np.linspace(-TOP_DEG, TOP_DEG, self.n_tilts)

    @property
    def settings(self) -> reconstruct.ReconstructSettings:
        return reconstruct.ReconstructSettings(
            method=self.method,  # type: ignore[arg-type]
            thickness=self.nz * PIXEL_SIZE,
            n_iter=2,
        )

    def words(self) -> list[object]:
        size = f"{self.n_tilts} x {self.height} x {self.width} -> {self.nz}"
        return [self.method, size, self.threads, f"{self.axis_deg:g}"]

    def predicted(self) -> int:
        image = (self.height, self.width)
        geometry = Geometry.single_axis(self.angles_deg, tilt_axis_deg=self.axis_deg)
        shape = geometry.volume_shape(image, self.nz)
        found = reconstruct.plan(
            image, self.n_tilts, self.settings, volume_shape=shape, threads=self.threads
        )
        return found.bytes_peak

    def run(self) -> None:
        rng, n = np.random.default_rng(0), self.n_tilts
        images = rng.random((n, self.height, self.width), dtype=np.float32)
        series = TiltSeries(images=images, angles_deg=self.angles_deg, pixel_size=PIXEL_SIZE)
        alignment = Alignment(
            angles_deg=self.angles_deg,
            tilt_axis_deg=self.axis_deg,
            sigma_tilt_axis_deg=0.0,
            axis_offset_px=0.0,
            sigma_axis_offset_px=0.0,
            shifts_px=np.zeros((n, 2)),
            sigma_shifts_px=np.zeros((n, 2)),
            rotations_deg=np.zeros(n),
            sigma_rotations_deg=np.zeros(n),
            method=("given",),
        )
        reconstruct.reconstruct(series, alignment, self.settings, threads=self.threads)


def configurations() -> Iterator[Configuration]:
    for method, shape, how in itertools.product(METHODS, SHAPES, HOW):
        yield Configuration(method, *shape, *how)
    for method in MORE_METHODS:
        if hasattr(reconstruct, method):
            yield Configuration(method, *SHAPES[0], *HOW[-1])


def resident(name: str) -> int:
    """Return VmRSS or VmHWM of this process [bytes]."""
    found = re.search(rf"^{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def measure(configuration: Configuration) -> int:
    """Return what the call and its input need at their peak [bytes]."""
    replace(configuration, height=16, width=16, nz=8).run()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    configuration.run()
    return resident("VmHWM") - before


def in_child(configuration: Configuration) -> int:
    job = json.dumps(asdict(configuration))
    words = [sys.executable, "-m", "benchmarks.memory", "--child", job]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tolerance", type=float, default=10.0, help="per cent")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        sys.stdout.write(str(measure(Configuration(**json.loads(chosen.child)))))
        return
    write_machine()
    rows: list[list[object]] = []
    off = 0
    for configuration in configurations():
        predicted, measured = configuration.predicted(), in_child(configuration)
        ratio = measured / predicted
        off += abs(ratio - 1) > chosen.tolerance / 100
        mega = [f"{n / 1e6:.1f}" for n in (predicted, measured)]
        rows.append([*configuration.words(), *mega, f"{ratio:.3f}"])
        sys.stderr.write(f"{rows[-1]}\n")
    head = ["method", "images -> nz", "threads", "axis deg", "plan MB", "measured MB", "ratio"]
    write_table("Peak memory, images and result included", head, rows)
    sys.exit(f"{off} of {len(rows)} off by more than {chosen.tolerance:g} %" if off else 0)


if __name__ == "__main__":
    main()
