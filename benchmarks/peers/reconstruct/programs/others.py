# SPDX-License-Identifier: BSD-3-Clause
"""algotom, ETSpy and tomviz: slice-wise programs of neighbouring fields."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np

from .base import Float32, Program


class Algotom(Program):
    tasks = ("backproject", "wbp")
    note = "numba; squares only: computes nx/nz times the voxels"

    def prepare(self) -> None:
        import numba
        from algotom.rec import reconstruction

        numba.set_num_threads(self.threads)
        self.reconstruction = reconstruction
        self.angles = -np.deg2rad(self.case.angles_deg)
        self.centre = (self.case.nx - 1) / 2

    def run(self) -> Float32:
        if self.task == "backproject":
            angles, centre = np.float32(self.angles), np.float32(self.centre)
            one = self.reconstruction.back_projection_cpu
            rows = range(self.case.ny)
            whole = [one(np.ascontiguousarray(self.stack[:, y]), angles, centre) for y in rows]
            return np.stack([square[self.square_rows()] for square in whole], axis=1)
        volume = self.reconstruction.fbp_reconstruction(
            self.stack,
            self.centre,
            angles=self.angles,
            ratio=None,
            filter_name=None,
            apply_log=False,
            gpu=False,
            ncore=self.threads,
        )
        return np.ascontiguousarray(volume[self.square_rows()])


class Etspy(Program):
    tasks = ("wbp", "sirt")
    note = "ASTRA's exact pixel areas, slice by slice"

    def prepare(self) -> None:
        from etspy import recon

        self.recon = recon
        self.angles = -self.case.angles_deg

    def run(self) -> Float32:
        found = self.recon.run(
            np.ascontiguousarray(self.stack.transpose(0, 2, 1)),
            self.angles,
            "FBP" if self.task == "wbp" else "SIRT",
            niterations=self.n_iter,
            cuda=False,
            thickness=self.case.nz,
            ncores=self.threads,
            bp_filter="ram-lak",
            constrain=False,
            show_progressbar=False,
        )
        return np.ascontiguousarray(found.transpose(1, 0, 2))


class Tomviz(Program):
    """tomviz's own operator, one slice after another, as its pipeline runs it."""

    tasks = ("wbp",)
    half = False
    note = "NumPy; squares only; knows one thread"

    def prepare(self) -> None:
        # The operator's base class is its window, which is not needed and not in the package.
        tomviz, operators = types.ModuleType("tomviz"), types.ModuleType("tomviz.operators")
        tomviz.operators = operators  # type: ignore[attr-defined]
        operators.CancelableOperator = operators.CompletableOperator = object  # type: ignore[attr-defined]
        sys.modules.update({"tomviz": tomviz, "tomviz.operators": operators})
        kernels = importlib.util.find_spec("tomviz_kernels")
        if kernels is None or not kernels.submodule_search_locations:
            raise ImportError("tomviz-kernels is not installed")
        path = Path(kernels.submodule_search_locations[0]) / "Recon_WBP.py"
        spec = importlib.util.spec_from_file_location("recon_wbp", path)
        assert spec
        assert spec.loader
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def run(self) -> Float32:
        nx, first = self.case.nx, self.case.nx // 2 - self.case.nz // 2
        out = np.empty(self.case.shape, np.float32)
        for y in range(self.case.ny):
            square = self.module.wbp2(
                self.stack[:, y].T, -self.case.angles_deg, nx, "ramp", "linear"
            )
            out[:, y] = square[first : first + self.case.nz]
        return out
