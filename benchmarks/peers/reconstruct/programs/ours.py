# SPDX-License-Identifier: BSD-3-Clause
"""cryolith itself, by its public functions."""

from __future__ import annotations

import inspect
import math
from typing import Any, ClassVar

from cryolith import reconstruct
from cryolith.projection import Geometry, backproject, project

from .base import Float32, Program


class Cryolith(Program):
    note = "shear form, exact adjoint pair"
    options: ClassVar[dict[str, Any]] = {}

    def prepare(self) -> None:
        self.geometry = Geometry.single_axis(self.case.angles_deg, tilt_axis_deg=self.axis_deg)
        function = getattr(reconstruct, self.task, None) or backproject
        unknown = set(self.options) - set(inspect.signature(function).parameters)
        if unknown:
            raise ImportError(f"this cryolith has no {', '.join(unknown)}=")

    def run(self) -> Float32:
        case, geometry = self.case, self.geometry
        options = {"threads": self.threads, **self.options}
        if self.task == "project":
            return project(self.volume, geometry, (case.ny, case.nx), **options)
        if self.task == "backproject":
            return backproject(self.stack, geometry, case.shape, **options)
        if self.task == "wbp":
            return reconstruct.wbp(self.stack, geometry, shape=case.shape, filter="ramp", **options)
        return reconstruct.sirt(
            self.stack,
            geometry,
            shape=case.shape,
            n_iter=self.n_iter,
            lower=-math.inf,
            **options,
        )


class CryolithFixed16(Cryolith):
    tasks = ("backproject", "wbp")
    note = "the same, sums in 16-bit fixed point"
    options: ClassVar[dict[str, Any]] = {"precision": "fixed16"}
