# SPDX-License-Identifier: BSD-3-Clause
"""ASTRA's linear system matrix in SciPy's compressed rows, made beforehand, times all slices at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .astra_toolbox import make_geometries
from .base import Float32, Program


class SparseMatrix(Program):
    tasks = ("backproject", "project", "sirt")
    note = "ASTRA's matrix as CSR, set-up not timed; knows one thread"

    def prepare(self) -> None:
        import astra

        matrix = astra.projector.matrix(astra.create_projector("linear", *make_geometries(self)))
        self.forward = astra.matrix.get(matrix).astype(np.float32).tocsr()
        astra.matrix.delete(matrix)
        self.back = self.forward.T.tocsr()

    def run(self) -> Float32:
        case = self.case
        if self.task == "project":
            columns = self.volume.transpose(0, 2, 1).reshape(-1, case.ny)
            images = self.forward @ np.ascontiguousarray(columns)
            shaped = images.reshape(case.n_tilts, case.nx, case.ny)
        else:
            rays = np.ascontiguousarray(self.stack.transpose(0, 2, 1).reshape(-1, case.ny))
            volume = self.back @ rays if self.task == "backproject" else self.sirt(rays)
            shaped = volume.reshape(case.nz, case.nx, case.ny)
        return np.ascontiguousarray(shaped.transpose(0, 2, 1))

    def sirt(self, rays: Float32) -> Float32:
        rows, columns = inverse(self.forward.sum(axis=1)), inverse(self.forward.sum(axis=0))
        x = np.zeros((self.forward.shape[1], rays.shape[1]), np.float32)
        for _ in range(self.n_iter):
            x += columns * (self.back @ (rows * (rays - self.forward @ x)))
        return x


def inverse(sums: npt.NDArray[np.float32]) -> Float32:
    """Return 1 / sum as a column, 0 where the sum is 0."""
    sums = np.asarray(sums, np.float32).reshape(-1, 1)
    return np.where(sums > 1e-6, 1 / np.maximum(sums, 1e-6), 0).astype(np.float32)
