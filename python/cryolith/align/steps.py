# SPDX-License-Identifier: BSD-3-Clause
"""How an alignment runs, and its first pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import Cancelled
from .axis import nearest_turn, search_isolated, search_slab
from .coarse import correlate_outward
from .images import reduce_images
from .joint import Pose
from .settings import AlignSettings
from .specimen import Prepared

__all__ = ["SOFTNESS", "Job", "first_pose"]

Float64 = npt.NDArray[np.float64]

# Cut-off of the images to fit, as a fraction of Nyquist: 1 / 2.5. With more, interpolation between rotated lattices
# pulled the axis towards the lattice: -0.7 deg at 30 deg with 1, -0.3 with 1.5, -0.07 with 2.5 (a simulated needle).
SOFTNESS = 2.5


@dataclass(frozen=True, kw_only=True)
class Job:
    """Images at hand (those not excluded), and how to run.

    ``x_tilt_deg`` is that of a slab, for its support.
    """

    keep: npt.NDArray[np.int64]
    angles_deg: Float64
    nominal: float | None
    settings: AlignSettings
    threads: int
    cancel: _core.CancelToken | None
    progress: Callable[[float], None] | None
    x_tilt_deg: float = 0.0

    def tell(self, fraction: float) -> None:
        if self.cancel is not None and self.cancel.cancelled:
            raise Cancelled("cancelled by the caller")
        if self.progress is not None:
            self.progress(fraction)


def first_pose(job: Job, ready: Prepared) -> tuple[Pose, list[str]]:
    """Shifts by correlation and the direction of the axis, in raw pixels."""
    settings, cancel, threads = job.settings, job.cancel, job.threads
    binning = ready.binning
    edge = max(ready.images.shape[1:])
    reach = (settings.max_shift or 0.5 * edge * binning) / binning
    notes = list(ready.notes)
    given = settings.tilt_axis
    coarser = max(1, round(edge / 32))
    tiny = reduce_images(ready.images, coarser, threads, cancel, softness=SOFTNESS)
    if ready.isolated:
        shifts, _ = correlate_outward(ready.images, job.angles_deg, None, reach, threads, cancel)
        notes.append("cosine stretch: none (an isolated specimen does not scale with tilt)")
        axis, at, how = search_isolated(
            tiny, job.angles_deg, shifts / coarser, given, threads, cancel
        )
        shifts = at * coarser
    else:
        axis, _, _, how = search_slab(tiny, job.angles_deg, given, reach / coarser, threads, cancel)
        shifts, _ = correlate_outward(ready.images, job.angles_deg, axis, reach, threads, cancel)
        notes.append("cosine stretch: yes (a slab shrinks with the cosine of the tilt)")
    notes.append(how)
    if given is not None:
        notes.append("axis direction: as given")
    elif job.nominal is not None:
        axis = nearest_turn(axis, job.nominal)
        notes.append(f"axis direction: the half turn nearest to the nominal {job.nominal:g} deg")
    else:
        axis = nearest_turn(axis, 0.0)
        notes.append(
            "axis direction: not known; taken from -90 to 90 deg, the volume may be mirrored"
        )
    return Pose.of_shifts(shifts * binning, axis), notes
