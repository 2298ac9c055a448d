# SPDX-License-Identifier: BSD-3-Clause
"""Search, fit together, subtract, search again; and the same filters on noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._blob_fit import BlobFit, Step
from ._filter_bank import FLOOR, FilterBank
from ._gaussian_blobs import Blobs
from ._imaging import Imaging
from ._inputs import Float32, Float64, Margins
from ._rarity import Rarity
from ._spectrum import Complex64

__all__ = ["SURE", "Outcome", "Search"]

SURE = 8.0  # significance of what is no noise whatever lies beside it

# Extrema are fitted and subtracted down to the rarity at which noise alone makes this many.
_NOISE_FITTED = 5.0
_PASSES = 4
_ROUNDS = 2  # of fitting after each search
_LAST = 4  # rounds more at the end, if that is not settled
# Within one search the stronger of two extrema this many sizes apart may have made the other as a side lobe, if that is
# no higher than this share of it: it waits for the next search, with the stronger one gone.
_NEAR, _SIDE_LOBE = 4.0, 0.5
# What is left within this many sizes of a fitted blob is its misfit, no object of its own.
_OWN = 1.5
_SAME = 1.0  # fits that come this near to each other are one


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Fitted blobs with their significances, what is left, and what noise made.

    Attributes
    ----------
    blobs : Blobs
    z : (n,) float64
        Signed significance of each, the lower of that beside all others and beside the sure ones.
    rest : (m, 2) float64
        Heights and log sizes of the extrema beyond ``FLOOR`` that are left, away from the blobs.
    decoys : (d, 2) float64 or None
        Those of the extrema of the halves' difference.
    spread : (n_scales,) float64
        Robust sd of what is left at each scale, over that of the noise.
    """

    blobs: Blobs
    z: Float64
    rest: Float64
    decoys: Float64 | None
    spread: Float64


