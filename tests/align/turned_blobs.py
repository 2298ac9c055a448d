# SPDX-License-Identifier: BSD-3-Clause
"""Scenes of Gaussians in two and three dimensions, seen exactly through any affine transform."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


class Blobs:
    """Gaussians of width 1.2 to 8 px over half as much again as the view, mean 1 and contrast 0.15."""

    def __init__(self, seed: int, edge: int, axes: int = 2, count: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.shape = (edge,) * axes
        count = count or edge**2 // 30
        self.places = rng.uniform(-0.75 * edge, 0.75 * edge, (count, axes))
        self.widths = np.exp(rng.uniform(np.log(1.2), np.log(8), count))
        self.heights = rng.normal(size=count) * self.widths**0.2
        self.scale = 1.0
        plain = self.view(np.eye(axes), np.zeros(axes)) - 1
        self.scale = 0.15 / plain.std()
        self.plain = 1 + self.scale * plain

    def view(self, matrix: Float64, shift: Float64) -> Float64:
        """What lay at p lies at matrix p + shift, from the centre; a blob stays round."""
        out = np.zeros(self.shape)
        widths = self.widths * abs(np.linalg.det(matrix)) ** (1 / len(matrix))
        middle = (self.shape[0] - 1) / 2
        for at, width, height in zip(
            self.places @ matrix.T + shift + middle, widths, self.heights, strict=True
        ):
            low = np.maximum(0, np.floor(at - 4.5 * width)).astype(int)
            high = np.minimum(self.shape, np.ceil(at + 4.5 * width) + 1).astype(int)
            if (high <= low).any():
                continue
            part = np.float64(height)
            for axis, (i, j, x) in enumerate(zip(low, high, at, strict=True)):
                line = np.exp(-((np.arange(i, j) - x) ** 2) / (2 * width**2))
                part = part * line.reshape([-1 if k == axis else 1 for k in range(len(at))])
            out[tuple(slice(i, j) for i, j in zip(low, high, strict=True))] += part
        return 1 + self.scale * out

    def counts(
        self, matrix: Float64, shift: Float64, dose: float, rng: np.random.Generator
    ) -> tuple[Float64, Float64]:
        """Counts of the scene as it is, and moved; ``dose`` on average."""
        views = self.plain, self.view(matrix, shift)
        a, b = (rng.poisson(dose * np.clip(v, 0, None)).astype(float) for v in views)
        return a, b


def turn(degrees: float, magnification: float = 1.0) -> Float64:
    """In (row, column): +x turns towards +y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return magnification * np.array([[c, s], [-s, c]])
