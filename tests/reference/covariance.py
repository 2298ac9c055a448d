# SPDX-License-Identifier: BSD-3-Clause
"""What images tell of a pose when the density is unknown, by definition: every row, every pixel, no shortcut."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


def left_of(projector: Float64, rho: float, images: Float64) -> Float64:
    """(1 + rho A A')^-1 b of each row of ``images`` (n, rows, columns): what a free density leaves of them."""
    flat = projector.transpose(0, 2, 1).reshape(-1, projector.shape[1])
    covariance = np.eye(len(flat)) + rho * flat @ flat.T
    out = [np.linalg.solve(covariance, b.ravel()) for b in images.swapaxes(0, 1)]
    return np.array(out).reshape(images.swapaxes(0, 1).shape).swapaxes(0, 1)


def information(projector: Float64, rho: float, derivatives: Float64) -> Float64:
    """H = sum over rows of D' (1 + rho A A')^-1 D.

    ``projector`` (n, voxels, columns) is that of one row; ``derivatives`` (parameters, n, rows, columns) are those of
    the images for each parameter.
    """
    flat = projector.transpose(0, 2, 1).reshape(-1, projector.shape[1])
    covariance = np.eye(len(flat)) + rho * flat @ flat.T
    count, _, rows, _ = derivatives.shape
    out = np.zeros((count, count))
    for row in range(rows):
        d = derivatives[:, :, row].reshape(count, -1)
        out += d @ np.linalg.solve(covariance, d.T)
    return out
