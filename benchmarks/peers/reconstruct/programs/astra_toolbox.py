# SPDX-License-Identifier: BSD-3-Clause
"""ASTRA's 2-D algorithms, slice by slice: it has no 3-D path on the CPU. A thread for each share of the slices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .base import Float32, Program

WORDS = {"backproject": "BP", "project": "FP", "wbp": "FBP", "sirt": "SIRT"}


class Astra(Program):
    note = "ray-driven, linear; slice by slice"

    def prepare(self) -> None:
        import astra

        self.astra = astra
        self.geometries = make_geometries(self)
        projector = astra.create_projector("linear", *self.geometries)
        self.algorithms = [self.make_algorithm(projector) for _ in range(self.threads)]

    def make_algorithm(self, projector: int) -> tuple[int, int, int]:
        """Return the identifiers of an algorithm, its slice and its sinogram."""
        detector, slices = self.geometries
        at = self.astra.data2d.create("-vol", slices)
        sinogram = self.astra.data2d.create("-sino", detector)
        config = self.astra.astra_dict(WORDS[self.task])
        config["ProjectorId"] = projector
        config["VolumeDataId" if self.task == "project" else "ReconstructionDataId"] = at
        config["ProjectionDataId"] = sinogram
        if self.task == "wbp":
            config["option"] = {"FilterType": "ram-lak"}
        return self.astra.algorithm.create(config), at, sinogram

    def run(self) -> Float32:
        case, forward = self.case, self.task == "project"
        out = np.empty((case.n_tilts, case.ny, case.nx) if forward else case.shape, np.float32)
        with ThreadPoolExecutor(self.threads) as pool:  # ASTRA frees the GIL while it computes
            list(pool.map(lambda share: self.run_share(share, out), range(self.threads)))
        return out

    def run_share(self, share: int, out: Float32) -> None:
        data, forward = self.astra.data2d, self.task == "project"
        algorithm, at, sinogram = self.algorithms[share]
        for y in range(share, self.case.ny, self.threads):
            if forward:
                data.store(at, np.ascontiguousarray(self.volume[:, y]))
            else:
                data.store(sinogram, np.ascontiguousarray(self.stack[:, y]))
                data.store(at, 0.0)
            self.astra.algorithm.run(algorithm, self.n_iter if self.task == "sirt" else 1)
            out[:, y] = data.get_shared(sinogram if forward else at)


def make_geometries(program: Program) -> tuple[dict[str, object], dict[str, object]]:
    """Return ASTRA's detector and slice: its angles are radians of the other sign."""
    import astra

    case = program.case
    detector = astra.create_proj_geom("parallel", 1.0, case.nx, -np.deg2rad(case.angles_deg))
    return detector, astra.create_vol_geom(case.nz, case.nx)
