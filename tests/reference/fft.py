# SPDX-License-Identifier: BSD-3-Clause
"""Lengths of transforms, as they are defined (design/002-fft.md)."""

from __future__ import annotations


def fast_size(n: int) -> int:
    """The smallest fast length from n on: a product of 2, 3, 5 and 7 that fills whole vectors."""

    def fast(m: int) -> bool:
        if m > 16 and m % (16 if m > 128 else 2):
            return False
        for p in (2, 3, 5, 7):
            while m % p == 0:
                m //= p
        return m == 1

    return next(m for m in range(n, 2 * n + 16) if fast(m))
