# SPDX-License-Identifier: BSD-3-Clause
"""svmbir and mbirjax: model-based solvers with projectors of their own; their sirt row is their own solver."""

from __future__ import annotations

import os
import tempfile
import warnings

import numpy as np

from .base import Float32, Program


class Svmbir(Program):
    tasks = ("backproject", "project", "sirt")
    note = "exact pixel areas; sirt: its own coordinate descent"

    def prepare(self) -> None:
        import svmbir

        self.svmbir = svmbir
        self.angles = np.deg2rad(self.case.angles_deg - 90)
        # The system matrix goes to a file; the first, untimed call writes it.
        self.folder = tempfile.TemporaryDirectory()
        self.options = {
            "num_threads": self.threads,
            "verbose": 0,
            "svmbir_lib_path": self.folder.name,
            "roi_radius": 1e6,
        }

    def run(self) -> Float32:
        case = self.case
        if self.task == "project":
            slices = np.ascontiguousarray(self.volume.transpose(1, 0, 2))
            return self.svmbir.project(slices, self.angles, case.nx, **self.options)
        size = {"num_rows": case.nz, "num_cols": case.nx}
        if self.task == "backproject":
            found = self.svmbir.backproject(self.stack, self.angles, **size, **self.options)
        else:
            found = self.svmbir.recon(
                self.stack,
                self.angles,
                max_iterations=self.n_iter,
                stop_threshold=0.0,
                max_resolutions=0,
                **size,
                **self.options,
            )
        return np.ascontiguousarray(found.transpose(1, 0, 2))


class Mbirjax(Program):
    note = "trapezoid footprint, JAX; sirt: its own coordinate descent"

    def prepare(self) -> None:
        os.environ["JAX_PLATFORMS"] = "cpu"
        if self.threads == 1:  # JAX takes every core it may
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        warnings.simplefilter("ignore")
        import mbirjax

        case = self.case
        model = mbirjax.ParallelBeamModel(self.stack.shape, -np.deg2rad(case.angles_deg))
        model.set_params(recon_shape=(case.nz, case.nx, case.ny), verbose=0, use_ror_mask=False)
        self.model = model
        self.folder = tempfile.TemporaryDirectory()

    def run(self) -> Float32:
        if self.task == "project":
            slices = np.ascontiguousarray(self.volume.transpose(0, 2, 1))
            return np.asarray(self.model.forward_project(slices))
        if self.task == "backproject":
            found = self.model.back_project(self.stack)
        elif self.task == "wbp":
            found = self.model.fbp_recon(self.stack)
        else:
            found, _ = self.model.recon(
                self.stack,
                max_iterations=self.n_iter,
                stop_threshold_change_pct=0,
                print_logs=False,
                logfile_path=f"{self.folder.name}/log",
            )
        return np.ascontiguousarray(np.asarray(found).transpose(0, 2, 1))
