# SPDX-License-Identifier: BSD-3-Clause
"""Peak memory of each stage of a run within a limit, beside what the plan says: one child process per stage.

    PYTHONPATH=python:benchmarks:tests/align python -m benchmarks.memory_stages [--limit "260 MB"] [--edge 512]
        [--thickness 256] [--kind needle] [--tolerance 10]

Measured is the high-water mark of resident memory of a process that does one stage (those before it are skipped, for
their records hold): the program counts, as in the plan. Ends with status 1 where more was taken than the plan says,
by more than the tolerance, or than the limit allows; less is only told.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.memory import resident
from benchmarks.tables import write_machine, write_table

from cryolith import Volume, pipeline
from cryolith.config import Job, job_from_mapping
from cryolith.files import write_volume
from cryolith.stages import STAGES, carry_out
from cryolith.units import parse_bytes

PIXEL_SIZE = 5.0
SEED = 100


def job_in(folder: Path, thickness: int) -> Job:
    return job_from_mapping(
        {
            "series": {"path": str(folder / "series.mrc")},
            "align": {"beads": "no"},
            "reconstruct": {"method": "wbp", "thickness": thickness * PIXEL_SIZE},
            "output": str(folder / "run"),
        }
    )


def make_series(folder: Path, kind: str, edge: int) -> None:
    """Write 41 images of a specimen of the tests, each pixel repeated to fill ``edge``."""
    from specimens import make_case  # tests/align

    case = make_case(kind, shape=(128, 128), seed=SEED, walk=2.0)
    images = np.kron(case.images, np.ones((1, edge // 128, edge // 128), np.float32))
    write_volume(folder / "series.mrc", Volume(data=images, pixel_size=PIXEL_SIZE))
    np.savetxt(folder / "series.rawtlt", case.angles_deg, fmt="%.3f")


def carry_out_to(job: Job, stage: str, limit: int) -> int:
    """Do the stages up to ``stage`` and return the most memory that this process has held [bytes]."""
    with pipeline.open_run(
        job, threads=2, max_memory=limit, cancel=None, listener=None, overwrite=False
    ) as state:
        for name in STAGES[: STAGES.index(stage) + 1]:
            carry_out(state, name)
    return resident("VmHWM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", default="260 MB")
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--thickness", type=int, default=256)
    parser.add_argument("--kind", default="needle", choices=("needle", "particle", "slab"))
    parser.add_argument("--tolerance", type=float, default=10.0, help="per cent")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    limit = parse_bytes(chosen.limit)
    if chosen.child:
        folder, stage = chosen.child
        peak = carry_out_to(job_in(Path(folder), chosen.thickness), stage, limit)
        sys.stdout.write(str(peak))
        return
    write_machine()
    with tempfile.TemporaryDirectory() as folder:
        make_series(Path(folder), chosen.kind, chosen.edge)
        rows = compare(Path(folder), chosen, limit)
    title = f"Peak memory of each stage, limit {chosen.limit}"
    write_table(title, ["stage", "plan MB", "measured MB", "ratio"], [r[:4] for r in rows])
    sys.exit(1 if any(r[4] for r in rows) else 0)


def compare(folder: Path, chosen: argparse.Namespace, limit: int) -> list[list[object]]:
    """Return for each stage what was planned and measured, and whether it was too much."""
    job = job_in(folder, chosen.thickness)
    planned = {s.name: s.bytes_memory for s in pipeline.plan(job, max_memory=limit).stages}
    rows: list[list[object]] = []
    words = ["--limit", chosen.limit, "--thickness", str(chosen.thickness)]
    for stage in STAGES:
        call = [sys.executable, "-m", "benchmarks.memory_stages", *words, "--child", str(folder), stage]  # fmt: skip
        peak = int(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
        ratio = peak / planned[stage]
        bad = ratio > 1 + chosen.tolerance / 100 or peak > limit
        rows.append(
            [stage, f"{planned[stage] / 1e6:.0f}", f"{peak / 1e6:.0f}", f"{ratio:.2f}", bad]
        )
    return rows


if __name__ == "__main__":
    main()
