# SPDX-License-Identifier: BSD-3-Clause
"""How a reconstruction shows an ellipsoid of any orientation, and which ellipsoid it shows like that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from ..projection import Geometry
from ._hole_filter import transfer_of
from ._imaging import Projected
from ._inputs import Float32, Float64
from ._layer_model import Response
from ._spectrum import Spectra
from .components import label

__all__ = ["PAIRS", "EllipsoidImaging", "Shown"]

_BOX = 48  # voxels
_LARGEST = 12.0  # px: the mean diameter that larger ellipsoids are shrunk to
_STEP = 0.1  # of log axes squared, for derivatives
_NEWTON = 3
_FITS = 0.06  # root of the sum of squares of log axes squared that may be left: 3 % of a length
_MOST = 1.5  # of log axes squared between what is seen and what is there
_LONGEST = 32.0  # px, an axis in the box
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class Shown(NamedTuple):
    """An ellipsoid that is shown as another: log of its squared semi-axes [px^2], and how that one goes with it.

    ``log`` (3, 3), ``slope`` (6, 6) over the pairs zz yy xx zy zx yx; ``solid``: volume of what is shown over that of
    the ellipsoid of its second moments.
    """

    log: Float64
    slope: Float64
    solid: float


class EllipsoidImaging:
    """The imaging of bodies that stand apart: what is shown of each wave, as of a narrow blob."""

    def __init__(
        self,
        geometry: Geometry,
        solve: Callable[..., Any],
        smoothing: float,
        cancel: _core.CancelToken | None,
    ) -> None:
        shape = (_BOX, _BOX, _BOX)
        self.spectra = Spectra(shape, 1, cancel)
        # Tilts about y alone: volumes lie with y along the axis.
        plain, pixels = Geometry.single_axis(geometry.angles_deg), (_BOX, math.ceil(1.42 * _BOX))
        response = Response(Projected(self.spectra, plain, pixels, solve, None))
        k = np.stack(np.broadcast_arrays(*self.spectra.axes()), axis=-1)
        self.shown = transfer_of(self.spectra, response)
        self.square = self.spectra.squared_frequency()
        self.products = [k[..., i] * k[..., j] * (1 if i == j else 2) for i, j in PAIRS]
        self.smoothing = smoothing
        middle = (_BOX - 1) // 2
        self.phase = np.exp(-1j * middle * k.sum(axis=-1)).astype(np.complex64)
        self.middle = middle

    def seen(self, log: Float64, cut: float) -> tuple[Float64, float]:
        """Return the log of squared semi-axes of equal second moments of what is above ``cut`` of the greatest value.

        And its volume over that of the ellipsoid of these.

        The transform of an ellipsoid is that of the ball, 3 (sin q - q cos q) / q^3, at q^2 = k A k.
        """
        scale = max(1.0, 2 * math.exp(np.trace(log) / 6) / _LARGEST)
        form = _exponential(log) / scale**2
        if not 4 * np.trace(form) < _LONGEST**2:
            raise _NothingShownError
        q = np.sqrt(
            np.maximum(
                sum(p * form[i, j] for p, (i, j) in zip(self.products, PAIRS, strict=True)), 1e-8
            )
        )
        body = np.where(q < 0.05, 1 - q * q / 10, 3 * (np.sin(q) - q * np.cos(q)) / q**3)
        width = self.smoothing**2 / scale**2 + 1 / 12
        body *= self.shown * np.exp(-0.5 * width * self.square)
        volume = self.spectra.inverse((body * self.phase).astype(np.complex64))
        moments, solid = _log_moments(volume, self.middle, cut)
        return moments + 2 * math.log(scale) * np.eye(3), solid

    def behind(self, seen: Float64, cut: float) -> Shown | None:
        """Return the ellipsoid that is shown as ``seen``, logs of squared semi-axes: fixed point, then Newton."""
        try:
            guess = seen + (seen - self.seen(seen, cut)[0])
            slope = np.empty((6, 6))
            at, solid = self.seen(guess, cut)
            for n, (i, j) in enumerate(PAIRS):
                moved = guess.copy()
                moved[i, j] += _STEP
                moved[j, i] = moved[i, j]
                slope[:, n] = _six(self.seen(moved, cut)[0] - at) / _STEP
            for _ in range(_NEWTON):
                left = _six(seen - at)
                if np.linalg.norm(left) < _FITS / 4:
                    break
                guess = guess + _matrix(np.asarray(np.linalg.solve(slope, left), np.float64))
                if np.abs(guess - seen).max() > _MOST:
                    return None
                at, solid = self.seen(guess, cut)
        except (np.linalg.LinAlgError, _NothingShownError):
            return None
        if np.linalg.norm(_six(seen - at)) > _FITS:
            return None
        return Shown(guess, slope, solid)


class _NothingShownError(Exception):
    """An ellipsoid of which nothing is shown."""


def _six(matrix: Float64) -> Float64:
    return np.array([matrix[i, j] for i, j in PAIRS], np.float64)


def _matrix(six: Float64) -> Float64:
    out = np.empty((3, 3))
    for value, (i, j) in zip(six, PAIRS, strict=True):
        out[i, j] = out[j, i] = value
    return out


def _exponential(log: Float64) -> Float64:
    value, vector = np.linalg.eigh(log)
    out: Float64 = (vector * np.exp(value)) @ vector.T
    return out


def _log_moments(volume: Float32, middle: int, cut: float) -> tuple[Float64, float]:
    at = (middle, middle, middle)
    near = tuple(slice(middle - 2, middle + 3) for _ in range(3))
    level = np.float32(cut * volume[near].max())
    labels, _ = label(volume > level, 6, threads=1)
    mine = labels == labels[at]
    if not labels[at] or mine.sum() < 8:
        raise _NothingShownError
    box = tuple(slice(max(int(i.min()) - 1, 0), int(i.max()) + 2) for i in np.nonzero(mine))
    part = volume[box]
    # Voxels count as far as they lie above the level, so that moments change smoothly with the ellipsoid.
    steep = np.sqrt(sum(g * g for g in np.gradient(part))) + np.float32(1e-6) * level
    weight = np.clip(0.5 + (part - level) / steep, 0, 1)
    weight[(labels[box] > 0) & ~mine[box]] = 0
    inside = np.nonzero(weight)
    moments = np.cov(np.stack(inside), aweights=weight[inside], bias=True) + np.eye(3) / 12
    value, vector = np.linalg.eigh(5 * moments)
    out: Float64 = (vector * np.log(value)) @ vector.T
    return out, float(weight.sum() / (4 / 3 * math.pi * np.sqrt(value.prod())))
