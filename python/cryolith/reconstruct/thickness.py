# SPDX-License-Identifier: BSD-3-Clause
"""How thick a volume has to be, read from the images themselves."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Slab
from ..errors import CryolithWarning, InputError
from ..projection import Geometry
from .inputs import Float32

__all__ = ["estimate_thickness_px", "slab_thickness_px"]

# A profile counts as specimen above this fraction of its range; the tails of a focused beam stay below.
SUPPORT = 0.05
# Room around the specimen for what the alignment left over.
MARGIN = 1.25
# A specimen that covers more of the field than this in half of the tilts is a slab.
SLAB_COVER = 0.9


def estimate_thickness_px(
    images: Any,
    geometry: Geometry,
    *,
    background: npt.ArrayLike | None = None,
) -> int:
    """Estimate nz for a volume that holds the whole specimen.

    Parameters
    ----------
    images : (n_tilts, height, width), any real dtype
        An array, or what gives an image for an index.
    geometry : Geometry
    background : (n_tilts,), optional
        Level of the empty area of each image; default the smallest value of each image's profile.

    Returns
    -------
    int [px]
        For an isolated specimen (needle, particle): twice the largest distance from the tilt axis that the
        specimen's shadow reaches in nine of ten tilts, and a quarter more; a solid seen from all sides extends as far
        along z as across the axis. For a slab, which fills the field, a quarter of the field with a warning: its
        thickness cannot be read from the shadows. Never more than the field's width across the axis.
    """
    if len(images) != len(geometry):
        raise InputError(
            f"images: found {len(images)} images, expected {len(geometry)}, one a tilt"
        )
    height, width = images.shape[1:]
    field = geometry.volume_shape((height, width), 1)[2]
    levels = None if background is None else np.asarray(background, dtype=np.float64)
    reach, cover = np.empty(len(images)), np.empty(len(images))
    upright = replace(
        geometry, x_tilts_deg=np.zeros(len(geometry))
    )  # it moves shadows along the axis
    for i, pose in enumerate(upright.poses()):
        level = None if levels is None else float(levels[i])
        low, high, inside = _support(np.asarray(images[i], dtype=np.float32), pose, level)
        reach[i], cover[i] = max(abs(low), abs(high)), (high - low + 1) / inside
    if np.median(cover) > SLAB_COVER:
        warnings.warn(
            f"thickness: the specimen fills the field of {field} px, so its thickness cannot be told; "
            f"{max(1, field // 4)} px were taken; give a thickness",
            CryolithWarning,
            stacklevel=2,
        )
        return max(1, field // 4)
    return int(min(field, max(1, np.ceil(2 * MARGIN * np.quantile(reach, 0.9)))))


def slab_thickness_px(slab: Slab, binning: int) -> int:
    """Return nz for a volume that holds a slab whose faces were found: two errors and a quarter more [binned px]."""
    sigma = slab.sigma_thickness_px if np.isfinite(slab.sigma_thickness_px) else 0.0
    return int(max(1, np.ceil(MARGIN * (slab.thickness_px + 2 * sigma) / binning)))


def _support(
    image: Float32, pose: npt.NDArray[np.float64], level: float | None
) -> tuple[float, float, float]:
    """Return first and last u of the specimen's shadow, and how much of u the image covers [px]."""
    height, width = image.shape
    _, _, ca, sa, shift_row, shift_column, offset, _ = pose
    rows = np.arange(height) - (height - 1) / 2 - shift_row
    columns = np.arange(width) - (width - 1) / 2 - shift_column
    u = np.rint(rows[:, None] * sa + columns[None, :] * ca - offset).astype(np.int64)
    first = int(u.min())
    good = np.isfinite(image)
    count = np.bincount((u - first)[good], minlength=1)
    total = np.bincount((u - first)[good], weights=image[good], minlength=1)
    seen = np.flatnonzero(count > count.max() / 4)  # corners of a turned image hold too few pixels
    profile = total[seen] / count[seen]
    low = float(profile.min()) if level is None else level
    inside = seen[profile - low > SUPPORT * (float(profile.max()) - low)]
    if not inside.size:  # the same everywhere: it fills the field
        inside = seen
    return float(inside[0] + first), float(inside[-1] + first), float(seen[-1] - seen[0] + 1)
