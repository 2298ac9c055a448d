# SPDX-License-Identifier: BSD-3-Clause
"""A random scene and views of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Scene:
    """A random scene larger than the images, so that a shift brings new content in at the edges."""

    def __init__(self, seed: int, edge: int = 96) -> None:
        rng = np.random.default_rng(seed)
        self.edge, size = edge, 2 * edge
        self.fy, self.fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
        f = np.hypot(self.fy, self.fx)
        smooth = np.exp(-2 * (np.pi * 1.2 * f) ** 2) / np.maximum(f, 4 / size) ** 0.75
        image = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * smooth, s=(size, size))
        self.spectrum = np.fft.rfft2(1 + 0.15 * image / image.std())
        self.size = size

    def view(self, shift: npt.ArrayLike) -> npt.NDArray[np.float64]:
        dy, dx = np.asarray(shift, float)
        ramp = np.exp(-2j * np.pi * (self.fy * dy + self.fx * dx))
        full = np.fft.irfft2(self.spectrum * ramp, s=(self.size, self.size))
        half = self.edge // 2
        return full[half:-half, half:-half]

    def counts(
        self, shift: npt.ArrayLike, dose: float, rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        return rng.poisson(dose * np.clip(self.view(shift), 0, None)).astype(np.float32)
