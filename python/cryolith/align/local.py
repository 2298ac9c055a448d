# SPDX-License-Identifier: BSD-3-Clause
"""Local shifts for ``align_tilt_series``: sought where patches ask for them, kept where left-out patches gain."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .bends import BORDER, Bends, fit_bends, free_bends, monomials
from .coarse import frame
from .joint import Model, Pose, drifts, solve
from .patches import Patches, track_patches
from .quality import hold_out
from .refinement import Fit
from .specimen import Prepared
from .steps import Job

__all__ = ["evidence", "localised"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_DEGREE = 2
_SMOOTH = 4  # half waves over the tilts
_FOLDS = 4
_CHECKED = (1, 3)  # folds that bends are fitted without
_ITERATIONS, _FOLD_ITERATIONS = 30, 20
_LEAST_EDGE, _LEAST_TILTS = 64, 12
# Variance ratio of what bends explain of the patches' displacements to what they leave: 0.4 to 0.8 without any
# deformation, 1.9 to 2.8 with 3 px at a corner (design/017-local-alignment.md).
_LEAST_EVIDENCE = 1.4
# Gain of left-out patches, in standard errors over the tilts; without a deformation up to 1.3 % of the distance.
_LEAST_SIGMAS = 2.0


@dataclass(frozen=True, kw_only=True)
class _Search:
    """What local shifts are sought with; poses in pixels of the images of ``model``."""

    model: Model
    images: Float32
    pose: Pose
    basis: Float64

    def bends(self) -> Bends:
        """Return bends that move nothing."""
        shape = self.model.images.shape
        return Bends.none(shape[0], _DEGREE, shape[1:], self.pose.tilt_axis_deg)


def localised(job: Job, ready: Prepared, fit: Fit) -> Fit:
    """Add local shifts to a fit if left-out patches are predicted better with them, and say why or why not."""
    wanted = job.settings.local
    n, height, width = fit.model.images.shape
    if wanted == "no":
        return fit
    if min(height, width) < _LEAST_EDGE or n < _LEAST_TILTS:
        return _told(
            fit,
            f"not sought ({n} tilts of {height} x {width} reduced px, at least {_LEAST_TILTS} of {_LEAST_EDGE} are "
            "needed)",
        )
    search = _Search(
        model=fit.model,
        images=ready.images,
        pose=fit.pose.scaled(1 / fit.binning),
        basis=free_bends(job.angles_deg, _DEGREE, np.c_[np.ones(n), drifts(n, _SMOOTH)]),
    )
    predicted = np.empty_like(search.images)
    for k in range(_FOLDS):
        job.tell(0.95)
        _predict(search, np.arange(n) % _FOLDS == k, predicted)
    patches = _patches(search, predicted)
    ratio = evidence(patches, search.pose, search.bends(), search.basis)
    seen = (
        f"{len(patches.places_px)} patches of {patches.edge_px * fit.binning} px an image, "
        f"{int((patches.weights > 0).sum())} of {patches.weights.size} used, "
    )
    told = f"{seen}{patches.rms_px() * fit.binning:.2g} px RMS from where they are predicted"
    if wanted == "auto" and not ratio > _LEAST_EVIDENCE:
        return _told(fit, f"none ({told}; a smooth deformation explains {ratio:.2g} times chance)")
    return _kept_if_better(job, fit, search, predicted, told)


def _predict(search: _Search, held: Bool, out: Float32) -> None:
    """Put predictions of the ``held`` images, from a density of the others, into ``out``."""
    model = _without(search.model, held)
    density = solve(model, search.pose, None, _FOLD_ITERATIONS).density
    out[held] = model.operator(search.pose).project(density)[held]


def _without(model: Model, held: Bool) -> Model:
    return replace(
        model,
        weights=np.where(held[:, None, None], np.float32(0), model.weights).astype(np.float32),
    )


def _patches(search: _Search, predicted: Float32, part: Bool | slice = slice(None)) -> Patches:
    m = search.model
    # At its borders a bent prediction lacks what lies beyond them.
    inner = np.s_[:, BORDER:-BORDER, BORDER:-BORDER]
    return track_patches(
        np.ascontiguousarray(search.images[part][inner]),
        np.ascontiguousarray(predicted[part][inner]),
        threads=m.threads,
        cancel=m.cancel,
    )


def evidence(patches: Patches, pose: Pose, bends: Bends, basis: Float64) -> float:
    """Return the variance that bends within ``basis`` explain of the patches' displacements over what they leave.

    Both against their numbers of unknowns: 1 without any deformation (Fisher's variance ratio).
    """
    turn = frame(pose.tilt_axis_deg)
    places = (patches.places_px - pose.shifts_px[:, None]) @ turn / bends.unit_px
    information = patches.information()
    design = np.einsum("knm,nkap->nmap", monomials(places, bends.degree), basis)
    total = np.maximum(information.sum(axis=1), 1e-30)
    common = np.einsum("nm,nmap->nap", information, design) / total[:, None, None]
    design -= common[:, None]
    root = np.sqrt(information)[:, :, None]
    unknowns = basis.shape[-1]
    a = (design * root[..., None]).reshape(-1, unknowns)
    y = (np.nan_to_num(patches.shifts_px) @ turn * root).ravel()
    solved, _, rank, _ = np.linalg.lstsq(a, y, rcond=1e-6)
    left = float(((y - a @ solved) ** 2).sum())
    free = 2 * int((information > 0).sum() - (information > 0).any(axis=1).sum()) - int(rank)
    if free < 1 or left <= 0:
        return 0.0
    return (float(y @ y) - left) / int(rank) / (left / free)


def _kept_if_better(job: Job, fit: Fit, search: _Search, predicted: Float32, told: str) -> Fit:
    """Fit bends without some of the tilts, look at patches of those, and fit all tilts if they gain."""
    n = len(predicted)
    squares = []
    for k in _CHECKED:
        job.tell(0.96)
        held = np.arange(n) % _FOLDS == k
        pose = _refined(search, _without(search.model, held), fit.solution.density)
        straight, seen = _patches(search, predicted, held), predicted.copy()
        _predict(replace(search, pose=pose), held, seen)
        squares.append(straight.mean_squares(_patches(search, seen, held)))
    straight_px2, bent_px2 = np.concatenate(squares, axis=1)
    gain = straight_px2 - bent_px2
    doubt = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    before, after = (float(np.sqrt(s.mean())) * fit.binning for s in (straight_px2, bent_px2))
    found = f"left-out patches {before:.3g} px RMS without, {after:.3g} with; {told}"
    if not gain.mean() > _LEAST_SIGMAS * doubt:
        return _told(fit, f"dropped ({found})")
    pose = _refined(search, search.model, fit.solution.density)
    solution = solve(search.model, pose, fit.solution.density, _ITERATIONS)
    plain, score = (hold_out(search.model, p, _ITERATIONS) for p in (search.pose, pose))
    kept = replace(fit, pose=pose.scaled(fit.binning), solution=solution, holdout=score)
    assert pose.local is not None
    size = np.sqrt((pose.local.shifts_px**2).sum(axis=-1).mean()) * fit.binning
    return _told(
        kept,
        f"kept, quadratic in the place and smooth over the tilts, {size:.2g} px RMS over the images ({found}; "
        f"held-out residual {plain:.4g} without, {score:.4g} with)",
    )


def _refined(search: _Search, model: Model, density: Float32) -> Pose:
    """Return the pose with bends that all tilts of non-zero weight ask for."""
    return fit_bends(
        model, search.pose, search.bends(), search.basis, iterations=_ITERATIONS, start=density
    )


def _told(fit: Fit, why: str) -> Fit:
    return replace(fit, notes=(*fit.notes, f"local shifts: {why}"))
