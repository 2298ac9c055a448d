# SPDX-License-Identifier: BSD-3-Clause
"""Missing pixels: where a filter needs a number for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from ..projection import Geometry
from .inputs import Float32

__all__ = ["fill_missing"]


def fill_missing(
    images: Float32, geometry: Geometry, threads: int, cancel: _core.CancelToken | None
) -> Float32:
    """Return ``images`` with missing pixels interpolated; a copy only where there are any.

    Along the image axis nearer to u (across the tilt axis); a line with no pixel at all is
    interpolated from its neighbours, an image with none is 0.
    """
    if not _core.count_missing(images, threads, cancel):
        return images
    out = images.copy()
    turned = abs(np.sin(np.deg2rad(geometry.tilt_axis_deg))) > np.sqrt(0.5)
    for image in out:
        missing = ~np.isfinite(image)
        if missing.any():
            along = image.T if turned else image
            _fill_lines(along, missing.T if turned else missing)
            left = ~np.isfinite(along)
            if left.any():
                _fill_lines(along.T, left.T)
            image[~np.isfinite(image)] = 0.0
    return out


def _fill_lines(image: Float32, missing: npt.NDArray[np.bool_]) -> None:
    x = np.arange(image.shape[1])
    for row in np.flatnonzero(missing.any(1)):
        good = ~missing[row]
        if good.any():
            image[row, missing[row]] = np.interp(x[missing[row]], x[good], image[row, good])
