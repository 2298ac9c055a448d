# SPDX-License-Identifier: BSD-3-Clause
"""Beads for ``align_tilt_series``: whether to look for them, and an ``Alignment`` from what they tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import let_go
from ..datamodel import Alignment, Beads, TiltSeries
from ..errors import InputError
from ..projection import rotation_matrix
from .axis import nearest_turn
from .beads_series import BeadFit, align_on_beads
from .bundle import project_points, recentred
from .images import clean
from .joint import Pose
from .lie import Lie
from .pose_covariance import PoseCovariance
from .steps import Job

__all__ = ["BeadPose", "pose_on_beads"]

Float64 = npt.NDArray[np.float64]

_LEAST_AUTO, _LEAST = 5, 3
_LEAST_TOGETHER = 2  # in one image
_LEAST_EDGE = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class BeadPose:
    """What the beads tell, of the tilts that show enough (``shown``), in raw pixels."""

    fit: BeadFit
    keep: npt.NDArray[np.int64]
    shown: npt.NDArray[np.bool_]

    @property
    def pose(self) -> Pose:
        view = self.fit.bundle.view
        return Pose(
            shifts_px=view.shifts_px[self.shown],
            tilt_axis_deg=view.tilt_axis_deg,
            rotations_deg=view.rotations_deg[self.shown],
            magnifications=view.magnifications[self.shown],
        )

    @property
    def covariance(self) -> PoseCovariance:
        """Of ``pose``, blind to moves of the specimen."""
        angles = self.fit.bundle.view.angles_deg[self.shown]
        still = np.zeros_like(self.pose.shifts_px)
        return self.fit.bundle.of_tilts.subset(self.shown).recentred(self.pose, angles, still)

    def laid(self, lie: Lie) -> BeadPose:
        """Return what the beads tell of a specimen that is turned back by the tilt offset of ``lie``."""
        bundle = self.fit.bundle
        offset = lie.tilt_offset_deg
        view = replace(bundle.view, angles_deg=bundle.view.angles_deg + offset)
        turn = rotation_matrix(y_deg=offset * view.tilt_scale)
        bundle = replace(bundle, view=view, points_px=bundle.points_px @ turn)
        return replace(self, fit=replace(self.fit, bundle=bundle))

    def completed(self, described: Alignment) -> Alignment:
        """Add what a pose does not hold: points, magnifications, tilts; put the origin where ``described`` has it."""
        bundle, shown = self.fit.bundle, self.shown
        view, kept = bundle.view, self.keep[self.shown]
        # The specimen's middle, as chosen for the images, is a move of the points: find it, and make it exact.
        moved = described.shifts_px[kept] - view.shifts_px[shown]
        units = np.eye(3)
        still = replace(view, shifts_px=np.zeros_like(view.shifts_px))
        columns = project_points(still, units)[shown].transpose(0, 2, 1).reshape(-1, 3)
        origin = np.asarray(np.linalg.lstsq(columns, moved.reshape(-1), rcond=None)[0], np.float64)
        view, points = recentred(view, bundle.points_px, origin)
        n = len(described.angles_deg)

        def spread(values: Float64, fill: float) -> Float64:
            out = np.full((n, *values.shape[1:]), fill)
            out[kept] = values[shown]
            return out

        shifts = described.shifts_px.copy()
        shifts[kept] = view.shifts_px[shown]
        changed = bool(np.any(view.magnifications != 1))
        return replace(
            described,
            angles_deg=described.angles_deg * view.tilt_scale,
            shifts_px=shifts,
            rotations_deg=spread(view.rotations_deg, 0.0),
            magnifications=spread(view.magnifications, 1.0) if changed else None,
            beads=Beads(
                points_px=points,
                residuals_px=spread(bundle.residuals_px, np.nan),
                left_out_px=spread(bundle.left_out_px, np.nan),
                weights=spread(bundle.weights, 0.0),
                diameter_px=self.fit.diameter_px,
            ),
        )


def pose_on_beads(job: Job, series: TiltSeries) -> tuple[BeadPose | None, list[str]]:
    """Look for beads as the settings say; returns the pose, or None, and notes for ``Alignment.method``."""
    settings, shape = job.settings, (series.images.shape[1], series.images.shape[2])
    wanted = settings.beads
    if wanted == "no":
        return None, []
    fixed = settings.tilt_axis is not None and not settings.refine_axis
    if wanted == "auto" and (fixed or min(shape) < _LEAST_EDGE):
        why = "the axis is fixed" if fixed else f"images of less than {_LEAST_EDGE} px"
        return None, [f"beads: not looked for ({why})"]

    def image(i: int) -> npt.NDArray[np.float32]:
        one: npt.NDArray[Any] = np.asarray(series.images[int(job.keep[i])])[None]
        good = clean(one, job.threads, job.cancel)[0]
        let_go(series.images)
        return np.asarray(good[0])

    fit, why = align_on_beads(
        image,
        job.angles_deg,
        shape,
        diameter_px=_diameter_px(settings.bead_diameter, series.pixel_size),
        least=_LEAST if wanted == "yes" else _LEAST_AUTO,
        max_shift=settings.max_shift,
        stopped=lambda: job.tell(0.1),
    )
    if fit is None:
        if wanted == "yes":
            raise InputError(
                f"beads: found too few ({why}), expected {_LEAST} at least; use beads='auto' or 'no', or give "
                "bead_diameter"
            )
        return None, [f"beads: none used ({why})"]
    start = settings.tilt_axis if settings.tilt_axis is not None else job.nominal
    fit = _directed(fit, 0.0 if start is None else start)
    direction = "not known; taken from -90 to 90 deg, the volume may be mirrored"
    if start is not None:
        direction = f"the half turn nearest to the given {start:g} deg"
    notes = [f"beads: {fit.notes[0]}", *fit.notes[1:], f"axis direction: {direction}"]
    # One bead alone fits any shift exactly: nothing would tell that it is another one.
    shown = (fit.bundle.weights > 0).sum(axis=1) >= _LEAST_TOGETHER
    return BeadPose(fit=fit, keep=job.keep, shown=shown), notes


def _diameter_px(diameter: float | None, pixel_size: float | None) -> float | None:
    if diameter is None:
        return None
    if pixel_size is None:
        raise InputError(
            "bead_diameter: found a length, but the series has no pixel size; give pixel_size or leave it out"
        )
    return diameter / pixel_size


def _directed(fit: BeadFit, wanted: float) -> BeadFit:
    """Turn the axis by whole half turns to lie nearest to an angle; a half turn inverts the points."""
    view = fit.bundle.view
    axis = nearest_turn(view.tilt_axis_deg, wanted)
    sign = -1.0 if round((axis - view.tilt_axis_deg) / 180) % 2 else 1.0
    bundle = replace(
        fit.bundle, view=replace(view, tilt_axis_deg=axis), points_px=sign * fit.bundle.points_px
    )
    return replace(fit, bundle=bundle)
