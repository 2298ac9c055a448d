# SPDX-License-Identifier: BSD-3-Clause
"""Which spots of the images of a tilt series are one bead: a first geometry, and points that explain the spots.

1. The step from each image to the next is the shift that most pairs of spots agree on, once for each direction of
   the axis (images shrink across it with the cosine of the tilt). 2. A spot of one image is a point whose depth
   is not known; the depth is taken at which most other images have a spot where the point would be seen. 3. A bundle
   adjustment refines the geometry; spots are assigned anew within gates that narrow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .bundle import Bundle, View, adjust, project_points
from .coarse import frame

__all__ = ["assign", "find_tracks"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_AXES_DEG = 15.0
_CANDIDATES = 3
_VOTE_PX = 3.0
_AGREE_PX = 4.0
_FIRST_GATE_PX = 6.0
_GATES_PX = (6.0, 4.0, 2.5, 2.0)
_LEAST_SUPPORT = 0.4  # of the images that would show a point
_DEPTH = 0.35  # of the images' edge: farthest from the middle plane
_DEPTH_STEP_PX = 3.0
_SEED_IMAGES = 5
_MOST_POINTS = 150
_LEAST_IMAGES = 5
_LOST = 0.25  # of the farthest place: how far off a lost image may be
_MORE = 1.3  # times as many spots that fit, and two more: then another shift of an image is the right one


def _first_views(spots: list[Float64], angles_deg: Float64, reach_px: float) -> list[View]:
    """Return a first geometry for each direction of the axis."""
    found = []
    for axis in np.arange(0.0, 180.0, _AXES_DEG):
        turn = frame(float(axis))
        shifts = _chained([s @ turn for s in spots], angles_deg, reach_px)
        found.append(View.simple(angles_deg, float(axis), shifts @ turn.T))
    return found


def _chained(spots: list[Float64], angles_deg: Float64, reach: float) -> Float64:
    """Shifts (n, 2) along and across the axis from the lowest tilt outward."""
    n, cosine = len(spots), np.maximum(np.cos(np.deg2rad(angles_deg)), 0.1)
    start = int(np.argmin(np.abs(angles_deg)))
    shifts = np.zeros((n, 2))
    for side in (-1, 1):
        i = start
        while 0 <= i + side < n:
            j = i + side
            stretch = np.array([1.0, cosine[j] / cosine[i]])
            step, _ = _step(spots[i] * stretch, spots[j], reach)
            shifts[j] = shifts[i] * stretch + step
            i = j
    return shifts


def _step(a: Float64, b: Float64, reach: float) -> tuple[Float64, float]:
    """Shift from spots ``a`` to spots ``b`` that most pairs agree on, and the share of spots that do."""
    if not len(a) or not len(b):
        return np.zeros(2), 0.0
    pairs = (b[:, None] - a[None]).reshape(-1, 2)
    pairs = pairs[np.abs(pairs).max(axis=1) <= reach]
    if not len(pairs):
        return np.zeros(2), 0.0
    bins = np.floor((pairs + reach) / _VOTE_PX).astype(np.int64) + 1
    size = int(2 * reach / _VOTE_PX) + 4
    votes = np.bincount(bins[:, 0] * size + bins[:, 1], minlength=size * size).reshape(size, size)
    near = [np.roll(votes, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    # Pairs that all lie in one cell lie in nine sums of cells: the middle one is to win.
    pooled = np.sum(near, axis=0) + 0.5 * votes
    best = np.unravel_index(int(np.argmax(pooled)), pooled.shape)
    step: Float64 = (np.array(best, np.float64) - 0.5) * _VOTE_PX - reach
    # Their mean: beads on the two faces of a film part by the tilt, and a median goes with one or the other.
    for _ in range(3):
        agree = np.linalg.norm(pairs - step, axis=1) < _AGREE_PX
        if agree.any():
            step = np.asarray(pairs[agree].mean(axis=0), np.float64)
    away = np.linalg.norm(b[:, None] - a[None] - step, axis=-1)
    return step, float((away.min(axis=0) < _AGREE_PX).mean())


def _nearest(seen: Float64, spots: Float64) -> tuple[Int64, Float64]:
    """The nearest of the spots (k, 2) to each place (m, 2), and its distance."""
    if not len(spots):
        return np.full(len(seen), -1), np.full(len(seen), np.inf)
    away = ((seen[:, None] - spots[None]) ** 2).sum(axis=-1)
    best = away.argmin(axis=1)
    return best, np.sqrt(away[np.arange(len(seen)), best])


def assign(seen: Float64, spots: list[Float64], gate_px: float) -> Int64:
    """Return the spot (n, m) of each point in each image: nearest to each other, within the gate; -1 for none."""
    n, m = seen.shape[:2]
    out = np.full((n, m), -1)
    for i in range(n):
        best, away = _nearest(seen[i], spots[i])
        for j in np.argsort(away, kind="stable"):
            if away[j] > gate_px:
                break
            if best[j] not in out[i]:
                out[i, j] = best[j]
    return out


def _inside(seen: Float64, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray((np.abs(seen) <= (np.array(shape) - 1) / 2).all(axis=-1))


def _seeds(view: View, spots: list[Float64], shape: tuple[int, int]) -> Float64:
    """Points (k, 3) that the spots of some images may be, at every depth: a spot's depths follow each other."""
    n = len(view.angles_deg)
    middle = int(np.argmin(np.abs(view.angles_deg)))
    images = np.unique(np.r_[middle, np.linspace(0, n - 1, _SEED_IMAGES + 2)[1:-1].astype(int)])
    depth = np.arange(-_DEPTH * max(shape), _DEPTH * max(shape) + 1, _DEPTH_STEP_PX)
    out = []
    for i in images:
        t = np.deg2rad(view.angles_deg[i])
        v, u = ((spots[i] - view.shifts_px[i]) @ frame(view.tilt_axis_deg)).T
        x = (u[:, None] - depth * np.sin(t)) / np.cos(t)
        points = np.stack(np.broadcast_arrays(depth, v[:, None], x), axis=-1)
        out.append(points.reshape(-1, 3))
    return np.concatenate(out)


