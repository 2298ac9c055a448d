# SPDX-License-Identifier: BSD-3-Clause
"""The refinement of a first pose from coarse to fine, and the gauge of what it finds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .axis_rows import fit_axis_by_rows
from .coarse import across_along, frame
from .covariance import pose_covariance
from .flicker import LocalIntensities
from .freedoms import Freedoms, try_drift, try_freedoms
from .joint import Model, Pose, Solution, refine, solve
from .levels import gains, ladder, level
from .pose_covariance import PoseCovariance
from .quality import (
    AxisFit,
    fit_axis,
    hold_out,
    misfits,
    relative_residuals,
    unevenness,
)
from .specimen import Prepared
from .steps import Job

__all__ = ["Fit", "centred_gauge", "coarse_misfits", "judged", "refined"]

Float64 = npt.NDArray[np.float64]

_ITERATIONS = 30
_AXIS_ITERATIONS = 20
_COARSE_TURNS_DEG = (3.0, 3.0, 1.5)
_FINE_TURNS_DEG = (0.8,)
# A drift along the axis of a slab keeps 0.85 of its error in a round; rounds on the coarsest images are cheap.
_SLAB_ROUNDS = 4
# Angles are compared on every second image of a long series: half the time, and 30 images tell enough.
_MANY_TILTS = 48
# Of the residual, low over high frequencies: 1.0 to 1.4 with noise alone, 9 with grains that flicker by 0.35.
_UNEVEN = 3.0
# From here on local intensities are tried: flickering particles have 4 to 9, the real needle 3.2.
_FLICKERS = 3.5
# Of the density: free of local intensities a looser one than noise asks for (a drift of 1.1 px becomes 0.3, not 0.5).
_FLICKER_RIDGE = 0.003
_FLICKER_TURNS_DEG = ((3.0, 1.5), (0.8, 0.8))
_FLICKER_ROUNDS = ((1, 0), (4, 2))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the refinement found: the pose in raw pixels, the rest in those of the last reduced images."""

    pose: Pose
    model: Model
    solution: Solution
    binning: int
    covariance: PoseCovariance
    sigma_axis_deg: float
    holdout: float
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _State:
    """Where the refinement stands, in pixels of the images of ``model``."""

    ready: Prepared
    known: Freedoms
    model: Model
    solution: Solution
    axis: AxisFit | None = None


def refined(job: Job, ready: Prepared, pose: Pose, finest: int) -> Fit:
    """Axis, shifts and what else the images ask for, from coarse to fine; pose in and out in raw pixels."""
    steps = ladder(min(ready.images.shape[1:]) * ready.binning, finest, ready.isolated)
    known = Freedoms(pose=pose)
    axis: AxisFit | None = None
    for k, binning in enumerate(steps):
        first, last = k == 0, k == len(steps) - 1
        state = _begun(job, ready, known.scaled(1 / binning), binning, first=first, last=last)
        state = replace(state, axis=axis)
        if first or last:
            state = _with_axis(job, state, first=first, last=last)
        if k == max(0, len(steps) - 2):
            state = replace(state, known=_freed(job, state))
        state = _rounds(job, state, first=first)
        ready, axis, known = state.ready, state.axis, state.known.scaled(binning)
        job.tell(0.3 + 0.5 * (k + 1) / len(steps))
    if _flickers(job, state):
        state = _without_flicker(job, state, steps)
    return _judged(job, state, finest)


def _begun(
    job: Job, ready: Prepared, known: Freedoms, binning: int, *, first: bool, last: bool
) -> _State:
    """Reduced images, shifts that suit them, and intensities."""
    s = job.settings
    model, solution = level(job, ready, known.pose, binning, last)
    rounds = min(2, s.iterations)
    pose, solution = refine(
        model, known.pose, rounds=rounds, iterations=_ITERATIONS, free=known.free
    )
    known = replace(known, pose=pose)
    if ready.isolated:
        factor = gains(model.images, solution)[:, None, None]
        ready = replace(ready, images=ready.images / factor)
        model = replace(model, images=model.images / factor)
        if first:
            note = f"intensity: images scaled to the reconstruction (sd {factor.std():.2%})"
            known = replace(known, notes=(*known.notes, note))
    if first and s.refine_magnification and s.iterations:
        known = try_drift(model, known, solution.density, _ITERATIONS)
    return _State(ready=ready, known=known, model=model, solution=solution)


