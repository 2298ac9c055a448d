# SPDX-License-Identifier: BSD-3-Clause
"""What a reconstruction will need, before anything is allocated, and how to cut one that needs too much."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .. import _core
from .._fields import HANDS, Shape3
from ..errors import InputError
from ..projection import Geometry
from ..projection.detector import DetectorPlan
from ..projection.on_devices import SlabPlan
from ..projection.operators import ProjectorPair, make_plan
from .cut import PIECES, WHOLE, Cut, streamed_rows
from .device import CPU, Arrays, Devices, chosen_devices, held
from .settings import FIRST, INNER, ReconstructSettings
from .variation import HALO

__all__ = ["Plan", "plan"]

# Voxel-tilt updates per second and thread, whole calls at general tilt-axis angles on one core of Zen 4
# (benchmarks/bench_projection.py); the estimate is to be right within a factor of three elsewhere.
UPDATES_PER_SECOND = 5e9
# Where no geometry is given: a range and an axis as they often are.
USUAL_TILT_DEG, USUAL_AXIS_DEG = 70.0, 3.0
# Images that a pass over the rays holds at once, and one more to read or turn.
IMAGES_AT_ONCE = 5
# What a job takes beside its arrays, so that it never takes more than it may: stacks of threads, small objects, what
# the C library keeps. 1.4 MB at most over 22 configurations in slabs (benchmarks/memory.py).
RESERVE = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Needs of one reconstruction.

    Attributes
    ----------
    volume_shape : (int, int, int)
        (nz, ny, nx).
    bytes_peak : int
        Largest memory held at once: the input images (as float32), the result and all between; of work that is cut,
        what is in memory of all of these.
    bytes_output : int
        The volume, and the volumes of halves.
    bytes_scratch : int
        On disk while it runs; 0 where the work is not cut.
    seconds : float
        Expected time.
    cut : Cut
        What is in memory at once.
    device : SlabPlan or None
        What is taken of each device, other than the CPU, as things stand: slabs of the volume's rows, through which
        arrays in the host's memory go; or one of all rows and no pinned memory, where a device holds the arrays
        themselves.
    """

    volume_shape: tuple[int, int, int]
    bytes_peak: int
    bytes_output: int
    bytes_scratch: int
    seconds: float
    cut: Cut = WHOLE
    device: SlabPlan | None = None


