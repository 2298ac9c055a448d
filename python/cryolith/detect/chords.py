# SPDX-License-Identifier: BSD-3-Clause
"""How long straight lines stay inside of a phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ._blocks import block_ranges, share_of_blocks
from ._crofton import DIRECTIONS, direction_shares
from ._inputs import Float64, Mask, Table, as_mask
from ._spacing import Spacing, as_spacing
from .thickness import as_bounds

__all__ = ["Chords", "chord_lengths"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chords:
    """What :func:`chord_lengths` finds.

    Attributes
    ----------
    distribution : dict of str to (n,) array
        ``low``, ``high``: bounds of the bin; ``share`` of the number of chords, and ``sigma_share``.
    by_direction : dict of str to (13,) array
        ``direction_z``, ``direction_y``, ``direction_x``: a unit vector; ``count`` of the chords seen; ``mean`` and
        ``sigma_mean``. NaN where none was seen.
    mean, sigma_mean : float
        Over the chords of all directions.
    """

    distribution: Table
    by_direction: Table
    mean: float
    sigma_mean: float


def chord_lengths(
    mask: npt.ArrayLike,
    edges: npt.ArrayLike | int = 20,
    *,
    spacing: Spacing = None,
    border: bool = False,
) -> Chords:
    """Measure the chords that lines in 13 directions cut out of a phase: along axes, face and space diagonals.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        The phase.
    edges : (n + 1,) increasing, or int
        Bounds of the bins, in the unit of ``spacing``, the lower one included; or how many bins of equal width from 0
        to the longest chord.
    spacing : float, three floats or Volume, optional
        Edges of a voxel along z, y, x; a Volume gives them in nm. Default 1: lengths in px.
    border : bool, default False
        Whether the phase ends at the border of the volume: then chords end there, and each counts once. By default the
        phase goes on, and only chords with both ends inside of the volume count.

    Returns
    -------
    Chords

    Raises
    ------
    InputError
        Fractional values, not three axes, no chord with both ends inside, bounds that do not increase or leave chords
        out, lengths that are none.

    Notes
    -----
    A chord of n voxels is n steps long. Long chords are more often cut by the border than short ones: without
    ``border`` each is weighted by the inverse of the number of places at which it would fit into the volume with both
    of its ends, which makes numbers free of bias as far as chords fit at all. Directions count by the share of all
    directions that is nearest to each. Chords shorter than a voxel are mostly missed, and so are such gaps between
    chords, which makes means long: by 9 % for balls of radius 4 that fill half of the volume.

    Errors are those of the volume as a sample of a stationary medium, as of :func:`size_distribution`, from the parts
    through which chords run and in which they end. They do not hold the error of the mask.

    References
    ----------
    Chords and their mean, 4 x volume / surface: Underwood, Quantitative Stereology (1970). Weights:
    Horvitz & Thompson, J. Am. Stat. Assoc. 47 (1952) 663; in stereology Miles, "On the elimination of edge effects
    in planar sampling" (1974).
    """
    phase = as_mask(mask, "mask")
    size = as_spacing(spacing)
    shares = direction_shares(size)
    steps = np.linalg.norm(np.array(DIRECTIONS) * size, axis=1)
    lines = [_Chords(phase, way, border) for way in DIRECTIONS]
    lengths = [line.voxels * step for line, step in zip(lines, steps, strict=True)]
    longest = max((float(far.max()) for far in lengths if far.size), default=0.0)
    if not longest:
        raise InputError(
            "mask: found no chord with both ends inside of the volume, expected some; "
            "say border=True where the phase ends at the border"
        )
    bounds = as_bounds(edges, longest)
    shortest = min(float(far.min()) for far in lengths if far.size)
    if shortest < bounds[0] or longest >= bounds[-1]:
        raise InputError(
            f"edges: found {bounds[0]} to {bounds[-1]}, expected them to hold all chords, {shortest} to {longest}"
        )
    sums = [line.sums(step, bounds) for line, step in zip(lines, steps, strict=True)]
    # Lines are as dense for all directions if each voxel's line counts by one over its step.
    total = sum(share / step * part for share, step, part in zip(shares, steps, sums, strict=True))
    share, sigma = share_of_blocks(total[..., 2:], total[..., 0])
    mean, sigma_mean = share_of_blocks(total[..., 1:2], total[..., 0])
    return Chords(
        distribution={
            "low": bounds[:-1].copy(),
            "high": bounds[1:].copy(),
            "share": share,
            "sigma_share": sigma,
        },
        by_direction=_by_direction(lines, sums, steps, size),
        mean=float(mean[0]),
        sigma_mean=float(sigma_mean[0]),
    )


def _by_direction(
    lines: list[_Chords], sums: list[Float64], steps: Float64, size: tuple[float, float, float]
) -> Table:
    unit = np.array(DIRECTIONS) * size / steps[:, None]
    means = np.array([share_of_blocks(part[..., 1:2], part[..., 0]) for part in sums])[..., 0]
    return {
        "direction_z": unit[:, 0],
        "direction_y": unit[:, 1],
        "direction_x": unit[:, 2],
        "count": np.array([len(line.voxels) for line in lines]),
        "mean": means[:, 0],
        "sigma_mean": means[:, 1],
    }


class _Chords:
    """Chords along one lattice direction: voxels of each, the weight it counts by, and the parts it ends in."""

    def __init__(self, phase: Mask, way: tuple[int, int, int], border: bool) -> None:
        first, last = _ends(phase, way), _ends(phase, tuple(-d for d in way))
        self.voxels = last[0] - first[0] + 1
        whole = np.ones(len(self.voxels), bool) if border else ~(first[2] | last[2])
        self.voxels = self.voxels[whole]
        self.weight = np.ones(len(self.voxels))
        if not border:
            # With the voxels before and behind it a chord of n voxels spans n + 1 steps.
            for n, d in zip(phase.shape, way, strict=True):
                self.weight /= n - (self.voxels + 1) * abs(d)
            self.weight *= phase.size
        cuts = [block_ranges(n) for n in phase.shape]
        self.parts = tuple(len(cut) for cut in cuts)
        self._places = [_part_of(end[1][whole], phase.shape, cuts) for end in (first, last)]
        self._inside = self._by_voxels(first[1][whole], phase.shape, way, cuts)

    def _by_voxels(
        self,
        start: npt.NDArray[np.intp],
        shape: tuple[int, ...],
        way: tuple[int, int, int],
        cuts: list[list[tuple[int, int]]],
    ) -> Float64:
        """Return the weights of the chords' voxels that lie in each part."""
        chord = np.repeat(np.arange(len(start)), self.voxels)
        stride = (way[0] * shape[1] + way[1]) * shape[2] + way[2]
        along = np.arange(len(chord)) - (self.voxels.cumsum() - self.voxels)[chord]
        place = _part_of(start[chord] + stride * along, shape, cuts)
        inside = np.bincount(place, self.weight[chord], int(np.prod(self.parts)))
        return inside.astype(np.float64)

    def sums(self, step: float, bounds: Float64) -> Float64:
        """Return (z, y, x, 2 + bins) sums over the parts: of weights, of weights times lengths, of weights by bin.

        A chord's length belongs to the parts that it runs through, half of its number to either part in which it ends.
        """
        count, bins = int(np.prod(self.parts)), len(bounds) - 1
        bin_of = np.searchsorted(bounds, self.voxels * step, side="right") - 1
        half = self.weight / 2
        out = np.zeros((count, 2 + bins))
        out[:, 1] = self._inside * step
        for place in self._places:
            out[:, 0] += np.bincount(place, half, count)
            by_bin = np.bincount(place * bins + bin_of, half, count * bins)
            out[:, 2:] += by_bin.reshape(count, bins)
        return out.reshape(*self.parts, 2 + bins)


