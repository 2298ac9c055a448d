# SPDX-License-Identifier: BSD-3-Clause
"""Maximum likelihood of counts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from typing_extensions import Unpack

from .. import _core
from .._fields import Field
from ..errors import InputError
from .checkpoint import Kept, Saved
from .cut import Part
from .halves import with_halves
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Exact, Reconstruction, Setup, Sums, added, exactly, iterate
from .options import Options, checked_count
from .settings import ITERATIONS
from .setup import as_setup
from .subsets import Subset, Turns, ordered_subsets, subsets_of

__all__ = ["mlem"]

# Voxels along a ray.
LEAST_RAY = np.float32(0.5)


@with_halves()
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
    count = subsets_of(setup, subsets)
    setup = setup.moved("mlem", subsets=count)
    if setup.lower < 0:
        raise InputError(f"lower: found {setup.lower:g}, expected 0 or more: counts are")
    if options.get("init") is not None and not setup.started:
        raise InputError("init: found no voxel above 0, expected some: 0 stays 0")
    return iterate(setup, checked_count(n_iter, "n_iter"), _Expectation(setup, count))


class _Expectation:
    """Expectation maximisation, for :func:`iterate`."""

    def __init__(self, setup: Setup, count: int) -> None:
        self.setup, self.count = setup, count

    def steps(self, saved: Saved | None) -> Iterator[Sums]:
        """Yield the residual sums."""
        setup = self.setup
        subsets = ordered_subsets(setup, self.count)
        self.turns = Turns(setup, subsets)
        space, piece = self.turns.space, subsets[0].pair.piece_space()
        _leave_out_grazing(setup, subsets, space)
        voxels = [_inverse_sums(setup, s) for s in subsets]
        counts = max(0.0, _weighted_sum(setup, setup.weights, setup.measured))
        least = 1e-3 * counts / max(setup.rays, 1)
        low, high = setup.lower, setup.upper
        if not setup.started and saved is None:
            _fill(setup, subsets, counts, space)

        def ratio(measured: Float32, weights: Float32, projected: Float32) -> Exact:
            return _core.poisson_step(measured, weights, least, projected, setup.on)

        def compare(k: int) -> Sums:
            s = subsets[k]
            return added(setup.over_layers(ratio, [s.measured, s.weights], [s.projected]))

        def update(k: int, part: Part, correction: Float32, rows: Float32) -> None:
            for weights, change, voxel in part.pieces(voxels[k], piece, correction, rows):
                _core.multiply_step(change, weights, low, high, voxel, setup.on)

        yield from self.turns.steps(setup.volume, compare, update, started=True, saved=saved)

    def state(self) -> Kept:
        """Return what the next round depends on besides the volume."""
        return self.turns.state()


def _leave_out_grazing(setup: Setup, subsets: list[Subset], space: Float32 | None) -> None:
    """Take the weight from rays that meet less than half a voxel: whatever they measured, no voxel can explain it."""
    ones = setup.cut.volume(setup.volume.shape)
    for part in subsets[0].pair.parts:
        _put_ones(setup, part, ones, space)
    for s in subsets:
        setup.project(s.pair, ones, s.projected, space)
        least = LEAST_RAY * s.pair.unit
        setup.over_layers(partial(_graze, least, setup.on), [s.projected], [s.weights])


def _put_ones(setup: Setup, part: Part, volume: Field, space: Float32 | None) -> None:
    """Set a slab of a volume to 1 inside the mask, else 0."""
    rows = part.rows_of(volume, space)
    _core.fill_step(1.0, rows, setup.on)
    setup.keep_inside(part, rows)
    part.put_rows(volume, rows)


def _graze(least: np.float32, on: Any, sums: Float32, weights: Float32) -> None:
    _core.graze_step(sums, least, weights, on)


def _weighted_sum(setup: Setup, weights: Field, values: Field) -> float:
    """Return sum W v."""
    found = setup.over_layers(
        lambda w, v: _core.weighted_sum(w, v, setup.on),
        [weights, values],
    )
    return exactly(found)


def _inverse_sums(setup: Setup, subset: Subset) -> Field:
    """Return 1 / A'W of each voxel, 0 outside the mask."""
    voxels = setup.cut.volume(setup.volume.shape)
    for part in subset.pair.parts:
        sums = part.rows_of(voxels)
        subset.pair.backproject(part, subset.weights, sums, setup.threads, setup.cancel)
        subset.pair.invert_columns(sums, setup.on)
        setup.keep_inside(part, sums)
        part.put_rows(voxels, sums)
    return voxels


def _fill(setup: Setup, subsets: list[Subset], counts: float, space: Float32 | None) -> None:
    """Start from the constant, inside the mask, whose projections have as many counts as the data."""
    parts = subsets[0].pair.parts
    for part in parts:
        _put_ones(setup, part, setup.volume, space)
    expected = 0.0
    for s in subsets:
        setup.project(s.pair, setup.volume, s.projected, space)
        expected += _weighted_sum(setup, s.weights, s.projected)
    scale = np.float32(counts / expected if expected > 0 else 0.0)
    for part in parts:
        rows = part.rows_of(setup.volume, space)
        _core.scale_step(scale, setup.upper, rows, setup.on)
        part.put_rows(setup.volume, rows)
