# SPDX-License-Identifier: BSD-3-Clause
"""How much of the half circle each tilt stands for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles

__all__ = ["tilt_weights"]

Float64 = npt.NDArray[np.float64]

# A gap between tilts beyond this many median gaps is a missing wedge, not tilts that were left out.
WEDGE_GAP = 2.5


def tilt_weights(angles_deg: npt.ArrayLike) -> Float64:
    """Return how much of the half circle each tilt stands for [rad].

    A tilt's weight is half the distance to its neighbours on either side, modulo 180 degrees: uneven, unsorted
    and missing tilts come out right, and tilts at the same angle share one weight. A full range (0 to 180, -90 to
    90) closes on itself and its weights sum to pi. The missing wedge of a limited range belongs to nobody: its two
    border tilts count their inner distance twice.

    Parameters
    ----------
    angles_deg : (n_tilts,) [deg]

    Returns
    -------
    (n_tilts,) float64 [rad]
    """
    angles = np.round(np.mod(as_angles(angles_deg, "angles_deg"), 180.0), 9) % 180.0
    unique, inverse, counts = np.unique(angles, return_inverse=True, return_counts=True)
    gaps = np.diff(unique, append=unique[:1] + 180.0)  # gaps[i] lies after unique[i]
    if len(unique) > 2:
        widest = int(np.argmax(gaps))
        if gaps[widest] > WEDGE_GAP * np.median(gaps):
            before, after = gaps[widest - 1], gaps[(widest + 1) % len(gaps)]
            left, right = gaps.copy(), gaps.copy()
            left[widest], right[widest] = before, after
            gaps_before = np.roll(right, 1)
            return np.asarray(np.deg2rad((left + gaps_before) / 2 / counts)[inverse])
    return np.asarray(np.deg2rad((gaps + np.roll(gaps, 1)) / 2 / counts)[inverse])