def _with_axis(job: Job, state: _State, *, first: bool, last: bool) -> _State:
    s, pose = job.settings, state.known.pose
    if not (s.refine_axis and s.iterations):
        return state
    # Grains that flicker pull rows further than a reconstruction: 3.4 for 0.9 deg (64 px).
    by_rows = last and state.ready.isolated and not _flickers(job, state)
    steps = (_COARSE_TURNS_DEG if first else ()) + (_FINE_TURNS_DEG if last and not by_rows else ())
    part = slice(None, None, 2 if first and len(job.keep) >= _MANY_TILTS else 1)
    if steps:
        axis = _axis_of(state, pose, steps, part)
        pose = replace(pose, tilt_axis_deg=axis.pose.tilt_axis_deg)
    if by_rows:
        axis = fit_axis_by_rows(state.model, pose, state.known.free)
        if not axis.found:
            axis = _axis_of(state, pose, _FINE_TURNS_DEG, part)
    pose = replace(pose, tilt_axis_deg=axis.pose.tilt_axis_deg)
    return replace(state, axis=axis, known=replace(state.known, pose=pose))


def _axis_of(state: _State, pose: Pose, steps: tuple[float, ...], part: slice) -> AxisFit:
    """Compare angles on some of the tilts."""
    free = {name: basis[part] for name, basis in state.known.free.items()}
    return fit_axis(state.model.subset(part), pose.subset(part), steps, _AXIS_ITERATIONS, free)


def _freed(job: Job, state: _State) -> Freedoms:
    s = job.settings
    wanted = {
        "magnifications": s.refine_magnification,
        "rotations_deg": s.refine_rotation,
    }
    names = tuple(name for name, yes in wanted.items() if yes and s.iterations)
    return try_freedoms(state.model, state.known, names, state.solution.density, _ITERATIONS)


def _rounds(job: Job, state: _State, *, first: bool) -> _State:
    rounds = job.settings.iterations * (_SLAB_ROUNDS if first and not state.ready.isolated else 1)
    pose, solution = refine(
        state.model, state.known.pose, rounds=rounds, iterations=_ITERATIONS, free=state.known.free
    )
    return replace(state, known=replace(state.known, pose=pose), solution=solution)


def _flickers(job: Job, state: _State) -> bool:
    if not (state.ready.isolated and job.settings.iterations):
        return False
    return unevenness(state.solution.residual, state.model.softness) > _FLICKERS


def _without_flicker(job: Job, state: _State, steps: list[int]) -> _State:
    """Axis and shifts again, residuals free of local intensities, where held-out tilts are predicted better then."""
    other, last = state, steps[-1]
    for k, binning in enumerate(steps[-2:], 2 - len(steps[-2:])):
        other = replace(other, known=other.known.scaled(last / binning))
        other, last = _free_of_intensities(job, other, k, binning), binning
    without, score = (
        hold_out(other.model, at, _ITERATIONS) for at in (state.known.pose, other.known.pose)
    )
    kept = score < without
    told = (
        f"local intensities: {'taken out of residuals' if kept else 'dropped'}, held-out residual free of them "
        f"{without:.4g} without, {score:.4g} with"
    )
    chosen = other if kept else state
    notes = (*chosen.known.notes, told)
    return replace(chosen, known=replace(chosen.known, notes=notes))


def _free_of_intensities(job: Job, state: _State, k: int, binning: int) -> _State:
    """Rounds with residuals free of local intensities, which are made anew for each, and the axis between them."""
    pose, axis, free = state.known.pose, state.axis, state.known.free
    model, solution = level(job, state.ready, pose, binning, last=k == 1)
    model = replace(model, ridge=_FLICKER_RIDGE)
    solution = solve(model, pose, solution.density, _AXIS_ITERATIONS)
    for turn, rounds in enumerate(_FLICKER_ROUNDS[k]):
        for _ in range(rounds):
            predicted = model.images - solution.residual
            local = LocalIntensities.of(predicted, job.threads, job.cancel)
            model = replace(model, intensities=local)
            pose, solution = refine(
                model, pose, rounds=2, iterations=_ITERATIONS, start=solution.density, free=free
            )
        if turn == 0 and job.settings.refine_axis:
            axis = fit_axis(model, pose, _FLICKER_TURNS_DEG[k], _AXIS_ITERATIONS, free)
            pose = replace(pose, tilt_axis_deg=axis.pose.tilt_axis_deg)
    known = replace(state.known, pose=pose)
    return replace(state, known=known, model=model, solution=solution, axis=axis)


