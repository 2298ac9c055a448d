# SPDX-License-Identifier: BSD-3-Clause
"""Every iterative solver equals its definition on an explicit matrix (tests/reference/solvers.py)."""

from __future__ import annotations

import numpy as np
import pytest
from reference import projection, solvers
from scipy.sparse.linalg import lsqr as scipy_lsqr

from cryolith.projection import Geometry, project
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
    opened = solvers.open_gaps(a, b, w.ravel(), stack.shape)
    near(got, solvers.krylov(*opened, n)[: a.shape[1]])


@pytest.mark.parametrize("axis", [0.0, 90.0])
def test_only_short_gaps_between_measured_pixels_are_unknowns(axis):
    """Gaps of 1, 2, 8 pixels between others; one of 9, one at an edge and a lost image are left out."""
    geometry = Geometry.single_axis(ANGLES, tilt_axis_deg=axis)
    rng = np.random.default_rng(4)
    stack = rng.uniform(1, 2, (5, 2, 14)).astype("f4")
    for tilt, row, first, last in [(0, 0, 3, 4), (0, 1, 2, 4), (1, 0, 5, 13), (1, 1, 2, 11)]:
        stack[tilt, row, first:last] = np.nan
    stack[2, 0, :2] = stack[2, 1, 12:] = stack[3] = np.nan
    a = projection.matrix(Geometry.single_axis(ANGLES).poses(), SHAPE, (2, 14)).reshape(5 * 28, -1)
    given = stack if axis == 0.0 else np.rot90(stack, -1, axes=(1, 2))
    b, w = np.nan_to_num(stack).astype("f8").ravel(), np.isfinite(stack).astype("f8").ravel()
    opened = solvers.open_gaps(a, b, w, stack.shape)
    assert opened[0].shape[1] - a.shape[1] == 1 + 2 + 8
    near(cgls(given, geometry, shape=SHAPE, n_iter=4), solvers.krylov(*opened, 4)[: a.shape[1]])


@pytest.mark.parametrize("lower", [-np.inf, 0.0])
def test_unknown_values_of_gaps_do_not_move_the_minimum(problem, lower):
    a, b, stack, w = problem
    got = lsqr(stack, GEOMETRY, shape=SHAPE, n_iter=300, damp=0.8, weights=w, lower=lower)
    slope = a.T @ (w.ravel() * (b - a @ np.asarray(got, "f8").ravel())) - 0.64 * got.ravel()
    free = np.asarray(got).ravel() > lower
    assert np.abs(slope[free]).max() < 1e-4 * np.abs(a.T @ (w.ravel() * b)).max()
    misfit = np.sqrt((w.ravel() * (b - a @ got.ravel()) ** 2).sum() / (w.ravel() * b**2).sum())
    assert got.history[-1] == pytest.approx(misfit, rel=1e-4)


def test_one_missing_ray_hardly_slows_conjugate_gradients():
    """It did: without a start for its value four iterations differ by 4.7e-4, with one by 4.0e-5."""
    geometry = Geometry.single_axis(np.arange(-90.0, 90.0, 3.0))
    z, x = np.ogrid[-31.5:32:1, -31.5:32:1]
    blob = np.exp(-((z - 6) ** 2 + (x + 4) ** 2) / 200)
    stack = project(np.repeat(blob[:, None], 2, 1), geometry, (2, 64))
    lost = stack.copy()
    lost[30, :, 40] = np.nan
    runs = [cgls(s, geometry, shape=(64, 2, 64), n_iter=4) for s in (stack, lost)]
    apart = np.linalg.norm(runs[1] - runs[0]) / np.linalg.norm(runs[0])
    assert apart < 1e-4


@pytest.mark.parametrize(("damp", "smooth"), [(0.8, 0.0), (0.3, 0.6)])
def test_lsqr(problem, damp, smooth):
    a, b, stack, w = problem
    got = lsqr(stack, GEOMETRY, shape=SHAPE, n_iter=5, damp=damp, smooth=smooth, weights=w)
    rows = np.concatenate(
        [damp * np.eye(a.shape[1]), smooth * np.concatenate(list(solvers.differences(SHAPE)))]
    )
    opened = solvers.open_gaps(a, b, w.ravel(), stack.shape)
    rows = np.pad(rows, ((0, 0), (0, opened[0].shape[1] - a.shape[1])))
    near(got, solvers.krylov(*opened, 5, rows)[: a.shape[1]])


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
