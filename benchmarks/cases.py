# SPDX-License-Identifier: BSD-3-Clause
"""The sizes and the specimens of every benchmark, once.

Short cases (a round under 200 ms on a quiet core) always run; ``CRYOLITH_BENCH_LARGE=1`` adds the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryolith import simulate

LARGE = bool(os.environ.get("CRYOLITH_BENCH_LARGE"))


@dataclass(frozen=True)
class TiltCase:
    """``n_tilts`` images of ``ny`` rows along the tilt axis by ``nx`` across, and a volume ``nz`` deep."""

    name: str
    n_tilts: int
    ny: int
    nx: int
    nz: int
    max_tilt: float = 60.0

    def __str__(self) -> str:
        return self.name

    @property
    def angles_deg(self) -> npt.NDArray[np.float64]:
        return np.linspace(-self.max_tilt, self.max_tilt, self.n_tilts)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.nz, self.ny, self.nx

    @property
    def updates(self) -> int:
        """Voxel updates of one projection or back-projection."""
        return self.n_tilts * self.nz * self.ny * self.nx


XS = TiltCase("XS", 61, 64, 128, 64)
S = TiltCase("S", 61, 256, 256, 128)
M = TiltCase("M", 61, 512, 512, 256)
L = TiltCase("L", 61, 1024, 1024, 300)

PROJECTION = [S, M, L] if LARGE else [S]
RECONSTRUCT = [XS, S, M] if LARGE else [XS]
ALIGN_IMAGES = [128, 256, 512, 1024] if LARGE else [128, 256]
DETECT_EDGE = 192


def grains(case: TiltCase, offset: float = 0.0, seed: int = 0) -> simulate.Phantom:
    """Return a matrix with grains, dense particles and pores; ``offset`` [px] moves all along x and z."""
    rng = np.random.default_rng(seed)
    size = np.array(case.shape, float)
    edge = size.min()
    at = np.array([offset, 0.0, offset])
    solids = [simulate.ellipsoid(0.3, at, 0.45 * size)]
    kinds = (
        (10, (0.06, 0.16), (0.2, 0.6)),
        (12, (0.02, 0.05), (0.5, 1.5)),
        (12, (0.02, 0.04), None),
    )
    for count, radii, values in kinds:
        for _ in range(count):
            direction = rng.standard_normal(3)
            place = direction / np.linalg.norm(direction) * rng.uniform(0.0, 0.3) * size
            value = -0.3 if values is None else rng.uniform(*values)
            solids.append(simulate.ellipsoid(value, at + place, rng.uniform(*radii, 3) * edge))
    return simulate.Phantom(shape=case.shape, solids=tuple(solids))


def tilt_images(case: TiltCase, axis_offset_px: float = 0.0) -> npt.NDArray[np.float32]:
    """Return the exact, noiseless projections of :func:`grains`: line integrals, no projector involved."""
    series, _ = simulate.tilt_series(grains(case), case.angles_deg, axis_offset_px=axis_offset_px)
    return np.asarray(series.images, np.float32)


def pores(edge: int = DETECT_EDGE) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Return ten per cent of a smooth periodic random field, and the field."""
    rng = np.random.default_rng(0)
    noise = np.fft.rfftn(rng.standard_normal((edge,) * 3, dtype=np.float32))
    z, y, x = (np.fft.fftfreq(edge), np.fft.fftfreq(edge), np.fft.rfftfreq(edge))
    blur = np.exp(-8 * np.pi**2 * (z[:, None, None] ** 2 + y[:, None] ** 2 + x**2))  # 2 px
    field = np.fft.irfftn(noise * blur, s=(edge,) * 3, axes=(0, 1, 2)).astype(np.float32)
    return field > np.quantile(field, 0.9), field
