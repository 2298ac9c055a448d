# SPDX-License-Identifier: BSD-3-Clause
"""The series of a job."""

from __future__ import annotations

from .config import Job
from .datamodel import TiltSeries
from .files import read_tilt_series

__all__ = ["read_job_series"]


def read_job_series(job: Job) -> TiltSeries:
    """Return the series of a job; its images are not read yet."""
    s = job.series
    return read_tilt_series(
        s.path, angles=s.angles, pixel_size=s.pixel_size, tilt_axis_deg=s.tilt_axis
    )
