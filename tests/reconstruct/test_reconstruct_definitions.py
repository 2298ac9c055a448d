# SPDX-License-Identifier: BSD-3-Clause
"""Every iterative solver equals its definition on an explicit matrix (tests/reference/solvers.py)."""

from __future__ import annotations

import numpy as np
import pytest
from reference import projection, solvers
from scipy.sparse.linalg import lsqr as scipy_lsqr

from cryolith.projection import Geometry
from cryolith.reconstruct import cgls, dart, lsqr, mlem, sart, sirt, tv

SHAPE, IMAGE = (7, 2, 8), (2, 9)
ANGLES = np.array([-55.0, -20.0, 5.0, 40.0, 80.0])
GEOMETRY = Geometry.single_axis(ANGLES, shifts_px=np.linspace(-0.4, 0.4, 10).reshape(5, 2))
# float32 against float64: each iteration rounds some ten sums of 10 to 100 terms; the largest seen is 2e-6 of the
# values.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def problem():
    """Matrix, a volume of blocks, its noisy images, and weights with a missing ray."""
    a = projection.matrix(GEOMETRY.poses(), SHAPE, IMAGE).reshape(5 * 18, -1)
    rng = np.random.default_rng(11)
    truth = np.zeros(SHAPE)
    truth[2:5, :, 2:6] = 1.0
    truth[3:5, 1, 4:6] = 2.0
    b = a @ truth.ravel() + rng.normal(0, 0.05, len(a))
    stack = b.reshape(5, *IMAGE).astype("f4")
    weights = rng.uniform(0.5, 1.0, stack.shape).astype("f4")
    weights.flat[0] = 1.0  # the largest: a solver divides by it
    weights[2, 1, 4] = 0.0
    return a, stack.astype("f8").ravel(), stack, weights


def near(got, want):
    assert np.abs(np.asarray(got).ravel() - want).max() < TOLERANCE * np.abs(want).max()


def rays(count):
    """The rays of each subset of the tilts, in turn."""
    by_tilt = np.arange(5 * 18).reshape(5, 18)
    return [
        by_tilt[np.sort(np.argsort(ANGLES)[k::count])].ravel() for k in solvers.golden_order(count)
    ]


@pytest.mark.parametrize("bounds", [(0.0, np.inf), (-np.inf, 0.9), (0.05, 1.1)])
def test_sirt(problem, bounds):
    a, b, stack, w = problem
    mask = np.ones(SHAPE, bool)
    mask[0] = False
    got = sirt(
        stack,
        GEOMETRY,
        shape=SHAPE,
        n_iter=6,
        relaxation=0.9,
        weights=w,
        mask=mask,
        lower=bounds[0],
        upper=bounds[1],
    )
    start = np.clip(np.zeros(a.shape[1]), *bounds)
    want = solvers.sirt(
        a, b, w.ravel(), 6, *bounds, mask=mask.ravel() * 1.0, relaxation=0.9, x=start
    )
    near(got, want)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_sart(problem, count):
    a, b, stack, w = problem
    got = sart(stack, GEOMETRY, shape=SHAPE, n_iter=3, subsets=count, relaxation=0.7, weights=w)
    near(got, solvers.sirt(a, b, w.ravel(), 3, relaxation=0.7, parts=rays(count)))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_cgls(problem, n):
    a, b, stack, w = problem
    got = cgls(stack, GEOMETRY, shape=SHAPE, n_iter=n, weights=w)
    near(got, solvers.krylov(a, b, w.ravel(), n))


@pytest.mark.parametrize(("damp", "smooth"), [(0.8, 0.0), (0.3, 0.6)])
def test_lsqr(problem, damp, smooth):
    a, b, stack, w = problem
    got = lsqr(stack, GEOMETRY, shape=SHAPE, n_iter=5, damp=damp, smooth=smooth, weights=w)
    rows = np.concatenate(
        [damp * np.eye(a.shape[1]), smooth * np.concatenate(list(solvers.differences(SHAPE)))]
    )
    near(got, solvers.krylov(a, b, w.ravel(), 5, rows))


def test_lsqr_is_scipys(problem):
    a, b, stack, _ = problem
    got = lsqr(stack, GEOMETRY, shape=SHAPE, n_iter=6, damp=0.8)
    near(got, scipy_lsqr(a, b, damp=0.8, iter_lim=6, atol=0, btol=0, conlim=0)[0])


@pytest.mark.parametrize("count", [1, 2])
def test_mlem(problem, count):
    a, b, stack, w = problem
    got = mlem(stack, GEOMETRY, shape=SHAPE, n_iter=2, subsets=count, weights=w)
    near(got, solvers.mlem(a, b, w.ravel(), 2, parts=rays(count)))


@pytest.mark.parametrize(("axis", "huber"), [((1, 1, 1), 0.0), ((1.5, 0.5, 1.0), 0.2)])
def test_tv(problem, axis, huber):
    a, b, stack, w = problem
    got = tv(
        stack,
        GEOMETRY,
        shape=SHAPE,
        n_iter=12,
        strength=0.05,
        huber=huber,
        axis_weights=axis,
        weights=w,
        upper=1.5,
    )
    strength = 0.05 * float((w.ravel() * b**2).sum() / (w.ravel() * np.abs(b)).sum())
    want = solvers.tv(a, b, w.ravel(), 12, SHAPE, strength, axis, huber, upper=1.5)
    near(got, want)


def test_dart(problem):
    a, b, stack, w = problem
    how = {"first": 6, "inner": 4, "chance": 0.2, "smoothing": 0.1, "seed": 3}
    got = dart(stack, GEOMETRY, shape=SHAPE, n_iter=3, levels=[1.0, 0.0, 2.0], weights=w, **how)
    want = solvers.dart(a, b, w.ravel(), 3, SHAPE, [0.0, 1.0, 2.0], **how)
    assert np.array_equal(np.asarray(got).ravel(), want)
