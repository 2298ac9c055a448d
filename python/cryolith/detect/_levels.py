# SPDX-License-Identifier: BSD-3-Clause
"""Noise that is stronger in one place than in another: its map, and imaging in units of it."""

from __future__ import annotations

import numpy as np

from ._filter_bank import FilterBank
from ._gaussian_blobs import Blobs
from ._imaging import Imaging, Shown
from ._inputs import Float32, Float64, Margins, inside
from ._smooth import convolve, gaussian_kernel
from ._spectrum import Spectra, fading

__all__ = ["Levelled", "Levels", "measured_levels", "uneven"]

_EVEN = 0.05  # relative sd of the voxels' noise over the section up to which it counts as the same everywhere
_BLOCKS = 8  # of rows, in turn for one half and the other
_SMOOTH = 1 / 8  # of an axis, standard deviation of the Gaussian over the section


class Levels:
    """How strong the noise is at each place of the section (z, x), alike in all rows, and what evens it out.

    Attributes
    ----------
    section : (nz, nx) float32
        Its standard deviation over the root mean square inside the margin.
    gain : (nz, 1, nx) float32
        Its inverse, fading to 0 in the outer half of the margin: there noise may be much stronger (sirt), volumes do
        not go on from one face to the other as filters take it, and no blobs are looked for.
    """

    def __init__(self, inner: Float64, margins: Margins) -> None:
        across = (margins[0], margins[2])
        level = np.pad(inner / np.sqrt((inner**2).mean()), [(m, m) for m in across], mode="edge")
        self.section = level.astype(np.float32)
        z, x = (fading(n, m / 2) for n, m in zip(level.shape, across, strict=True))
        gain = np.multiply.outer(z, x) / level
        self.gain = np.ascontiguousarray(gain[:, None], dtype=np.float32)

    def at(self, places: Float64) -> Float64:
        """Return (n,) levels at (n, 3) places, those of the nearest voxel: they change over many."""
        z, x = (
            np.clip(np.rint(places[:, axis]).astype(np.intp), 0, n - 1)
            for axis, n in zip((0, 2), self.section.shape, strict=True)
        )
        out: Float64 = self.section[z, x].astype(np.float64)
        return out

    def frequent(self, margins: Margins, count: int) -> Float64:
        """Return (count,) levels that are equally frequent inside the margins."""
        z, _, x = inside(margins)
        inner = self.section[z, x]
        out: Float64 = np.quantile(inner, (np.arange(count) + 0.5) / count)
        return out


def measured_levels(bank: FilterBank, noise: Float32, margins: Margins) -> Levels | None:
    """Measure the levels of one volume of noise behind the bank's finest filter, None if the voxels' are alike.

    From mean magnitudes, which what is no noise moves less than it does squares. A solver that weights rays by their
    length in the volume (sirt) makes corners, where rays are short, noisier than the middle: four times voxel by voxel,
    1.7 times behind a filter for blobs of 1.4 px. The map is shrunk by the share of its variance on which two halves of
    the rows agree, or its errors would make more extrema. Inside ``margins`` only: the filter wraps around, and noise
    that does not jumps at the faces.
    """
    z, _, x = inside(margins)
    coarse = _smoothed(np.abs(noise).mean(axis=1, dtype=np.float64))[z, x]
    if coarse.std() < _EVEN * coarse.mean():
        return None
    return Levels(_level_map(bank, noise, margins), margins)


def uneven(bank: FilterBank, noise: Float32, margins: Margins, count: int) -> Float64:
    """Return (count,) levels of noise, equally frequent inside the margins: what the voxels need not show."""
    return Levels(_level_map(bank, noise, margins), margins).frequent(margins, count)


def _level_map(bank: FilterBank, noise: Float32, margins: Margins) -> Float64:
    size = np.abs(bank.finest(noise, margins))
    block = np.arange(size.shape[1]) * _BLOCKS // size.shape[1] % 2
    one, two = (_smoothed(size[:, block == i].mean(axis=1, dtype=np.float64)) for i in (0, 1))
    both = (one + two) / 2
    variance = float(both.var())
    together = float(np.mean((one - one.mean()) * (two - two.mean())))
    share = min(max(together / variance, 0.0), 1.0) if variance > 0 else 0.0
    middle = both.mean()
    out: Float64 = 1 + (both / middle - 1) * share
    return out


def _smoothed(section: Float64) -> Float64:
    out = section.astype(np.float32)
    for axis, n in enumerate(section.shape):
        out = convolve(out, gaussian_kernel(_SMOOTH * n), axis)
    return out.astype(np.float64)


class Levelled:
    """Another imaging, with heights and volume in units of the noise's level where they are."""

    def __init__(self, inner: Imaging, levels: Levels, spectra: Spectra) -> None:
        self.inner, self.levels, self.spectra = inner, levels, spectra

    def _scaled(self, blobs: Blobs) -> Blobs:
        return Blobs(
            places=blobs.places,
            sizes=blobs.sizes,
            heights=blobs.heights * self.levels.at(blobs.places),
        )

    def show(self, volume: Float32) -> Shown:
        """Show a volume, not in units of the noise, and even it out."""
        both, difference = self.inner.show(volume)
        gain = self.levels.gain
        return Shown(both * gain, None if difference is None else difference * gain)

    def draw(self, blobs: Blobs, out: Float32) -> None:
        """Draw with the inner imaging and even out."""
        self.inner.draw(self._scaled(blobs), out)
        held = self.inner.held()
        if held is not None:
            spectrum = self.spectra.forward(out)
            spectrum *= held
            self.spectra.inverse_in_place(spectrum)
        out[..., : self.spectra.shape[2]] *= self.levels.gain

    def difference(self, blobs: Blobs) -> Float32 | None:
        """Return the inner one, evened out."""
        found = self.inner.difference(self._scaled(blobs))
        return None if found is None else found * self.levels.gain

    def rows_apart(self) -> bool:
        """Return that of the inner imaging."""
        return self.inner.rows_apart()

    def held(self) -> Float32 | None:
        """Return None: what the data hold is in what is drawn."""
        return None
