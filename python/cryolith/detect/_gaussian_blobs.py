# SPDX-License-Identifier: BSD-3-Clause
"""Gaussian blobs: a list of them, and volumes that hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from ._inputs import Float32, Float64
from ._spectrum import Spectra

__all__ = ["Blobs", "add_blobs", "centred_blob", "gaussian_blobs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Blobs:
    """Gaussian blobs: (n, 3) places z, y, x [voxel], (n,) sizes (standard deviations) [px] and signed peak values."""

    places: Float64
    sizes: Float64
    heights: Float64

    def __len__(self) -> int:
        return len(self.sizes)

    def pick(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Blobs:
        """Return some of them."""
        return Blobs(
            places=self.places[index], sizes=self.sizes[index], heights=self.heights[index]
        )

    def joined(self, more: Blobs) -> Blobs:
        """Return these and others."""
        return Blobs(
            places=np.concatenate([self.places, more.places]),
            sizes=np.concatenate([self.sizes, more.sizes]),
            heights=np.concatenate([self.heights, more.heights]),
        )

    def negative(self) -> Blobs:
        """Return blobs that cancel these."""
        return Blobs(places=self.places, sizes=self.sizes, heights=-self.heights)

    @classmethod
    def none(cls) -> Blobs:
        """Return no blobs."""
        return cls(places=np.empty((0, 3)), sizes=np.empty(0), heights=np.empty(0))


def add_blobs(blobs: Blobs, volume: Float32, spectra: Spectra) -> None:
    """Add blobs to a volume whose rows may be longer than those of ``spectra``."""
    _core.add_gaussians(
        blobs.places,
        blobs.sizes,
        blobs.heights,
        volume,
        spectra.shape[2],
        spectra.threads,
        spectra.cancel,
    )


def gaussian_blobs(
    shape: tuple[int, int, int],
    places: Float64,
    sizes: Float64,
    amplitudes: Float64,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Return a volume of Gaussian blobs: (n, 3) places [voxel], standard deviations [px] and peak values."""
    volume = np.zeros(shape, np.float32)
    _core.add_gaussians(places, sizes, amplitudes, volume, shape[2], threads, cancel)
    return volume


def centred_blob(shape: tuple[int, int, int], size: float) -> Blobs:
    """Return one blob of peak 1 at voxel n // 2 of each axis."""
    centre = np.array([[n // 2 for n in shape]], float)
    return Blobs(places=centre, sizes=np.array([size]), heights=np.ones(1))
