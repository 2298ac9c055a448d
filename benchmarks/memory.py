# SPDX-License-Identifier: BSD-3-Clause
"""Measured peak memory beside what cryolith.reconstruct.plan() says: one child process per configuration.

    python -m benchmarks.memory [--tolerance 10]

Measured is the high-water mark of resident memory during the call less what the process held after a tiny call of the
same function, before the images were made: images, result and everything between count. Ends with status 1 where a
prediction is off by more than the tolerance.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmarks.tables import write_machine, write_table

from cryolith import reconstruct
from cryolith.projection import Geometry

# n_tilts, height, width, nz: a cube's half, a thin slab of many pixels, a thick one with odd sizes.
SHAPES = ((61, 256, 256, 128), (41, 400, 480, 48), (75, 201, 150, 190))
AXES = (0.0, 92.8)
TOP_DEG = 70.0


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
    def geometry(self) -> Geometry:
        angles = np.linspace(-TOP_DEG, TOP_DEG, self.n_tilts)
        return Geometry.single_axis(angles, tilt_axis_deg=self.axis_deg)

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        return self.geometry.volume_shape((self.height, self.width), self.nz)

    def predicted(self) -> int:
        settings = reconstruct.ReconstructSettings(method=self.method)  # type: ignore[arg-type]
        return reconstruct.plan(
            (self.height, self.width),
            self.n_tilts,
            settings,
            volume_shape=self.volume_shape,
            threads=self.threads,
        ).bytes_peak

    def run(self, stack: np.ndarray) -> None:
        options = {} if self.method == "wbp" else {"n_iter": 2}
        function = getattr(reconstruct, self.method)
        function(stack, self.geometry, shape=self.volume_shape, threads=self.threads, **options)


def resident(name: str) -> int:
    """Return VmRSS or VmHWM of this process [bytes]."""
    found = re.search(rf"^{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def measure(configuration: Configuration) -> int:
    """Return what the call and its input need at their peak [bytes]."""
    tiny = {"height": 16, "width": 16, "nz": 8, "n_tilts": configuration.n_tilts}
    warm = Configuration(**{**asdict(configuration), **tiny})
    warm.run(np.ones((warm.n_tilts, warm.height, warm.width), np.float32))
    before = resident("VmRSS")
    shape = (configuration.n_tilts, configuration.height, configuration.width)
    stack = np.ones(shape, np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    configuration.run(stack)
    return resident("VmHWM") - before


def in_child(configuration: Configuration) -> int:
    words = [
        sys.executable,
        "-m",
        "benchmarks.memory",
        "--child",
        json.dumps(asdict(configuration)),
    ]
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
    for method, shape, threads, axis in itertools.product(("wbp", "sirt"), SHAPES, (1, 2), AXES):
        configuration = Configuration(method, *shape, threads, axis)
        predicted, measured = configuration.predicted(), in_child(configuration)
        ratio = measured / predicted
        off += abs(ratio - 1) > chosen.tolerance / 100
        size = "{} x {} x {} -> {}".format(*shape)
        mega = [f"{n / 1e6:.1f}" for n in (predicted, measured)]
        rows.append([method, size, threads, f"{axis:g}", *mega, f"{ratio:.3f}"])
    head = ["method", "images -> nz", "threads", "axis deg", "plan MB", "measured MB", "ratio"]
    write_table("Peak memory, images and result included", head, rows)
    sys.exit(f"{off} of {len(rows)} off by more than {chosen.tolerance:g} %" if off else 0)


if __name__ == "__main__":
    main()
