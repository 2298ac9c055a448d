# SPDX-License-Identifier: BSD-3-Clause
"""Particles and voids of a volume in a file: the steps of ``inclusions``, block by block, with the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._inputs import Float32, Float64, Mask
from ._noise import REST, SMOOTHING, false_peaks, sigma_from, smallest_size
from ._numbers import InParts
from ._region_table import Sums, as_pixel, region_table
from ._scan import Block, Scan
from ._scan_basins import fill
from ._support import SEPARABLE, vacuum_threshold
from .components import EDGE
from .inclusions import Found, no_table, widen
from .slabs import Components
from .thresholds import otsu_of

__all__ = ["Objects"]


@dataclass(frozen=True)
class _Support:
    """As :class:`Support`, its mask in a file."""

    mask: Callable[[Block], Mask]
    voxels: int
    threshold: float
    background: float
    share: float


@dataclass(frozen=True)
class _Candidates:
    """What may be objects: labels (n of them), heights, and where each was cut (n + 1)."""

    labels: Callable[[Block], npt.NDArray[np.int32]]
    count: int
    height: Callable[[Block], Float32]
    cut: Float64


class Objects:
    """Finds particles and voids; labels go to a file, voids below 0 and above all particles."""

    def __init__(self, scan: Scan, alpha: float, min_size: int | None, pixel: float | None) -> None:
        self.scan, self._alpha, self._min_size, self._pixel = scan, alpha, min_size, pixel
        self.labels = scan.scratch(np.int32)
        self._smoothed = scan.scratch(np.float32)
        self._other = scan.scratch(np.float32)  # depths, then differences
        self._numbers = scan.scratch(np.int32)  # labels of candidates
        self._masks = [scan.scratch(bool) for _ in range(3)]
        scan.smooth(scan.source, SMOOTHING, self._smoothed)
        self._values = scan.numbers(self._smoothed.box)
        self.support = self._find_support()

    def voids(self, min_contrast: float) -> Found:
        """Do :func:`find_voids` without a support or a threshold."""
        scan, found = self.scan, self.support
        inside = self._filled_support()
        low, high = scan.numbers(scan.read).ends()
        if not _any(scan, inside) or high == low:
            return self._nothing(math.nan)
        level = InParts(lambda: (scan.read(b)[inside(b)] for b in scan.blocks())).mean()
        least = min_contrast * abs(level - found.background)
        fill(
            scan,
            self._smoothed,
            inside,
            self._other,
            max(1, scan.flooded // (scan.shape[1] * scan.shape[2])),
        )

        def depth(block: Block) -> Float32:
            out: Float32 = self._other.box(block) - self._smoothed.box(block)
            return out

        count, cuts = self._halves(depth, least)
        candidates = _Candidates(self._numbers.box, count, depth, cuts)
        return self._selected(
            candidates, lambda b: inside(b) & (self._numbers.box(b) == 0), least, void=True
        )

    def particles(self, threshold: float | None) -> Found:
        """Do :func:`find_particles`."""
        scan = self.scan
        cut = self._particle_threshold() if threshold is None else threshold

        def bright(block: Block) -> Mask:
            return self._smoothed.box(block) > cut

        total = sum(int(np.count_nonzero(bright(block))) for block in scan.blocks())
        if total in (0, self.labels.size):
            return self._nothing(cut)
        found = scan.components(bright)
        scan.write_labels(found, None, self._numbers)
        count = found.count
        del found
        dark = InParts(lambda: (self._smoothed.box(b)[~bright(b)] for b in scan.blocks()))
        around = dark.median()

        def height(block: Block) -> Float32:
            return self._smoothed.box(block) - np.float32(around)

        level = np.full(count + 1, cut - around)
        candidates = _Candidates(self._numbers.box, count, height, level)
        return self._selected(candidates, lambda b: ~bright(b), cut, void=False)

    def _find_support(self) -> _Support:
        """Do :func:`find_support` on the smoothed volume."""
        scan, size = self.scan, self.labels.size
        threshold, background = vacuum_threshold(self._values)
        everything = _Support(
            lambda b: np.ones((b[1] - b[0], *scan.shape[1:]), bool), size, background, background, 1.0
        )  # fmt: skip
        if threshold is None:
            return everything
        found = scan.components(lambda b: self._smoothed.box(b) > threshold, 6, extents=True)
        if found.count == 0:
            return everything
        sizes = found.regions()["voxels"]
        largest = int(sizes.argmax()) + 1
        mask = self._masks[0]
        for block in scan.blocks():
            mask.put(
                block[0], found.labels(*block, dtype=np.int32, threads=scan.threads) == largest
            )
        share = float(sizes.max() / sizes.sum())
        return _Support(mask.box, int(sizes.max()), threshold, background, share)

    def _filled_support(self) -> Callable[[Block], Mask]:
        """Return the support with all that it encloses."""
        scan, mask, out = self.scan, self.support.mask, self._masks[1]
        found = scan.components(lambda b: ~mask(b), extents=True)
        number = np.zeros(found.count + 1, bool)
        if found.count:
            number[1:] = ~found.regions()["touches_border"]
        for block in scan.blocks():
            holes = number[found.labels(*block, dtype=np.int32, threads=scan.threads)]
            out.put(block[0], mask(block) | holes)
        return out.box

    def _particle_threshold(self) -> float:
        support, core = self.support, self._masks[1]
        left = self.scan.erode(support.mask, 2, core)
        if left > 0.25 * support.voxels:
            cut, separability = otsu_of(
                InParts(lambda: (self._smoothed.box(b)[core.box(b)] for b in self.scan.blocks()))
            )
            if separability > SEPARABLE:
                return cut
        return math.nan if support.voxels == self.labels.size else support.threshold

    def _halves(self, depth: Callable[[Block], Float32], least: float) -> tuple[int, Float64]:
        """Write labels of basins, each down from half of its floor's depth; return how many, and that by label."""
        scan, basins = self.scan, self._numbers
        found = scan.components(lambda b: depth(b) > np.float32(least / 2))
        count = found.count
        scan.write_labels(found, None, basins)
        del found
        if count == 0:
            return 0, np.zeros(1)
        whole = scan.sums(basins.box, count, depth, in_chunks=False)
        deepest = np.full(count + 1, np.inf, np.float32)
        highest = _columns(whole)[:, 4]
        deepest[1:] = np.where(highest >= least, highest, np.inf)

        def floor(block: Block) -> npt.NDArray[np.int32]:
            of = basins.box(block)
            return np.where(depth(block) > np.float32(0.75) * deepest[of], of, np.int32(0))

        floors = scan.sums(floor, count, depth, in_chunks=True)
        voxels, values = floors.extent[:, 0], _columns(floors)
        half = np.full(count + 1, np.inf, np.float32)
        there = voxels > 0
        mean = values[there, 0] + values[there, 1] / voxels[there]
        half[1:][there] = mean / 2
        found = scan.components(lambda b: depth(b) > half[basins.box(b)])
        cuts = np.zeros(found.count + 1)
        for block in scan.blocks():
            labels = found.labels(*block, dtype=np.int32, threads=scan.threads)
            cuts[labels.ravel()] = half[basins.box(block).ravel()]
            basins.put(block[0], labels)
        return found.count, cuts

    def _selected(
        self, found: _Candidates, where: Callable[[Block], Mask], threshold: float, *, void: bool
    ) -> Found:
        """Measure the objects that are large and high enough, as ``_select`` does, and write their labels."""
        scan, n = self.scan, found.count
        peaks = scan.sums(found.labels, n, found.height, in_chunks=False)
        voxels, highest = peaks.extent[:, 0], _columns(peaks)[:, 4]
        sigma, around = self._noise(where)
        low, high = self._values.ends()
        sigma = max(sigma, 1e-6 * float(np.float32(high) - np.float32(low)))
        significance = highest / sigma
        p_value = -np.expm1(-false_peaks(significance, max(around, 1)))
        size = smallest_size() if self._min_size is None else self._min_size
        keep = (voxels >= size) & (p_value <= self._alpha)
        number = np.zeros(n + 1, np.int32)
        kept = int(keep.sum())
        number[1:][keep] = np.arange(1, kept + 1)
        table = self._table(lambda b: number[found.labels(b)], kept)
        table["contrast"] = highest[keep]
        table["significance"] = significance[keep]
        table["p_value"] = p_value[keep]
        share = found.cut[1:][keep] / highest[keep]
        for block in scan.blocks():
            final, known = number[found.labels(block)], self.labels.box(block)
            # A void inside a particle stays a void.
            self.labels.put(block[0], known - final if void else np.where(known == 0, final, known))
        return Found(table, self.labels, threshold, share)  # type: ignore[arg-type]

    def _table(
        self, labels: Callable[[Block], npt.NDArray[np.int32]], count: int
    ) -> dict[str, Any]:
        """Do :func:`regions` and :func:`widen`: whole numbers from components, intensities in chunks."""
        scan = self.scan
        if count == 0:
            table = no_table(self._pixel)
            widen(table, self._pixel)
            return table
        found: Components = scan.measured(lambda b: labels(b) > 0)
        whole = found.sums(threads=scan.threads, cancel=scan.cancel)
        whole.intensity = scan.sums(labels, count, scan.read, in_chunks=True).intensity
        names = np.arange(1, count + 1, dtype=np.int64)
        table = region_table(names, whole, scan.shape, as_pixel(self._pixel), EDGE)
        widen(table, self._pixel)
        return table

    def _noise(self, where: Callable[[Block], Mask]) -> tuple[float, int]:
        """Do :func:`noise_level`; also return in how many voxels the noise is."""
        scan, core, kept = self.scan, *self._masks[1:]
        count = 0
        for block in scan.blocks():
            part = where(block)
            count += int(np.count_nonzero(part))
            kept.put(block[0], part)
        if count == 0:
            return 0.0, 0
        if scan.erode(kept.box, 2, core) == 0:
            core = kept
        scan.smooth(self._smoothed, REST, self._other)

        def difference(block: Block) -> Float32:
            both = self._smoothed.box(block) - self._other.box(block)
            out: Float32 = both[core.box(block)]
            return out

        middle = np.float32(scan.numbers(difference).median())
        return sigma_from(scan.numbers(lambda b: np.abs(difference(b) - middle)).median()), count

    def _nothing(self, threshold: float) -> Found:
        return Found(no_table(self._pixel), self.labels, threshold, np.zeros(0))  # type: ignore[arg-type]


def _columns(sums: Sums) -> Float64:
    assert sums.intensity is not None
    return sums.intensity


def _any(scan: Scan, mask: Callable[[Block], Mask]) -> bool:
    return any(bool(mask(block).any()) for block in scan.blocks())
