# SPDX-License-Identifier: BSD-3-Clause
"""What a reconstruction shows of an object: the object itself, filtered, or projected and reconstructed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..projection import Geometry, project
from ..reconstruct.halves import Halves, Split
from ._gaussian_blobs import Blobs, add_blobs, gaussian_blobs
from ._inputs import Float32, Float64
from ._sections import blob_sections, rows_alike, spread_rows
from ._spectrum import Spectra

__all__ = ["Imaging", "Plain", "Projected", "Shown"]

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

    def draw(self, blobs: Blobs, out: Float32) -> None:
        """Fill ``out``, in rows with room for their half spectrum, with what is seen of ``blobs`` but for ``held``."""
        ...

    def difference(self, blobs: Blobs) -> Float32 | None:
        """Return what the two halves do not share of ``blobs`` (None: nothing)."""
        ...

    def rows_apart(self) -> bool:
        """Return whether what is seen of a blob stays in the blob's own rows (y)."""
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

    def draw(self, blobs: Blobs, out: Float32) -> None:
        """Draw the blobs themselves."""
        out.fill(0)
        add_blobs(blobs, out, self.spectra)

    def difference(self, blobs: Blobs) -> Float32 | None:
        """Return None: halves of a plain volume show the same."""
        return None

    def rows_apart(self) -> bool:
        """Return whether there is no transfer function."""
        return self.transfer is None

    def held(self) -> Float32 | None:
        """Return the transfer function."""
        return self.transfer


class Projected:
    """Projected along a geometry and reconstructed, in halves where the data were.

    ``solve`` is one of :mod:`cryolith.reconstruct`'s solvers, its options bound; it must be linear. ``dose``: by which
    the data were divided, where they were divided by dose.
    """

    def __init__(
        self,
        spectra: Spectra,
        geometry: Geometry,
        image_shape: tuple[int, int],
        solve: Solve,
        split: Split | None,
        dose: Float64 | None = None,
    ) -> None:
        self.spectra, self.geometry, self.image_shape = spectra, geometry, image_shape
        self.solve, self.split = solve, split
        self.dose: dict[str, Any] = {} if dose is None else {"dose": dose}
        self.how: dict[str, Any] = {"threads": spectra.threads, "cancel": spectra.cancel}
        self._alike = rows_alike(geometry, solve) and image_shape[0] == spectra.shape[1]

    def draw(self, blobs: Blobs, out: Float32) -> None:
        """Draw what the reconstruction shows."""
        nx = self.spectra.shape[2]
        if self._by_section(blobs):
            out.fill(0)
            spread_rows(self._sections(blobs).both, blobs, out[..., :nx])
        else:
            out[..., :nx] = self.show(self._volume(blobs)).both

    def difference(self, blobs: Blobs) -> Float32 | None:
        """Return what one half shows and the other does not."""
        if not len(blobs):
            return None
        if not self._by_section(blobs):
            return self.show(self._volume(blobs)).difference
        seen = self._sections(blobs).difference
        if seen is None:
            return None
        out = np.zeros(self.spectra.shape, np.float32)
        spread_rows(seen, blobs, out)
        return out

    def _by_section(self, blobs: Blobs) -> bool:
        """Return whether one row for each blob is less work than all rows of the volume."""
        return self._alike and 0 < len(blobs) < self.spectra.shape[1]

    def _sections(self, blobs: Blobs) -> Shown:
        """Return what is shown of each blob's section (z, x), one blob a row."""
        nz, _, nx = self.spectra.shape
        return self._seen(blob_sections(blobs, nz, nx), (len(blobs), self.image_shape[1]))

    def _volume(self, blobs: Blobs) -> Float32:
        spectra = self.spectra
        return gaussian_blobs(
            spectra.shape, blobs.places, blobs.sizes, blobs.heights, spectra.threads, spectra.cancel
        )

    def show(self, volume: Float32) -> Shown:
        """Project and reconstruct."""
        return self._seen(volume, self.image_shape)

    def _seen(self, volume: Float32, image_shape: tuple[int, int]) -> Shown:
        images = project(volume, self.geometry, image_shape, **self.how)
        return self.reconstruct(images, volume.shape)

    def reconstruct(self, images: Float32, shape: tuple[int, ...]) -> Shown:
        """Reconstruct images as the data were."""
        if self.split in (None, "frames"):
            found = self.solve(images, self.geometry, shape=shape, **self.how)
            return Shown(np.asarray(found), None)
        halves: Halves = self.solve(
            images,
            self.geometry,
            shape=shape,
            halves=self.split,
            whole=False,
            **self.dose,
            **self.how,
        )
        first, second = np.asarray(halves.first), np.asarray(halves.second)
        return Shown(first + second, first - second)

    def planned_noise(self, shape: tuple[int, int, int], seed: int) -> Float32:
        """Return the reconstruction of white images of variance 1."""
        pixels = (len(self.geometry), *self.image_shape)
        white = np.random.default_rng(seed).standard_normal(pixels, dtype=np.float32)
        return self.reconstruct(white, shape).both

    def rows_apart(self) -> bool:
        """Return whether the rays are across y."""
        return not self.geometry.crosses_y

    def held(self) -> Float32 | None:
        """Return None: the response itself says it."""
        return None
