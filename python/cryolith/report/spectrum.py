# SPDX-License-Identifier: BSD-3-Clause
"""Power spectrum of the planes across the tilt axis, where the missing wedge shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["binning", "power_xz"]

MOST_PLANES = 32
LARGEST = 512


def power_xz(data: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return log10 of the mean power of xz planes over (kz, kx), both from -Nyquist to +Nyquist.

    At most 32 planes spread evenly along y are used, each less its mean and under a Hann window,
    padded to a square. Planes wider than 512 px are binned first (by :func:`binning`, which
    divides the Nyquist frequency).

    Parameters
    ----------
    data : (nz, ny, nx)
        Volume; non-finite voxels count as the plane's mean.

    Returns
    -------
    (n, n) float64
        n = max(nz, nx) after binning.
    """
    nz, ny, nx = data.shape
    step = binning(data.shape)
    picks = np.unique(np.linspace(0, ny - 1, min(ny, MOST_PLANES)).round().astype(int))
    n = max(nz // step, nx // step, 1)
    total = np.zeros((n, n))
    for y in picks:
        plane = np.array(data[:, y, :], np.float64)
        finite = np.isfinite(plane)
        mean = plane[finite].mean() if finite.any() else 0.0
        plane = np.where(finite, plane - mean, 0.0)
        plane = plane[: nz // step * step, : nx // step * step]
        plane = plane.reshape(nz // step, step, nx // step, step).mean(axis=(1, 3))
        window = np.outer(_hann(plane.shape[0]), _hann(plane.shape[1]))
        total += np.abs(np.fft.fft2(plane * window, s=(n, n))) ** 2
    total /= len(picks)
    peak = total.max()
    floor = peak * 1e-12 if peak > 0 else 1.0
    power: npt.NDArray[np.float64] = np.log10(np.fft.fftshift(np.maximum(total, floor)))
    return power


def binning(shape: tuple[int, ...]) -> int:
    """Return by how much planes of a volume of ``shape`` are binned before the transform."""
    nz, _, nx = shape
    return max(1, min(-(-max(nz, nx) // LARGEST), nz, nx))


def _hann(n: int) -> npt.NDArray[np.float64]:
    window: npt.NDArray[np.float64] = np.hanning(n + 2)[1:-1]
    return window
