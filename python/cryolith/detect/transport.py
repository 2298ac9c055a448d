# SPDX-License-Identifier: BSD-3-Clause
"""Whether a phase leads through a volume, and how far round it leads what diffuses in it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._blocks import residual_of_blocks, sigma_of_blocks
from ._inputs import Float64, Mask, Table, as_mask
from ._spacing import Spacing, as_spacing
from .components import label
from .slabs import Connectivity
from .thickness import volume_fraction

__all__ = ["Tortuosity", "percolates", "tortuosity"]

_AXES = ("z", "y", "x")
_PARTS = 3  # along each axis: fewer say less, more are too small to be alike
_LOOK_BACK = 4  # steps of the solver whose gain says what is left
_FAR = 2.0  # of sigma / tau: measured, design/026-networks.md


def percolates(
    mask: npt.ArrayLike,
    connectivity: Connectivity = 6,
    *,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Table:
    """Find out along which axes a phase leads from one face of the volume to the other.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        The phase.
    connectivity : {6, 18, 26}
        As for :func:`label`. By default what flows crosses faces of voxels, as in :func:`tortuosity`.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    dict of str to (3,) array
        ``axis``: z, y, x; ``percolates``: whether a component touches both faces across it; ``components`` that do
        so; ``share`` of the phase's volume that belongs to them, NaN without a phase. That is a count in this volume,
        not an estimate for a larger one: what spans a small volume may end beyond it.

    Raises
    ------
    InputError
        As :func:`label`.

    References
    ----------
    Stauffer & Aharony, Introduction to Percolation Theory, 2nd ed. (1994), chapter 2.
    """
    phase = as_mask(mask, "mask")
    labels, count = label(phase, connectivity, threads=threads, cancel=cancel)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    through = [_spanning(labels, axis) for axis in range(3)]
    total = int(sizes[1:].sum())
    return {
        "axis": np.array(_AXES),
        "percolates": np.array([len(found) > 0 for found in through]),
        "components": np.array([len(found) for found in through]),
        "share": np.array([sizes[found].sum() / total if total else np.nan for found in through]),
    }


@dataclass(frozen=True, kw_only=True)
class Tortuosity:
    """What :func:`tortuosity` finds.

    Attributes
    ----------
    tortuosity : float
        Factor tau; infinite where the phase does not lead through.
    error : float
        By how much it may still be too small, as the solution is not quite at rest.
    diffusivity : float
        Effective one over that of the free phase.
    share : float
        Of the volume that the phase takes (for pores: the porosity).
    iterations : int
        Steps of the solver.
    sigma : float
        Standard error of ``tortuosity`` as that of a larger, alike medium. NaN unless it was asked for; infinite where
        the volume is too small to say.
    """

    tortuosity: float
    error: float
    diffusivity: float
    share: float
    iterations: int
    sigma: float = np.nan


def tortuosity(
    mask: npt.ArrayLike,
    axis: Literal["z", "y", "x"],
    *,
    spacing: Spacing = None,
    tolerance: float = 1e-4,
    max_iterations: int = 10000,
    sampling: bool = False,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Tortuosity:
    """Find by how much a phase slows down what diffuses through it along an axis, beyond its share of the volume.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        The phase; outside of it nothing diffuses.
    axis : {"z", "y", "x"}
        From which face to the opposite one. The other faces are closed.
    spacing : float, three floats or Volume, optional
        Edges of a voxel along z, y, x; only their ratios count. Default: cubes.
    tolerance : float, default 1e-4
        The error relative to the result at which the solver stops.
    max_iterations : int, default 10000
        Where it stops in any case: ``error`` then says how far it has come.
    sampling : bool, default False
        Whether ``sigma`` is wanted, which takes about as long again.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    Tortuosity

    Raises
    ------
    InputError
        As :func:`percolates`; no phase, an unknown axis, a tolerance that is not between 0 and 1, no iterations.

    Notes
    -----
    tau = share x D0 / D, with D from the steady flow between faces of concentration 1 and 0 (finite volumes: a bond
    from centre to centre of voxels that share a face; the harmonic mean of 1 and 0 is 0). Conjugate gradients lower the
    dissipation, which is never below D, so that tau is never above that of the voxels. ``error`` is what the last
    four steps gained. It is no bound by proof but one wherever the error halves within so many steps. It does not hold
    the error of the mask, or of stairs of voxels: around a ball of radius 11.5 voxels in a cube of 40 tau is 1.058 in
    place of 1.049.

    ``sigma`` is from how share and D differ between 3 x 3 x 3 parts, each solved on its own. What a part of another D
    does to the whole is that of a grain in an effective medium (Bruggeman), whose D is that of the volume within a few
    per cent. What parts know of each other beyond their neighbours is taken from the share, whose error is known better
    (:func:`volume_fraction`). This holds for small deviations; with s = sigma / tau so found, sigma is 1 + 2 s times
    it, as measured on media of balls and of blobs (design/026-networks.md).

    References
    ----------
    Conjugate gradients and their errors: Hestenes & Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409; Strakos & Tichy,
    Electron. Trans. Numer. Anal. 13 (2002) 56. tau: Epstein, Chem. Eng. Sci. 44 (1989) 777 (there tau squared).
    Effective medium: Kirkpatrick, Rev. Mod. Phys. 45 (1973) 574, eq. 5.5 with z = 6.
    """
    phase = as_mask(mask, "mask")
    _check(phase, axis, tolerance, max_iterations)
    along = _AXES.index(axis)
    edges = as_spacing(spacing)
    share = float(phase.mean())
    solved = _solve(phase, along, edges, tolerance, max_iterations, threads, cancel)
    tau, left, relative = np.inf, 0.0, np.inf if sampling else np.nan
    if solved.dissipation:
        tau = share / solved.dissipation
        left = tau * solved.left / solved.dissipation
        if sampling:
            shares, flows = np.zeros((2, *(len(cut) for cut in _cuts(phase.shape))))
            for place, part in _parts(phase):
                shares[place] = part.mean()
                flows[place] = _solve(
                    part, along, edges, tolerance, max_iterations, threads, cancel
                ).dissipation
            relative = _relative_error(shares, flows, volume_fraction(phase)[1])
    return Tortuosity(
        tortuosity=tau,
        error=left,
        diffusivity=solved.dissipation,
        share=share,
        iterations=solved.steps,
        sigma=tau * relative,
    )


def _relative_error(shares: Float64, flows: Float64, sigma_share: float) -> float:
    """Return sigma of tortuosity over tortuosity, from parts and from the error of the whole's share."""
    medium = _effective(flows)
    if not medium or not np.isfinite(sigma_share):
        return float(np.inf)
    # By how much each part moves ln D of the effective medium, and ln of the share.
    weight = (3 * flows * medium / (flows + 2 * medium) ** 2).sum()
    moves = _deviations(flows, medium) / weight
    _, of_share = residual_of_blocks(shares[..., None], np.ones_like(shares))
    total = of_share[..., 0] / shares.mean() - (moves - moves.mean())
    near, sigma = sigma_of_blocks(np.stack([of_share[..., 0], total], axis=-1))
    relative = float(sigma * max(1.0, sigma_share / near)) if near else float(np.inf)
    return relative * (1 + _FAR * relative)


