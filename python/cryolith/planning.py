# SPDX-License-Identifier: BSD-3-Clause
"""What a job will need, said before anything is allocated: memory, disk and time of each stage.

Memory is counted from the arrays that a stage holds at once. Time is work divided by a rate; the rates were
measured with benchmarks/bench_pipeline.py on two AVX-512 cores. They are for ordering stages and for
warning of hours, right within a factor of three on other machines. Neither depends on the number of threads, so
that a report can show them.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .align import align_needs
from .detect import detect_needs
from .errors import InputError
from .half_volumes import FSC_BYTES_PER_VOXEL, largest_edge
from .reconstruct import plan as plan_reconstruction
from .reconstruct.device import require_devices

if TYPE_CHECKING:
    from .calibration import Rates
    from .config import Job
    from .datamodel import TiltSeries

__all__ = ["Plan", "StagePlan", "free_bytes", "plan_job", "require_room", "size_words"]

THREADS = 2  # the plan is for two cores: the same on every machine
PROGRAM_BYTES = (
    150_000_000  # interpreter, numpy and, for the report, matplotlib: 110 to 150 MB resident
)
START_SECONDS = 1.5
ALIGN_PIXELS_PER_SECOND = 0.5e6
DETECT_VOXELS_PER_SECOND = 4e6
REPORT_SECONDS = 6.0
REPORT_BYTES = 60_000_000  # figures and samples, where planes and images are read one by one:
REPORT_BYTES_PER_PIXEL = 24  # of the largest of these


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """Needs of one stage: time, memory at its peak, what it leaves on disk, and what it has there while it works."""

    name: str
    seconds: float
    bytes_memory: int
    bytes_disk: int
    bytes_scratch: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Needs of a job.

    Attributes
    ----------
    series_shape : (n_tilts, ny, nx)
    volume_shape : (nz, ny, nx)
        The largest volume it may come to; an automatic thickness is found only when the images are read.
    stages : tuple of StagePlan
    """

    series_shape: tuple[int, ...]
    volume_shape: tuple[int, int, int]
    stages: tuple[StagePlan, ...]

    @property
    def bytes_memory(self) -> int:
        """Peak over the stages."""
        return max(s.bytes_memory for s in self.stages)

    @property
    def bytes_disk(self) -> int:
        """The most that lies on disk at once: what all stages leave, and the scratch of one."""
        left = sum(s.bytes_disk for s in self.stages)
        return left + max(s.bytes_scratch for s in self.stages)

    @property
    def seconds(self) -> float:
        """Sum over the stages."""
        return sum(s.seconds for s in self.stages)

    def at(self, rates: Rates) -> Plan:
        """Return the plan with the times of a machine that was measured."""
        timed = [
            replace(
                s,
                seconds=round(
                    s.seconds / rates.compute + (s.bytes_disk + s.bytes_scratch) / rates.disk, 1
                ),
            )
            for s in self.stages
        ]
        return replace(self, stages=tuple(timed))

    def by_stage(self) -> dict[str, tuple[float, float]]:
        """Return stage to (seconds, bytes of memory)."""
        return {s.name: (s.seconds, float(s.bytes_memory)) for s in self.stages}

    def to_mapping(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the plan in words."""
        n, ny, nx = self.series_shape
        head = f"{n} images of {ny} x {nx} -> volume of at most {' x '.join(map(str, self.volume_shape))} (z, y, x)"
        rows = [
            f"{s.name:<12} about {s.seconds:7.1f} s   {size_words(s.bytes_memory):>8} memory   "
            f"{size_words(s.bytes_disk):>8} disk"
            + (f"   {size_words(s.bytes_scratch):>8} scratch" if s.bytes_scratch else "")
            for s in self.stages
        ]
        total = (
            f"{'in all':<12} about {self.seconds:7.1f} s   {size_words(self.bytes_memory):>8} memory   "
            f"{size_words(self.bytes_disk):>8} disk"
        )
        return [head, *rows, total]


def require_room(need: int, folder: Path) -> None:
    """Refuse to write ``need`` bytes below a folder, there or not, whose disk has less room."""
    free = free_bytes(folder)
    if need > free:
        raise InputError(
            f"{folder}: the job writes {size_words(need)}, free are {size_words(free)}; "
            "make room or choose another disk"
        )


def free_bytes(folder: Path) -> int:
    """Return the room on the disk that a folder is on, or will be."""
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    return shutil.disk_usage(place).free


def plan_job(job: Job, series: TiltSeries, *, max_memory: int | None = None) -> Plan:
    """Plan a job on a series; only its shape, angles and pixel size are looked at.

    With ``max_memory`` [bytes] each stage's memory is what it takes once it is cut to that, or the least that it can
    do with.
    """
    n, ny, nx = series.images.shape
    require_devices(job.reconstruct.device)
    # As on the CPU: a report may be written where the job's devices are not.
    here = replace(job.reconstruct, device="cpu")
    room = None if max_memory is None else max(1, max_memory - PROGRAM_BYTES)
    recon = plan_reconstruction(
        (ny, nx), n, here, pixel_size=series.pixel_size, max_memory=room, threads=THREADS
    )
    pixels = n * ny * nx
    voxels = recon.volume_shape[0] * recon.volume_shape[1] * recon.volume_shape[2]
    box = math.prod(min(n, largest_edge(room)) for n in recon.volume_shape)
    fsc = FSC_BYTES_PER_VOXEL * box if job.reconstruct.halves else 0
    align = align_needs((n, ny, nx), job.align, room)
    detect = detect_needs(
        recon.volume_shape, layers=job.detect.layers, blobs=job.detect.blobs, max_memory=room
    )
    report = 12 * voxels + 8 * pixels
    if room is not None and report > room:  # planes and images are read one by one
        report = _report_cut((ny, nx), recon.volume_shape)
    stages = (
        ("align", pixels / ALIGN_PIXELS_PER_SECOND, align.bytes_memory, 1000 * n, 0),
        (
            "reconstruct",
            recon.seconds,
            recon.bytes_peak,
            recon.bytes_output,
            recon.bytes_scratch,
        ),
        (
            "detect",
            voxels / DETECT_VOXELS_PER_SECOND,
            detect.bytes_memory,
            4 * voxels,
            detect.bytes_scratch,
        ),
        ("report", REPORT_SECONDS, max(report, fsc), 5_000_000, 0),
    )
    return Plan(
        series_shape=(n, ny, nx),
        volume_shape=recon.volume_shape,
        stages=tuple(
            StagePlan(
                name=name,
                seconds=round(START_SECONDS + seconds, 1),
                bytes_memory=PROGRAM_BYTES + memory,
                bytes_disk=disk,
                bytes_scratch=scratch,
            )
            for name, seconds, memory, disk, scratch in stages
        ),
    )


def _report_cut(image: tuple[int, int], shape: tuple[int, int, int]) -> int:
    nz, ny, nx = shape
    plane = max(ny * nx, nz * nx, nz * ny)
    return REPORT_BYTES + REPORT_BYTES_PER_PIXEL * max(plane, image[0] * image[1])


def size_words(n: float) -> str:
    """Return a number of bytes as people say it."""
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"
