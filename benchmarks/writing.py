# SPDX-License-Identifier: BSD-3-Clause
"""How fast a growing volume is written, hashed and summed up, beside a plain copy of the same bytes on the same disk.

    python -m benchmarks.writing [FOLDER] [--gigabytes 2]

Every way ends with a sync, and takes turns with the others, three rounds; the best of each counts, for what else the
machine does only ever slows a round down. Processor time is that of the whole process, in the last column per GB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.tables import write_machine, write_table

from cryolith.files import GrowingVolume, SlabWritten, writing

NX, NZ, ROWS = 1024, 256, 128


def grow(folder: Path, suffix: str, slab: np.ndarray, ny: int) -> None:
    """Write a volume whose slabs are all the same, so that only writing counts."""
    done: list[SlabWritten] = []
    with GrowingVolume.create(folder / f"w{suffix}", (NZ, ny, NX)) as volume:
        with writing(volume, done=done.append) as put:
            for first in range(0, ny, ROWS):
                put(first, slab)
        volume.publish(done, folder / f"v{suffix}")


def to_file(path: Path, slab: np.ndarray, ny: int) -> None:
    """Write the same bytes with NumPy, and sync them."""
    with open(path, "wb") as file:
        for _ in range(0, ny, ROWS):
            slab.tofile(file)
        file.flush()
        os.fsync(file.fileno())


def copy(source: Path, target: Path) -> None:
    """Copy a file within the system, as cp does, and sync it."""
    with open(source, "rb") as read, open(target, "wb") as file:
        left = os.fstat(read.fileno()).st_size
        while left:
            left -= os.copy_file_range(read.fileno(), file.fileno(), left)
        os.fsync(file.fileno())


def measure(folder: Path, gigabytes: float) -> list[list[object]]:
    """Return a row for each way: MB/s, and processor seconds for each GB."""
    ny = max(ROWS, round(gigabytes * 1e9 / (4 * NX * NZ) / ROWS) * ROWS)
    slab = np.random.default_rng(0).standard_normal((NZ, ROWS, NX), dtype=np.float32)
    size = slab.nbytes * (ny // ROWS)
    ways: dict[str, Callable[[], None]] = {
        "NumPy's tofile": lambda: to_file(folder / "plain", slab, ny),
        "copy": lambda: copy(folder / "plain", folder / "copy"),
        "growing MRC": lambda: grow(folder, ".mrc", slab, ny),
        "growing OME-Zarr, its smaller copies too": lambda: grow(folder, ".zarr", slab, ny),
    }
    best = {name: (float("inf"), float("inf")) for name in ways}
    for _ in range(3):
        for name, work in ways.items():
            os.sync()
            wall, used = time.perf_counter(), time.process_time()
            work()
            found = (time.perf_counter() - wall, time.process_time() - used)
            best[name] = min(best[name], found)
            for left in ("copy", "v.mrc"):
                (folder / left).unlink(missing_ok=True)
            shutil.rmtree(folder / "v.zarr", ignore_errors=True)
    return [
        [name, round(size / 1e6 / wall), f"{used / (size / 1e9):.2f}"]
        for name, (wall, used) in best.items()
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--gigabytes", type=float, default=2.0)
    given = parser.parse_args()
    write_machine()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows = measure(Path(folder), given.gigabytes)
    write_table("Writing", ["way", "MB/s", "processor s / GB"], rows)


if __name__ == "__main__":
    main()
