# SPDX-License-Identifier: BSD-3-Clause
"""The real needle's images, its reference alignment, and the judge: tilts that a reconstruction has not seen."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tables import ROOT, shared_folder

from cryolith import Alignment, TiltSeries, files

sys.path.insert(0, str(ROOT / "tests" / "align"))
from specimens import without_gauge as without_gauge

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Etspy:
    """An alignment as ETSpy tells it: raw moved by (dy, dx), turned by ``axis`` [deg] about n / 2, moved by -offset.

    The aligned pixel (Y, X) is the raw pixel (y, x) = R (Y + offset - n/2, X - n/2) + n/2 - (dy, dx), with
    x = c X' + s Y', y = -s X' + c Y'; the tilt axis is the row Y = (n - 1) / 2.
    """

    shifts: Float64
    axis: float
    offset: float

    @classmethod
    def of(cls, alignment: Alignment) -> Etspy:
        """Convert ours: axis at 90 + d; u runs along +Y, v along -X, axis = -d; offset 1/2 puts u = 0 there."""
        d = np.deg2rad(alignment.tilt_axis_deg - 90)
        across = alignment.axis_offset_px * np.array([np.cos(d), -np.sin(d)])
        return cls(0.5 - alignment.shifts_px - across, float(-np.rad2deg(d)), 0.5)

    def ours(self) -> tuple[Float64, float]:
        """Return shifts (row, column) [px] and tilt-axis angle [deg] in our frame, the offset folded in."""
        d = np.deg2rad(-self.axis)
        along_u = (self.offset - 0.5) * np.array([np.cos(d), -np.sin(d)])
        return 0.5 - self.shifts + along_u, 90.0 - self.axis


def folder() -> Path:
    """Return the folder that holds ``data`` and ``peers``; say so and stop where there is none."""
    shared = shared_folder()
    if shared is None:
        raise SystemExit(
            "no real data: set CRYOLITH_SHARED to the folder that holds data/haadf_needle"
        )
    return shared


def path() -> Path:
    return folder() / "data" / "haadf_needle" / "HAADF.mrc"


@functools.cache
def series() -> TiltSeries:
    return files.read_tilt_series(path())


def reference() -> Etspy:
    """Return what the data's authors found with ETSpy."""
    table = np.loadtxt(path().with_name("reference_alignment.tsv"))
    return Etspy(table[:, 1:3], -2.7933, 2.5116)


def unsigned() -> npt.NDArray[np.float32]:
    """Return the images as recorded: the file holds them minus 32768."""
    images = np.asarray(series().images, np.float32)
    return images + np.float32(32768 if images.min() < 0 else 0)


def held_out(found: Etspy) -> dict[str, float]:
    """Return the mean and worst residual of every fourth tilt, predicted by SIRT 30 from the others."""
    sys.path.insert(0, str(folder() / "peers" / "real"))
    from score_alignment import background, score

    score_of = score(
        background(unsigned()), series().angles_deg, found.shifts, found.axis, found.offset
    )
    return {"mean": score_of["residual"], "worst": score_of["residual_worst"]}
