# SPDX-License-Identifier: BSD-3-Clause
"""Tubes drawn along lines in a small cube, and a bank of filters for it."""

from __future__ import annotations

import numpy as np

from cryolith.detect._gaussian_blobs import gaussian_blobs
from cryolith.detect._imaging import Plain
from cryolith.detect._oriented_bank import OrientedBank
from cryolith.detect._spectrum import Spectra

N, WIDTH = 48, 1.5


def beads_along(line: np.ndarray, height: float = 1.0, width: float = WIDTH) -> np.ndarray:
    """A tube of a peak value along a finely drawn line."""
    steps = np.linalg.norm(np.gradient(line, axis=0), axis=1)
    heights = height * steps / (np.sqrt(2 * np.pi) * width)
    return gaussian_blobs((N, N, N), line, np.full(len(line), width), heights)


def bank_of(*widths: float) -> OrientedBank:
    """Filters for tubes in white noise of 1."""
    spectra = Spectra((N, N, N), 1, None)
    power = np.ones(spectra.terms, np.float32)
    return OrientedBank(
        spectra, Plain(spectra, None), "tubes", np.array(widths), 5.0, power, directions=13
    )
