# SPDX-License-Identifier: BSD-3-Clause
"""Diagrams and pictures of the motion of movies."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from .figures import ACCENT, MUTED, SECOND, Paint

__all__ = ["drifts", "power_of", "powers", "radial", "spectra_picture", "track"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

TILE = 512
MOST_TILES = 64  # of a 4096 x 4096 image: one a second row; more change the mean by a few per cent
SHOWN = 256


def power_of(image: Float32) -> Float64:
    """Return the mean power (n, n) of tiles of 512 px under a Hann window, frequency 0 in the middle."""
    n = min(TILE, *image.shape)
    rows, columns = (
        np.unique(np.linspace(0, size - n, max(1, 2 * size // n - 1)).astype(int))
        for size in image.shape
    )
    places = [(row, column) for row in rows for column in columns]
    step = -(-len(places) // MOST_TILES)
    window = np.outer(np.hanning(n + 2)[1:-1], np.hanning(n + 2)[1:-1])
    total = np.zeros((n, n // 2 + 1))
    for row, column in places[::step]:
        tile = image[row : row + n, column : column + n].astype(np.float64)
        total += np.abs(np.fft.rfft2((tile - tile.mean()) * window)) ** 2
    total /= len(places[::step]) * float((window**2).sum())
    full = np.empty((n, n))
    full[:, : n // 2 + 1] = total
    # The other half plane is the same turned by half a turn.
    full[:, n // 2 + 1 :] = total[-np.arange(n), :][:, 1 : n - n // 2][:, ::-1]
    return np.asarray(np.fft.fftshift(full))


def radial(power: Float64) -> tuple[Float64, Float64]:
    """Return frequencies [1/px] up to Nyquist and the mean power on rings one coefficient wide."""
    n = len(power)
    y, x = np.indices(power.shape) - n // 2
    ring = np.hypot(y, x).round().astype(np.int64).ravel()
    count = np.bincount(ring)
    mean = np.bincount(ring, power.ravel()) / np.maximum(count, 1)
    last = n // 2
    return np.arange(1, last + 1) / n, mean[1 : last + 1]


def spectra_picture(before: Float32, after: Float32) -> bytes:
    """Return a PNG of both power spectra, logarithmic, at one grey scale, each rid of its fall with frequency."""
    flat = []
    for image in (before, after):
        power = power_of(image)
        n = len(power)
        y, x = np.indices(power.shape) - n // 2
        ring = np.hypot(y, x).round().astype(np.int64)
        log = np.log(np.maximum(power, power.max() * 1e-12 or 1.0))
        if n > SHOWN:
            log = log[: n // 2 * 2, : n // 2 * 2].reshape(n // 2, 2, n // 2, 2).mean(axis=(1, 3))
            ring = ring[::2, ::2] // 2
        flat.append((log, ring))
    # What both lose with frequency is taken from the aligned sum, so that what the motion blurred stays darker.
    log, ring = flat[1]
    fall = np.bincount(ring.ravel(), log.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    shown = [log - fall[ring] for log, ring in flat]
    low, high = np.percentile(shown[1], [1, 99.5])
    both = np.concatenate([shown[0], np.full((len(shown[0]), 4), high), shown[1]], axis=1)
    grey = np.clip((both - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def track(facts: dict[str, Any], unit: str, scale: float) -> Paint:
    """The path of the frames in the image plane, and both components with their errors by frame."""
    shifts = np.asarray(facts["shifts_px"], float) * scale
    sigma = np.nan_to_num(np.asarray(facts["sigma_px"], float) * scale, posinf=0.0)
    frames = facts["first_frame"] + np.arange(len(shifts))

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
        left.plot(shifts[:, 1], shifts[:, 0], "o-", color=ACCENT, lw=0.8, ms=2.5)
        left.plot(*shifts[0, ::-1], "o", color=SECOND, ms=6, label=f"frame {frames[0]}")
        left.set(xlabel=f"column ({unit})", ylabel=f"row ({unit})")
        left.set_aspect("equal", "datalim")
        left.invert_yaxis()  # rows run downwards, as in the images
        left.legend(loc="best")
        for k, (name, colour) in enumerate((("row", ACCENT), ("column", SECOND))):
            right.errorbar(
                frames,
                shifts[:, k],
                sigma[:, k],
                fmt="o-",
                color=colour,
                label=name,
                lw=0.8,
                ms=2.5,
            )
        right.set(xlabel="frame", ylabel=f"shift ({unit})")
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.legend(loc="best")

    return paint


def powers(facts: dict[str, Any], unit: str, voxel: float) -> Paint:
    """Mean power by spatial frequency, before and after."""
    frequency = np.asarray(facts["frequency_per_px"], float) / voxel

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        ax.plot(frequency, facts["power_before"], color=MUTED, label="before", ls="--")
        ax.plot(frequency, facts["power_after"], color=ACCENT, label="aligned")
        ax.set_yscale("log")
        ax.set(xlabel=f"spatial frequency ({unit})", ylabel="power (counts²)")
        ax.legend(loc="best")

    return paint


def drifts(x: Float64, label: str, paths: Float64, steps: Float64, unit: str) -> Paint:
    """Way of each movie, and the largest step from one frame to the next."""

    def paint(figure: Figure) -> None:
        ax = figure.subplots()
        ax.plot(x, paths, "o-", color=ACCENT, lw=0.8, label="whole way")
        ax.plot(x, steps, "o-", color=SECOND, lw=0.8, label="largest step")
        ax.set(xlabel=label, ylabel=f"motion ({unit})")
        ax.set_ylim(bottom=0)
        ax.legend(loc="best")

    return paint