def _part_of(
    index: npt.NDArray[np.intp], shape: tuple[int, ...], cuts: list[list[tuple[int, int]]]
) -> npt.NDArray[np.intp]:
    places = tuple(
        np.searchsorted([low for low, _ in cut], at, side="right") - 1
        for cut, at in zip(cuts, np.unravel_index(index, shape), strict=True)
    )
    return np.ravel_multi_index(places, tuple(len(cut) for cut in cuts))


def _ends(
    phase: Mask, way: tuple[int, ...]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Mask]:
    """Return the first voxels of all chords along ``way``, line by line: position on the line, index, cut or not."""
    before = np.zeros_like(phase)
    inside = np.zeros_like(phase)
    here = tuple(slice(max(0, d), min(n, n + d)) for d, n in zip(way, phase.shape, strict=True))
    back = tuple(slice(max(0, -d), min(n, n - d)) for d, n in zip(way, phase.shape, strict=True))
    before[here] = phase[back]
    inside[here] = True
    index = np.flatnonzero(phase & ~before)
    at = np.array(np.unravel_index(index, phase.shape))
    # Lines are told apart by where they cross the first axis that they move along; the same for both senses.
    axis = next(a for a in range(3) if way[a])
    position = at[axis]
    through = at - np.array(way)[:, None] * way[axis] * position
    order = np.lexsort((position, through[2], through[1], through[0]))
    index = index[order]
    return position[order], index, ~inside.ravel()[index]
