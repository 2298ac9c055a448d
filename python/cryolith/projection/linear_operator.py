# SPDX-License-Identifier: BSD-3-Clause
"""The projector pair as a matrix, for SciPy's solvers and everything that is written against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import InputError
from .geometry import Geometry
from .operators import make_plan

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

__all__ = ["linear_operator"]

Float32 = npt.NDArray[np.float32]


def linear_operator(
    geometry: Geometry,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int],
    *,
    weights: npt.ArrayLike | None = None,
    threads: int = 0,
) -> LinearOperator:
    """Return A with ``A @ volume.ravel()`` the projections and ``A.T @ stack.ravel()`` the back-projection.

    Parameters
    ----------
    geometry : Geometry
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    image_shape : (int, int)
        (height, width) of the images.
    weights : (n_tilts,) or (n_tilts, height, width), optional
        Multiply the rows of A; 0 is a missing ray. Multiply the data with the same numbers: for least squares
        weighted with 1 / variance these are 1 / sigma.
    threads : int, default 0
        As in :func:`project`.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        (n_tilts height width, nz ny nx) float32. Vectors of any real type are converted; the adjoint is exact.

    Raises
    ------
    ImportError
        SciPy is not installed.
    InputError
        A wrong shape, or weights that are negative or not finite.

    Examples
    --------
    >>> A = linear_operator(geometry, (64, 128, 128), stack.shape[1:])   # doctest: +SKIP
    >>> x = scipy.sparse.linalg.lsqr(A, stack.ravel(), iter_lim=20)[0].reshape(64, 128, 128)   # doctest: +SKIP
    """
    try:
        from scipy.sparse.linalg import LinearOperator
    except ImportError as error:
        raise ImportError(
            "linear_operator: found no SciPy, expected it to be installed; run 'pip install scipy'"
        ) from error
    plan = make_plan(geometry, shape, image_shape)
    stack_shape = (len(geometry), *image_shape)
    rows = _row_weights(weights, stack_shape)

    def matvec(x: npt.NDArray[Any]) -> Float32:
        images = np.empty(stack_shape, np.float32)
        plan.project(_as_block(x, "x", shape), images, threads, None)
        if rows is not None:
            images *= rows
        return images.ravel()

    def rmatvec(y: npt.NDArray[Any]) -> Float32:
        images: Float32 = _as_block(y, "y", stack_shape)
        volume = np.empty(shape, np.float32)
        plan.backproject(images if rows is None else images * rows, volume, threads, None)
        return volume.ravel()

    return LinearOperator(
        (int(np.prod(stack_shape)), int(np.prod(shape))),
        matvec=matvec,
        rmatvec=rmatvec,
        dtype=np.float32,
    )


def _as_block(vector: npt.NDArray[Any], name: str, shape: tuple[int, ...]) -> Float32:
    flat: Float32 = as_core(np.asarray(vector).ravel(), name, ("n",))
    if _core.count_missing(flat.reshape(shape), 1, None):
        raise InputError(f"{name}: found NaN or infinity, expected finite numbers; give weights 0")
    return flat.reshape(shape)


def _row_weights(weights: npt.ArrayLike | None, shape: tuple[int, int, int]) -> Float32 | None:
    if weights is None:
        return None
    given = np.asarray(weights, dtype=np.float32)
    if given.ndim == 1:
        given = given[:, None, None]
    if given.shape not in (shape, (shape[0], 1, 1)):
        raise InputError(
            f"weights: found shape {np.shape(weights)}, expected ({shape[0]},) or {shape}"
        )
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise InputError("weights: found a negative or non-finite weight, expected 0 or more")
    return np.array(np.broadcast_to(given, shape))
