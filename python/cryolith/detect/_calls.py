# SPDX-License-Identifier: BSD-3-Clause
"""From significances to p- and q-values."""

from __future__ import annotations

import numpy as np

from ._inputs import Float64

__all__ = ["benjamini_hochberg", "decoy_rate"]


def benjamini_hochberg(p: Float64, tests: int) -> Float64:
    """Return q-values of ``p`` among ``tests`` of them (Benjamini & Hochberg, J. R. Stat. Soc. B 57 (1995) 289)."""
    order = np.argsort(p, kind="stable")
    q = p[order] * tests / np.arange(1, len(p) + 1)
    out = np.empty_like(p)
    out[order] = np.minimum(np.minimum.accumulate(q[::-1])[::-1], 1.0)
    return out


def decoy_rate(height: Float64, decoys: Float64) -> Float64:
    """Return q-values of ``height`` from extrema of noise: (1 + decoys at least as high) / found at least as high.

    The 1 makes the rate an upper bound on average (Elias & Gygi, Nat. Methods 4 (2007) 207; Barber & Candes, Ann. Stat.
    43 (2015) 2055, eq. 1.9).
    """
    order = np.argsort(-height, kind="stable")
    sorted_decoys = np.sort(decoys)
    above = len(decoys) - np.searchsorted(sorted_decoys, height[order], side="left")
    q = (1 + above) / np.arange(1, len(height) + 1)
    out = np.empty(len(height))
    out[order] = np.minimum(np.minimum.accumulate(q[::-1])[::-1], 1.0)
    return out
