# SPDX-License-Identifier: BSD-3-Clause
"""One class per program: it prepares outside the clock, runs inside it, hands back our axis order.

Every program gets its data in its own convention (sign of the tilt, place of the centre) and computes the whole task:
stack (n_tilts, ny, nx) float32 in, volume out, layout changes included. One thread each.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from cases import TiltCase

from cryolith import reconstruct
from cryolith.projection import Geometry, backproject, project

Float32 = npt.NDArray[np.float32]
TASKS = ("backproject", "project", "wbp", "sirt")
N_ITER = 5


class Program:
    """What a program is told; ``half`` says whether its rotation axis is at (n - 1) / 2 or at n // 2."""

    name = ""
    tasks: tuple[str, ...] = TASKS
    half = True
    note = ""

    def __init__(self, case: TiltCase, task: str, stack: Float32, volume: Float32) -> None:
        self.case, self.task, self.stack, self.volume = case, task, stack, volume
        self.result = np.empty(0, np.float32)
        self.prepare()

    def prepare(self) -> None:
        """Make what a program makes once for a geometry; not timed."""

    def run(self) -> Float32:
        """Return the volume (nz, ny, nx), or the images (n_tilts, ny, nx) for ``project``."""
        raise NotImplementedError


class Cryolith(Program):
    name = "cryolith"
    note = "shear form, exact adjoint pair"

    def run(self) -> Float32:
        case = self.case
        geometry = Geometry.single_axis(case.angles_deg)
        if self.task == "project":
            return project(self.volume, geometry, (case.ny, case.nx), threads=1)
        if self.task == "backproject":
            return backproject(self.stack, geometry, case.shape, threads=1)
        if self.task == "wbp":
            return reconstruct.wbp(self.stack, geometry, shape=case.shape, filter="ramp", threads=1)
        return reconstruct.sirt(
            self.stack, geometry, shape=case.shape, n_iter=N_ITER, lower=-np.inf, threads=1
        )


class Astra(Program):
    """ASTRA's 2-D algorithms, slice by slice: it has no 3-D path on the CPU."""

    name = "astra-toolbox"
    note = "ray-driven, linear; slice by slice"

    def prepare(self) -> None:
        import astra

        case = self.case
        self.astra = astra
        detector = astra.create_proj_geom("parallel", 1.0, case.nx, -np.deg2rad(case.angles_deg))
        slices = astra.create_vol_geom(case.nz, case.nx)
        self.projector = astra.create_projector("linear", detector, slices)
        self.slice = astra.data2d.create("-vol", slices)
        self.sinogram = astra.data2d.create("-sino", detector)
        forward = self.task == "project"
        words = {"backproject": "BP", "project": "FP", "wbp": "FBP", "sirt": "SIRT"}
        config = astra.astra_dict(words[self.task])
        config["ProjectorId"] = self.projector
        config["VolumeDataId" if forward else "ReconstructionDataId"] = self.slice
        config["ProjectionDataId"] = self.sinogram
        if self.task == "wbp":
            config["option"] = {"FilterType": "ram-lak"}
        self.algorithm = astra.algorithm.create(config)

    def run(self) -> Float32:
        data, case, forward = self.astra.data2d, self.case, self.task == "project"
        out = np.empty((case.n_tilts, case.ny, case.nx) if forward else case.shape, np.float32)
        for y in range(case.ny):
            if forward:
                data.store(self.slice, np.ascontiguousarray(self.volume[:, y]))
            else:
                data.store(self.sinogram, np.ascontiguousarray(self.stack[:, y]))
                data.store(self.slice, 0.0)
            self.astra.algorithm.run(self.algorithm, N_ITER if self.task == "sirt" else 1)
            out[:, y] = data.get_shared(self.sinogram if forward else self.slice)
        return out


class SparseMatrix(Program):
    """ASTRA's linear system matrix in SciPy's compressed rows, made beforehand, times all slices at once."""

    name = "scipy.sparse"
    tasks = ("backproject", "project", "sirt")
    note = "ASTRA's matrix as CSR, set-up not timed"

    def prepare(self) -> None:
        import astra

        case = self.case
        detector = astra.create_proj_geom("parallel", 1.0, case.nx, -np.deg2rad(case.angles_deg))
        projector = astra.create_projector(
            "linear", detector, astra.create_vol_geom(case.nz, case.nx)
        )
        matrix = astra.projector.matrix(projector)
        self.forward = astra.matrix.get(matrix).astype(np.float32).tocsr()
        self.back = self.forward.T.tocsr()
        astra.matrix.delete(matrix)

    def run(self) -> Float32:
        case = self.case
        if self.task == "project":
            columns = self.volume.transpose(0, 2, 1).reshape(-1, case.ny)
            images = self.forward @ np.ascontiguousarray(columns)
            return images.reshape(case.n_tilts, case.nx, case.ny).transpose(0, 2, 1)
        rays = np.ascontiguousarray(self.stack.transpose(0, 2, 1).reshape(-1, case.ny))
        volume = self.back @ rays if self.task == "backproject" else self.sirt(rays)
        return volume.reshape(case.nz, case.nx, case.ny).transpose(0, 2, 1)

    def sirt(self, rays: Float32) -> Float32:
        def inverse(sums: npt.NDArray[np.float32]) -> Float32:
            sums = np.asarray(sums, np.float32).reshape(-1, 1)
            return np.where(sums > 1e-6, 1 / np.maximum(sums, 1e-6), 0).astype(np.float32)

        rows, columns = inverse(self.forward.sum(axis=1)), inverse(self.forward.sum(axis=0))
        x = np.zeros((self.forward.shape[1], rays.shape[1]), np.float32)
        for _ in range(N_ITER):
            x += columns * (self.back @ (rows * (rays - self.forward @ x)))
        return x


class ScikitImage(Program):
    """iradon and radon, slice by slice; they know squares only and put the centre on a pixel."""

    name = "scikit-image"
    tasks = ("backproject", "project", "wbp")
    half = False
    note = "squares only: computes nx/nz times the voxels"

    def run(self) -> Float32:
        from skimage.transform import iradon, radon

        case, first = self.case, (self.case.nx - self.case.nz) // 2
        rows = slice(first, first + case.nz)
        if self.task == "project":
            images = np.empty((case.n_tilts, case.ny, case.nx), np.float32)
            square = np.zeros((case.nx, case.nx), np.float32)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of what lies outside its circle
                for y in range(case.ny):
                    square[rows] = self.volume[:, y]
                    images[:, y] = radon(square, -case.angles_deg, circle=True).T
            return images
        out = np.empty(case.shape, np.float32)
        name = "ramp" if self.task == "wbp" else None
        for y in range(case.ny):
            sinogram = self.stack[:, y].T
            out[:, y] = iradon(sinogram, -case.angles_deg, filter_name=name, circle=True)[rows]
        return out


PROGRAMS: tuple[type[Program], ...] = (Cryolith, Astra, SparseMatrix, ScikitImage)