def _judged(job: Job, state: _State, binning: int) -> Fit:
    """Errors and held-out residual of the pose that was found."""
    pose, model, solution = state.known.pose, state.model, state.solution
    free_axis = state.axis is not None and state.axis.found
    covariance = pose_covariance(
        model,
        pose,
        solution,
        state.known.free,
        isolated=state.ready.isolated,
        axis=free_axis,
        iterations=_ITERATIONS,
    ).scaled(binning)
    job.tell(0.9)
    notes = list(state.known.notes)
    uneven = unevenness(solution.residual, model.softness)
    if state.ready.isolated and uneven > _UNEVEN:
        notes.append(
            f"residuals: {uneven:.2g} times as large at low frequencies as at high ones: intensities change with "
            "tilt as no density does (grains that flicker, a background); shifts are less sure than noise makes them"
        )
    if state.axis is not None:
        notes.append("axis angle: least misfit, shifts and density free at each angle")
    return Fit(
        pose=pose.scaled(binning),
        model=model,
        solution=solution,
        binning=binning,
        covariance=covariance,
        sigma_axis_deg=covariance.sigma_axis_deg
        if free_axis or state.axis is None
        else float("inf"),
        holdout=hold_out(model, pose, _ITERATIONS),
        notes=tuple(notes),
    )


def judged(job: Job, ready: Prepared, pose: Pose, finest: int, covariance: PoseCovariance) -> Fit:
    """Leave a pose that is known as it is: only its density, residuals and score on held-out tilts."""
    scaled = pose.scaled(1 / finest)
    model, solution = level(job, ready, scaled, finest, last=True)
    return Fit(
        pose=pose,
        model=model,
        solution=solve(model, scaled, solution.density, _ITERATIONS),
        binning=finest,
        covariance=covariance,
        sigma_axis_deg=covariance.sigma_axis_deg,
        holdout=hold_out(model, scaled, _ITERATIONS),
        notes=(),
    )


def coarse_misfits(
    job: Job, ready: Prepared, pose: Pose, finest: int
) -> tuple[npt.NDArray[np.bool_], Float64]:
    """Return which tilts fit worst of those that do not fit on the coarsest images, and the residual of each.

    Of two neighbours with a blank half the residual was 0.6, of good tilts beside them 0.16: those fit without the two.
    """
    binning = ladder(min(ready.images.shape[1:]) * ready.binning, finest, ready.isolated)[0]
    scaled = pose.scaled(1 / binning)
    model, _ = level(job, ready, scaled, binning, last=False)
    scaled, solution = refine(model, scaled, rounds=2, iterations=_ITERATIONS)
    residuals = relative_residuals(model.images, solution.residual)
    bad = misfits(model, scaled, solution, _ITERATIONS)
    return bad & (residuals > 0.5 * residuals.max(where=bad, initial=0)), residuals


def centred_gauge(job: Job, ready: Prepared, fit: Fit) -> Pose:
    """Put the specimen in the middle of the volume: its centre of mass across the axis and in depth.

    Along the axis an isolated specimen that ends inside the images is centred too; any other keeps the median
    shift at zero, so that the volume shows what the images show.
    """
    density = np.maximum(fit.solution.density, 0).astype(np.float64)
    nz, ny, nx = density.shape
    mass = density.sum(axis=(0, 2))
    whole = (
        ready.isolated and max(mass[: ny // 8].max(), mass[-(ny // 8) :].max()) < 0.1 * mass.max()
    )
    total = max(float(mass.sum()), 1e-30)
    z0 = (
        float((density.sum(axis=(1, 2)) * (np.arange(nz) - (nz - 1) / 2)).sum() / total)
        * fit.binning
    )
    x0 = (
        float((density.sum(axis=(0, 1)) * (np.arange(nx) - (nx - 1) / 2)).sum() / total)
        * fit.binning
    )
    vu = across_along(fit.pose.shifts_px, fit.pose.tilt_axis_deg)
    t = np.deg2rad(job.angles_deg)
    if not ready.isolated:
        x0 = -float(vu[np.argmin(np.abs(t)), 1])
    y0 = -float(np.median(vu[:, 0]))
    if whole:
        y0 = float((mass * (np.arange(ny) - (ny - 1) / 2)).sum() / total) * fit.binning
    turns = np.stack([frame(fit.pose.tilt_axis_deg + r) for r in fit.pose.rotations_deg])
    moves = np.c_[np.full(len(t), y0), x0 * np.cos(t) + z0 * np.sin(t)]
    moves *= fit.pose.magnifications[:, None]
    return fit.pose.moved("shifts_px", np.einsum("nij,nj->ni", turns, moves))
