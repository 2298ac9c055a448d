# SPDX-License-Identifier: BSD-3-Clause
"""Pairs of volumes whose signal-to-noise ratio at each frequency is known."""

from __future__ import annotations

import numpy as np


def radius(shape):
    """(half spectrum) [cycles/px]."""
    grids = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    return np.sqrt(sum(g**2 for g in np.meshgrid(*grids, indexing="ij", sparse=True)))


def coloured(shape, gain, rng):
    """Gaussian noise whose power spectrum is ``gain`` squared."""
    return np.fft.irfftn(
        np.fft.rfftn(rng.standard_normal(shape)) * gain, shape, axes=range(len(shape))
    )


def snr(frequency):
    """Signal power over the noise power of each of a pair."""
    return 8.0 * np.exp(-((frequency / 0.16) ** 2))


def pair(shape, rng, gain=1.0):
    """Two volumes: one signal of spectrum ``snr`` times ``gain`` squared, and white noise of variance 1 of each."""
    signal = coloured(shape, np.sqrt(snr(radius(shape))) * gain, rng)
    return signal + rng.standard_normal(shape), signal + rng.standard_normal(shape)
