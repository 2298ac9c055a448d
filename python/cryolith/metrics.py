# SPDX-License-Identifier: BSD-3-Clause
"""Numbers that say how good a result is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._arrays import as_angles, as_core
from .errors import InputError

__all__ = ["Fsc", "coverage", "fsc", "residual"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fsc:
    """Fourier shell (or ring) correlation.

    Attributes
    ----------
    frequency : (n_shells,) float64 [cycles/px]
        Mean radius of each shell.
    correlation : (n_shells,) float64
        From -1 to 1; NaN where one of the two has no signal.
    count : (n_shells,) int64
        Independent Fourier terms in the shell: a term and its conjugate count once.
    """

    frequency: Float64
    correlation: Float64
    count: npt.NDArray[np.int64]

    def resolution(self, threshold: float = 0.143, pixel_size: float = 1.0) -> float:
        """Return the period at which the curve first falls below ``threshold``, in units of ``pixel_size``.

        Linear between shells; NaN when the curve never falls below, or starts there.
        """
        below = np.flatnonzero(self.correlation < threshold)
        if below.size == 0 or below[0] == 0:
            return float("nan")
        i = int(below[0])
        c, f = self.correlation, self.frequency
        at = f[i - 1] + (c[i - 1] - threshold) / (c[i - 1] - c[i]) * (f[i] - f[i - 1])
        return float(pixel_size / at)


def fsc(a: npt.ArrayLike, b: npt.ArrayLike) -> Fsc:
    """Correlate two volumes (or images) shell by shell in Fourier space.

    Parameters
    ----------
    a, b : (nz, ny, nx) or (ny, nx) array_like
        Of equal shape; extents may differ, frequencies are in cycles per pixel. Mask them yourself.

    Returns
    -------
    Fsc
        Shells one Fourier pixel of the longest extent wide, from the first up to 0.5 cycles/px. The mean
        value (frequency 0) is left out.

    References
    ----------
    Harauz & van Heel (1986), Optik 73, 146-156, equation 2.
    """
    axes = ("nz", "ny", "nx")[-np.ndim(a) :] if np.ndim(a) in (2, 3) else ("nz", "ny", "nx")
    first, second = as_core(a, "a", axes, np.float64), as_core(b, "b", axes, np.float64)
    if first.shape != second.shape:
        raise InputError(f"b: found shape {second.shape}, expected that of a, {first.shape}")
    shape = first.shape
    fa, fb = np.fft.rfftn(first), np.fft.rfftn(second)
    grids = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    squares = (g**2 for g in np.meshgrid(*grids, indexing="ij", sparse=True))
    radius = np.sqrt(sum(squares, start=np.zeros(())))
    longest = max(shape)
    shell = np.rint(radius * longest).astype(np.int64)
    # rfftn stores half of the plane pairs: columns that stand for their conjugates too weigh twice.
    weight = np.full(shape[-1] // 2 + 1, 2.0)
    weight[0] = 1.0
    if shape[-1] % 2 == 0:
        weight[-1] = 1.0
    weights = np.broadcast_to(weight, shell.shape)

    def total(values: Float64) -> Float64:
        sums = np.bincount(shell.ravel(), (values * weights).ravel(), longest // 2 + 1)
        return np.asarray(sums, np.float64)[1 : longest // 2 + 1]

    terms = total(np.ones(shell.shape))
    power = total(np.abs(fa) ** 2) * total(np.abs(fb) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = total((fa * fb.conj()).real) / np.sqrt(power)
        frequency = total(radius) / terms
    return Fsc(
        frequency=frequency, correlation=correlation, count=np.ceil(terms / 2.0).astype(np.int64)
    )


def residual(measured: npt.ArrayLike, predicted: npt.ArrayLike) -> Float64:
    """Return |measured - predicted| / |measured| of each image, NaN pixels left out.

    Parameters
    ----------
    measured, predicted : (n_tilts, ny, nx) array_like
        In the same units.

    Returns
    -------
    (n_tilts,) float64
        0 is perfect, 1 no better than predicting nothing; NaN for an image without signal.
    """
    axes = ("n_tilts", "ny", "nx")
    m = as_core(measured, "measured", axes, np.float64)
    p = as_core(predicted, "predicted", axes, np.float64)
    if m.shape != p.shape:
        raise InputError(f"predicted: found shape {p.shape}, expected that of measured, {m.shape}")
    seen = np.isfinite(m) & np.isfinite(p)
    difference = np.where(seen, m - np.where(seen, p, 0.0), 0.0)
    rest = np.sqrt((difference**2).sum(axis=(1, 2)))
    whole = np.sqrt((np.where(seen, m, 0.0) ** 2).sum(axis=(1, 2)))
    return np.where(whole > 0.0, rest / np.where(whole > 0.0, whole, 1.0), np.nan)


def coverage(angles_deg: npt.ArrayLike, thickness_over_pixel: float) -> float:
    """Return the fraction of Fourier space, inside the sphere of 0.5 cycles/px, that the tilts measure.

    A projection measures a plane that is as thick as the reciprocal of the specimen, 1 / (D px); the
    planes of one tilt axis overlap near it (Crowther, DeRosier & Klug 1970, Proc. R. Soc. A 317, 319).
    With many tilts this becomes the angular range over 180 degrees: the rest is the missing wedge.

    Parameters
    ----------
    angles_deg : (n_tilts,) [deg]
    thickness_over_pixel : float
        Diameter of the specimen across the tilt axis, in pixels.
    """
    if not thickness_over_pixel >= 1.0:
        raise InputError(
            f"thickness_over_pixel: found {thickness_over_pixel}, expected 1 or more pixels"
        )
    directions = np.unique(np.deg2rad(as_angles(angles_deg, "angles_deg")) % np.pi)
    gaps = np.diff(np.append(directions, directions[0] + np.pi))
    radii = (np.arange(512) + 0.5) / 1024.0
    half = np.arcsin(np.minimum(0.5 / (thickness_over_pixel * radii), 1.0))
    # On a circle of radius r each plane covers +-half; neighbours closer than that share.
    covered = np.minimum(gaps[:, None], 2.0 * half).sum(axis=0) / np.pi
    # Circles of radius r across the axis have the length 2 sqrt(1/4 - r^2) inside the sphere.
    weight = radii * np.sqrt(0.25 - radii**2)
    return float((covered * weight).sum() / weight.sum())
