# SPDX-License-Identifier: BSD-3-Clause
"""Measured peak memory beside what cryolith.reconstruct.plan() says: one child process per configuration.

    python -m benchmarks.memory [--tolerance 10]

The second table gives each method a part of its volume's bytes: the work is cut into slabs, images and volume on disk.

Measured is the high-water mark of resident memory during reconstruct() less what the process held after a tiny call of
the same method, before the images were made: images, result and everything between count, pages of mapped files too.
Ends with status 1 where a prediction is off by more than the tolerance, or more was taken than max_memory allowed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
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
MORE_METHODS = (
    "cgls",
    "lsqr",
    "mlem",
    "tv",
)  # in one, for they hold what sirt holds, or copies of it
SPECIAL_METHODS = ("sart", "dart")  # in each size: many small arrays
CUT_METHODS = ("wbp", "sirt", "cgls", "mlem", "tv")
# Wide along the axis whichever way that lies: the least slab of tv, 24 rows of six arrays, fits into a quarter.
CUT_SHAPE, CUT_SHARE = (31, 768, 768, 96), 0.25
# Odd sizes, other axes: method, subsets (0: the default), threads, axis, share of the volume.
ODD_SHAPE = (37, 433, 517, 83)
ODD_CUTS = (
    ("wbp", 0, 1, 0.0, 0.5),
    ("wbp", 0, 2, 10.4, 0.75),
    ("sirt", 0, 2, 90.0, 0.5),
    ("sirt", 0, 1, 10.4, 0.75),
    ("sart", 6, 2, 10.4, 0.75),
    ("sart", 3, 1, 90.0, 0.5),
    ("cgls", 0, 2, 10.4, 0.75),
    ("lsqr", 0, 2, 0.0, 0.5),
    ("lsqr", 0, 1, 92.8, 0.5),
    ("mlem", 4, 2, 10.4, 0.75),
    ("tv", 0, 2, 90.0, 0.75),
    ("tv", 0, 1, 10.4, 0.9),
)
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
    share: float = 0.0  # of the volume's bytes that max_memory is; 0: no limit
    subsets: int = 0  # 0: the method's default

    @property
    def max_memory(self) -> int | None:
        return int(4 * self.nz * self.height * self.width * self.share) if self.share else None

    @property
    def angles_deg(self) -> np.ndarray:
        return np.linspace(-TOP_DEG, TOP_DEG, self.n_tilts)

    @property
    def settings(self) -> reconstruct.ReconstructSettings:
        return reconstruct.ReconstructSettings(
            method=self.method,  # type: ignore[arg-type]
            thickness=self.nz * PIXEL_SIZE,
            n_iter=1 if self.share else 2,  # files are slow, and the first iteration holds all
            subsets=self.subsets or None,
        )

    def words(self) -> list[object]:
        size = f"{self.n_tilts} x {self.height} x {self.width} -> {self.nz}"
        method = f"{self.method}, {self.subsets} subsets" if self.subsets else self.method
        return [method, size, self.threads, f"{self.axis_deg:g}"]

    def predicted(self) -> int:
        image = (self.height, self.width)
        geometry = Geometry.single_axis(self.angles_deg, tilt_axis_deg=self.axis_deg)
        shape = geometry.volume_shape(image, self.nz)
        found = reconstruct.plan(
            image,
            self.n_tilts,
            self.settings,
            volume_shape=shape,
            geometry=geometry,
            max_memory=self.max_memory,
            threads=self.threads,
        )
        return found.bytes_peak

    def run(self, file: str = "") -> None:
        """Reconstruct random images; with a limit those in a file, as a read-only map."""
        n, shape = self.n_tilts, (self.n_tilts, self.height, self.width)
        images = (
            np.memmap(file, np.float32, "r", shape=shape)
            if file
            else np.random.default_rng(0).random(shape, dtype=np.float32)
        )
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
        how = {"threads": self.threads, "max_memory": self.max_memory}
        reconstruct.reconstruct(series, alignment, self.settings, **how)


def configurations() -> Iterator[Configuration]:
    for method, shape, how in itertools.product(METHODS, SHAPES, HOW):
        yield Configuration(method, *shape, *how)
    for method in MORE_METHODS:
        yield Configuration(method, *SHAPES[0], *HOW[-1])
    for method, shape in itertools.product(SPECIAL_METHODS, SHAPES):
        yield Configuration(method, *shape, *HOW[-1])


def cut_configurations() -> Iterator[Configuration]:
    for method, axis in itertools.product(CUT_METHODS, (0.0, 92.8)):
        yield Configuration(method, *CUT_SHAPE, 2, axis, CUT_SHARE)
    for method, subsets, threads, axis, share in ODD_CUTS:
        yield Configuration(method, *ODD_SHAPE, threads, axis, share, subsets)


def resident(name: str) -> int:
    """Return VmRSS or VmHWM of this process [bytes]."""
    found = re.search(rf"^{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def measure(configuration: Configuration, file: str) -> int:
    """Return what the call and its input need at their peak [bytes]."""
    replace(configuration, height=16, width=16, nz=8, share=0.0).run()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    configuration.run(file)
    return resident("VmHWM") - before


def in_child(configuration: Configuration) -> int:
    job, c = json.dumps(asdict(configuration)), configuration
    with tempfile.NamedTemporaryFile() as file:
        if c.share:
            rng = np.random.default_rng(0)
            for _ in range(c.n_tilts):
                file.write(rng.random((c.height, c.width), dtype=np.float32).tobytes())
            file.flush()
        name = file.name if c.share else ""
        words = [sys.executable, "-m", "benchmarks.memory", "--child", job, name]
        return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tolerance", type=float, default=10.0, help="per cent")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        job, file = chosen.child
        sys.stdout.write(str(measure(Configuration(**json.loads(job)), file)))
        return
    write_machine()
    tables = {
        "Peak memory, images and result included": list(configurations()),
        "Cut to a part of the volume, images and volume on disk": list(cut_configurations()),
    }
    off = sum(
        compare(title, configurations, chosen.tolerance / 100)
        for title, configurations in tables.items()
    )
    count = sum(map(len, tables.values()))
    sys.exit(f"{off} of {count} off by more than {chosen.tolerance:g} %" if off else 0)


def compare(title: str, configurations: list[Configuration], tolerance: float) -> int:
    """Write a table; return how many predictions are off."""
    rows: list[list[object]] = []
    off = 0
    for configuration in configurations:
        predicted, measured = configuration.predicted(), in_child(configuration)
        ratio = measured / predicted
        limit = configuration.max_memory or np.inf
        off += abs(ratio - 1) > tolerance or measured > limit
        mega = [f"{n / 1e6:.1f}" for n in (limit, predicted, measured)]
        rows.append([*configuration.words(), *mega, f"{ratio:.3f}"])
    head = ["method", "images -> nz", "threads", "axis deg", "allowed MB", "plan MB", "measured MB"]
    write_table(title, [*head, "ratio"], rows)
    return off


if __name__ == "__main__":
    main()
