# SPDX-License-Identifier: BSD-3-Clause
"""The geometry of a tilt series from its beads: found, tracked, placed, told from what only looks like beads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .beads import Padded, ProfileSums, fit_spots, spots
from .beads_profile import Noise, Profile, measure_noise
from .beads_sizes import Kind, kinds, round_spots
from .bundle import Bundle, Extras, View, adjust, project_points
from .tracks import find_tracks

__all__ = ["BeadFit", "align_on_beads"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Image = Callable[[int], Float32]

_LOW_TILTS = 3
_HEIGHT = 5.0
_MOST_SPOTS = 60
_SCREEN_ROUNDS = 4
_FAINTEST = 0.4  # of a bead's brightness: what is weaker is not fitted
_STEP_REACH = 0.125  # of the edge: largest shift from an image to the next
_PLACING_ROUNDS = 2
_GATE = 0.3  # radii: farthest that a bead is placed from where it is predicted
_OVERLAP = 1.3  # diameters between two beads: nearer, the profile is not measured on them
_HIDDEN = 0.5  # diameters: nearer, neither of two beads is used
_GROUPS = 5  # of neighbouring tilts, over which the shape of a bead is looked at
# Growth and stretch of a bead, root mean square over the groups: 0.000 to 0.024 for beads of simulated series, 0.038
# and up for what looked like beads in series without any.
_BEAD_SHAPE = 0.035
_LEAST_SHARE = 0.25  # of the points: else those few are round by chance
_LEAST_SEEN = 0.3  # of the images that would show a bead
_ALIKE = (0.65, 1.5)  # brightness against the median bead
_FEWEST_IMAGES = 3
_LEAST_PER_TILT = 3
_LEAST_SHARED = 2  # beads of an image that others show; images that show a bead
_EXTRAS: dict[str, dict[str, Any]] = {
    "rotations": {"rotations": "smooth"},
    "magnifications": {"magnifications": "smooth"},
    "scale of the tilts": {"tilt_scale": True},
}
_GAIN = 0.9  # left-out error with an extra unknown over that without: above it, it is not kept


@dataclass(frozen=True, kw_only=True, eq=False)
class BeadFit:
    """Beads of a series and the geometry that they tell; places and shifts in px of the images, diameter too."""

    bundle: Bundle
    profile: Profile
    sign: int
    diameter_px: float
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Placed:
    """Beads placed in every image: places (n, m, 2) from the centre, the rest as in ``Fits``; else NaN."""

    places: Float64
    sigma: Float64
    amplitude: Float64
    shape: Float64
    sigma_shape: Float64
    profile: Profile


@dataclass(frozen=True, kw_only=True, eq=False)
class _Series:
    """Clean images, read one at a time, in the order of their tilts; and the noise of each."""

    image: Image
    noises: list[Noise]
    angles_deg: Float64
    shape: tuple[int, int]
    stopped: Callable[[], None]

    @property
    def centre(self) -> Float64:
        return (np.array(self.shape) - 1) / 2


def align_on_beads(
    image: Image,
    angles_deg: Float64,
    shape: tuple[int, int],
    *,
    diameter_px: float | None,
    least: int,
    max_shift: float | None,
    stopped: Callable[[], None],
) -> tuple[BeadFit | None, str]:
    """Find the beads of a tilt series and what they tell of its geometry.

    Parameters
    ----------
    image : callable
        Gives image ``i``, clean, float32, ``shape``; called several times for each.
    angles_deg : (n,) [deg], ascending
    shape : (ny, nx)
    diameter_px : float, optional
        Of the beads, to 15 %; found when not given.
    least : int
        Beads; with fewer there is no result.
    max_shift : float, optional [px]
        From an image to the next; an eighth of the edge when not given.
    stopped : callable
        Called between images; raises when the work is to stop.

    Returns
    -------
    BeadFit or None, and a line that says what was found or why nothing was.
    """
    noises = []
    for i in range(len(angles_deg)):
        stopped()
        noises.append(measure_noise(image(i)[None]))
    series = _Series(
        image=image, noises=noises, angles_deg=angles_deg, shape=shape, stopped=stopped
    )
    low = np.sort(np.argsort(np.abs(angles_deg), kind="stable")[:_LOW_TILTS])
    some = np.stack([image(int(i)) for i in low])
    found = kinds(some, [noises[i] for i in low], diameter_px)
    if not found:
        return None, "no spots that are round and alike"
    told = []
    for kind in found:
        fit, why = _with_kind(series, kind, least, max_shift)
        if fit is not None:
            return fit, why
        told.append(
            f"{2 * kind.profile.radius_px:.1f} px {'bright' if kind.sign > 0 else 'dark'}: {why}"
        )
    return None, "; ".join(told)


def _with_kind(
    series: _Series, kind: Kind, least: int, max_shift: float | None
) -> tuple[BeadFit | None, str]:
    lists = []
    for i, noise in enumerate(series.noises):
        series.stopped()
        image = series.image(i)
        padded = Padded(image, kind.profile.reach)
        found = spots(padded, kind.profile, kind.sign, _HEIGHT, _MOST_SPOTS)
        strong = found.amplitudes / kind.amplitude > _FAINTEST
        fits = fit_spots(image, found.places[strong], kind.profile, noise, _SCREEN_ROUNDS)
        lists.append(fits.places[round_spots(fits, kind.sign, kind.amplitude)] - series.centre)
    reach = max_shift or _STEP_REACH * max(series.shape)
    tracks = find_tracks(lists, series.angles_deg, series.shape, reach)
    if tracks is None or len(tracks.points_px) < least:
        count = 0 if tracks is None else len(tracks.points_px)
        return None, f"{count} points explain them, at least {least} are needed"
    return _settled(series, kind, tracks, least)


def _settled(series: _Series, kind: Kind, tracks: Bundle, least: int) -> tuple[BeadFit | None, str]:
    """Place the beads with their own profile, leave out what is none, and fit the geometry."""
    view, points, profile = tracks.view, tracks.points_px, kind.profile
    bundle = tracks
    for last in range(_PLACING_ROUNDS):
        placed = _placed(series, kind, view, points, profile, wide=last == 0)
        profile = placed.profile
        places, keep = _linked(placed.places, _are_beads(series, placed, view, points))
        if keep.sum() < max(least, _LEAST_SHARE * len(points)):
            return None, (
                f"{len(points)} points explain them, {int(keep.sum())} of these are round, alike and of one size "
                f"at all tilts and seen together, at least {least} are needed"
            )
        points = points[keep]
        bundle = adjust(places, placed.sigma[:, keep], view, points)
        view, points = bundle.view, bundle.points_px
    per_tilt = np.median((bundle.weights > 0).sum(axis=1))
    if per_tilt < _LEAST_PER_TILT:
        return None, f"{per_tilt:.0f} beads in an image, at least {_LEAST_PER_TILT} are needed"
    bundle, notes = _with_extras(bundle, places, placed.sigma[:, keep])
    diameter = 2 * _half_width(profile)
    line = (
        f"{len(points)} {'bright' if kind.sign > 0 else 'dark'} beads of {diameter:.1f} px, "
        f"{per_tilt:.0f} in an image; residual {bundle.residual_rms():.3f} px, "
        f"left-out {bundle.left_out_rms():.3f} px"
    )
    fit = BeadFit(
        bundle=bundle, profile=profile, sign=kind.sign, diameter_px=diameter, notes=(line, *notes)
    )
    return fit, line


def _half_width(profile: Profile) -> float:
    """Radius [px] at which the profile has fallen to half."""
    return float(np.flatnonzero(profile.values > 0.5)[-1] * 0.25 + 0.125)


def _placed(
    series: _Series, kind: Kind, view: View, points: Float64, profile: Profile, *, wide: bool
) -> _Placed:
    """Fit a bead wherever one is predicted; measure the profile anew on those that are alone and whole."""
    n, m = len(series.angles_deg), len(points)
    places, sigma = np.full((n, m, 2), np.nan), np.full((n, m), np.nan)
    amplitude, shape, doubt = (
        np.full((n, m), np.nan),
        np.full((n, m, 3), np.nan),
        np.zeros((n, m, 3)),
    )
    seen = project_points(view, points)
    sums = ProfileSums(profile, series.noises[0])
    gate = _GATE * profile.radius_px * (2 if wide else 1)
    for i in range(n):
        series.stopped()
        use, alone, others = _visible(seen[i], series.shape, profile.radius_px)
        if not use.any():
            continue
        image = series.image(i)
        fits = fit_spots(
            image,
            seen[i, use] + series.centre,
            profile,
            series.noises[i],
            others=others[use] + series.centre,
        )
        away = np.linalg.norm(fits.places - series.centre - seen[i, use], axis=1)
        good = (away < gate + 4 * fits.sigma) & round_spots(fits, kind.sign, kind.amplitude)
        at = np.flatnonzero(use)[good]
        places[i, at] = fits.places[good] - series.centre
        # A window that the bead and a plane do not explain is less sure by what they leave.
        sigma[i, at] = fits.sigma[good] * np.sqrt(np.maximum(fits.misfit[good], 1))
        amplitude[i, at], shape[i, at] = fits.amplitude[good], fits.shape[good]
        doubt[i, at] = fits.sigma_shape[good]
        sums.add(image, fits, good & alone[use])
    return _Placed(
        places=places,
        sigma=sigma,
        amplitude=amplitude,
        shape=shape,
        sigma_shape=doubt,
        profile=sums.solved(),
    )


def _visible(seen: Float64, shape: tuple[int, int], radius: float) -> tuple[Bool, Bool, Float64]:
    """Which of the places (m, 2) can be fitted, which are whole and alone, and the other places (m, m, 2) at each."""
    own = np.eye(len(seen), dtype=bool)
    others = np.where(own[..., None], np.nan, seen[None])
    nearest = np.where(own, np.inf, np.linalg.norm(seen[:, None] - seen[None], axis=-1)).min(axis=1)
    left = ((np.array(shape) - 1) / 2 - np.abs(seen)).min(axis=1)
    alone = (left > radius) & (nearest > 2 * _OVERLAP * radius)
    return (left > 0) & (nearest > 2 * _HIDDEN * radius), alone, others


def _are_beads(series: _Series, placed: _Placed, view: View, points: Float64) -> Bool:
    """Which points (m,) are seen often enough, of one brightness, and round and of one size at all tilts."""
    measured = np.isfinite(placed.sigma)
    seen = project_points(view, points)
    inside = (np.abs(seen) < (np.array(series.shape) - 1) / 2).all(axis=-1)
    enough = measured.sum(axis=0) > np.maximum(_LEAST_SEEN * inside.sum(axis=0), 4)
    if not enough.any():
        return np.zeros(len(points), bool)
    shape = _shape_scores(placed, measured)
    bright = np.array(
        [
            np.median(a[g]) if g.any() else 0
            for a, g in zip(placed.amplitude.T, measured.T, strict=True)
        ]
    )
    good = enough & (shape < _BEAD_SHAPE)
    usual = np.median(bright[good]) if good.any() else np.inf
    alike = (bright / usual > _ALIKE[0]) & (bright / usual < _ALIKE[1])
    found: Bool = enough & alike & (shape < _BEAD_SHAPE)
    return found


def _linked(places: Float64, keep: Bool) -> tuple[Float64, Bool]:
    """Places (n, k, 2) of the beads that are kept (m,), NaN in images that do not hang together with most; those beads.

    An image hangs together with others that show two of its beads. Two groups of images without that may each be
    fitted exactly, and lie anywhere to each other.
    """
    seen = np.isfinite(places).all(axis=-1) & keep
    best = np.zeros(len(seen), bool)
    for i in np.argsort(-seen.sum(axis=1), kind="stable"):
        if best.sum() > len(seen) / 2:
            break
        group, known = np.arange(len(seen)) == i, seen[i]
        while True:
            wider = group | ((seen & known).sum(axis=1) >= _LEAST_SHARED)
            if (wider == group).all():
                break
            group, known = wider, seen[wider].any(axis=0)
        if group.sum() > best.sum():
            best = group
    kept: Bool = keep & ((seen & best[:, None]).sum(axis=0) >= _LEAST_SHARED)
    return np.where(best[:, None, None], places, np.nan)[:, kept], kept


def _shape_scores(placed: _Placed, measured: Bool) -> Float64:
    """Growth and stretch of each point (m,): root mean square over groups of tilts of their medians, less noise."""
    n, m = measured.shape
    groups = np.array_split(np.arange(n), min(_GROUPS, max(1, n // _FEWEST_IMAGES)))
    out = np.full(m, np.inf)
    for j in range(m):
        squares, noises = [], []
        for g in groups:
            g = g[measured[g, j]]
            if len(g) >= _FEWEST_IMAGES:
                squares.append(float((np.median(placed.shape[g, j], axis=0) ** 2).sum()))
                noises.append(1.57 * float((placed.sigma_shape[g, j] ** 2).sum() / len(g) ** 2))
        if squares:
            out[j] = np.sqrt(max(0.0, float(np.mean(squares) - np.mean(noises))))
    return out


def _with_extras(bundle: Bundle, places: Float64, sigma: Float64) -> tuple[Bundle, list[str]]:
    """Keep a rotation, a magnification or a scale of the tilts where left-out beads are predicted better with it."""
    extras, notes = Extras(), []
    best = bundle.left_out_rms()
    for name, changed in _EXTRAS.items():
        tried = replace(extras, **changed)
        found = adjust(places, sigma, bundle.view, bundle.points_px, tried)
        error = found.left_out_rms()
        kept = error < _GAIN * best
        notes.append(
            f"{name}: {'kept' if kept else 'dropped'} "
            f"(left-out {error:.3f} px with, {best:.3f} without)"
        )
        if kept:
            bundle, extras, best = found, tried, error
    return bundle, notes
