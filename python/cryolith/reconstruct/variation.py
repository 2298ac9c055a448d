# SPDX-License-Identifier: BSD-3-Clause
"""Total variation: the volume with the least edges that explains the data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from .. import _core
from .._arrays import as_core
from .._fields import Field, Window, doubled, fresh
from ..errors import Cancelled, InputError
from .checkpoint import Kept, Saved
from .cut import Part
from .device import largest_of
from .halves import with_halves
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Exact, Reconstruction, Setup, Sums, added, exactly, iterate
from .options import Options, checked_count, checked_number
from .settings import ITERATIONS
from .setup import as_setup

__all__ = ["tv"]

# Ascents of the dual in each iteration. From the dual of the iteration before, 3 reach the objective of 8 and of 20 to
# 4 digits at every one of 25 to 400 iterations (benchmarks/validate_wedge.py's series).
ROUNDS = 3
HALO = ROUNDS + 1
LEAST_METRIC = 0.05


@with_halves()
def tv(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["tv"],
    strength: float = 0.06,
    huber: float = 0.0,
    axis_weights: npt.ArrayLike = (1.0, 1.0, 1.0),
    **options: Unpack[Options],
) -> Reconstruction:
    """Minimise 1/2 |W^(1/2) (b - A x)|^2 + strength level TV(x): flat regions with sharp borders.

    Fills a missing wedge best of all where the specimen is made of such regions.

    Parameters
    ----------
    stack, angles_deg
        As in :func:`sirt`.
    n_iter : int, default 150
        The wedge is the last to be filled: fewer leave the specimen elongated.
    strength : float, default 0.06
        Of the regularisation, whatever the units: ``level`` is sum W b^2 / sum W |b|, the mean of the images weighted
        by themselves, which empty space does not change. Larger for noisier data.
    huber : float, default 0 [units of the volume]
        Steps below it are penalised by their square: smooth slopes then come out smooth, not as stairs.
    axis_weights : (3,), default (1, 1, 1)
        Weights of the differences along z, y and x. Larger ones along the missing directions (z) than along x hold back
        what the wedge smears; equal ones are isotropic.
    **options
        Those of :class:`Options`. The default of ``lower`` is 0. The largest of ``weights`` counts as 1.

    Returns
    -------
    Reconstruction

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Rudin, Osher & Fatemi, Physica D 60 (1992) 259. Solved by FISTA (Beck & Teboulle, IEEE Trans. Image Process. 18
    (2009) 2419, section 4: the proximal map by projected ascent of its dual, which here starts from the last one) in
    the metric diag(A'W A 1), whose inverse is a step that the data term allows for every voxel, with the momentum
    given up when it points uphill (O'Donoghue & Candes, Found. Comput. Math. 15 (2015) 715).
    """
    setup = as_setup(stack, angles_deg, options)
    axis = as_core(axis_weights, "axis_weights", ("3",), np.float64)
    if axis.shape != (3,) or not np.isfinite(axis).all() or axis.min() < 0 or not axis.any():
        raise InputError(
            f"axis_weights: found {axis_weights!r}, expected three finite numbers of at least 0, not all 0"
        )
    share = checked_number(strength, "strength")
    if share == 0.0:
        raise InputError(
            "strength: found 0, expected more; cgls and sirt fit without regularisation"
        )
    weights = (float(axis[0]), float(axis[1]), float(axis[2]))
    penalty = _Penalty(
        axis=weights, strength=share * level(setup), huber=checked_number(huber, "huber")
    )
    setup = setup.moved("tv")
    return iterate(setup, checked_count(n_iter, "n_iter"), _Fista(setup, penalty))


def level(setup: Setup) -> float:
    """Return sum W b^2 / sum W |b|, 1 where there are no data."""
    square = magnitude = 0.0
    for i in range(setup.measured.shape[0]):
        b = doubled(setup.measured.layers(i, i + 1))
        np.abs(b, out=b)
        weighted = doubled(setup.weights.layers(i, i + 1))
        weighted *= b
        magnitude += float(weighted.sum())
        weighted *= b
        square += float(weighted.sum())
    return square / magnitude if magnitude > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class _Penalty:
    """Total variation with its weights, as the core takes it."""

    axis: tuple[float, float, float]
    strength: float
    huber: float


class _Fista:
    """Accelerated proximal gradients, with the dual of the penalty carried from step to step."""

    def __init__(self, setup: Setup, penalty: _Penalty) -> None:
        self.setup, self.penalty = setup, penalty
        shape, cut = setup.problem.shape, setup.cut
        self.pair = setup.pair()
        self.metric, self.z = cut.volume(shape), cut.volume(shape)
        self.ahead, self.earlier = cut.volume(shape), cut.volume(shape)
        self.dual = cut.volume((3 * shape[0], *shape[1:]))

    def steps(self, saved: Saved | None) -> Iterator[Sums]:
        """Yield the residual sums, for :func:`iterate`."""
        setup = self.setup
        projected, self.before = (setup.cut.stack(setup.measured.shape) for _ in range(2))
        self._set_metric(projected)
        for copy in (self.ahead, self.earlier):
            self._copy(setup.volume, copy)
        setup.project(self.pair, setup.volume, projected)
        if saved is None:
            self.pace, self.momentum = 1.0, 0.0
            self.sums = self._extrapolate(projected, self.momentum, self.before)
        else:
            self._go_on(saved)
        while True:
            yield self.sums
            self._descend(self.before)
            self._regularise()
            if self._uphill() > 0:
                self.pace = 1.0
            faster = (1 + math.sqrt(1 + 4 * self.pace**2)) / 2
            self.pace, self.momentum = faster, (self.pace - 1) / faster
            projected, self.before = self.before, projected
            try:
                setup.project(self.pair, setup.volume, projected)
            except Cancelled:
                self._copy(self.earlier, setup.volume)
                raise
            self._move_ahead(self.momentum)
            self.sums = self._extrapolate(projected, self.momentum, self.before)

    def state(self) -> Kept:
        """Return what the next iterations depend on besides the volume."""
        return Kept(
            volumes={"ahead": self.ahead, "dual": self.dual},
            stacks={"residual": self.before},
            numbers={"pace": self.pace, "momentum": self.momentum, "sums": list(self.sums)},
        )

    def _go_on(self, saved: Saved) -> None:
        """Take up :meth:`state`; the volume, which is also the earlier one, and its projections are there."""
        cut, numbers = self.setup.cut, saved.numbers
        saved.volume_into("ahead", self.ahead, cut)
        saved.volume_into("dual", self.dual, cut)
        saved.stack_into("residual", self.before, cut)
        self.pace, self.momentum = numbers["pace"], numbers["momentum"]
        residual, data = numbers["sums"]
        self.sums = residual, data

    def _copy(self, source: Field, target: Field) -> None:
        for part in self.pair.parts:
            part.copy_rows(source, target, self.setup.on)

    def _extrapolate(self, projected: Field, momentum: float, before: Field) -> Sums:
        """Set ``before``, the projections of the volume before, to the weighted residual of the extrapolation."""

        def step(measured: Float32, weights: Float32, now: Float32, earlier: Float32) -> Exact:
            on = self.setup.on
            return _core.extrapolate_step(measured, weights, now, momentum, earlier, on)

        s = self.setup
        return added(s.over_layers(step, [s.measured, s.weights, projected], [before]))

    def _descend(self, residual: Field) -> None:
        """Set ``z`` to the gradient step from ``ahead``."""
        for part in self.pair.parts:
            self._descend_slab(part, residual)

    def _descend_slab(self, part: Part, residual: Field) -> None:
        setup, z = self.setup, part.rows_of(self.z)
        self.pair.backproject(part, residual, z, setup.threads, setup.cancel)
        _core.gradient_step(part.rows_of(self.ahead), part.rows_of(self.metric), z, setup.on)
        part.put_rows(self.z, z)

    def _regularise(self) -> None:
        """Set the volume to the proximal map at ``z``.

        A slab is worked on with HALO rows of its neighbours, whose own results are not needed: each ascent spoils one
        row at a border that is not the volume's. The neighbour before has its new dual already; what it was is kept.
        """
        if len(self.pair.parts) == 1:
            (part,) = self.pair.parts
            dual, volume = part.rows_of(self.dual), part.rows_of(self.setup.volume)
            self._proximal_map((0, part.last, 0, part.shape[2]), dual, volume)
            part.put_rows(self.dual, dual)
            part.put_rows(self.setup.volume, volume)
            return
        kept: Float32 | None = None
        for part in self.pair.parts:
            kept = self._regularise_slab(part, kept)

    def _regularise_slab(self, part: Part, kept: Float32 | None) -> Float32 | None:
        """Return the dual of the slab's last rows as it was."""
        setup = self.setup
        _, ny, nx = setup.problem.shape
        top, bottom = max(0, part.first - HALO), min(ny, part.last + HALO)
        window, inner = (top, bottom, 0, nx), slice(part.first - top, part.last - top)
        dual = self.dual.window(window)
        if kept is not None:
            dual[:, : part.first - top] = kept
        before: Float32 | None = None
        if part.last < ny:
            before = fresh((dual.shape[0], HALO, nx))
            before[:] = dual[:, inner][:, -HALO:]
        volume = setup.volume.window(window)
        self._proximal_map(window, dual, volume)
        part.put_rows(self.dual, dual[:, inner])
        part.put_rows(setup.volume, volume[:, inner])
        return before

    def _proximal_map(self, window: Window, dual: Float32, volume: Float32) -> None:
        p, setup = self.penalty, self.setup
        _core.variation_step(
            p.axis,
            p.strength,
            p.huber,
            self.metric.window(window),
            self.z.window(window),
            setup.lower,
            setup.upper,
            ROUNDS,
            dual,
            volume,
            setup.on,
        )

    def _uphill(self) -> float:
        """Return <ahead - x, x - earlier>."""
        return exactly(map(self._uphill_slab, self.pair.parts))

    def _uphill_slab(self, part: Part) -> _core.ExactSum:
        ahead, volume = part.rows_of(self.ahead), part.rows_of(self.setup.volume)
        return _core.uphill(ahead, volume, part.rows_of(self.earlier), self.setup.on)

    def _move_ahead(self, momentum: float) -> None:
        for part in self.pair.parts:
            self._move_ahead_slab(part, momentum)

    def _move_ahead_slab(self, part: Part, momentum: float) -> None:
        earlier, ahead = part.rows_of(self.earlier), part.rows_of(self.ahead)
        volume = part.rows_of(self.setup.volume)
        _core.ahead_step(momentum, volume, earlier, ahead, self.setup.on)
        part.put_rows(self.earlier, earlier)
        part.put_rows(self.ahead, ahead)

    def _set_metric(self, rays: Field) -> None:
        """Set ``metric`` to 1 / A'W A 1 of each voxel, 0 outside the mask; uses ``rays``."""
        setup, most = self.setup, 0.0
        for part in self.pair.parts:
            rows = part.rows_of(self.metric)
            _core.fill_step(1.0, rows, setup.on)
            part.put_rows(self.metric, rows)
        setup.project(self.pair, self.metric, rays)
        setup.over_layers(lambda w, r: _core.factor_step(w, r, setup.on), [setup.weights], [rays])
        for part in self.pair.parts:
            sums = part.rows_of(self.metric)
            self.pair.backproject(part, rays, sums, setup.threads, setup.cancel)
            part.put_rows(self.metric, sums)
            most = max(most, largest_of(sums))
        for part in self.pair.parts:
            metric = part.rows_of(self.metric)
            if most > 0.0:
                _core.reciprocal_step(LEAST_METRIC * most, metric, setup.on)
                setup.keep_inside(part, metric)
            else:  # no ray: nothing moves
                _core.fill_step(0.0, metric, setup.on)
            part.put_rows(self.metric, metric)
