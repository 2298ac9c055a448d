# SPDX-License-Identifier: BSD-3-Clause
"""Tubes and discs planted in tilt series of counted electrons, for ``validate_tubes.py``."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from cryolith.detect import FoundSheets, FoundTubes, sheets, tubes
from cryolith.projection import Geometry, project
from cryolith.reconstruct import Halves, wbp

DOSE, THICKNESS_OVER_PATH = 100.0, 0.5  # electrons a pixel; slab over mean free path
WIDTH, LENGTH = 1.2, 6.0
HALF, RADIUS = 13.0, 10.0  # of planted tubes and discs, px
R = math.sqrt(0.5)
ORIENTATIONS = {  # z, y, x; y is the tilt axis
    "x": (0.0, 0.0, 1.0),
    "y": (0.0, 1.0, 0.0),
    "z": (1.0, 0.0, 0.0),
    "xy45": (0.0, R, R),
    "xz45": (R, 0.0, R),
    "xz60": (math.sin(math.pi / 3), 0.0, 0.5),
}
Found = FoundTubes | FoundSheets


class Planted(NamedTuple):
    """Middles, directions and points all over of objects."""

    places: np.ndarray
    axes: np.ndarray
    points: list[np.ndarray]


class Series:
    """A tilt series of counted electrons and its reconstruction in halves."""

    def __init__(self, n: int, tilt: float) -> None:
        self.n = n
        self.angles = np.arange(-tilt, tilt + 1e-6, 2.0)
        self.geometry = Geometry.single_axis(self.angles)
        self.image_shape = (n, math.ceil(1.42 * n) + 4)
        self.solve = functools.partial(wbp, filter="ramp")
        self.electrons = DOSE * np.exp(-THICKNESS_OVER_PATH / np.cos(np.deg2rad(self.angles)))
        self.noise_sd = float(np.std(self.whole(self.taken(None, np.random.default_rng(12345)))))

    @staticmethod
    def whole(halves: Halves) -> np.ndarray:
        """Return the sum of the halves."""
        return np.asarray(halves.first) + np.asarray(halves.second)

    def taken(self, volume: np.ndarray | None, rng: np.random.Generator) -> Halves:
        """Count electrons and reconstruct, even and odd tilts."""
        lines = np.zeros((len(self.angles), *self.image_shape), np.float32)
        if volume is not None:
            project(volume, self.geometry, self.image_shape, out=lines, threads=1)
        mean = self.electrons[:, None, None]
        counts = rng.poisson(mean * np.exp(-lines))
        stack = (-np.log((counts + 0.5) / mean)).astype(np.float32)
        found: Any = self.solve(
            stack, self.geometry, shape=(self.n,) * 3, halves="tilts", threads=1
        )
        return found

    def look(self, kind: str, halves: Halves, **options: Any) -> Found:
        """Look for objects with all that is known."""
        how: dict[str, Any] = {
            "widths": WIDTH,
            "length": LENGTH,
            "halves": halves,
            "geometry": self.geometry,
            "image_shape": self.image_shape,
            "solve": self.solve,
            "margin": 8,
            "threads": 1,
        }
        return (tubes if kind == "tubes" else sheets)(None, **(how | options))


def object_at(
    kind: str, n: int, place: np.ndarray, axis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a tube or disc of peak 1 with soft ends, and points all over it."""
    z, y, x = (np.arange(n) - c for c in place)
    t = axis[0] * z[:, None, None] + axis[1] * y[:, None] + axis[2] * x
    across = np.maximum(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 - t * t, 0.0)
    if kind == "tubes":
        profile, rim = across, np.abs(t) - HALF
        s = np.arange(-HALF, HALF + 0.1, 1.0)
        points = place + s[:, None] * axis
    else:
        profile, rim = t * t, np.sqrt(across) - RADIUS
        first = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
        first /= np.linalg.norm(first)
        a, b = np.meshgrid(np.arange(-RADIUS, RADIUS + 1), np.arange(-RADIUS, RADIUS + 1))
        inside = np.hypot(a, b) <= RADIUS
        points = place + a[inside][:, None] * first + b[inside][:, None] * np.cross(axis, first)
    soft = 1 / (1 + np.exp(np.clip(rim / 0.35, -50, 50)))
    return (np.exp(-0.5 * profile / WIDTH**2) * soft).astype(np.float32), points


def plant(
    kind: str,
    n: int,
    names: list[str],
    height: float,
    rng: np.random.Generator,
    apart: bool = False,
) -> tuple[np.ndarray, Planted]:
    """Return a volume of eight objects, tubes bright and sheets dark, each turned by about 6 degrees.

    ``apart``: two in opposite corners, whose smears do not meet.
    """
    volume = np.zeros((n, n, n), np.float32)
    places, axes, points = [], [], []
    corners = [n // 4, n - 1 - n // 4]
    where = [(z, y, x) for z in corners for y in corners for x in corners]
    for i, corner in enumerate(where[:: len(where) - 1] if apart else where):
        place = np.array(corner) + rng.uniform(-3, 3, 3)
        axis = np.array(ORIENTATIONS[names[i % len(names)]]) + rng.normal(0, math.radians(6), 3)
        axis /= np.linalg.norm(axis)
        one, over = object_at(kind, n, place, axis)
        volume += one
        places.append(place)
        axes.append(axis)
        points.append(over)
    sign = 1.0 if kind == "tubes" else -1.0
    return volume * np.float32(sign * height), Planted(np.array(places), np.array(axes), points)
