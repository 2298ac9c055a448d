# SPDX-License-Identifier: BSD-3-Clause
"""Segmentation from seeds by a random walker."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..datamodel import Volume
from ..errors import InputError
from ._inputs import AXES, Float32
from .components import label

__all__ = ["random_walker"]


def random_walker(
    volume: Volume | npt.ArrayLike,
    seeds: npt.ArrayLike,
    *,
    beta: float = 10.0,
    tolerance: float = 1e-4,
    chances: bool = False,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> npt.NDArray[Any]:
    """Give every voxel the label of the seed that a random walker from it most likely meets first.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        Nothing walks through NaN.
    seeds : (nz, ny, nx) integer
        Labels from 1 where they are known, 0 elsewhere.
    beta : float, default 10
        How much steps between unlike values are avoided: they have the weight exp(-beta (difference / s)^2) + 1e-6, s
        the standard deviation of the volume. 0: the shortest ways count. Smooth noisy volumes first.
    tolerance : float, default 1e-4
        Of the equations' residual, relative to the start's.
    chances : bool, default False
        Return the chances of all labels in place of the likeliest.
    threads, cancel
        As for :func:`label`.

    Returns
    -------
    (nz, ny, nx) int32, or (n_labels, nz, ny, nx) float32
        Labels, 0 where no seed can be reached; or the chance of each label that occurs in ``seeds``, in ascending
        order, which add up to 1 within the tolerance. The same bytes for any number of threads. Memory: 72 bytes a
        voxel.

    Raises
    ------
    InputError
        Infinite values, seeds that are no labels, fewer than two labels, a beta below 0, a tolerance outside of 0 to 1.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    The equations are solved by conjugate gradients, preconditioned by multigrid: some 15 to 40 iterations whatever the
    size of the volume, more where ``beta`` makes most steps of noise unlikely.

    References
    ----------
    Grady, IEEE Trans. Pattern Anal. Mach. Intell. 28 (2006) 1768, eq. 1 and 10.
    """
    data = volume.data if isinstance(volume, Volume) else volume
    values: Float32 = as_core(data, "volume", AXES)
    marks = _as_seeds(seeds, values.shape)
    if np.isinf(values).any():
        raise InputError("volume: found infinite values, expected finite numbers or NaN")
    if not (math.isfinite(beta) and beta >= 0):
        raise InputError(f"beta: found {beta}, expected 0 or more")
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance: found {tolerance}, expected a number between 0 and 1")
    missing = np.isnan(values)
    marks[missing] = -1
    names = np.unique(marks[marks > 0])
    if len(names) < 2:
        raise InputError(f"seeds: found {len(names)} labels, expected two or more")
    spread = float(values[~missing].std(dtype=np.float64))
    walker = _core.RandomWalker(
        np.where(missing, np.float32(0), values),
        marks,
        beta / max(spread, 1e-30) ** 2,
        threads,
        cancel,
    )
    if chances:
        out = np.empty((len(names), *values.shape), np.float32)
        for name, chance in zip(names, out, strict=True):
            walker.solve(int(name), tolerance, chance, threads, cancel)
        return out
    return _likeliest(walker, names, marks, tolerance, threads, cancel)


def _likeliest(
    walker: _core.RandomWalker,
    names: npt.NDArray[np.int32],
    marks: npt.NDArray[np.int32],
    tolerance: float,
    threads: int,
    cancel: _core.CancelToken | None,
) -> npt.NDArray[np.int32]:
    """Return the label of the largest chance, the lower one of equals; 0 where no seed can be reached."""
    best: npt.NDArray[np.int32] = np.zeros(marks.shape, np.int32)
    highest, chance = np.zeros(marks.shape, np.float32), np.empty(marks.shape, np.float32)
    for name in names:
        walker.solve(int(name), tolerance, chance, threads, cancel)
        better = chance > highest
        best[better] = name
        highest[better] = chance[better]
    parts, count = label(marks >= 0, 6, dtype=np.int32, threads=threads, cancel=cancel)
    reached = np.zeros(count + 1, bool)
    reached[parts[marks > 0]] = True
    best[~reached[parts]] = 0  # where rounding alone has left a chance
    return best


def _as_seeds(seeds: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Return a copy of the seeds as int32."""
    a = np.asarray(seeds)
    if a.dtype.kind not in "iu" or a.shape != shape:
        raise InputError(f"seeds: found {a.dtype} {a.shape}, expected integers of shape {shape}")
    if a.size and (int(a.min()) < 0 or int(a.max()) > np.iinfo(np.int32).max):
        raise InputError(f"seeds: found {a.min()} to {a.max()}, expected 0 and labels from 1")
    return a.astype(np.int32)
