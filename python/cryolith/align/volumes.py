# SPDX-License-Identifier: BSD-3-Clause
"""How two volumes of one specimen lie against each other: dual-axis and time series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import InputError
from .displacement import Subject
from .registration import Registration, reach, registration, require_pixels, usable
from .transforms import Model, best_of, check_model, subjects
from .turns import Candidate, Search, binned, rotations

__all__ = ["register_volumes"]

Float32 = npt.NDArray[np.float32]

_LEAST_EDGE = 16
# Edge of the binned volumes that are turned, and how far apart the turns may be: 2 px half-way to the border. Of the
# whole sphere there are thousands, so they are looked through on smaller volumes.
_WIDE_DEG = 40.0
_EDGE, _WIDE_EDGE = 48, 28
_APART_PX = 2.0
_KEPT = 8
_MIDDLE_EDGE = 64
_AT_ONCE = 64  # rotations between two calls of progress


def register_volumes(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    model: Model = "rigid",
    coverage_a: npt.ArrayLike | None = None,
    coverage_b: npt.ArrayLike | None = None,
    mask_a: npt.ArrayLike | None = None,
    mask_b: npt.ArrayLike | None = None,
    max_shift: float | None = None,
    max_rotation_deg: float = 20.0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Registration:
    """Find how volume ``b`` lies against volume ``a``, with its error.

    Parameters
    ----------
    a, b : (nz, ny, nx) array_like of real numbers
        Two volumes of one specimen, of one shape. NaN and infinity are missing voxels.
    model : {"shift", "rigid", "similarity", "affine"}, default "rigid"
        What may differ beside the shift: nothing; a rotation; that and a few per cent of magnification; those and a
        stretch of a few per cent.
    coverage_a, coverage_b : (nz, ny, nx // 2 + 1) array_like of real numbers, optional
        How much of each frequency the volume holds, 0 to 1, in the order of ``numpy.fft.rfftn``: what
        :func:`cryolith.metrics.transfer_function` returns. Only frequencies that both hold are compared. All when not
        given: a missing wedge then pulls the rotation towards itself.
    mask_a, mask_b : (nz, ny, nx) array_like of bool, optional
        True where a voxel may be used.
    max_shift : float, optional [px]
        Half of the shortest edge when not given.
    max_rotation_deg : float, default 20 [deg]
        The largest rotation to look for, about any axis; 180 looks everywhere (5500 rotations of small volumes). The
        second series of a dual-axis pair is turned by about 90 degrees.
    threads, cancel
        As everywhere.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        Different shapes, fewer than 16 voxels along an axis, an unknown model, a mask or coverage of another shape, no
        voxel to use, ``max_shift`` or ``max_rotation_deg`` out of range.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    Shift first, by one weighted correlation; then of turned copies of ``b``, binned, from a lattice of rotation
    vectors, and Gauss-Newton steps on all parameters of the best ones. Weights, errors and their derivation are
    those of images: design/016-transforms.md. Half-way through ``progress`` all rotations have been tried.
    """
    check_model(model)
    pair = _pair(a, b, (mask_a, mask_b), (coverage_a, coverage_b), threads, cancel)
    shape = pair[0].values.shape
    if not 0 <= max_rotation_deg <= 180:
        raise InputError(f"max_rotation_deg: found {max_rotation_deg}, expected 0 to 180 degrees")
    furthest = reach(max_shift) or min(shape) / 2
    turned = model != "shift" and max_rotation_deg > 0
    edge = _WIDE_EDGE if turned and max_rotation_deg > _WIDE_DEG else _EDGE
    q = -(-min(shape) // edge)
    small = binned(pair[0], q), binned(pair[1], q)
    apart = np.degrees(_APART_PX / (min(small[0].values.shape) / 4))
    matrices = rotations(max_rotation_deg, float(apart)) if turned else [np.eye(3)]
    search = Search(small[0], small[1], furthest / q, threads, cancel)
    found: list[Candidate] = []
    for first in range(0, len(matrices), _AT_ONCE):
        found += search.best(matrices[first : first + _AT_ONCE], _KEPT)
        found = sorted(found, key=lambda c: -c.height)[:_KEPT]
        if progress is not None:
            progress(0.5 * min(1.0, (first + _AT_ONCE) / len(matrices)))
    candidates = [c.scaled(q) for c in found]
    result = best_of(pair, candidates, model, _MIDDLE_EDGE, threads, cancel, progress)
    if progress is not None:
        progress(1.0)
    return registration(*result)


def _pair(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    masks: tuple[npt.ArrayLike | None, npt.ArrayLike | None],
    coverages: tuple[npt.ArrayLike | None, npt.ArrayLike | None],
    threads: int,
    cancel: _core.CancelToken | None,
) -> tuple[Subject, Subject]:
    volumes = [as_core(v, name, ("nz", "ny", "nx")) for v, name in ((a, "a"), (b, "b"))]
    shape = volumes[0].shape
    if volumes[1].shape != shape:
        raise InputError(
            f"b: found shape {volumes[1].shape}, expected {shape}, the shape of a; crop or pad one of them"
        )
    if min(shape) < _LEAST_EDGE:
        raise InputError(
            f"a: found shape {shape}, expected at least {_LEAST_EDGE} voxels along each axis"
        )
    volumes = [usable(v, m, n) for v, m, n in zip(volumes, masks, "ab", strict=True)]
    require_pixels(volumes)
    ready = subjects(volumes[0], volumes[1], threads, cancel)
    whole = [_whole(c, shape, n) for c, n in zip(coverages, "ab", strict=True)]
    first, second = (replace(s, coverage=c) for s, c in zip(ready, whole, strict=True))
    return first, second


def _whole(coverage: npt.ArrayLike | None, shape: tuple[int, ...], name: str) -> Float32 | None:
    """Return the centred whole spectrum of a half one, 0 to 1."""
    if coverage is None:
        return None
    half = as_core(coverage, f"coverage_{name}", ("nz", "ny", "nx // 2 + 1"))
    expected = (*shape[:-1], shape[-1] // 2 + 1)
    if half.shape != expected:
        raise InputError(
            f"coverage_{name}: found shape {half.shape}, expected {expected}, as numpy.fft.rfftn orders it"
        )
    if not np.isfinite(half).all():
        raise InputError(f"coverage_{name}: found NaN or infinity, expected 0 to 1")
    columns = np.arange(shape[-1])
    mirrored = half[:, :, np.minimum(columns, shape[-1] - columns)]
    negative = columns > shape[-1] // 2
    mirrored[:, :, negative] = mirrored[-np.arange(shape[0])][:, -np.arange(shape[1])][
        :, :, negative
    ]
    whole = np.clip(np.fft.fftshift(mirrored), 0, 1)
    # The window smears each coefficient over its neighbours: one beside a missing one has lost a part of its own and
    # the other volume has not.
    for axis, n in enumerate(shape):
        beside = [np.take(whole, np.clip(np.arange(n) + k, 0, n - 1), axis) for k in (-1, 1)]
        whole = np.minimum(whole, np.minimum(*beside))
    return np.ascontiguousarray(whole)
