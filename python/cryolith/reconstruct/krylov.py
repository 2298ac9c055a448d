# SPDX-License-Identifier: BSD-3-Clause
"""Least squares by conjugate gradients: plain, and with Tikhonov penalties."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from .. import _core
from .._fields import Field
from ..errors import Cancelled, InputError
from .checkpoint import Kept, Saved
from .cut import Part
from .gaps import open_gaps
from .halves import with_halves
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Exact, Reconstruction, Setup, Sums, added, exactly, iterate
from .options import Options, checked_count, checked_number
from .settings import ITERATIONS
from .setup import as_setup

__all__ = ["cgls", "lsqr"]

Float64 = npt.NDArray[np.float64]


@with_halves()
def cgls(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["cgls"],
    **options: Unpack[Options],
) -> Reconstruction:
    """Minimise |W^(1/2) (b - A x)|^2 by conjugate gradients: fast, and regularised by stopping early.

    Parameters
    ----------
    stack, angles_deg
        As in :func:`sirt`.
    n_iter : int, default 15
        More lets in the noise.
    **options
        Those of :class:`Options`. There are no bounds by default: with them the directions start anew whenever a voxel
        meets one, which costs a projection and some of the speed.

    Returns
    -------
    Reconstruction

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Hestenes & Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409, section 10 (CGLS: Bjorck, Numerical Methods for Least
    Squares Problems (1996), algorithm 7.4.1). Bounds: the free variables and restarts of More & Toraldo, SIAM J. Optim.
    1 (1991) 93, section 3, with the step halved until the objective falls. Missing pixels, up to 8 side by side across
    the tilt axis, are unknowns that start from the line between their neighbours and have no part in the result.
    """
    setup = as_setup(stack, angles_deg, options, lower=-math.inf)
    solver = _Gradients(setup, 0.0, 0.0)
    return iterate(solver.setup, checked_count(n_iter, "n_iter"), solver)


@with_halves()
def lsqr(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    n_iter: int = ITERATIONS["lsqr"],
    damp: float = 1.0,
    smooth: float = 0.0,
    **options: Unpack[Options],
) -> Reconstruction:
    """Minimise |W^(1/2) (b - A x)|^2 + damp^2 |x|^2 + smooth^2 |D x|^2, with D the forward differences along z, y and
    x.

    Parameters
    ----------
    stack, angles_deg
        As in :func:`sirt`.
    n_iter : int, default 30
    damp : float, default 1
        Weight of the volume's own size, as in :func:`scipy.sparse.linalg.lsqr`; about the ratio of the noise of a ray
        to the values of the voxels. The largest of ``weights`` counts as 1.
    smooth : float, default 0
        Weight of its roughness.
    **options
        Those of :class:`Options`; bounds as in :func:`cgls`.

    Returns
    -------
    Reconstruction

    Raises
    ------
    InputError
        A wrong shape or value, by name.

    References
    ----------
    Paige & Saunders, ACM Trans. Math. Softw. 8 (1982) 43, eq. 1.2: from x = 0 the iterates are those of LSQR on the
    matrix with the penalties as further rows, computed by the recurrences of :func:`cgls`, which bounds can interrupt.
    """
    setup = as_setup(stack, angles_deg, options, lower=-math.inf)
    damping = checked_number(damp, "damp") ** 2
    roughness = checked_number(smooth, "smooth") ** 2
    solver = _Gradients(setup, damping, roughness)
    return iterate(solver.setup, checked_count(n_iter, "n_iter"), solver)


class _Gradients:
    """Conjugate gradients on the normal equations, restarted where a bound stops a voxel.

    The values of pixels in short gaps are unknowns besides the volume (:class:`Gaps`), each seen by its own ray alone:
    the least misfit over both is that of the volume without those rays. It is the start that differs. A missing ray
    whose value is left out starts from 0 amid rays that do not: a crease that holds every frequency, which the first
    iterations follow. One pixel of 180 x 256 costs 0.16 dB at 15 iterations so, and nothing from its neighbours' line.
    """

    def __init__(self, setup: Setup, damping: float, roughness: float) -> None:
        self.damping, self.roughness, self.setup = damping, roughness, setup
        self.data = self._square(setup.measured)  # before gaps have a weight
        self.gaps = open_gaps(setup)
        self.bounded = math.isfinite(setup.lower) or math.isfinite(setup.upper)
        penalties = (1 if damping or roughness else 0) + (1 if roughness else 0)
        self.setup = setup.moved("cgls", more=penalties if self.bounded else 0)
        if roughness and setup.cut.on_disk:
            raise InputError(
                "smooth: found a weight with max_memory, expected 0: differences cannot be cut; allow more memory"
            )

    def steps(self, saved: Saved | None) -> Iterator[Sums]:
        """Yield the residual sums, for :func:`iterate`."""
        setup = self.setup
        self.pair = setup.pair()
        self.projected = setup.cut.stack(setup.measured.shape)
        self.residual = setup.cut.stack(setup.measured.shape)
        self.descent = setup.cut.volume(setup.volume.shape)
        self.direction = setup.cut.volume(setup.volume.shape)
        self.filled, self.filling = self.gaps.start, np.zeros_like(self.gaps.start)
        if saved is None:
            self.misfit = self._fresh_residual(started=setup.started)
            self.steepness = 0.0  # of the descent that the direction follows; 0 starts anew
        else:
            self._go_on(saved)
        while True:
            yield self.misfit - self._misfit_of_gaps(), self.data
            found = self._descend()
            square, slope = self._direct(found / self.steepness if self.steepness else 0.0)
            if slope <= 0.0:  # a bound has turned the direction uphill
                square, slope = self._direct(0.0)
            self.steepness = found
            setup.project(self.pair, self.direction, self.projected)
            self._add_to_gaps(self.projected, -self.filling)
            curvature = self._square(self.projected)
            curvature += self.damping * square + self.roughness * self._roughness()
            if curvature > 0.0:
                self.misfit = self._walk(slope / curvature, self.misfit)

    def state(self) -> Kept:
        """Return what the next iterations depend on besides the volume."""
        return Kept(
            volumes={"direction": self.direction},
            stacks={"residual": self.residual},
            arrays={"filled": self.filled, "filling": self.filling},
            numbers={"misfit": self.misfit, "steepness": self.steepness},
        )

    def _go_on(self, saved: Saved) -> None:
        """Take up :meth:`state`; nothing taken from the residual gives W r."""
        saved.volume_into("direction", self.direction, self.setup.cut)
        saved.stack_into("residual", self.residual, self.setup.cut)
        self.filled, self.filling = saved.array("filled"), saved.array("filling")
        self.misfit, self.steepness = saved.numbers["misfit"], saved.numbers["steepness"]
        self._subtract(0.0)

    def _square(self, stack: Field) -> float:
        """Return sum W v^2."""
        s = self.setup

        def step(weights: Float32, values: Float32) -> _core.ExactSum:
            return _core.square_step(weights, values, s.on)

        return exactly(s.over_layers(step, [s.weights, stack]))

    def _descend(self) -> float:
        """Set ``descent`` to half the negative gradient along which the volume may move; return its square."""
        self.gap_descent = -self.gaps.take(self.projected)
        square = float((self.gap_descent**2).sum())
        return exactly(map(self._descend_slab, self.pair.parts)) + square

    def _descend_slab(self, part: Part) -> _core.ExactSum:
        s = self.setup
        descent = part.rows_of(self.descent)
        self.pair.backproject(part, self.projected, descent, s.threads, s.cancel)
        volume = part.rows_of(s.volume)
        if self.roughness:
            _core.roughness_step(self.roughness, volume, descent, s.on)
        s.keep_inside(part, descent)
        found = _core.descent_step(volume, self.damping, s.lower, s.upper, descent, s.on)
        part.put_rows(self.descent, descent)
        return found

    def _direct(self, factor: float) -> tuple[float, float]:
        """Set ``direction`` to the descent plus ``factor`` times what it was; return its square and slope."""
        square, slope = added(self._direct_slab(part, factor) for part in self.pair.parts)
        self.filling = self.gap_descent + factor * self.filling
        return square, slope + float((self.filling * self.gap_descent).sum())

    def _direct_slab(self, part: Part, factor: float) -> Exact:
        direction, descent = part.rows_of(self.direction), part.rows_of(self.descent)
        found = _core.conjugate_step(descent, factor, direction, self.setup.on)
        part.put_rows(self.direction, direction)
        return found

    def _roughness(self) -> float:
        if not self.roughness:
            return 0.0
        (whole,) = self.pair.parts
        direction, descent = whole.rows_of(self.direction), whole.rows_of(self.descent)
        return float(_core.roughness_step(0.0, direction, descent, self.setup.on))

    def _walk(self, step: float, misfit: float) -> float:
        """Move along the direction; return the sum of W r^2 there, with W r in ``projected``."""
        setup, filled = self.setup, self.filled
        if self.bounded:
            self._copy(setup.volume, self.descent)
        self.filled = filled + step * self.filling
        if not self._move(step):
            return self._subtract(step)
        before = misfit + self._penalty(self.descent)
        while True:
            try:
                found = self._fresh_residual(started=True)
            except Cancelled:  # nobody knows yet whether this step is a good one
                self._copy(self.descent, setup.volume)
                raise
            if found + self._penalty(setup.volume) <= before or step < 1e-6:
                return found
            step /= 2
            self._copy(self.descent, setup.volume)
            self.filled = filled + step * self.filling
            self._move(step)

    def _copy(self, source: Field, target: Field) -> None:
        for part in self.pair.parts:
            part.copy_rows(source, target, self.setup.on)

    def _move(self, step: float) -> int:
        """Move the volume along the direction; return how many voxels a bound stopped."""
        return sum(self._move_slab(part, step) for part in self.pair.parts)

    def _move_slab(self, part: Part, step: float) -> int:
        s, direction = self.setup, part.rows_of(self.direction)
        rows = part.rows_of(s.volume)
        stopped = _core.walk_step(direction, step, s.lower, s.upper, rows, s.on)
        part.put_rows(s.volume, rows)
        return stopped

    def _penalty(self, volume: Field) -> float:
        if not (self.damping or self.roughness):
            return 0.0
        rough = 0.0
        if self.roughness:
            (whole,) = self.pair.parts
            scratch = whole.rows_of(self.setup.cut.volume(whole.shape))
            rough = float(_core.roughness_step(0.0, whole.rows_of(volume), scratch, self.setup.on))
        square = exactly(self._square_slab(part, volume) for part in self.pair.parts)
        return self.damping * square + self.roughness * rough

    def _square_slab(self, part: Part, volume: Field) -> _core.ExactSum:
        rows = part.rows_of(volume)
        ones = part.cut_from(self.pair.scratch())
        _core.fill_step(1.0, ones, self.setup.on)
        return _core.square_step(ones, rows, self.setup.on)

    def _fresh_residual(self, *, started: bool) -> float:
        """Project the volume; return the sum of W r^2, with r in ``residual`` and W r in ``projected``."""
        s = self.setup
        if started:
            s.project(self.pair, s.volume, self.projected)
        s.over_layers(lambda b, r: _core.copy_step(b, r, s.on), [s.measured], [self.residual])
        self.gaps.put(self.residual, self.filled)
        return self._subtract(1.0)

    def _add_to_gaps(self, stack: Field, values: Float64) -> None:
        self.gaps.put(stack, self.gaps.take(stack) + values)

    def _misfit_of_gaps(self) -> float:
        """Return the sum of W r^2 of the rays that nobody measured."""
        return self.gaps.weight * float((self.gaps.take(self.residual) ** 2).sum())

    def _subtract(self, step: float) -> float:
        """Take ``step`` times ``projected`` from the residual; return the sum of W r^2, with W r in ``projected``."""
        s = self.setup

        def subtract(weights: Float32, residual: Float32, projected: Float32) -> _core.ExactSum:
            return _core.subtract_step(weights, step, residual, projected, s.on)

        return exactly(s.over_layers(subtract, [s.weights], [self.residual, self.projected]))
