# SPDX-License-Identifier: BSD-3-Clause
"""How much faster two workers do a batch than one, on each engine, in one run.

    python -m benchmarks.batch_speed [--series 8] [--rounds 2] [--engines pool dask]

Every worker has one thread of the core in both; starting workers counts. Rounds alternate between one worker and two,
and the quickest of each counts, so that what else the machine does falls on both. Ends with status 1 where two workers
are less than 1.7 times as fast, or the results differ by a byte.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import mrcfile
import numpy as np
from benchmarks.tables import write_machine, write_table

from cryolith import simulate
from cryolith.batch import Batch, run_batch
from cryolith.config import job_from_mapping
from cryolith.schedule import DaskLocal, Pool

GOAL = 1.7
SHAPE, ANGLES = (64, 64, 64), np.arange(-70.0, 71.0, 5.0)
ENGINES = {"pool": Pool, "dask": DaskLocal}


def _simulate(folder: Path, count: int) -> None:
    for seed in range(1, count + 1):
        phantom = simulate.needle(SHAPE, voids=2, seed=seed)
        shifts = np.random.default_rng(seed).normal(0, 1.5, (len(ANGLES), 2))
        series, _ = simulate.tilt_series(
            phantom, ANGLES, tilt_axis_deg=4.0, shifts_px=shifts, dose_per_pixel=300.0, seed=seed
        )
        path = folder / f"ts_{seed:02}.mrc"
        with mrcfile.new(path) as mrc:
            mrc.set_data(np.asarray(series.images, np.float32))
            mrc.voxel_size = 20.0
        np.savetxt(path.with_suffix(".rawtlt"), ANGLES, fmt="%.2f")


def _files(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.glob("ts_*/**/*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def _seconds(raw: Path, out: Path, engine: str, workers: int) -> float:
    asked = Batch(patterns=(str(raw / "*.mrc"),), job=job_from_mapping({}), out=out)
    begun = time.monotonic()
    with ENGINES[engine](workers, threads=workers) as scheduler:
        if scheduler.threads != 1:
            raise AssertionError("one thread for each worker")
        summary = run_batch(asked, scheduler)
    if summary.counts.get("failed"):
        raise AssertionError(summary.words)
    return time.monotonic() - begun


def main() -> int:
    """Print the table; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--series", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    asked = parser.parse_args()
    write_machine()
    rows, good, same = [], True, True
    with tempfile.TemporaryDirectory() as place:
        raw, results = Path(place) / "raw", []
        raw.mkdir()
        _simulate(raw, asked.series)
        for engine in asked.engines:
            spent: dict[int, list[float]] = {1: [], 2: []}
            for turn in range(asked.rounds):
                for workers in spent:
                    out = Path(place) / f"{engine}{workers}{turn}"
                    spent[workers].append(_seconds(raw, out, engine, workers))
                    results.append(_files(out))
            one, two = min(spent[1]), min(spent[2])
            good &= one / two >= GOAL
            rows.append([engine, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}"])
        same = all(r == results[0] for r in results)
    write_table(
        "A batch by two workers", ["engine", "1 worker (s)", "2 workers (s)", "times as fast"], rows
    )
    sys.stdout.write(f"results {'are the same' if same else 'DIFFER'} to the byte\n")
    return 0 if good and same else 1


if __name__ == "__main__":
    sys.exit(main())
