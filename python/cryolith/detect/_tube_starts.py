# SPDX-License-Identifier: BSD-3-Clause
"""Where the fit of a line starts: on the traced path, on its chord, and where else along the worst-seen way it may lie.

The plane of Fourier terms of a line that the missing wedge hides all but lacks: its ends alone say where along the beam
it lies, the traced path zigzags by many pixels, and from there the likelihood climbs to a wrong top.
"""

from __future__ import annotations

import math

import numpy as np

from ._inputs import Float64
from ._tube_fit import Beads, best_piece

__all__ = ["chord", "hopeful", "lengthened", "spaced", "swung_piece", "worst_way"]

_BEYOND = 2.5  # filter lengths that a line is followed straight on beyond its last voxel
_STEP = 0.25  # px, along a line
_REACH = 2.0  # filter lengths that either end is moved along the worst-seen way
_ACROSS = 1.7  # widths between trials of an end: a bead's response hardly falls half as far away
_LONGER = 2.0  # log likelihood that a line drawn on has to bring
_HOPEFUL = 0.6  # of the best start's log likelihood: others that have as much are tried too
_SAME = 2.0  # px: starts whose ends and middles are nearer than this are one
_TURNS = 6  # of drawing it on


def spaced(places: Float64, step: float) -> Float64:
    """Return points of a polyline ``step`` apart, from its first on."""
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(places, axis=0), axis=1).cumsum()])
    at = np.arange(0.0, along[-1] + 1e-9, step)
    return np.stack([np.interp(at, along, places[:, a]) for a in range(3)], axis=1)


def lengthened(places: Float64, length: float) -> Float64:
    """Return points of a line with a straight piece of 2.5 filter lengths at either end, along its last few steps."""
    n = min(6, len(places) - 1)
    start, end = places[0] - places[n], places[-1] - places[-1 - n]
    steps = np.arange(_BEYOND * length, 0.0, -0.5)
    before = places[0] + np.outer(steps, start / np.linalg.norm(start))
    after = places[-1] + np.outer(steps[::-1], end / np.linalg.norm(end))
    return spaced(np.concatenate([before, places, after]), _STEP)


def chord(places: Float64, axis: Float64) -> Float64:
    """Return a straight line through places: what smears link may zigzag."""
    middle = places.mean(axis=0)
    way = np.linalg.svd(places - middle)[2][0] if len(places) > 2 else axis
    along = (places - middle) @ way
    out: Float64 = middle + np.outer(np.linspace(along.min() - 2, along.max() + 2, 32), way)
    return out


def worst_way(metric: Float64, axis: Float64) -> Float64:
    """Return the unit vector across an axis along which a filter's response falls the slowest.

    ``metric`` (3, 3) is that of the response's correlation over place.
    """
    across = np.linalg.svd(axis[None])[2][1:]
    return np.asarray(np.linalg.eigh(across @ metric @ across.T)[1][:, 0] @ across)


def swung_piece(beads: Beads, line: Float64, way: Float64, sign: int) -> tuple[Float64, float]:
    """Return the piece that fits best, and its log likelihood, of lines whose ends lie elsewhere along ``way``.

    Each end is moved by up to two filter lengths; a line is drawn on as long as that brings something.
    """
    step = _ACROSS * beads.width
    most = math.ceil(_REACH * beads.length / step)
    shifts = step * np.arange(-most, most + 1)
    best, gain = line, -math.inf
    for _ in range(_TURNS):
        long = lengthened(best, beads.length)
        share = np.linspace(0.0, 1.0, len(long))[:, None]
        trials = (
            best_piece(beads, long + ((1 - share) * a + share * b) * way, sign)
            for a in shifts
            for b in shifts
        )
        piece, then = max(trials, key=lambda t: t[1])
        if not then > gain + _LONGER:
            break
        best, gain = piece, then
    return best, gain


def hopeful(starts: list[tuple[Float64, float]]) -> list[Float64]:
    """Return the lines, of those with their log likelihoods, that are worth a fit, the likeliest first."""
    ranked = sorted(starts, key=lambda s: -s[1])
    kept: list[Float64] = []
    for line, gain in ranked:
        marks = line[[0, len(line) // 2, -1]] if gain > max(_HOPEFUL * ranked[0][1], 0.0) else None
        if marks is not None and all(_gap(marks, other) > _SAME for other in kept):
            kept.append(line)
    return kept


def _gap(marks: Float64, line: Float64) -> float:
    """Return how far three marks of a line lie from those of another, drawn either way, at most."""
    other = line[[0, len(line) // 2, -1]]
    return min(float(np.linalg.norm(marks - o, axis=1).max()) for o in (other, other[::-1]))
