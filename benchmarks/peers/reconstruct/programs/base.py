# SPDX-License-Identifier: BSD-3-Clause
"""What a program is told, and what it has to answer."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from benchmarks.cases import TiltCase

Float32 = npt.NDArray[np.float32]
TASKS = ("backproject", "project", "wbp", "sirt")


class Program:
    """One reconstruction program: prepares outside the clock, runs inside it, answers in our axis order.

    It gets its data in its own convention (sign of the tilt, place of the rotation centre) and computes the whole task:
    stack (n_tilts, ny, nx) float32 in, volume out, layout changes included.
    """

    tasks: ClassVar[tuple[str, ...]] = TASKS
    # Rotation centre at (n - 1) / 2, between the pixels of an even row; False: at pixel n // 2.
    half: ClassVar[bool] = True
    note: ClassVar[str] = ""

    def __init__(
        self,
        case: TiltCase,
        task: str,
        stack: Float32,
        volume: Float32,
        threads: int = 1,
        n_iter: int = 20,
        axis_deg: float = 0.0,
    ) -> None:
        self.case, self.task, self.threads, self.n_iter = case, task, threads, n_iter
        self.stack, self.volume, self.axis_deg = stack, volume, axis_deg
        self.prepare()

    def prepare(self) -> None:
        """Import, and make what is made once for a geometry; not timed."""

    def run(self) -> Float32:
        """Return the volume (nz, ny, nx), or the images (n_tilts, ny, nx) for ``project``."""
        raise NotImplementedError

    def square_rows(self) -> slice:
        """Return where the volume lies in the nx x nx slices of a program that knows only squares."""
        first = (self.case.nx - self.case.nz) // 2
        return slice(first, first + self.case.nz)
