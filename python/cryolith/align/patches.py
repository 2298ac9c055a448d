# SPDX-License-Identifier: BSD-3-Clause
"""Patches of images, each registered with what a reconstruction that has not seen the image puts there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from .registration import register_pairs

__all__ = ["Patches", "track_patches"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Patches along the shorter edge of the images: as many as leave half of them telling their place.
_ALONG = (4, 3, 2)
_LEAST_EDGE = 16
_MOST_SIGMA_PX = 0.5  # of a patch: beyond it the maximum may be that of noise
_MOST_SHIFT = 0.2  # of the patch's edge: what is further off is another place
_LEAST_TOLD = 0.5
_TUKEY = 4.0
_MEDIAN_SQUARE = 1.386  # of two components, in squared standard deviations


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """Where patches were found against where they were predicted.

    Attributes
    ----------
    places_px : (m, 2) [px]
        (row, column) of the middle of each patch from the centre of the images.
    shifts_px : (n, m, 2) [px]
        How far image i shows the patch beside its prediction, less what all patches of the image have in common;
        NaN where a patch was left out.
    sigma_px : (n, m) [px]
        Standard deviation of a component.
    weights : (n, m)
        Robust weight, 0 to 1.
    edge_px : int [px]
    left_out : mapping of str to int
        Reason to the number of patches left out for it, of n m.
    """

    places_px: Float64
    shifts_px: Float64
    sigma_px: Float64
    weights: Float64
    edge_px: int
    left_out: dict[str, int]

    def rms_px(self) -> float:
        """Return the root mean square displacement of a patch [px], weighted by what each tells."""
        w = self.information()
        return float(np.sqrt((w * self._squares()).sum() / max(float(w.sum()), 1e-30)))

    def mean_squares(self, other: Patches) -> Float64:
        """Return (2, n) [px^2]: the weighted mean square displacement in each image, of these and of ``other``.

        ``other`` are the same patches beside other predictions; both count with what they tell in common.
        """
        w = np.sqrt(self.information() * other.information())
        total = np.maximum(w.sum(axis=1), 1e-30)
        return np.stack([(w * p._squares()).sum(axis=1) / total for p in (self, other)])

    def _squares(self) -> Float64:
        return np.asarray(np.nan_to_num((self.shifts_px**2).sum(axis=-1)))

    def information(self) -> Float64:
        """Return (n, m) [1/px^2]: the weight of each patch, 0 where it was left out."""
        known = np.isfinite(self.sigma_px)
        return np.asarray(np.where(known, self.weights / np.where(known, self.sigma_px, 1) ** 2, 0))


def track_patches(
    images: Float32,
    predicted: Float32,
    *,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Patches:
    """Register patches of images with the same patches of their predictions.

    Parameters
    ----------
    images : (n, height, width) float32
        All of their noise, no filter: it tells how much each frequency counts.
    predicted : (n, height, width) float32
        Each image from a reconstruction that has not seen it.
    threads, cancel
        As everywhere.

    Returns
    -------
    Patches
        On a square grid, side by side, as small as the dose allows: the least edge at which half of them tell
        their place to half a pixel.

    Raises
    ------
    InputError
        Another shape of ``predicted``, or images of less than 16 px.
    Cancelled
        ``cancel`` was set.
    """
    if images.ndim != 3 or predicted.shape != images.shape or min(images.shape[1:]) < _LEAST_EDGE:
        raise InputError(
            f"predicted: found {predicted.shape} for images of {images.shape}, expected one prediction of each image "
            f"of at least {_LEAST_EDGE} x {_LEAST_EDGE} px"
        )
    found: Patches | None = None
    for along in _ALONG:
        edge = max(_LEAST_EDGE, min(images.shape[1:]) // along)
        found = _tracked(images, predicted, edge, threads, cancel)
        if np.isfinite(found.sigma_px).mean() >= _LEAST_TOLD:
            break
    assert found is not None
    return found


def _corners(n: int, edge: int) -> npt.NDArray[np.int64]:
    """First pixels of patches that span an edge of ``n`` px."""
    return np.linspace(0, n - edge, n // edge).round().astype(np.int64)


def _tracked(
    images: Float32,
    predicted: Float32,
    edge: int,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Patches:
    n, height, width = images.shape
    corners = np.array([(r, c) for r in _corners(height, edge) for c in _corners(width, edge)])
    cut = [(slice(r, r + edge), slice(c, c + edge)) for r, c in corners]
    a = np.ascontiguousarray(np.stack([predicted[:, r, c] for r, c in cut], 1)).reshape(
        -1, edge, edge
    )
    b = np.ascontiguousarray(np.stack([images[:, r, c] for r, c in cut], 1)).reshape(-1, edge, edge)
    rows = register_pairs(a, b, max_shift=_MOST_SHIFT * edge, threads=threads, cancel=cancel)
    shifts = rows[:, :2].reshape(n, -1, 2).copy()
    sigma = np.sqrt(rows[:, 2:4].mean(axis=1)).reshape(n, -1)
    empty = ~(sigma < _MOST_SIGMA_PX)
    far = ~empty & ~(np.abs(shifts) < 0.95 * _MOST_SHIFT * edge).all(axis=-1)
    sigma[empty | far], shifts[empty | far] = np.nan, np.nan
    shifts, weights = _relative(shifts, sigma)
    return Patches(
        places_px=corners + (edge - 1) / 2 - (np.array([height, width]) - 1) / 2,
        shifts_px=shifts,
        sigma_px=sigma,
        weights=weights,
        edge_px=edge,
        left_out={
            "too little signal": int(empty.sum()),
            "not near its prediction": int(far.sum()),
            "apart from all others": int((weights == 0).sum() - empty.sum() - far.sum()),
        },
    )


def _relative(shifts: Float64, sigma: Float64) -> tuple[Float64, Float64]:
    """Take off what all patches of an image have in common; Tukey's weights from what is left, over all images."""
    known = np.isfinite(sigma)
    information = np.where(known, 1 / np.where(known, sigma, 1) ** 2, 0)
    weights = known.astype(np.float64)
    values = np.where(known[..., None], shifts, 0)
    left = values
    for _ in range(4):
        w = (weights * information)[..., None]
        left = values - (w * values).sum(axis=1, keepdims=True) / np.maximum(
            w.sum(axis=1, keepdims=True), 1e-30
        )
        square = (left**2).sum(axis=-1) * information
        usual = float(np.median(square[known])) / _MEDIAN_SQUARE if known.any() else 1.0
        weights = np.where(
            known, np.maximum(1 - square / (_TUKEY**2 * max(usual, 1.0)), 0) ** 2, 0.0
        )
    return np.where(known[..., None], left, np.nan), weights
