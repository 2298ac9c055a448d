# SPDX-License-Identifier: BSD-3-Clause
"""The filter of weighted back-projection for views in any directions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from ..projection import Geometry
from .filters import Window
from .inputs import Float32

__all__ = ["exact_filter", "path_lengths"]

Float64 = npt.NDArray[np.float64]


def path_lengths(geometry: Geometry, shape: tuple[int, int, int]) -> Float64:
    """Return (n_tilts,) [px]: length in the volume of the ray of each view through its centre."""
    extent = geometry.sampling * np.array(shape, float)
    beams = np.abs(geometry.rotations()[:, 0])
    return np.asarray(np.min(extent / np.maximum(beams, 1e-12), axis=1))


def exact_filter(
    images: Float32,
    geometry: Geometry,
    shape: tuple[int, int, int],
    window: Window,
    *,
    index: npt.NDArray[np.int64],
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Filter images so that back-projecting them gives the specimen, whatever their directions.

    Parameters
    ----------
    images : (n, height, width) float32
        No missing pixels.
    geometry : Geometry
        Of all views that the weights count.
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    window : Window
        At the distance from the origin [cycles/px of the detector].
    index : (n,) int
        Which views the images are.

    Returns
    -------
    (n, height, width) float32

    Notes
    -----
    A view measures the specimen's transform on the plane across its beam. A specimen whose rays are L long makes that
    plane 1 / L thick, so frequency X of view k is measured ``W_k(X) = sum_j L_j max(0, 1 - L_j |X . d_j|)`` times, d_j
    the beam of view j. Each view is divided by that. For tilts about one axis, and frequencies at which neighbours no
    longer overlap, W is 1 / (frequency times the tilt increment): the ramp.

    References
    ----------
    Harauz & van Heel, Optik 73 (1986) 146, eq. 8; Radermacher, in Electron Tomography (1992), ch. 5.
    """
    height, width = images.shape[1:]
    rows, columns = _core.fft_good_size(2 * height - 1), _core.fft_good_size(2 * width - 1)
    plan = _core.FftPlan([rows, columns], 2, True)
    lengths, rotations = path_lengths(geometry, shape), geometry.rotations()
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    frequency = np.maximum(frequency, 1e-9)  # the mean is measured by all views, not by none
    padded = np.zeros((rows, columns), np.float32)
    spectrum = np.empty((rows, columns // 2 + 1), np.complex64)
    overlap = np.empty(spectrum.shape, np.float32)
    out = np.empty_like(images)
    for i, k in enumerate(index):
        magnification = geometry.magnifications[
            k
        ]  # a cycle per detector pixel is this many per pixel of the frame
        slope = lengths[:, None] * (rotations[:, 0] @ rotations[k, 1:].T) * magnification
        _core.overlap_weights(slope, lengths, columns, overlap, threads, cancel)
        gain = window(frequency.ravel(), (overlap * (frequency / lengths.sum())).ravel())
        gain = gain.reshape(overlap.shape) / overlap
        padded[:height, :width] = images[i]
        plan.rfft(padded, spectrum, threads, cancel)
        spectrum *= gain.astype(np.float32)
        plan.irfft(spectrum, padded, 1.0 / plan.count, threads, cancel)
        out[i] = padded[:height, :width]
        padded[height:] = 0.0
        padded[:, width:] = 0.0
    return out
