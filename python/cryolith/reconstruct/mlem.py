# SPDX-License-Identifier: BSD-3-Clause
"""Maximum likelihood of counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from typing_extensions import Unpack

from .. import _core
from ..errors import InputError
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Reconstruction, Setup, Sums, iterate, weighted_dot
from .options import Options, as_setup, checked_count
from .settings import ITERATIONS
from .subsets import Subset, ordered_subsets, take_turns

__all__ = ["mlem"]


def mlem(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["mlem"],
    subsets: int = 1,
    **options: Unpack[Options],
) -> Reconstruction:
    """Maximise the Poisson likelihood: x <- x A'(W b / A x) / A'W.

    Parameters
    ----------
    stack, angles_deg
        As in :func:`sirt`; counts, or in proportion to counts, above a background of 0. Negative pixels count as 0.
    n_iter : int, default 30
        Rounds over all subsets.
    subsets : int, default 1
        Ordered subsets make a round as good as about that many, but with more than a few the end is a cycle (OSEM).
    **options
        Those of :class:`Options`. ``init`` has to be above 0; the default of ``lower`` is 0, and it may not lie below.

    Returns
    -------
    Reconstruction

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Shepp & Vardi, IEEE Trans. Med. Imaging 1 (1982) 113, eq. 2.13; subsets: Hudson & Larkin, ibid. 13 (1994) 601. Rays
    that expect less than 1/1000 of the mean count as that: the projector's kernel has small negative lobes.
    """
    setup = as_setup(stack, angles_deg, options)
    if setup.lower < 0:
        raise InputError(f"lower: found {setup.lower:g}, expected 0 or more: counts are")
    if options.get("init") is not None and not setup.volume.any():
        raise InputError("init: found no voxel above 0, expected some: 0 stays 0")
    return iterate(setup, checked_count(n_iter, "n_iter"), _steps(setup, subsets))


def _steps(setup: Setup, count: int) -> Iterator[Sums]:
    subsets = ordered_subsets(setup, count)
    voxels = [_inverse_sums(setup, s) for s in subsets]
    counts = max(0.0, weighted_dot(setup.weights, setup.measured))
    least = 1e-3 * counts / max(setup.rays, 1)
    if not setup.volume.any():
        _fill(setup, subsets, counts)

    def compare(k: int) -> Sums:
        s = subsets[k]
        return _core.poisson_step(s.measured, s.weights, least, s.projected, setup.threads)

    def update(k: int, correction: Float32) -> None:
        low, high = setup.lower, setup.upper
        _core.multiply_step(correction, voxels[k], low, high, setup.volume, setup.threads)

    yield from take_turns(setup, subsets, compare, update)


def _inverse_sums(setup: Setup, subset: Subset) -> Float32:
    """Return 1 / A'W of each voxel, 0 outside the mask."""
    sums = np.empty(setup.volume.shape, np.float32)
    setup.backproject(subset.plan, subset.weights, sums)
    _core.invert_step(sums, setup.threads)
    if setup.mask is not None:
        sums *= setup.mask
    return sums


def _fill(setup: Setup, subsets: list[Subset], counts: float) -> None:
    """Start from the constant, inside the mask, whose projections have as many counts as the data."""
    setup.volume[:] = 1.0 if setup.mask is None else setup.mask
    expected = 0.0
    for s in subsets:
        setup.project(s.plan, s.projected)
        expected += weighted_dot(s.weights, s.projected)
    scale = counts / expected if expected > 0 else 0.0
    np.multiply(setup.volume, np.float32(scale), out=setup.volume)
    np.minimum(setup.volume, np.float32(setup.upper), out=setup.volume)
