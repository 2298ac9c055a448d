# SPDX-License-Identifier: BSD-3-Clause
"""Intensities that change from tilt to tilt and from place to place, taken out of the residuals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import _core

__all__ = ["LocalIntensities"]

Float32 = npt.NDArray[np.float32]

# Standard deviation [px] of the window in which an intensity is one. Grains are wider on the images where they are
# told apart: started at the truth, 1.43 px became 0.25, 0.29 and 0.33 px for windows of 1, 1.5 and 2.
_WINDOW_PX = 1.0
_REACH = 4
# Of the mean square of the images (which is 1): where there is less there is no intensity to speak of.
_LEAST_POWER = 0.01


@dataclass(frozen=True, kw_only=True)
class LocalIntensities:
    """What an intensity of its own in each neighbourhood explains of a residual r, taken out of it: M r.

    A window about each pixel has the intensity that fits the residual best with the predicted image p,

        M = (1 - K)^2,  K = p n^-1/2 G n^-1/2 p,  n = G p^2 + c,

    G a Gaussian window. M is symmetric and not negative: r M r is a misfit that grains going in and out of a Bragg
    condition hardly change, while their edges still tell where they are. ``scaled`` (n_tilts, height, width) is
    p n^-1/2, the windows (size, taps) weigh pixels along rows and columns.
    """

    scaled: Float32
    rows: tuple[Float32, npt.NDArray[np.int64]]
    columns: tuple[Float32, npt.NDArray[np.int64]]
    threads: int
    cancel: _core.CancelToken | None

    @classmethod
    def of(
        cls, predicted: Float32, threads: int, cancel: _core.CancelToken | None
    ) -> LocalIntensities:
        """Return those of predicted images (n_tilts, height, width), negative parts of which count as 0."""
        rows, columns = (_window(size) for size in predicted.shape[1:])
        made = cls(scaled=predicted, rows=rows, columns=columns, threads=threads, cancel=cancel)
        seen = np.maximum(predicted, 0)
        scaled = seen / np.sqrt(made._smoothed(seen * seen) + np.float32(_LEAST_POWER))
        return replace(made, scaled=np.ascontiguousarray(scaled))

    def subset(self, part: slice) -> LocalIntensities:
        """Return those of some images."""
        return replace(self, scaled=np.ascontiguousarray(self.scaled[part]))

    def without(self, residual: Float32) -> Float32:
        """Return M r of residuals (n_tilts, height, width)."""
        for _ in range(2):
            residual = residual - self.scaled * self._smoothed(self.scaled * residual)
        return residual

    def share(self) -> float:
        """Return the share of white noise that is left: the trace of M over the number of pixels, by one sample."""
        signs: Float32 = np.sign(
            np.random.default_rng(0).random(self.scaled.shape, np.float32) - 0.5
        )
        left = np.einsum("nij,nij->", signs, self.without(signs), dtype=np.float64)
        return float(left / signs.size)

    def _smoothed(self, images: Float32) -> Float32:
        out = np.empty_like(images)
        _core.reduce_images(images, *self.rows, *self.columns, out, self.threads, self.cancel)
        return out


def _window(size: int) -> tuple[Float32, npt.NDArray[np.int64]]:
    """Weights and sources of a Gaussian window; beyond the border there is nothing, so that G is symmetric."""
    offsets = np.arange(-_REACH, _REACH + 1)
    weight = np.exp(-0.5 * (offsets / _WINDOW_PX) ** 2)
    source = np.arange(size)[:, None] + offsets
    inside = (source >= 0) & (source < size)
    weights = np.where(inside, weight / weight.sum(), 0).astype(np.float32)
    return weights, np.clip(source, 0, size - 1).astype(np.int64)