def _explained(
    view: View, points: Float64, spots: list[Float64], shape: tuple[int, int], gate: float
) -> tuple[Float64, Float64, Int64]:
    """For each point: summed closeness of spots to it, number of images that would show it, its spots (n, m)."""
    seen = project_points(view, points)
    score, count = np.zeros(len(points)), np.zeros(len(points))
    which = np.full(seen.shape[:2], -1)
    for i, places in enumerate(spots):
        best, away = _nearest(seen[i], places)
        near = away < gate
        score += np.where(near, 1 - 0.5 * (away / gate) ** 2, 0.0)
        count += _inside(seen[i], shape)
        which[i] = np.where(near, best, -1)
    return score, count, which


def _points(
    view: View, spots: list[Float64], shape: tuple[int, int], gate: float
) -> tuple[Float64, float]:
    """Points (m, 3) that explain spots of many images, best first, no spot twice; and their summed support."""
    seeds = _seeds(view, spots, shape)
    score, count, which = _explained(view, seeds, spots, shape, gate)
    least = max(_LEAST_IMAGES, len(spots) // 4)
    support = score / np.maximum(count, least)
    left = np.flatnonzero(support > _LEAST_SUPPORT)
    left = left[np.argsort(-support[left], kind="stable")]
    chosen: list[int] = []
    used = [np.zeros(len(s) + 1, bool) for s in spots]
    for j in left:
        mine = which[:, j]
        has = mine >= 0
        taken = np.array([used[i][mine[i]] for i in np.flatnonzero(has)])
        if taken.mean() > 0.5:
            continue
        chosen.append(int(j))
        for i in np.flatnonzero(has):
            used[i][mine[i]] = True
        if len(chosen) == _MOST_POINTS:
            break
    return seeds[chosen], float(support[chosen].sum())


def _refined(
    view: View,
    points: Float64,
    spots: list[Float64],
    shape: tuple[int, int],
    gates: tuple[float, ...],
) -> tuple[Bundle | None, Int64]:
    """Bundle adjustments with spots assigned within narrowing gates; points without enough spots go."""
    bundle, which = None, np.full((len(spots), len(points)), -1)
    for gate in gates:
        view = _reattached(view, points, spots, gate)
        seen = project_points(view, points)
        which = assign(seen, spots, gate)
        share = (which >= 0).sum(axis=0) / np.maximum(
            _inside(seen, shape).sum(axis=0), _LEAST_IMAGES
        )
        keep = share > _LEAST_SUPPORT
        points, which = points[keep], which[:, keep]
        if len(points) < 2:
            return None, which
        places = places_of(spots, which)
        bundle = adjust(places, np.ones(which.shape), view, points)
        view, points = bundle.view, bundle.points_px
    return bundle, which


def _reattached(view: View, points: Float64, spots: list[Float64], gate: float) -> View:
    """Give images that show too few of the points where they should be the shift that most spots agree on."""
    seen, shifts = project_points(view, points), view.shifts_px.copy()
    for i, places in enumerate(spots):
        _, away = _nearest(seen[i], places)
        shown = (away < gate).sum()
        step, share = _step(seen[i], places, _LOST * float(np.abs(seen).max()))
        if share * len(points) >= max(_MORE * shown, shown + 2):
            shifts[i] += step
    return replace(view, shifts_px=shifts)


def places_of(spots: list[Float64], which: Int64) -> Float64:
    """Places (n, m, 2) of the assigned spots, NaN where there is none."""
    out = np.full((*which.shape, 2), np.nan)
    for i, row in enumerate(which):
        has = row >= 0
        out[i, has] = spots[i][row[has]]
    return out


def find_tracks(
    spots: list[Float64], angles_deg: Float64, shape: tuple[int, int], reach_px: float
) -> Bundle | None:
    """Find the points that the spots of a tilt series show, and its geometry.

    Parameters
    ----------
    spots : list of (k, 2) [px]
        (row, column) from the image's centre, one array an image, in the order of the tilts.
    angles_deg : (n,) [deg], ascending
    shape : (ny, nx)
        Of the images.
    reach_px : float
        Largest shift from an image to the next.

    Returns
    -------
    Bundle or None
        Of the spots as they are, each with an error of 1 px; None where no two points explain them.
    """
    # Steps between neighbours look alike for every direction of the axis; points that explain whole series do not.
    firsts = [
        (_points(view, spots, shape, _FIRST_GATE_PX), view)
        for view in _first_views(spots, angles_deg, reach_px)
    ]
    firsts.sort(key=lambda first: -first[0][1])
    best: Bundle | None = None
    most = 0.0
    for (points, _), view in firsts[:_CANDIDATES]:
        if len(points) < 2:
            continue
        bundle, _ = _refined(view, points, spots, shape, _GATES_PX)
        if bundle is None:
            continue
        explained = float(bundle.weights.sum())
        if explained > most:
            best, most = bundle, explained
    if best is None:
        return None
    # Once more with the better geometry: what drift of the first one had hidden.
    points, _ = _points(best.view, spots, shape, _GATES_PX[-2])
    again = (
        _refined(best.view, points, spots, shape, _GATES_PX[-2:])[0] if len(points) > 1 else None
    )
    return again if again is not None and again.weights.sum() >= most else best
