# SPDX-License-Identifier: BSD-3-Clause
"""Whether a new tilt goes on from those before it: contrast, intensity, place.

A jump of intensity or place that stays is one event, and so is a single tilt that is off: a new value is held against
the last one and against the last one that raised no alert, whichever is nearer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .measures import Look

__all__ = ["Steps", "intensity_step", "is_blank", "levels", "nearest"]

Float64 = npt.NDArray[np.float64]

# Intensity of a slab grows (dark field) or falls (bright field) by at most exp(2 (1 / cos - 1)): until there are two
# neighbours on one side to tell the trend, all of it is allowed.
_STEEPEST = 2.0
_LEAST_COSINE = 0.1
_USUAL, _NEAR = (
    3,
    5,
)  # least and most tilts that tell the usual contrast: it changes slowly with tilt
_SIGMAS = 3.0
_DARK = 0.05


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where a quantity was: at the last tilt, and at the last one that raised no alert."""

    last: tuple[float, ...] | None = None
    quiet: tuple[float, ...] | None = None

    @classmethod
    def followed(cls, values: Iterable[Sequence[float]], alerted: Iterable[bool]) -> Steps:
        """Return the state after some tilts."""
        steps = cls()
        for value, alert in zip(values, alerted, strict=True):
            steps = steps.after(value, alert=alert)
        return steps

    def distance(self, value: Sequence[float]) -> float:
        """Return how far a value is from the nearer of both; 0 at the first tilt."""
        known = [np.asarray(v) for v in (self.last, self.quiet) if v is not None]
        return min((float(np.linalg.norm(np.asarray(value) - v)) for v in known), default=0.0)

    def after(self, value: Sequence[float], *, alert: bool) -> Steps:
        """Return the state after a tilt."""
        now = tuple(float(v) for v in value)
        return Steps(last=now, quiet=self.quiet if alert else now)

    def nearer(self, value: Sequence[float]) -> tuple[float, ...] | None:
        """Return that of both which a value is nearer to."""
        known = [v for v in (self.last, self.quiet) if v is not None]
        return min(known, key=lambda v: float(np.linalg.norm(np.subtract(value, v))), default=None)


def is_blank(look: Look, others: Sequence[Look], share: float) -> str:
    """Return why an image is blank against ``others``, those nearest in angle first, or an empty string.

    Its contrast has to be below ``share`` of theirs beyond chance, so that images of a few electrons, which all show
    little but noise, are not.
    """
    if look.variance == look.sigma_variance == 0.0:
        return "all its pixels have one value"
    if len(others) < _USUAL:
        return ""
    usual = float(np.median([other.variance for other in others[:_NEAR]]))
    most = look.variance + _SIGMAS * look.sigma_variance
    if usual > 0 and most < share**2 * usual:
        found = np.sqrt(max(look.variance, 0.0) / usual)
        return f"its contrast is {found:.1%} of that of the tilts beside it"
    light = levels([look, *others])
    if light[0] < _DARK * float(np.median(light[1:])):
        return f"its intensity is {light[0] / np.median(light[1:]):.1%} of that of the other tilts"
    return ""


def levels(looks: Sequence[Look]) -> Float64:
    """Return what intensity is judged by: the mean above the vacuum where most images have one, else the mean.

    Counts with a negative offset, which have no ratio, are counted from the darkest area of any image.
    """
    means: Float64 = np.array([look.mean for look in looks])
    vacua = np.array([look.vacuum for look in looks])
    if np.mean([look.has_vacuum for look in looks]) > 0.5:
        return np.asarray(means - vacua)
    return np.asarray(means - min(0.0, float(vacua.min())))


def nearest(angle_deg: float, angles_deg: Sequence[float]) -> int:
    """Return which of some angles is nearest to one."""
    return int(np.argmin(np.abs(np.asarray(angles_deg) - angle_deg)))


def intensity_step(
    angle_deg: float, level: float, angles_deg: Float64, logs: Float64, steps: Steps
) -> tuple[float, float]:
    """Return how far ln(level) has jumped, and by how much it is off what the tilts before say.

    They say the value of the one nearest in angle, or what goes on from the slope of the nearest two: whichever is
    nearer.

    Parameters
    ----------
    angle_deg, level
        Of the new tilt.
    angles_deg, logs : (n,)
        Of the tilts before, n at least 1, with jumps taken out.
    steps : Steps
        Jumps so far, of ln(level).
    """
    if level <= 0:
        return np.inf, -np.inf
    value = float(np.log(level))
    order = np.argsort(np.abs(angles_deg - angle_deg), kind="stable")
    first = order[0]
    away = value - float(logs[first])
    beside = [i for i in order if angles_deg[i] != angles_deg[first]]
    if not beside:
        reach = _STEEPEST * abs(_path(angle_deg) - _path(float(angles_deg[first])))
        return max(0.0, steps.distance([away]) - reach), away
    slope = (logs[first] - logs[beside[0]]) / (angles_deg[first] - angles_deg[beside[0]])
    along = away - float(slope * (angle_deg - angles_deg[first]))
    off = min((away, along), key=lambda x: steps.distance([x]))
    return steps.distance([off]), off


def _path(angle_deg: float) -> float:
    return float(1 / max(np.cos(np.deg2rad(angle_deg)), _LEAST_COSINE))
