# SPDX-License-Identifier: BSD-3-Clause
"""How a slab lies in the holder, roughly, before its shifts are fine: where a thin slab explains the images.

Images of a slab that lies tilted shrink with cos(tilt + offset), and an x-tilt shears them in proportion to the sine of
the tilt. A slab whose support is level can follow neither: 0.54 instead of 0.1 px were left of the shifts, and
0.2 deg of the axis, of one with 8 and 3 degrees (design/018-levelling.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .images import reduce_images
from .joint import Model, Pose, refine
from .levels import ladder, model_of
from .quality import compared_over_angles, misfit_cost
from .specimen import Prepared
from .steps import Job

__all__ = ["Lie", "rough_lie"]

Float32 = npt.NDArray[np.float32]

_ITERATIONS = 15
# Of tilt offset, x-tilt and axis, a round each [deg]: the first bring back 10 and 5 degrees, and an axis 7 degrees off.
_STEPS_DEG = ((8.0, 4.0, 3.0), (4.0, 3.0, 2.0), (2.0, 2.0, 1.0))
_LEAST_EDGE = 64
_MANY_TILTS = 30  # every second tilt is enough from here on
# Errors were 0.9 and 1.2 deg at most on eight series (design/018-levelling.md): below, nothing is known.
_LEAST_DEG = 1.0


@dataclass(frozen=True)
class Lie:
    """How the specimen lies in the frame of a pose: x-tilt about +x first, then the offset about +y [deg]."""

    tilt_offset_deg: float = 0.0
    x_tilt_deg: float = 0.0

    @property
    def is_level(self) -> bool:
        """Whether both angles are too small to be known from a misfit."""
        return max(abs(self.tilt_offset_deg), abs(self.x_tilt_deg)) < _LEAST_DEG

    def laid(self, job: Job) -> Job:
        """Return the job with tilts counted from the specimen, so that its model of a slab fits."""
        angles = job.angles_deg + self.tilt_offset_deg
        return replace(job, angles_deg=angles, x_tilt_deg=self.x_tilt_deg)


def rough_lie(job: Job, ready: Prepared, pose: Pose, finest: int) -> tuple[Lie, Pose]:
    """Find tilt offset, x-tilt and axis of least misfit, shifts free at each; pose in and out in raw pixels.

    Parabolas through three angles, one angle at a time, three times or until the slab is level. Angles below
    ``_LEAST_DEG`` are taken as none: then the pose comes back as it was.
    """
    binning = ladder(min(ready.images.shape[1:]) * ready.binning, finest, ready.isolated)[0]
    factor = max(1, round(binning / ready.binning))
    if min(ready.images.shape[1:]) // factor < _LEAST_EDGE:
        return Lie(), pose
    part = slice(None, None, 2 if len(job.keep) >= _MANY_TILTS else 1)
    images = reduce_images(ready.images[part], factor, job.threads, job.cancel)
    some = replace(job, keep=job.keep[part], angles_deg=job.angles_deg[part])
    first = pose.subset(part).scaled(1 / binning)
    search = _Search(some, ready, images, Lie(), first, first)
    for steps in _STEPS_DEG:
        search = search.step("tilt_offset_deg", steps[0]).step("x_tilt_deg", steps[1])
        if job.settings.refine_axis:
            search = search.step("tilt_axis_deg", steps[2])
        job.tell(0.1)
        if search.lie.is_level:
            break
    angles = search.lie.tilt_offset_deg, search.lie.x_tilt_deg
    found = Lie(*(angle if abs(angle) >= _LEAST_DEG else 0.0 for angle in angles))
    if found == Lie():
        return found, pose
    return found, replace(pose, tilt_axis_deg=search.pose.tilt_axis_deg)


@dataclass(frozen=True)
class _Search:
    """Where the search stands, in pixels of ``images``."""

    job: Job
    ready: Prepared
    images: Float32
    lie: Lie
    pose: Pose
    first: Pose

    def step(self, name: str, step_deg: float) -> _Search:
        """Move one angle to the minimum of a parabola through three."""
        costs, found = [], []
        for turn in (-step_deg, 0.0, step_deg):
            cost, pose = self._moved(name, turn)._misfit()
            costs.append(cost)
            found.append(pose)
        bend = costs[0] - 2 * costs[1] + costs[2]
        best = int(np.argmin(costs))
        move = 0.5 * (costs[0] - costs[2]) / bend if bend > 0 else float(best - 1)
        pose = replace(found[best], tilt_axis_deg=self.pose.tilt_axis_deg)
        return replace(self, pose=pose)._moved(name, step_deg * float(np.clip(move, -1.5, 1.5)))

    def _moved(self, name: str, turn: float) -> _Search:
        if name == "tilt_axis_deg":
            return replace(self, pose=self.pose.moved(name, turn))
        return replace(self, lie=replace(self.lie, **{name: getattr(self.lie, name) + turn}))

    def _misfit(self) -> tuple[float, Pose]:
        model: Model = model_of(self.lie.laid(self.job), self.ready, self.images, self.pose)
        model = compared_over_angles(model, self.first)
        pose, solution = refine(model, self.pose, rounds=1, iterations=_ITERATIONS)
        return misfit_cost(model, solution), pose
