# SPDX-License-Identifier: BSD-3-Clause
"""Reconstructions from disk to disk: within a limit of the system, and beside a copy of the same bytes.

    python -m benchmarks.large_jobs limit --method sirt --volume "2 GB" --limit "500 MB"
    python -m benchmarks.large_jobs rate --edge 1024

``limit`` reconstructs once freely and once in a process whose addresses the system limits (``RLIMIT_AS``), in turns,
and compares bytes, wall time, and the most memory held with what was planned. ``rate`` compares weighted
back-projection from an MRC file to an MRC file with the kernel alone, on arrays in memory, and with a copy of the
volume's bytes that is synced, as the volume is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cryolith import _core, files, limits
from cryolith.align import estimate_background
from cryolith.datamodel import Alignment
from cryolith.files.growing import volume_digest
from cryolith.reconstruct import ReconstructSettings
from cryolith.reconstruct.filters import Window
from cryolith.reconstruct.prepare import prepare
from cryolith.reconstruct.store import Store
from cryolith.reconstruct.to_disk import reconstruct_to_disk, works_of
from cryolith.reconstruct.wbp_slabs import row_gains
from cryolith.units import parse_bytes

PIXEL = 10.0  # [angstrom]
AXIS_DEG = 3.0


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def make_series(folder: Path, edge: int, tilts: int) -> tuple[Path, Path]:
    """Write images of noise on a bright bar, and their alignment."""
    series, alignment = folder / f"series{edge}.mrc", folder / f"alignment{edge}.json"
    angles = np.linspace(-60, 60, tilts)
    bar = 20 * np.exp(-(((np.arange(edge) - edge / 2) / (edge / 8)) ** 2))
    rng = np.random.default_rng([20261128, edge])
    with files.open_slabs(series, (tilts, edge, edge), pixel_size=PIXEL) as slabs:
        for first in range(0, edge, 64):
            rows = min(64, edge - first)
            slabs.write(first, (rng.random((tilts, rows, edge), np.float32) + bar).astype("f4"))
    series.with_suffix(".tlt").write_text("".join(f"{a:.2f}\n" for a in angles))
    made = Alignment(
        angles_deg=angles, tilt_axis_deg=AXIS_DEG, shifts_px=np.zeros((len(angles), 2))
    )
    files.write_alignment(alignment, made)
    return series, alignment


def reconstruct(case: dict[str, Any]) -> dict[str, float]:
    """Reconstruct in this process; return wall time, CPU time, planned and measured memory."""
    begun = time.perf_counter()
    series = files.read_tilt_series(case["series"], pixel_size=PIXEL)
    alignment = files.read_alignment(case["alignment"])
    settings = ReconstructSettings(
        method=case["method"], n_iter=case["iterations"], thickness=case["depth"] * PIXEL
    )
    most = limits.memory_limit(case["max_memory"]).bytes
    levels = estimate_background(series.images, max_memory=most)
    budget = limits.array_budget(case["max_memory"])
    how = {"background": levels, "max_memory": budget}
    ready = prepare(series, alignment, settings, **how, streamed=True)
    held = most - limits.array_budget(most)
    out, work = Path(case["out"]), Path(case["out"] + ".work")
    store = Store(work, "key", every=1e9)
    reconstruct_to_disk(series, alignment, settings, paths=(out,), store=store, **how)
    store.clear()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall": time.perf_counter() - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "planned": held + ready.plan.bytes_peak,
        "peak": used.ru_maxrss * 1024.0,
        "rows": float(ready.plan.cut.rows),
    }


def in_a_process(case: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Do the same in a new process, its addresses limited."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [sys.executable, "-m", "benchmarks.large_jobs", "child", json.dumps(case)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=limited)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare_limit(args: argparse.Namespace, folder: Path) -> None:
    """Print what a limit costs."""
    limit = parse_bytes(args.limit)
    edge = 16 * round((parse_bytes(args.volume) / 4 / args.depth_share) ** (1 / 3) / 16)
    depth = round(edge * args.depth_share)
    series, alignment = make_series(folder, edge, args.tilts)
    case = {
        "series": str(series),
        "alignment": str(alignment),
        "method": args.method,
        "iterations": args.iterations,
        "depth": depth,
        "max_memory": None,
    }
    size = 4 * depth * edge * edge
    say(
        f"{args.method}, {args.iterations} iterations, {args.tilts} tilts, {depth} x {edge} x {edge}"
    )
    say(f"volume {size / 1e9:.2f} GB, {size / limit:.1f} times the limit")
    ratios = []
    for _ in range(args.rounds):
        free = in_a_process({**case, "out": str(folder / "free.mrc")}, None)
        tight = in_a_process({**case, "out": str(folder / "tight.mrc")}, limit)
        same = volume_digest(folder / "free.mrc") == volume_digest(folder / "tight.mrc")
        ratios.append(tight["wall"] / free["wall"])
        for name, found in (("free", free), ("limited", tight)):
            say(
                f"  {name}: {found['wall']:.1f} s, CPU {found['cpu']:.1f} s, {found['rows']:.0f} rows at once, planned "
                f"{found['planned'] / 1e6:.0f} MB, held {found['peak'] / 1e6:.0f} MB"
            )
        say(f"  same bytes: {same}; {ratios[-1]:.2f} times the time")
    say(f"ratio of wall times: {min(ratios):.2f} to {max(ratios):.2f}")


def kernel_seconds(case: dict[str, Any]) -> float:
    """Time weighted back-projection of the same images on arrays in memory."""
    series = files.read_tilt_series(case["series"], pixel_size=PIXEL)
    settings = ReconstructSettings(method="wbp", thickness=case["depth"] * PIXEL, background="none")
    ready = prepare(series, files.read_alignment(case["alignment"]), settings)
    (work,) = works_of(ready)
    problem, stack = work.problem, np.ascontiguousarray(work.problem.images[:])
    plan = _core_plan(problem)
    window = Window(filter=settings.filter, n_iter=10, cutoff=0.25, order=4)
    gains, lengths = row_gains(plan, problem.views, problem.shape, window)
    out = np.zeros(problem.shape, np.float32)
    begun = time.perf_counter()
    _core.wbp(plan, stack, gains, lengths, out, 0, None, False)
    return time.perf_counter() - begun


def _core_plan(problem: Any) -> Any:
    from cryolith.projection.operators import make_plan

    return make_plan(problem.geometry, problem.shape, problem.images.shape[1:])


def copy_seconds(source: Path, target: Path) -> float:
    """Time a copy of a file by plain reads and writes, synced."""
    begun = time.perf_counter()
    with open(source, "rb") as read, open(target, "wb") as write:
        shutil.copyfileobj(read, write, 1 << 24)
        write.flush()
        os.fsync(write.fileno())
    return time.perf_counter() - begun


def compare_rate(args: argparse.Namespace, folder: Path) -> None:
    """Print the rate from file to file beside those of the kernel and of a copy."""
    depth = args.edge // 4
    series, alignment = make_series(folder, args.edge, args.tilts)
    case = {
        "series": str(series),
        "alignment": str(alignment),
        "method": "wbp",
        "iterations": 10,
        "depth": depth,
        "max_memory": args.max_memory and parse_bytes(args.max_memory),
        "out": str(folder / "volume.mrc"),
    }
    say(f"wbp, {args.tilts} x {args.edge} x {args.edge} to {depth} x {args.edge} x {args.edge}")
    shares = []
    for _ in range(args.rounds):
        whole = in_a_process(case, None)
        kernel = kernel_seconds(case)
        copied = copy_seconds(folder / "volume.mrc", folder / "copy.mrc")
        shares.append(max(kernel, copied) / whole["wall"])
        say(
            f"  file to file {whole['wall']:.2f} s (CPU {whole['cpu']:.1f} s, held {whole['peak'] / 1e6:.0f} MB), "
            f"kernel {kernel:.2f} s, copy {copied:.2f} s: {shares[-1]:.2f} of the slower"
        )
    say(f"share of the slower one's rate: {min(shares):.2f} to {max(shares):.2f}")


def main() -> None:
    """Read the command line."""
    if sys.argv[1:2] == ["child"]:
        say(json.dumps(reconstruct(json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["limit", "rate"])
    parser.add_argument("--method", default="wbp")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--tilts", type=int, default=61)
    parser.add_argument("--volume", default="2 GB")
    parser.add_argument("--depth-share", type=float, default=0.25)
    parser.add_argument("--limit", default="500 MB")
    parser.add_argument("--edge", type=int, default=1024)
    parser.add_argument("--max-memory")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("build/large-jobs"))
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    args.folder.mkdir(parents=True)
    try:
        (compare_limit if args.what == "limit" else compare_rate)(args, args.folder)
    finally:
        shutil.rmtree(args.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
