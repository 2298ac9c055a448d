# SPDX-License-Identifier: BSD-3-Clause
"""What the stage knows of how its volume came about, and what tables say for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..projection import Geometry
from ..reconstruct import ReconstructSettings, linear_solver
from ._inputs import Table
from .elongation import correct_elongation, directions_seen, seen_axes
from .inclusions import Found

__all__ = ["Imaged"]

_FREE, _BOUNDED = 0.02, 0.05  # relative errors of lengths without noise: design/023-surfaces.md


@dataclass(frozen=True)
class Imaged:
    """The tilts that a volume was reconstructed from, and how; without a geometry nothing is known."""

    geometry: Geometry | None
    image_shape: tuple[int, int] | None
    reconstruction: ReconstructSettings

    def freed(self, found: Found, threads: int, cancel: _core.CancelToken | None) -> Table:
        """Return the table with coverage, and axes freed from elongation or why not."""
        if self.geometry is None:
            return found.table
        solve, whole = linear_solver(self.reconstruction)
        if solve is None:
            covered = directions_seen(*seen_axes(found.table), self.geometry)
            return found.table | {"coverage": covered, "elongation_flag": self._why(len(covered))}
        return correct_elongation(
            found.table,
            self.geometry,
            solve=solve,
            cut=np.clip(found.cut, 0.05, 0.95),
            model_error=_FREE if whole else _BOUNDED,
            threads=threads,
            cancel=cancel,
        )

    def of_blobs(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what a search for blobs in a volume of ``shape`` is told: the imaging, where it is linear."""
        solve, whole = linear_solver(self.reconstruction)
        if self.geometry is None or not whole:
            return {}
        turn = np.deg2rad(self.geometry.tilt_axis_deg)
        upright = abs(np.cos(turn)) >= abs(np.sin(turn))  # as Geometry.volume_shape
        pixels = (shape[1], shape[2]) if upright else (shape[2], shape[1])
        return {
            "geometry": self.geometry, "image_shape": self.image_shape or pixels, "solve": solve,
        }  # fmt: skip

    def told(self, blobs: Table) -> Table:
        """Return the table of blobs with a flag: sizes are the blobs' own where the imaging was in the search."""
        if self.geometry is None:
            return blobs
        n = len(blobs["sign"])
        if linear_solver(self.reconstruction)[1]:
            return blobs | {"elongation_flag": np.full(n, "", "U40")}
        ball = directions_seen(np.ones((1, 3)), np.eye(3)[None], self.geometry)
        return blobs | {"coverage": np.repeat(ball, n), "elongation_flag": self._why(n)}

    def _why(self, n: int) -> Any:
        return np.full(n, f"not linear: {self.reconstruction.method}", "U40")
