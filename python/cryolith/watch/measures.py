# SPDX-License-Identifier: BSD-3-Clause
"""What one new image says by itself: its contrast, free of noise, and its level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..align.images import clean, vacuum
from ..reconstruct.binned import BinnedImages

__all__ = ["Look", "Measured", "measure"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_BLOCKS = 64  # along the shorter edge


@dataclass(frozen=True, kw_only=True)
class Look:
    """Numbers of one image.

    Attributes
    ----------
    variance, sigma_variance : float
        Of what is in the image besides noise, in blocks of 1/64 of its edge, and what chance makes of it.
    mean : float
    vacuum : float
        Level of its darkest area.
    has_vacuum : bool
        Whether that is a real vacuum, dark and flat, beside a specimen.
    """

    variance: float
    sigma_variance: float
    mean: float
    vacuum: float
    has_vacuum: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A new image, reduced, with its numbers.

    Attributes
    ----------
    small : (height, width) float32
        As it is, averaged over the binning: what the volume is made of.
    clean : (height, width) float32
        The same without hot pixels, to compare images by.
    """

    small: Float32
    clean: Float32
    look: Look


def measure(image: npt.NDArray[Any], binning: int, threads: int = 0) -> Measured:
    """Reduce an image (height, width) and take its numbers."""
    raw = np.asarray(image)[None]
    good, _ = clean(raw, threads)
    one = np.arange(1)
    variance, sigma = _variance(good[0])
    level, _, real = vacuum(good[0])
    return Measured(
        small=BinnedImages(raw, one, binning)[0],
        clean=BinnedImages(good, one, binning)[0],
        look=Look(
            variance=variance,
            sigma_variance=sigma,
            mean=float(good[0].mean(dtype=np.float64)),
            vacuum=level,
            has_vacuum=real,
        ),
    )


def _variance(image: Float32) -> tuple[float, float]:
    """Covariance of two images of the same scene, made of the even and of the odd rows: noise is not in it."""
    height, width = image.shape
    size = max(2, min(height, width) // _BLOCKS // 2 * 2)
    by, bx = height // size, width // size
    cut = image[: by * size, : bx * size].astype(np.float64)
    rows = cut.reshape(by, size // 2, 2, bx, size).mean(axis=(1, 4))
    a, b = (rows[:, i] - rows[:, i].mean() for i in range(2))
    chance = float(np.sqrt(np.mean(a * a) * np.mean(b * b) / a.size))
    return float(np.mean(a * b)), chance
