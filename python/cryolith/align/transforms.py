# SPDX-License-Identifier: BSD-3-Clause
"""From arrays to a transform with its errors: preparation, coarse to fine, and what a matrix means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ..projection.rotations import angles_of
from .displacement import Found, Pair, Subject, Transform, refine
from .turns import Candidate, Search, binned, fourier_mellin, plane_turn

__all__ = ["MODELS", "Model", "best_of", "check_model", "described", "register_images", "subjects"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

Model = Literal["shift", "rigid", "similarity", "affine"]
MODELS = ("shift", "rigid", "similarity", "affine")

_TAPER, _TAPER_PX, _LEAST_TAPER_PX = 0.03, 24, 4  # of the windows; overlap.cpp says why
_EDGE = 200  # px that binning leaves of the shorter edge for the search
_GUESSES, _KEPT = 8, 6  # maxima of the log-polar correlation, and maxima of shifts
# With less evidence (as below) turns and scales are tried one after the other, on images of about this edge, whose
# border a step moves by 2 px.
_DOUBTFUL, _SMALL_EDGE, _TURN_DEG, _SCALE = 60.0, 80, 3.0, 1.06
_SCALES = (0.7, 1.4)
_ROUNDS_BINNED = 8
_SAME_PX = 4.0
_MIDDLE_EDGE = 256  # px: candidates are refined and compared on images of about this edge
# Log of likelihoods: of a million places one of noise passes 14.
_LEAST_EVIDENCE = 20.0


def check_model(model: str) -> None:
    if model not in MODELS:
        raise InputError(f"model: found {model!r}, expected one of {', '.join(MODELS)}")


def subjects(
    a: Float32, b: Float32, threads: int, cancel: _core.CancelToken | None = None
) -> tuple[Subject, Subject]:
    """Return arrays as the search sees them: counts with equal noise, missing pixels filled, windows over the edges."""
    filled, weights, counts = [], [], []
    for values in (a, b):
        planes = values.reshape(-1, *values.shape[-2:])
        out, weight = np.empty_like(planes), np.empty_like(planes)
        counts.append(_core.fill_missing(planes, out, weight, threads, cancel))
        filled.append(out.reshape(values.shape))
        weights.append(weight.reshape(values.shape))
    ready = []
    for values, weight in zip(filled, weights, strict=True):
        if all(counts):
            np.sqrt(values + 1, out=values)
        values -= values.mean(dtype=np.float64)
        ready.append(Subject(values, _windowed(weight)))
    return ready[0], ready[1]


def _windowed(weight: Float32) -> Float32:
    for axis, n in enumerate(weight.shape):
        inside = np.minimum(np.arange(n), n - 1 - np.arange(n)) / max(
            _LEAST_TAPER_PX, min(_TAPER_PX, _TAPER * n)
        )
        edge = 0.5 - 0.5 * np.cos(np.pi * np.clip(inside, 0, 1))
        weight *= edge.astype(np.float32).reshape(
            [-1 if k == axis else 1 for k in range(weight.ndim)]
        )
    return weight


def register_images(
    a: Float32, b: Float32, model: Model, max_shift: float, threads: int
) -> tuple[Found, list[Candidate]]:
    """Return the transform of image ``b`` against ``a``, and other places where they fit, the best first."""
    pair = subjects(a, b, threads)
    edge = min(a.shape)
    q = max(1, edge // _EDGE)
    small = binned(pair[0], q), binned(pair[1], q)
    matrices = fourier_mellin(
        small[0], small[1], scaled=model != "rigid", count=_GUESSES, threads=threads
    )
    candidates = [
        c.scaled(q)
        for c in Search(small[0], small[1], max_shift / q, threads).best(matrices, _KEPT)
    ]
    found, others = best_of(pair, candidates, model, _MIDDLE_EDGE, threads)
    if found.evidence < _DOUBTFUL and candidates:
        q = max(1, edge // _SMALL_EDGE)
        small = binned(pair[0], q), binned(pair[1], q)
        tried = Search(small[0], small[1], max_shift / q, threads).best(_turns(model), _KEPT)
        again = best_of(pair, [c.scaled(q) for c in tried], model, _MIDDLE_EDGE, threads)
        if again[0].evidence > found.evidence:
            return again
    return found, others


def _turns(model: Model) -> list[Float64]:
    scales = [1.0]
    if model != "rigid":
        low, high = (round(np.log(s) / np.log(_SCALE)) for s in _SCALES)
        scales = [_SCALE**k for k in range(low, high + 1)]
    return [s * plane_turn(t) for s in scales for t in np.arange(0, 360, _TURN_DEG)]


def best_of(
    pair: tuple[Subject, Subject],
    candidates: list[Candidate],
    model: Model,
    middle_edge: int,
    threads: int,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Found, list[Candidate]]:
    """Refine candidates on binned arrays and the likeliest on the whole ones; return it, and the others."""
    axes = pair[0].values.ndim
    if not candidates:
        nothing = np.full((axes * (1 + axes),) * 2, np.inf)
        return Found(Transform.unity(axes), nothing, 0.0, 0.0, 0.0), []
    q = -(-min(pair[0].values.shape) // middle_edge)
    middle = Pair(binned(pair[0], q), binned(pair[1], q), threads, cancel)
    first: Model = "similarity" if model == "affine" else model
    places: list[tuple[Found, Candidate]] = []
    for number, candidate in enumerate(candidates):
        start = Transform(candidate.transform.matrix, candidate.transform.shift / q)
        if not any(_same(start, f.transform, middle.shape) for f, _ in places):
            places.append((refine(middle, start, first, _ROUNDS_BINNED), candidate))
        if progress is not None:
            progress(0.5 + 0.25 * (number + 1) / len(candidates))
    found, chosen = max(places, key=lambda p: p[0].evidence)
    start = Transform(found.transform.matrix, found.transform.shift * q)
    found = refine(Pair(pair[0], pair[1], threads, cancel), start, model)
    if found.evidence < _LEAST_EVIDENCE:
        found = Found(
            found.transform,
            np.full_like(found.covariance, np.inf),
            found.peak,
            found.top,
            found.evidence,
        )
    return found, _others(chosen, candidates, pair[0].values.shape)


def _others(
    chosen: Candidate, candidates: list[Candidate], shape: tuple[int, ...]
) -> list[Candidate]:
    """Return the candidates elsewhere, the highest first, with heights over the chosen one's."""
    out: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: -c.height):
        if not any(_same(c.transform, d.transform, shape) for d in (chosen, *out)):
            out.append(Candidate(c.height / chosen.height, c.transform))
    return out


