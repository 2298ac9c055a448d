# SPDX-License-Identifier: BSD-3-Clause
"""Errors of blobs read off the extrema of filters that do not match them."""

from __future__ import annotations

import numpy as np

from ._blob_fit import Errors
from ._filter_bank import FilterBank
from ._gaussian_blobs import Blobs
from ._inputs import Float64

__all__ = ["PeakErrors"]

_STEP = 0.05  # of log size, for derivatives


class PeakErrors:
    """An extremum moves by the slope of the noise over the curvature of the blob's own response, in place and in size.

    Covariance H^-1 L H^-1 with H the curvature and L the covariance of the noise's slope.
    """

    def __init__(self, bank: FilterBank) -> None:
        self.bank = bank
        self.where, self.height = bank.inversion()

    def errors(self, blobs: Blobs) -> Errors:
        """Return the errors of blobs that :meth:`FilterBank.measure` made."""
        bank, a = self.bank, np.abs(blobs.heights)
        filters = np.exp(np.interp(blobs.sizes, bank.fine, self.where))
        gain = np.interp(blobs.sizes, bank.fine, self.height)
        places = np.array([self._places(f, s) for f, s in zip(filters, blobs.sizes, strict=True)])
        # d(log size) / d(log size of the extremum); flat where extrema pile up at the ends of the ladder.
        rate = np.gradient(self.where, np.log(bank.fine))
        rate = np.maximum(np.interp(blobs.sizes, bank.fine, rate), 0.1)
        along = np.array([self._along(f, s) for f, s in zip(filters, blobs.sizes, strict=True)])
        sizes = along / rate / a
        steepness = np.gradient(np.log(self.height), np.log(bank.fine))
        by_size = a * np.interp(blobs.sizes, bank.fine, steepness) * sizes
        return Errors(
            places=places.reshape(-1, 3) / a[:, None],
            log_sizes=sizes,
            heights=np.hypot(1 / gain, by_size),
        )

    def _places(self, scale: float, size: float) -> Float64:
        """Return the error of z, y, x for a blob of height 1."""
        bank = self.bank
        decay = float(bank.decay_of(np.array([scale]))[0])
        grown = size**2 - bank.reference_size**2
        factor = (size / bank.reference_size) ** 3
        curve = factor * bank.tensor(bank.response_sums, decay + grown)
        inverse = np.linalg.inv(curve)
        covariance = inverse @ bank.tensor(bank.noise_sums, 2 * decay) @ inverse
        out: Float64 = np.sqrt(np.diag(covariance))
        return out

    def _along(self, scale: float, size: float) -> float:
        """Return the error of the extremum's log size for a blob of height 1."""
        bank = self.bank
        scales = scale * np.exp(_STEP * np.array([-1.0, 0.0, 1.0]))
        low, mid, high = bank.response(scales, np.array([size]))[:, 0]
        curve = abs(low + high - 2 * mid) / _STEP**2
        decay = bank.decay_of(scales)
        sd = np.sqrt(bank.noise(2 * decay))
        correlation = bank.noise(decay[[0]] + decay[[2]])[0] / (sd[0] * sd[2])
        slope = np.sqrt(2 * (1 - correlation)) / (2 * _STEP)
        return float(slope / curve)
