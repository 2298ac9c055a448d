# SPDX-License-Identifier: BSD-3-Clause
"""What a reconstruction shows of an object: the object itself, filtered, or projected and reconstructed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import _core
from ..projection import Geometry, project
from ..reconstruct.halves import Halves, Split
from ._inputs import Float32, Float64
from ._spectrum import Spectra

__all__ = ["Imaging", "Plain", "Projected", "Shown", "gaussian_blob", "gaussian_blobs"]

Solve = Callable[..., Any]


class Shown(NamedTuple):
    """A volume as the reconstruction has it, and what its two halves do not share of it (None: nothing)."""

    both: Float32
    difference: Float32 | None


class Imaging(Protocol):
    """A linear way from the specimen to the volume."""

    def show(self, volume: Float32) -> Shown:
        """Return what the reconstruction of ``volume`` looks like."""
        ...

    def held(self) -> Float32 | None:
        """Return the share of each Fourier term that the data hold, where it is known beforehand."""
        ...


class Plain:
    """The specimen itself, or times a transfer function."""

    def __init__(self, spectra: Spectra, transfer: Float32 | None) -> None:
        self.spectra, self.transfer = spectra, transfer

    def show(self, volume: Float32) -> Shown:
        """Multiply by the transfer function."""
        if self.transfer is None:
            return Shown(volume, None)
        return Shown(self.spectra.inverse(self.spectra.forward(volume) * self.transfer), None)

    def held(self) -> Float32 | None:
        """Return the transfer function."""
        return self.transfer


class Projected:
    """Projected along a geometry and reconstructed, in halves where the data were.

    ``solve`` is one of :mod:`cryolith.reconstruct`'s solvers, its options bound; it must be linear.
    """

    def __init__(
        self,
        geometry: Geometry,
        image_shape: tuple[int, int],
        solve: Solve,
        split: Split | None,
        threads: int,
        cancel: _core.CancelToken | None,
    ) -> None:
        self.geometry, self.image_shape, self.solve, self.split = (
            geometry,
            image_shape,
            solve,
            split,
        )
        self.how: dict[str, Any] = {"threads": threads, "cancel": cancel}

    def show(self, volume: Float32) -> Shown:
        """Project and reconstruct."""
        images = project(volume, self.geometry, self.image_shape, **self.how)
        return self.reconstruct(images, volume.shape)

    def reconstruct(self, images: Float32, shape: tuple[int, ...]) -> Shown:
        """Reconstruct images as the data were."""
        if self.split in (None, "frames"):
            found = self.solve(images, self.geometry, shape=shape, **self.how)
            return Shown(np.asarray(found), None)
        halves: Halves = self.solve(
            images, self.geometry, shape=shape, halves=self.split, **self.how
        )
        first, second = np.asarray(halves.first), np.asarray(halves.second)
        return Shown(first + second, first - second)

    def planned_noise(self, shape: tuple[int, int, int], seed: int) -> Float32:
        """Return the reconstruction of white images of variance 1."""
        pixels = (len(self.geometry), *self.image_shape)
        white = np.random.default_rng(seed).standard_normal(pixels, dtype=np.float32)
        return self.reconstruct(white, shape).both

    def held(self) -> Float32 | None:
        """Return None: the response itself says it."""
        return None


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
    _core.add_gaussians(places, sizes, amplitudes, volume, threads, cancel)
    return volume


def gaussian_blob(shape: tuple[int, int, int], size: float) -> Float32:
    """Return one blob of peak 1 at voxel n // 2 of each axis."""
    centre = np.array([[n // 2 for n in shape]], float)
    return gaussian_blobs(shape, centre, np.array([size]), np.ones(1))
