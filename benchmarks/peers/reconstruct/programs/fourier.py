# SPDX-License-Identifier: BSD-3-Clause
"""Weighted back-projection built on a non-uniform FFT: ramp-weighted polar samples to a slice, all in Fourier space.

No program ships this; it is what an expert would build on ducc0 or finufft. Rows are padded to twice their length.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from .base import Float32, Program

SLICES = 16  # transformed together
ACCURACY = 1e-4


class Fourier(Program):
    tasks = ("wbp",)

    def prepare(self) -> None:
        case = self.case
        self.length = n = 2 * case.nx
        k = 2 * np.pi * np.arange(n // 2 + 1) / n
        tilts = np.deg2rad(case.angles_deg)
        kx = (k * np.cos(tilts)[:, None]).ravel().astype(np.float32)
        kz = (k * np.sin(tilts)[:, None]).ravel().astype(np.float32)
        ramp = np.zeros(n)
        odd = np.arange(1, n // 2, 2)
        ramp[0], ramp[odd], ramp[-odd] = 0.25, -1 / (np.pi * odd) ** 2, -1 / (np.pi * odd) ** 2
        gains = np.fft.rfft(ramp).real * (tilts[1] - tilts[0]) / n
        gains[1:-1] *= 2  # the other half of the spectrum is left out
        centre = k * (case.nx - 1) / 2 + 0.5 * (kx + kz).reshape(len(tilts), -1)
        self.weights = (gains * np.exp(1j * centre)).astype(np.complex64)
        self.points = np.stack([kz, kx], axis=1)
        self.make_transform()

    def make_transform(self) -> None:
        raise NotImplementedError

    def transform(self, samples: np.ndarray) -> np.ndarray:
        """Return the slices (n, nz, nx) of samples (n, n_points)."""
        raise NotImplementedError

    def run(self) -> Float32:
        out = np.empty(self.case.shape, np.float32)
        for y in range(0, self.case.ny, SLICES):
            rows = np.ascontiguousarray(self.stack[:, y : y + SLICES].transpose(1, 0, 2))
            spectrum = scipy.fft.rfft(rows, self.length, axis=-1, workers=self.threads)
            samples = (spectrum * self.weights).reshape(len(rows), -1)
            out[:, y : y + SLICES] = self.transform(samples).real.transpose(1, 0, 2)
        return out


class Ducc(Fourier):
    note = "non-uniform FFT, built here on the library"

    def make_transform(self) -> None:
        import ducc0

        self.nufft = ducc0.nufft

    def transform(self, samples: np.ndarray) -> np.ndarray:
        out = np.empty((len(samples), self.case.nz, self.case.nx), np.complex64)
        return self.nufft.nu2u(
            points=samples,
            coord=self.points,
            forward=False,
            epsilon=ACCURACY,
            nthreads=self.threads,
            out=out,
        )


class Finufft(Fourier):
    note = "non-uniform FFT, built here on the library"

    def make_transform(self) -> None:
        import finufft

        self.plan = finufft.Plan(
            1,
            (self.case.nz, self.case.nx),
            n_trans=SLICES,
            eps=ACCURACY,
            isign=1,
            dtype="complex64",
            nthreads=self.threads,
        )
        self.plan.setpts(
            np.ascontiguousarray(self.points[:, 0]), np.ascontiguousarray(self.points[:, 1])
        )

    def transform(self, samples: np.ndarray) -> np.ndarray:
        return self.plan.execute(samples)
