# SPDX-License-Identifier: BSD-3-Clause
"""Directions without sign: points on a half sphere, frames about them, smooth functions of them."""

from __future__ import annotations

import math

import numpy as np

from ._inputs import Float64

__all__ = ["Sphere", "frames", "half_sphere"]


def half_sphere(count: int) -> Float64:
    """Return (count, 3) directions z, y, x with z > 0, about evenly spread: a spiral of the golden angle."""
    i = np.arange(count) + 0.5
    z, angle = i / count, math.pi * (1 + math.sqrt(5)) * i
    r = np.sqrt(1 - z * z)
    return np.stack([z, r * np.sin(angle), r * np.cos(angle)], axis=1)


def frames(axes: Float64) -> tuple[Float64, Float64]:
    """Return two (n, 3) unit vectors across each axis and across each other."""
    helper = np.eye(3)[np.abs(axes).argmin(axis=1)]
    first = np.cross(axes, helper)
    first /= np.linalg.norm(first, axis=1)[:, None]
    return first, np.cross(axes, first)


class Sphere:
    """Functions known at some directions, at any.

    Radial basis functions exp(-sin^2 / (2 h^2)) of twice the spacing; they go through all given values.
    """

    def __init__(self, axes: Float64) -> None:
        self.axes = axes
        self.width = 2 * math.sqrt(2 * math.pi / len(axes))
        self.solve = np.linalg.inv(self._basis(axes))

    def _basis(self, axes: Float64) -> Float64:
        square = 1 - (axes @ self.axes.T) ** 2
        out: Float64 = np.exp(-np.maximum(square, 0) / (2 * self.width**2))
        return out

    def interpolate(self, values: Float64, axes: Float64) -> Float64:
        """Return (m, k) values at (m, 3) axes from (n, k) values at the known directions."""
        middle = values.mean(axis=0)
        out: Float64 = self._basis(axes) @ (self.solve @ (values - middle)) + middle
        return out