def _effective(flows: Float64) -> float:
    """Return the D at which the parts as grains of an effective medium do nothing to it; 0 if none leads through."""
    low, high = 0.0, float(flows.max())
    for _ in range(60):
        middle = (low + high) / 2
        if middle and _deviations(flows, middle).sum() > 0:
            low = middle
        else:
            high = middle
    return low


def _deviations(flows: Float64, medium: float) -> Float64:
    out: Float64 = (flows - medium) / (flows + 2 * medium)
    return out


@dataclass(frozen=True)
class _Solved:
    dissipation: float  # effective diffusivity
    left: float  # by how much that may still be too large
    steps: int


def _solve(
    phase: Mask,
    along: int,
    edges: tuple[float, float, float],
    tolerance: float,
    max_iterations: int,
    threads: int,
    cancel: _core.CancelToken | None,
) -> _Solved:
    """Let something diffuse through the components that lead from face to face."""
    labels, _ = label(phase, 6, threads=threads, cancel=cancel)
    spanning = _spanning(labels, along)
    if not len(spanning):
        return _Solved(0.0, 0.0, 0)
    length = np.multiply(phase.shape, edges)
    # Area over distance of a bond, times length over area of the volume: the empty volume conducts 1.
    scale = float(length[along] ** 2 / length.prod() * np.prod(edges))
    through = np.isin(labels, spanning).view(np.uint8)
    bonds = (scale / edges[0] ** 2, scale / edges[1] ** 2, scale / edges[2] ** 2)
    flow = _core.Flow(through, along, bonds, threads, cancel)
    gains: deque[float] = deque(maxlen=_LOOK_BACK)
    steps = 0
    while steps < max_iterations:
        gain = flow.step(threads, cancel)
        if not gain:
            break
        gains.append(gain)
        steps += 1
        if len(gains) == gains.maxlen and sum(gains) <= tolerance * flow.dissipation:
            break
    return _Solved(flow.dissipation, sum(gains), steps)


def _cuts(shape: tuple[int, ...]) -> list[list[slice]]:
    """Return where the parts of each axis lie; axes shorter than that are not parted."""
    cuts = []
    for n in shape:
        bounds = np.linspace(0, n, (_PARTS if n >= _PARTS else 1) + 1).astype(int)
        cuts.append([slice(int(a), int(b)) for a, b in itertools.pairwise(bounds)])
    return cuts


def _parts(phase: Mask) -> Iterator[tuple[tuple[int, ...], Mask]]:
    cuts = _cuts(phase.shape)
    for place in np.ndindex(*(len(cut) for cut in cuts)):
        z, y, x = (cut[i] for cut, i in zip(cuts, place, strict=True))
        yield place, np.ascontiguousarray(phase[z, y, x])


def _spanning(labels: npt.NDArray[np.integer], axis: int) -> npt.NDArray[np.integer]:
    """Return the labels that occur in both faces across an axis."""
    common = np.intersect1d(labels.take(0, axis), labels.take(-1, axis))
    return common[common > 0]


def _check(phase: Mask, axis: str, tolerance: float, max_iterations: int) -> None:
    if axis not in _AXES:
        raise InputError(f"axis: found {axis!r}, expected z, y or x")
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance: found {tolerance}, expected a number between 0 and 1")
    if max_iterations < 1:
        raise InputError(f"max_iterations: found {max_iterations}, expected at least 1")
    if not phase.any():
        raise InputError("mask: found no voxel, expected a phase")
