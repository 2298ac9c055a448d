# SPDX-License-Identifier: BSD-3-Clause
"""The Shepp-Logan picture of 256 x 256 pixels, exact data of it, and how near a result comes."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import skimage.data
import skimage.metrics
import skimage.transform

Array = npt.NDArray[np.floating]
SIZE = 256


@functools.cache
def picture() -> Array:
    """Return (z, x), 0 to 1: what every reconstruction is to find."""
    fine = skimage.data.shepp_logan_phantom()
    return skimage.transform.resize(fine, (SIZE, SIZE), anti_aliasing=True)


def levels() -> list[float]:
    """Return the grey levels of the picture, for methods that may be told."""
    return [float(v) for v in np.unique(np.round(skimage.data.shepp_logan_phantom(), 6))]


@functools.cache
def disk() -> npt.NDArray[np.bool_]:
    """Return the pixels that every tilt sees: only they are judged."""
    x = np.arange(SIZE) - (SIZE - 1) / 2
    return x[:, None] ** 2 + x**2 <= (SIZE / 2) ** 2


def sinogram(angles_deg: Array, axis: float = (SIZE - 1) / 2) -> npt.NDArray[np.float32]:
    """Return (n_tilts, SIZE): the picture's square pixels, integrated exactly over each detector pixel.

    The pixel (z, x), counted from ``axis`` in both directions, is seen at u = x cos + z sin, counted from it too.
    A square's shadow is a trapezoid, whose share left of a point is a second difference of squares.
    """
    x = np.arange(SIZE) - axis
    out = np.empty((len(angles_deg), SIZE))
    for i, angle in enumerate(np.deg2rad(angles_deg)):
        cos, sin = np.cos(angle), np.sin(angle)
        # A side below 1e-4 px would lose its digits in the differences and matters less than float32.
        a, b = max(abs(cos), 1e-4), max(abs(sin), 1e-4)
        u = (x * cos + x[:, None] * sin).ravel() + axis
        first = np.floor(u).astype(int) - 1
        line = np.zeros(SIZE + 8)
        edges = [shadow(first + k - 0.5 - u, a, b) for k in range(5)]
        for k in range(4):
            weight = (edges[k + 1] - edges[k]) * picture().ravel()
            at = np.clip(first + k + 4, 0, len(line) - 1)
            line += np.bincount(at, weight, len(line))
        out[i] = line[4:-4]
    return out.astype(np.float32)


def shadow(s: Array, a: float, b: float) -> Array:
    """Return the share of a trapezoid (a box of width a blurred by one of width b) to the left of s."""

    def half_square(x: Array) -> Array:
        return np.maximum(x, 0) ** 2 / 2

    near, far = (a - b) / 2, (a + b) / 2
    terms = half_square(s + far) - half_square(s + near) - half_square(s - near)
    return (terms + half_square(s - far)) / (a * b)


@dataclass(frozen=True)
class Case:
    """Tilts, and what is done to the data: noise in units of the largest value, one pixel lost."""

    name: str
    angles_deg: Array = field(repr=False)
    noise: float = 0.0
    lost_pixel: bool = False

    def data(self, seed: int, *, half: bool = True) -> npt.NDArray[np.float32]:
        """Return the sinogram for programs that turn about (n - 1) / 2, or else about pixel n // 2."""
        found = sinogram(self.angles_deg, (SIZE - 1) / 2 if half else SIZE // 2)
        if self.noise:
            noise = np.random.default_rng(seed).standard_normal(found.shape)
            found = (found + self.noise * found.max() * noise).astype(np.float32)
        if self.lost_pixel:
            found[len(found) // 2, SIZE // 2 + 20] = np.nan
        return found


def uneven() -> Array:
    """Return tilts every 2 degrees below 10, every degree above, eight of them missing."""
    angles = np.concatenate([np.arange(-60.0, 10.0, 2.0), np.arange(10.0, 61.0, 1.0)])
    return np.delete(angles, np.random.default_rng(0).choice(len(angles), 8, replace=False))


@dataclass(frozen=True)
class Score:
    psnr: float
    ssim: float
    nmse: float

    @classmethod
    def of(cls, found: Array) -> Score:
        """Judge a picture (z, x) in the disk; no gain is fitted, the peak is the picture's range of 1."""
        if not np.isfinite(found).all():
            return cls(float("nan"), float("nan"), float("nan"))
        truth, inside = picture(), disk()
        square = (found[inside] - truth[inside]) ** 2
        ssim = skimage.metrics.structural_similarity(
            np.asarray(found, np.float64) * inside, truth * inside, data_range=1.0
        )
        return cls(
            psnr=float(-10 * np.log10(square.mean())),
            ssim=float(ssim),
            nmse=float(square.sum() / (truth[inside] ** 2).sum()),
        )