class Search:
    """A bank at work on one volume and, where there is one, on the difference of its halves."""

    def __init__(
        self,
        bank: FilterBank,
        imaging: Imaging,
        volume: Float32,
        difference: Float32 | None,
        margins: Margins,
        beyond: Margins = (0, 0, 0),
    ) -> None:
        self.beyond = beyond  # voxels of the volume searched beyond the faces of the given one
        self.bank, self.margins, self.difference = bank, margins, difference
        self.fit = BlobFit(bank, imaging, volume)
        nz, ny, nx = (n - 2 * m for n, m in zip(volume.shape, margins, strict=True))
        self.voxels = nz * ny * nx
        self.rarity = Rarity(bank, self.voxels)
        self.fitted = self.rarity.for_expected(_NOISE_FITTED)

    def stand_out(self, heights: Float64, log_sizes: Float64) -> npt.NDArray[np.bool_]:
        """Return which extrema are rare enough to be fitted."""
        out: npt.NDArray[np.bool_] = self.rarity.of(heights, log_sizes) <= self.fitted
        return out

    def extrema(self, base: Complex64) -> tuple[Float64, Float64]:
        """Return the extrema of a filtered spectrum, the rarest first, and the robust sd of each scale."""
        peaks, spread = self.bank.extrema(base, self.margins)
        rarity = self.rarity.of(peaks[:, 0], peaks[:, 1])
        return peaks[np.argsort(rarity, kind="stable")], spread

    def run(self) -> Outcome:
        """Search until nothing new stands out."""
        now = Step(Blobs.none(), np.empty(0), True)
        rest = self.fit.base
        for turn in range(_PASSES + 1):
            peaks, spread = self.extrema(rest)
            peaks = self._apart(peaks, now.blobs)
            new = self._chosen(peaks)
            if not len(new) or turn == _PASSES:
                break
            sizes, heights = self.bank.measure(new)
            more = Blobs(places=new[:, 2:].copy(), sizes=sizes, heights=heights)
            now = self._merged(self.fit.refit(now.blobs.joined(more), _ROUNDS))
            if np.abs(new[:, 0]).max() * _SIDE_LOBE < FLOOR:
                peaks = self._apart(peaks, now.blobs)  # what came last hides nothing
                break
            rest = self.fit.without(self.fit.base, now.blobs)
        if not now.settled:
            now = self._merged(self.fit.refit(now.blobs, _LAST))
        blobs = now.blobs
        decoys = self._decoys(self.fit.imaging.difference(blobs))
        z = self._unlifted(blobs, now.z)
        return Outcome(blobs=blobs, z=z, rest=peaks[:, :2], decoys=decoys, spread=spread)

    def look(self) -> Outcome:
        """Search once and take each extremum for a blob."""
        peaks, spread = self.extrema(self.fit.base)
        sizes, heights = self.bank.measure(peaks)
        blobs = Blobs(places=peaks[:, 2:].copy(), sizes=sizes, heights=heights)
        decoys = self._decoys(None)
        return Outcome(
            blobs=blobs, z=peaks[:, 0], rest=np.empty((0, 2)), decoys=decoys, spread=spread
        )

    def _unlifted(self, blobs: Blobs, z: Float64) -> Float64:
        """Return significances that do not rest on what may be noise itself.

        Two extrema of noise of opposite sign, each in the other's streak, lift each other once both are taken for
        blobs: 4.5 and -4.3 became 6.1 and -5.2. A significance is the lower of those with all others taken out and
        with only the sure ones out.
        """
        sure = np.abs(z) > SURE
        if sure.all():
            return z
        out, sign = z.copy(), np.sign(z[~sure])
        alone = sign * self.fit.beside(blobs.pick(sure), blobs.pick(~sure))
        out[~sure] = sign * np.clip(alone, 0, np.abs(z[~sure]))
        return out

    def _decoys(self, leak: Float32 | None) -> Float64 | None:
        """Return the extrema of the halves' difference without ``leak``, what the blobs themselves left in it."""
        if self.difference is None:
            return None
        noise = self.difference if leak is None else self.difference - leak
        return self.extrema(self.fit.filtered(noise))[0][:, :2]

    def _apart(self, peaks: Float64, blobs: Blobs) -> Float64:
        """Return the peaks that are not the misfit of a fitted blob."""
        if not len(blobs) or not len(peaks):
            return peaks
        size = np.exp(peaks[:, 1])
        gap = np.linalg.norm(peaks[:, None, 2:] - blobs.places[None], axis=2)
        apart = gap > _OWN * np.maximum(size[:, None], blobs.sizes)
        return np.asarray(peaks[apart.all(axis=1)])

    def _chosen(self, peaks: Float64) -> Float64:
        """Return the peaks to be fitted next: high, and no side lobes of others."""
        high = peaks[self.stand_out(peaks[:, 0], peaks[:, 1])]
        size, kept = np.exp(high[:, 1]), np.zeros(len(high), bool)
        for i, peak in enumerate(high):
            gap = np.linalg.norm(high[kept, 2:] - peak[2:], axis=1)
            reach = np.maximum(size[kept], size[i])
            lobe = np.abs(high[kept, 0]) * _SIDE_LOBE > abs(peak[0])
            kept[i] = (gap >= np.where(lobe, _NEAR, _OWN) * reach).all()
        return np.asarray(high[kept])

    def _merged(self, found: Step) -> Step:
        """Drop fits that fell into noise, left the volume, or came onto a rarer one."""
        blobs, z = found.blobs, found.z
        low = np.array(self.margins) - 1
        high = np.array(self.bank.spectra.shape) - self.margins
        inside = np.all((blobs.places >= low) & (blobs.places <= high), axis=1)
        keep: list[int] = []
        for i in np.argsort(self.rarity.of(z, np.log(blobs.sizes)), kind="stable"):
            if abs(z[i]) < FLOOR or not inside[i]:
                continue
            gap = np.linalg.norm(blobs.places[keep] - blobs.places[i], axis=1)
            if (gap > _SAME * np.maximum(blobs.sizes[keep], blobs.sizes[i])).all():
                keep.append(int(i))
        index = np.array(keep, dtype=np.intp)
        return Step(blobs.pick(index), z[index], found.settled)
