# SPDX-License-Identifier: BSD-3-Clause
"""Least squares by conjugate gradients: plain, and with Tikhonov penalties."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from typing_extensions import Unpack

from .. import _core
from ..projection.operators import make_plan
from .inputs import Float32, ProjectionsLike, ViewsLike
from .iterate import Reconstruction, Setup, Sums, iterate
from .options import Options, as_setup, checked_count, checked_number
from .settings import ITERATIONS

__all__ = ["cgls", "lsqr"]


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
    1 (1991) 93, section 3, with the step halved until the objective falls.
    """
    setup = as_setup(stack, angles_deg, options, lower=-math.inf)
    return iterate(setup, checked_count(n_iter, "n_iter"), _Gradients(setup, 0.0, 0.0).steps())


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
    solver = _Gradients(setup, damping, roughness).steps()
    return iterate(setup, checked_count(n_iter, "n_iter"), solver)


class _Gradients:
    """Conjugate gradients on the normal equations, restarted where a bound stops a voxel."""

    def __init__(self, setup: Setup, damping: float, roughness: float) -> None:
        self.setup, self.damping, self.roughness = setup, damping, roughness
        self.bounded = math.isfinite(setup.lower) or math.isfinite(setup.upper)

    def steps(self) -> Iterator[Sums]:
        """Yield the residual sums, for :func:`iterate`."""
        setup = self.setup
        self.plan = make_plan(setup.problem.geometry, setup.problem.shape, setup.measured.shape[1:])
        self.projected = np.empty_like(setup.measured)
        self.descent = np.empty_like(setup.volume, subok=False)
        self.direction = np.zeros_like(self.descent)
        data = _core.square_step(setup.weights, setup.measured, setup.threads)
        self.residual = setup.measured.copy()
        misfit = self._fresh_residual(first=True)
        steepness = 0.0  # of the descent that the direction follows; 0 starts anew
        while True:
            yield misfit, data
            found = self._descend()
            square, slope = self._direct(found / steepness if steepness else 0.0)
            if slope <= 0.0:  # a bound has turned the direction uphill
                square, slope = self._direct(0.0)
            steepness = found
            self.plan.project(self.direction, self.projected, setup.threads, setup.cancel)
            curvature = _core.square_step(setup.weights, self.projected, setup.threads)
            curvature += self.damping * square + self.roughness * self._roughness()
            if curvature > 0.0:
                misfit = self._walk(slope / curvature, misfit)

    def _descend(self) -> float:
        """Set ``descent`` to half the negative gradient along which the volume may move; return its square."""
        setup = self.setup
        setup.backproject(self.plan, self.projected, self.descent)
        if self.roughness:
            _core.roughness_step(self.roughness, setup.volume, self.descent, setup.threads)
        return _core.descent_step(
            setup.volume,
            setup.mask,
            self.damping,
            setup.lower,
            setup.upper,
            self.descent,
            setup.threads,
        )

    def _direct(self, factor: float) -> tuple[float, float]:
        threads = self.setup.threads
        return _core.conjugate_step(self.descent, factor, self.direction, threads)

    def _roughness(self) -> float:
        if not self.roughness:
            return 0.0
        return _core.roughness_step(0.0, self.direction, self.descent, self.setup.threads)

    def _walk(self, step: float, misfit: float) -> float:
        """Move along the direction; return the sum of W r^2 there, with W r in ``projected``."""
        setup = self.setup
        if self.bounded:
            np.copyto(self.descent, setup.volume)
        if not self._move(step):
            return _core.subtract_step(
                setup.weights, step, self.residual, self.projected, setup.threads
            )
        before = misfit + self._penalty(self.descent)
        while True:
            found = self._fresh_residual()
            if found + self._penalty(setup.volume) <= before or step < 1e-6:
                return found
            step /= 2
            np.copyto(setup.volume, self.descent)
            self._move(step)

    def _move(self, step: float) -> int:
        s = self.setup
        return _core.walk_step(self.direction, step, s.lower, s.upper, s.volume, s.threads)

    def _penalty(self, volume: Float32) -> float:
        if not (self.damping or self.roughness):
            return 0.0
        rough = _core.roughness_step(0.0, volume, np.empty_like(volume), self.setup.threads)
        return (
            self.damping * float(np.sum(np.square(volume), dtype=np.float64))
            + self.roughness * rough
        )

    def _fresh_residual(self, *, first: bool = False) -> float:
        """Project the volume; return the sum of W r^2, with r in ``residual`` and W r in ``projected``."""
        setup = self.setup
        setup.project(self.plan, self.projected, first=first)
        np.copyto(self.residual, setup.measured)
        return _core.subtract_step(setup.weights, 1.0, self.residual, self.projected, setup.threads)
