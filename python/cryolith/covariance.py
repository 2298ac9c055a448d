# SPDX-License-Identifier: BSD-3-Clause
"""Covariance of the parameters of an alignment, each with its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import InputError

__all__ = ["Covariance"]

Float64 = npt.NDArray[np.float64]

_WHOLE = ("tilt_axis_deg",)
_OF_TILT = ("shift_row_px", "shift_column_px", "rotation_deg", "magnification", "angle_deg")
_ROUNDING = 1e-9  # of the standard deviations: two halves may differ by it, a correlation pass 1
_SMALL = 1e-7  # of the largest standard deviation: below it, a variance is rounding of another


@dataclass(frozen=True, kw_only=True, eq=False)
class Covariance:
    """Covariance of the parameters that an alignment found together.

    Attributes
    ----------
    names : (k,) tuple of str
        ``tilt_axis_deg``, and for tilt ``i`` of the series, from 0, ``shift_row_px[i]``, ``shift_column_px[i]`` and,
        where they were free, ``rotation_deg[i]``, ``magnification[i]`` and ``angle_deg[i]`` (the tilt). What is not
        listed was held: tilts that were left out, and an axis that was given.
    matrix : (k, k) float64
        In the units of the names: px, deg, 1. Symmetric; the square root of the diagonal is what ``sigma_shifts_px``
        and ``sigma_tilt_axis_deg`` say.

    Notes
    -----
    What moving the specimen does to the shifts (m (a cos + b sin) of the tilt across the axis, m c along it) cannot be
    known and is taken off by least squares over the tilts: in these three directions the variance is 0. Rotations
    have mean 0 and magnifications mean 1 in the same way.

    References
    ----------
    B. Triggs et al., Bundle adjustment - a modern synthesis, LNCS 1883 (2000), section 9 (inner constraints).
    """

    names: tuple[str, ...]
    matrix: Float64

    def __post_init__(self) -> None:
        k, c = len(self.names), self.matrix
        if c.shape != (k, k):
            raise InputError(f"matrix: found shape {c.shape}, expected {(k, k)}, one row per name")
        if len(set(self.names)) != k:
            raise InputError("names: found a name twice, expected different names")
        for name in self.names:
            self.tilt_of(name)
        if not np.isfinite(c).all():
            raise InputError("matrix: found values that are not finite, expected finite ones")
        sigma = np.sqrt(np.maximum(np.diag(c), 0))
        sigma = np.maximum(sigma, _SMALL * sigma.max(initial=0.0))
        size = np.outer(sigma, sigma)
        if (np.diag(c) < 0).any() or (np.abs(c) > size * (1 + _ROUNDING)).any():
            raise InputError(
                "matrix: found a negative variance or a correlation above 1, expected a covariance"
            )
        if (np.abs(c - c.T) > _ROUNDING * size).any():
            raise InputError("matrix: found one that is not symmetric, expected a covariance")

    @staticmethod
    def tilt_of(name: str) -> int | None:
        """Return the tilt that a name belongs to, None for the axis.

        Raises
        ------
        InputError
            The name is none of those above.
        """
        kind, bracket, rest = name.partition("[")
        if name in _WHOLE:
            return None
        number = rest.removesuffix("]")
        if kind not in _OF_TILT or not bracket or rest != f"{number}]" or not number.isdecimal():
            expected = ", ".join([*_WHOLE, *(f"{kind}[i]" for kind in _OF_TILT)])
            raise InputError(f"names: found {name!r}, expected one of {expected}")
        return int(number)

    def sigma(self, kind: str, n_tilts: int) -> Float64:
        """Return standard deviations (n_tilts,) of ``kind``, the name without its number; NaN where it was held."""
        out = np.full(n_tilts, np.nan)
        for k, name in enumerate(self.names):
            tilt = self.tilt_of(name)
            if tilt is not None and name.startswith(f"{kind}["):
                out[tilt] = np.sqrt(self.matrix[k, k])
        return out

    def correlation(self) -> Float64:
        """Return the correlations (k, k); 0 where a variance is 0."""
        sigma = np.sqrt(np.diag(self.matrix))
        size = np.outer(sigma, sigma)
        return np.asarray(np.divide(self.matrix, size, out=np.zeros_like(size), where=size > 0))
