# SPDX-License-Identifier: BSD-3-Clause
"""What the stage knows of how its volume came about, and what tables say for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from ..projection import Geometry
from ..reconstruct import Halves, ReconstructSettings, linear_solver, split_tilts
from ._inputs import Table
from ._search_inputs import HalvesLike
from .elongation import correct_elongation, directions_seen, seen_axes
from .inclusions import Found

__all__ = ["Imaged"]

_LINEAR = (
    "wbp",
    "sirt",
    "sart",
)  # in the images but for bounds; steps of cgls and lsqr depend on them
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

    def of_blobs(self, shape: tuple[int, ...], halves: HalvesLike | None) -> dict[str, Any]:
        """Return what a search for blobs in a volume of ``shape`` is told: halves, and imaging where it is linear.

        Bounds are left out: they do nothing to a blob on a specimen, whose densities lie between them.
        """
        if self.geometry is None or not self._in_templates():
            return {"halves": halves}
        solve, _ = linear_solver(self.reconstruction)
        turn = np.deg2rad(self.geometry.tilt_axis_deg)
        upright = abs(np.cos(turn)) >= abs(np.sin(turn))  # as Geometry.volume_shape
        pixels = (shape[1], shape[2]) if upright else (shape[2], shape[1])
        return {
            "halves": halves if halves is None else self._divided(halves, self.geometry),
            "geometry": self.geometry, "image_shape": self.image_shape or pixels, "solve": solve,
        }  # fmt: skip

    def _divided(self, halves: HalvesLike, geometry: Geometry) -> HalvesLike:
        """Return halves with how they were made: those of every other tilt do not share all of a blob."""
        if isinstance(halves, Halves) or self.reconstruction.halves != "tilts":
            return halves
        first, second = (np.asarray(half, np.float32) for half in halves)
        return Halves(
            first=first,
            second=second,
            full=first + second,
            split="tilts",
            index=split_tilts(geometry.angles_deg),
        )

    def _in_templates(self) -> bool:
        return self.reconstruction.method in _LINEAR

    def told(self, blobs: Table) -> Table:
        """Return the table of blobs with a flag: sizes are the blobs' own where the imaging was in the search."""
        if self.geometry is None:
            return blobs
        n = len(blobs["sign"])
        if self._in_templates():
            return blobs | {"elongation_flag": np.full(n, "", "U40")}
        ball = directions_seen(np.ones((1, 3)), np.eye(3)[None], self.geometry)
        return blobs | {"coverage": np.repeat(ball, n), "elongation_flag": self._why(n)}

    def _why(self, n: int) -> Any:
        return np.full(n, f"not linear: {self.reconstruction.method}", "U40")
