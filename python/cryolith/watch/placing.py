# SPDX-License-Identifier: BSD-3-Clause
"""Where the specimen is in a new image: against its neighbour in angle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..align.coarse import frame
from ..align.images import resample_images
from ..align.registration import Registration, register

__all__ = ["AMBIGUOUS", "place_against"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Height of the second best fit over the best. Slabs at 1 to 30 electrons a pixel: below 0.65 every shift was right
# to 3 px, from 0.72 on they began to be wrong by tens (design/031).
AMBIGUOUS = 0.7
_LEAST_COSINE = 0.2


def place_against(
    reference: Float32,
    at: Float64,
    reference_deg: float,
    image: Float32,
    image_deg: float,
    axis_deg: float,
    threads: int,
) -> tuple[Float64, float]:
    """Return where the specimen is in an image (row, column) [px], and its error, infinite where it is not sure.

    A slab shrinks across the axis with the cosine of the tilt, a needle or a particle does not: both are tried, and
    the fit that has less of a rival is taken. Where it has one, the place that has moved least is taken.

    Parameters
    ----------
    reference, image : (height, width)
    at : (2,) [px]
        Where it is in the reference.
    reference_deg, image_deg : float [deg]
    axis_deg : float [deg]
        Tilt axis.
    """
    ratio = _cosine(image_deg) / _cosine(reference_deg)
    turn = frame(axis_deg)
    shrunk = turn @ np.diag([1.0, ratio]) @ turn.T
    tried: list[tuple[Registration, Float64]] = [
        (register(reference, image, threads=threads), np.eye(2))
    ]
    if abs(ratio - 1) > 1e-9:
        shape = (image.shape[0], image.shape[1])
        seen = resample_images(
            image[None], shrunk[None], (at - shrunk @ at)[None], shape, np.median(image), threads
        )[0]
        tried.append((register(reference, seen, threads=threads), shrunk))
    best, matrix = min(tried, key=lambda pair: pair[0].runner_up)
    if best.runner_up < AMBIGUOUS and np.isfinite(best.shift_px).all():
        return at + matrix @ best.shift_px, float(best.sigma_px.max())
    places = [best.shift_px, *best.candidates_px]
    moves = [matrix @ place for place in places if np.isfinite(place).all()]
    least = min(moves, key=lambda move: float(np.linalg.norm(move)), default=np.zeros(2))
    return at + least, float(np.inf)


def _cosine(angle_deg: float) -> float:
    return max(float(np.cos(np.deg2rad(angle_deg))), _LEAST_COSINE)
