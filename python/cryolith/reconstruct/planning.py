# SPDX-License-Identifier: BSD-3-Clause
"""What a reconstruction will need, before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from .. import _core
from ..errors import InputError
from .settings import FIRST, INNER, ReconstructSettings

__all__ = ["Plan", "plan"]

# Voxel-tilt updates per second and thread, whole calls at general tilt-axis angles on one core of Zen 4
# (benchmarks/bench_projection.py); the estimate is to be right within a factor of three elsewhere.
UPDATES_PER_SECOND = 2e9
LANES = 8
SLAB_BYTES = 48 << 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Needs of one reconstruction.

    Attributes
    ----------
    volume_shape : (int, int, int)
        (nz, ny, nx).
    bytes_peak : int
        Largest memory held at once, the input images (as float32) and the result included.
    bytes_output : int
        The volume alone.
    seconds : float
        Expected time.
    """

    volume_shape: tuple[int, int, int]
    bytes_peak: int
    bytes_output: int
    seconds: float


def plan(
    image_shape: tuple[int, int],
    n_tilts: int,
    settings: ReconstructSettings,
    *,
    volume_shape: tuple[int, int, int] | None = None,
    pixel_size: float | None = None,
    threads: int = 0,
) -> Plan:
    """Predict memory and time of :func:`reconstruct`.

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
    threads : int, default 0
        0 counts all processors of this process.
    """
    if n_tilts < 1 or min(image_shape) < 1:
        raise InputError(
            f"image_shape: found {n_tilts} images of {image_shape}, expected at least one pixel"
        )
    height, width = (max(1, n // settings.binning) for n in image_shape)
    if volume_shape is None:
        nz = max(height, width)
        if settings.thickness is not None and pixel_size is not None:
            nz = max(1, round(settings.thickness / pixel_size / settings.binning))
        volume_shape = (nz, height, width)
    voxels = volume_shape[0] * volume_shape[1] * volume_shape[2]
    pixels, workers = n_tilts * height * width, threads or _core.available_threads()
    along = max(volume_shape[0], volume_shape[2])
    block = n_tilts * (volume_shape[0] + along + 80) * LANES * 4
    if settings.method == "wbp":
        peak = 4 * (2 * pixels + voxels) + 4 * workers * block
        passes = 1
    else:
        stacks, volumes = _copies(settings)
        lines = 2 * LANES * 4 * volume_shape[0] * (along + 200)
        slab = max(SLAB_BYTES, workers * block)
        peak = int(4 * (stacks * pixels + volumes * voxels))
        peak += max(4 * workers * block, slab + workers * lines)
        passes = _passes(settings)
    updates = float(passes) * voxels * n_tilts
    return Plan(
        volume_shape=volume_shape,
        bytes_peak=peak,
        bytes_output=4 * voxels,
        seconds=updates / UPDATES_PER_SECOND / workers,
    )


def _copies(settings: ReconstructSettings) -> tuple[int, float]:
    """Return how many arrays of the size of the images and of the volume an iterative method holds at once."""
    subsets = settings.subsets or 1
    split = (
        2 if settings.method == "sart" or subsets > 1 else 0
    )  # images and weights in the subsets' order
    levels = (
        settings.levels if isinstance(settings.levels, int) else 0
    )  # given levels are not fitted
    needs = {
        "sirt": (4, 3.0),  # images, weights, rays, projected; volume, its weights, correction
        "sart": (4 + split, 3.0),
        "cgls": (4, 3.0),  # images, weights, residual, projected; volume, descent, direction
        "lsqr": (4, 3.0),
        "mlem": (3 + split, 2.0 + subsets),  # the weights of the voxels for each subset
        "tv": (4, 8.0),  # volume, the one before, with momentum, gradient step, metric, dual (3)
        "dart": (max(5, 2 + levels), 6.25),  # those of sirt; grey, free, smoothed and labels
    }
    return needs[settings.method]


def _passes(settings: ReconstructSettings) -> int:
    """Return how often an iterative method projects and back-projects, its preparation included."""
    n = settings.iterations
    if settings.method == "dart":
        return 2 * (FIRST + 1 + n * (INNER + 2))
    return 2 * (n + 1)