def _same(one: Transform, other: Transform, shape: tuple[int, ...]) -> bool:
    """Whether two transforms differ by less than a few px at half the way to the border."""
    turned = np.linalg.norm(one.matrix - other.matrix, 2) * min(shape) / 4
    return bool(turned + np.linalg.norm(one.shift - other.shift) < _SAME_PX)


def described(matrix: Float64) -> Float64:
    """Return rotation [deg] (one angle, or about x, y and z of ``rotation_matrix``) and magnification of a matrix.

    The rotation is that nearest to the matrix (polar decomposition), the magnification the root of its determinant.
    """
    u, _, vt = np.linalg.svd(matrix)
    rotation = u @ vt
    magnification = abs(np.linalg.det(matrix)) ** (1 / len(matrix))
    if len(matrix) == 2:
        return np.array([np.degrees(np.arctan2(rotation[0, 1], rotation[0, 0])), magnification])
    return np.array([*angles_of(rotation), magnification])


def described_errors(transform: Transform, covariance: Float64) -> Float64:
    """Return the standard deviations of what :func:`described` says, from the covariance of a displacement."""
    d = len(transform.matrix)
    if not np.isfinite(covariance).all():
        return np.full(2 if d == 2 else 4, np.inf)
    small = 1e-6
    slopes = []
    for i in range(d):
        for m in range(1 + d):
            step = np.zeros((d, 1 + d))
            step[i, m] = small
            ends = [described(transform.after(s * step).matrix) for s in (1, -1)]
            difference = ends[0] - ends[1]
            difference[:-1] = (difference[:-1] + 180) % 360 - 180
            slopes.append(difference / (2 * small))
    j = np.array(slopes)
    return np.asarray(np.sqrt(np.maximum(np.einsum("pk,pq,qk->k", j, covariance, j), 0)))


def transform_covariance(transform: Transform, covariance: Float64) -> Float64:
    """Return the covariance of (shift_i, matrix_i.) in the order (i, m), from that of a displacement before it."""
    d = len(transform.matrix)
    # shift' = shift + M tau, matrix' = M (1 + G): each column m of (shift, matrix) is M times that of (tau, G).
    j = np.einsum("ij,mn->imjn", transform.matrix, np.eye(1 + d)).reshape(d * (1 + d), -1)
    if not np.isfinite(covariance).all():
        return np.full_like(covariance, np.inf)
    return np.asarray(j @ covariance @ j.T)
