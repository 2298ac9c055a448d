# SPDX-License-Identifier: BSD-3-Clause
"""What images tell of a pose when the density is unknown, by definition: every row, every pixel, no shortcut."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


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
