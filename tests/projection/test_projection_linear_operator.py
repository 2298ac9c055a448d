# SPDX-License-Identifier: BSD-3-Clause
"""The pair as SciPy's LinearOperator."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator, cg, lsqr

from cryolith.errors import InputError
from cryolith.projection import Geometry, backproject, linear_operator, project

SHAPE, IMAGE = (7, 6, 12), (9, 14)
GEOMETRY = Geometry.single_axis(np.linspace(-70, 65, 10), tilt_axis_deg=11.0, axis_offset_px=0.3)
STACK = (len(GEOMETRY), *IMAGE)


def test_it_is_the_pair(rng):
    A = linear_operator(GEOMETRY, SHAPE, IMAGE)  # noqa: N806
    assert A.shape == (np.prod(STACK), np.prod(SHAPE))
    volume, stack = rng.random(SHAPE, dtype="f4"), rng.random(STACK, dtype="f4")
    assert np.array_equal((A @ volume.ravel()).reshape(STACK), project(volume, GEOMETRY, IMAGE))
    assert np.array_equal((A.T @ stack.ravel()).reshape(SHAPE), backproject(stack, GEOMETRY, SHAPE))
    assert np.array_equal(A.H @ stack.ravel(), A.T @ stack.ravel())
    assert (A @ volume.ravel()).dtype == np.float32
    # Any real vector, a column and several columns at once.
    columns = rng.random((np.prod(SHAPE), 2))
    assert (A @ columns).shape == (np.prod(STACK), 2)
    assert (A @ columns[:, :1]).shape == (np.prod(STACK), 1)
    assert np.array_equal((A @ columns)[:, 1], A @ columns[:, 1].astype("f4"))


@pytest.mark.parametrize("kind", ["none", "per tilt", "per ray"])
def test_the_adjoint_is_exact(kind, rng):
    weights = {"none": None, "per tilt": rng.random(len(GEOMETRY)), "per ray": rng.random(STACK)}
    A = linear_operator(GEOMETRY, SHAPE, IMAGE, weights=weights[kind])  # noqa: N806
    for _ in range(5):
        x = rng.standard_normal(A.shape[1]).astype("f4")
        y = rng.standard_normal(A.shape[0]).astype("f4")
        ax, aty = (A @ x).astype("f8"), (A.T @ y).astype("f8")
        error = abs(ax @ y - x @ aty)
        assert error < 1e-6 * np.linalg.norm(ax) * np.linalg.norm(y)


def test_lsqr_finds_the_volume(rng):
    A = linear_operator(GEOMETRY, (5, 4, 8), IMAGE)  # noqa: N806
    truth = rng.random((5, 4, 8))
    x = lsqr(A, A @ truth.ravel(), atol=1e-7, btol=1e-7, iter_lim=400)[0]
    residual = np.linalg.norm(A @ x - A @ truth.ravel()) / np.linalg.norm(A @ truth.ravel())
    assert residual < 1e-4
    assert np.linalg.norm(x - truth.ravel()) < 0.05 * np.linalg.norm(truth)


def test_weights_leave_rays_out_of_least_squares(rng):
    weights = np.ones(STACK)
    weights[2, 3:6] = 0
    A = linear_operator(GEOMETRY, (5, 4, 8), IMAGE, weights=weights)  # noqa: N806
    data = (linear_operator(GEOMETRY, (5, 4, 8), IMAGE) @ rng.random(160)).reshape(STACK)
    spoiled = data.copy()
    spoiled[2, 3:6] = 1e4
    clean, dirty = (lsqr(A, (d * weights).ravel(), iter_lim=20)[0] for d in (data, spoiled))
    assert np.array_equal(clean, dirty)


def test_it_combines_with_other_operators(rng):
    A = linear_operator(GEOMETRY, (5, 4, 8), IMAGE)  # noqa: N806
    ridge = A.T @ A + 10.0 * aslinearoperator(np.eye(160, dtype="f4"))
    b = A.T @ (A @ rng.random(160))
    x, failed = cg(ridge, b, rtol=1e-4)
    assert failed == 0
    assert np.linalg.norm(ridge @ x - b) < 1e-3 * np.linalg.norm(b)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: linear_operator(GEOMETRY, SHAPE, IMAGE, weights=[1.0]), "weights: found shape"),
        (lambda: linear_operator(GEOMETRY, SHAPE, IMAGE, weights=-np.ones(10)), "weights: found"),
        (lambda: linear_operator(GEOMETRY, SHAPE, IMAGE) @ np.full(504, np.nan), "x: found NaN"),
    ],
)
def test_what_does_not_fit_is_refused(call, word):
    with pytest.raises(InputError, match=word):
        call()


def test_without_scipy_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    with pytest.raises(ImportError, match="pip install scipy"):
        linear_operator(GEOMETRY, SHAPE, IMAGE)