def plan(
    image_shape: tuple[int, int],
    n_tilts: int,
    settings: ReconstructSettings,
    *,
    volume_shape: tuple[int, int, int] | None = None,
    pixel_size: float | None = None,
    geometry: Geometry | None = None,
    max_memory: int | None = None,
    workspace: str | os.PathLike[str] | None = None,
    threads: int = 0,
    streamed: bool = False,
) -> Plan:
    """Predict memory, disk and time of :func:`reconstruct`, and cut the work where it would not fit.

    Parameters
    ----------
    image_shape : (int, int)
        (height, width) of the raw images.
    n_tilts : int
    settings : ReconstructSettings
    volume_shape : (int, int, int), optional
        (nz, ny, nx) after binning; default from the settings, as thick as wide where those leave it open.
    pixel_size : float, optional [angstrom]
        Needed to turn the settings' thickness into pixels.
    geometry : Geometry, optional
        Of the binned images; default a tilt axis a few degrees off and tilts within 70 degrees.
    max_memory : int, optional [bytes]
        Cut the work into slabs along the tilt axis that need no more, of the host and of each device. The result has
        the same bytes; where devices project slabs that share pixels, to rounding.
    workspace : path, optional
        A folder for what is not in memory; default the system's for temporary files.
    threads : int, default 0
        0 counts all processors of this process.
    streamed : bool, default False
        Slabs of ``wbp`` are written to their file while the next is made, which holds one more.

    Raises
    ------
    InputError
        No pixels; ``max_memory`` does not suffice, with the number that would; views that a device does not take.
    DeviceError
        The settings name a device that is not there, or too little of its memory is free.
    """
    if n_tilts < 1 or min(image_shape) < 1:
        raise InputError(
            f"image_shape: found {n_tilts} images of {image_shape}, expected at least one pixel"
        )
    height, width = (max(1, n // settings.binning) for n in image_shape)
    if geometry is None:
        angles = np.linspace(-USUAL_TILT_DEG, USUAL_TILT_DEG, n_tilts)
        geometry = Geometry.single_axis(angles, tilt_axis_deg=USUAL_AXIS_DEG)
    if volume_shape is None:
        nz = max(height, width)
        if settings.thickness is not None and pixel_size is not None:
            nz = max(1, round(settings.thickness / pixel_size / settings.binning))
        volume_shape = geometry.volume_shape((height, width), nz)
    subsets = min(n_tilts, _subsets(settings) or n_tilts)
    one = geometry.subset(slice(0, None, subsets))
    devices = _devices(settings, max_memory, geometry, (height, width))
    need = _Need(
        settings=settings,
        devices=devices,
        raw=4 * n_tilts * image_shape[0] * image_shape[1],
        images=(n_tilts, height, width),
        shape=volume_shape,
        turned=abs(float(np.sin(np.deg2rad(geometry.tilt_axis_deg)))) > np.sqrt(0.5),
        pair=make_plan(geometry, volume_shape, (height, width)),
        turn=make_plan(one, volume_shape, (height, width), geometry),
        subsets=subsets,
        threads=threads or _core.available_threads(),
        streamed=streamed,
    )
    cut = need.cut(max_memory, workspace)
    return Plan(
        volume_shape=volume_shape,
        bytes_peak=need.in_slabs(cut.rows) if cut.on_disk else need.whole(),
        bytes_output=4 * need.voxels * (3 if settings.halves else 1),
        bytes_scratch=need.on_disk() if cut.on_disk else 0,
        seconds=float(_passes(settings))
        * need.voxels
        * n_tilts
        / UPDATES_PER_SECOND
        / need.threads,
        cut=cut,
        device=need.on_devices(whole=not cut.on_disk),
    )


def _devices(
    settings: ReconstructSettings,
    max_memory: int | None,
    geometry: Geometry,
    image_shape: tuple[int, int],
) -> Devices:
    """Return the devices of the settings; ``dart`` knows the CPU only."""
    if settings.device == "cpu" or settings.method == "dart":
        return CPU
    return chosen_devices(settings.device, max_memory, geometry, image_shape, geometry)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """First and last row of a slab, and how many pixels it sees of each image."""

    rows: tuple[int, int]
    pixels: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Need:
    """Memory of one reconstruction [bytes], by how it is cut."""

    settings: ReconstructSettings
    devices: Devices
    raw: int
    images: Shape3
    shape: Shape3
    turned: bool
    pair: ProjectorPair
    turn: ProjectorPair  # of the tilts that are projected at once
    subsets: int
    threads: int
    streamed: bool

    @property
    def voxels(self) -> int:
        nz, ny, nx = self.shape
        return nz * ny * nx

    @property
    def pixels(self) -> int:
        tilts, height, width = self.images
        return tilts * height * width

    def whole(self) -> int:
        """Everything in memory."""
        if self.streamed and self.settings.method == "wbp" and self._by_slabs:
            return self._whole_by_slabs()
        stacks, volumes = _copies(self.settings, self.subsets)
        core = self.tables() + self._core_scratch(self.turn)
        there = self.on_devices()
        if there is not None:
            core += len(self.devices.names) * there.pinned_bytes
            if not there.pinned_bytes:  # images, weights and the volume come from here
                stacks, volumes = min(stacks, 2), 1
        need = self.raw + 4 * (stacks * self.pixels + volumes * self.voxels)
        halves = self.settings.halves
        if halves == "frames":  # the frames; the volume of all and the first half are held
            need += 2 * self.raw + 8 * self.voxels
        elif halves is not None:
            half = self.raw + 2 * stacks * self.pixels + 4 * (volumes + 2) * self.voxels
            need = max(need, half)
        return int(need) + core + RESERVE

    @property
    def _by_slabs(self) -> bool:
        return isinstance(self.pair, _core.ProjectionPlan) and not self.devices.names

    def _whole_by_slabs(self) -> int:
        """All images, two copies of them while they are read, and two slabs: one is written while the next is made."""
        nz, ny, nx = self.shape
        stack, slab = 4 * self.pixels, 4 * nz * streamed_rows(ny) * nx
        making = stack + 2 * slab + self._core_scratch(self.pair)
        return max(2 * stack, making) + self.tables() + RESERVE

    def on_devices(self, *, whole: bool = True) -> SlabPlan | None:
        """What devices take: all arrays, where one holds them and ``whole``, else slabs."""
        if not self.devices.names:
            return None
        if self.settings.method == "wbp":
            lengths = _core.filter_lengths(self._straight(self.pair))
            return SlabPlan.of(_core.wbp_slabs(self._device_pair, lengths))
        arrays = Arrays.of(
            self.settings.method,
            self.images,
            self.shape,
            subsets=self.subsets,
            more=_penalties(self.settings),
        )
        return self.devices.plan(self._device_pair, arrays, whole=whole)

    @cached_property
    def _device_pair(self) -> _core.DevicePlan:
        """Of the tilts that are projected at once."""
        return self.devices.pair(self._straight(self.turn))

    @staticmethod
    def _straight(pair: ProjectorPair) -> _core.ProjectionPlan:
        if not isinstance(pair, _core.ProjectionPlan):
            raise AssertionError("only single-axis plans are cut, or taken by devices")
        return pair

    def on_disk(self) -> int:
        """Scratch files of work that is cut, the volume included."""
        stacks, volumes = _copies(self.settings, self.subsets)
        volumes += 2 if self.settings.halves else 0
        if self.subsets == 1 and self.settings.method in ("sirt", "sart", "mlem"):
            stacks += 1  # projections in the making
        # sirt, sart and mlem hold a correction of one slab, but keep the volume before for a cancel token.
        return int(4 * (stacks * self.pixels + volumes * self.voxels))

    def in_slabs(self, rows: int) -> int:
        """What slabs of so many rows take: the most of what is held while they are projected, updated or compared."""
        nz, ny, nx = self.shape
        slab, seen = 4 * nz * min(rows, ny) * nx, self._widest(rows)
        plan = self._straight(self.turn).slab(*seen.rows)
        # Correction, volume and a piece of the weights stay; other methods hold the slab that is projected.
        piece = slab // nz * -(-nz // PIECES) if rows < ny else slab
        kept = 2 * slab + piece if self.settings.method in ("sirt", "sart", "mlem") else 0
        window = 4 * self._in_turn() * seen.pixels
        projecting = (kept or slab) + window + max(self._core_scratch(plan), HANDS * self._image())
        projecting += self._pinned(seen.rows)
        if self.streamed and self.settings.method == "wbp":
            projecting += slab
        updating = slab if self.settings.method == "wbp" and not self.settings.halves else 2 * slab
        if self.settings.method == "tv":  # six arrays with their neighbours, twice the dual of HALO
            updating = 24 * nz * (min(ny, rows + 2 * HALO) + HALO) * nx
        comparing = kept + IMAGES_AT_ONCE * self.layers(rows) * self._image()
        return RESERVE + self.tables() + plan.table_bytes + max(projecting, updating, comparing)

    def _pinned(self, rows: tuple[int, int]) -> int:
        """Memory that devices lock for a slab."""
        if not self.devices.names:
            return 0
        slab = self._device_pair.slab(*rows)
        return len(self.devices.names) * slab.slabs().pinned_bytes

    def layers(self, rows: int) -> int:
        """Images at once that need no more than a slab."""
        nz, _, nx = self.shape
        seen = 4 * self._in_turn() * self._widest(rows).pixels
        room = max(4 * nz * rows * nx, seen) // (IMAGES_AT_ONCE * self._image())
        return min(self.images[0], max(1, room))

    def cut(self, max_memory: int | None, workspace: str | os.PathLike[str] | None) -> Cut:
        """Return the largest slabs that fit; the whole where that does."""
        if max_memory is None or self.whole() <= max_memory:
            return WHOLE
        if self.settings.method == "dart" or not isinstance(self.pair, _core.ProjectionPlan):
            what = (
                "dart"
                if self.settings.method == "dart"
                else "views without a common tilt axis and scale, or with local shifts,"
            )
            raise self._too_little(max_memory, self.whole(), f"; {what} cannot be cut")
        step = self.pair.slab_rows
        least = self.in_slabs(step)
        if least > max_memory:
            raise self._too_little(max_memory, least, "")
        most = (self.shape[1] + step - 1) // step
        rows = step * _largest(lambda k: self.in_slabs(step * k) <= max_memory, most)
        return Cut(rows=rows, layers=self.layers(rows), turned=self.turned, folder=workspace)

    def tables(self) -> int:
        """What the plans of all subsets hold."""
        inner = self.turn.plan if isinstance(self.turn, DetectorPlan) else self.turn
        turns = -(-self.images[0] // self._in_turn())
        return turns * inner.table_bytes if isinstance(inner, _core.ProjectionPlan) else 0

    def _in_turn(self) -> int:
        """Tilts of the largest subset."""
        return -(-self.images[0] // self.subsets)

    def _image(self) -> int:
        return 4 * self.images[1] * self.images[2]

    def _core_scratch(self, pair: ProjectorPair) -> int:
        if isinstance(pair, DetectorPlan):
            return pair.plan.scratch_bytes(self.threads) + 4 * self.pixels + self._local(pair)
        if self.settings.method == "wbp" and isinstance(pair, _core.ProjectionPlan):
            work = 64 * max(_core.filter_lengths(pair)) * self.threads
            return pair.backproject_bytes(self.threads) + work
        return pair.scratch_bytes(self.threads)

    def _local(self, pair: DetectorPlan) -> int:
        if pair.local is None:
            return 0
        _, height, width = self.images
        return pair.local.scratch_bytes((height, width), self.threads) + 4 * self.pixels

    def _widest(self, rows: int) -> _Seen:
        """Of slabs of so many rows, the one that sees the most of an image."""
        pair = self._straight(self.pair)
        ny, widest = self.shape[1], _Seen(rows=(0, 1), pixels=0)
        for first in range(0, ny, rows):
            last = min(ny, first + rows)
            top, bottom, left, right = pair.seen_by(first, last)
            pixels = (bottom - top) * (right - left)
            if pixels > widest.pixels:
                widest = _Seen(rows=(first, last), pixels=pixels)
        return widest

    def _too_little(self, found: int, expected: int, why: str) -> InputError:
        return InputError(
            f"max_memory: found {found / 1e6:.4g} MB, expected at least {expected / 1e6:.4g} MB for a volume of "
            f"{self.shape}{why}; allow more, bin the images or give a smaller thickness"
        )


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest k up to ``most`` that fits; 1 does."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _penalties(settings: ReconstructSettings) -> int:
    """Return how many more volumes a solver on a device holds to compare penalties within bounds."""
    bounded = settings.upper is not None or (
        settings.lower is not None and settings.lower > -math.inf
    )
    return int(settings.method == "lsqr" and settings.damp > 0 and bounded)


def _subsets(settings: ReconstructSettings) -> int | None:
    """Return how many subsets take turns; None for one a tilt."""
    if settings.method == "sart":
        return settings.subsets
    return (settings.subsets or 1) if settings.method == "mlem" else 1


def _copies(settings: ReconstructSettings, subsets: int) -> tuple[int, float]:
    """Return how many arrays of the size of the binned images and of the volume a method holds at once."""
    if settings.method == "wbp":
        return 1, 1.0
    if settings.method == "dart":
        # Given levels are not fitted.
        levels = settings.levels if isinstance(settings.levels, int) else 0
        # Those of sirt, and the levels' projections; grey, free, smoothed, labels, comparisons.
        return 3 + max(1, levels), 6.5
    return held(settings.method, subsets)


def _passes(settings: ReconstructSettings) -> int:
    """Return how often a method projects and back-projects, its preparation and halves included."""
    n = settings.iterations
    if settings.halves is not None:
        return (3 if settings.halves == "frames" else 2) * _passes(replace(settings, halves=None))
    if settings.method == "wbp":
        return 1
    if settings.method == "dart":
        return 2 * (FIRST + 1 + n * (INNER + 2))
    return 2 * (n + 1)
