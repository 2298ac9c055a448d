# SPDX-License-Identifier: BSD-3-Clause
"""iradon and radon, slice by slice in forked processes; they know squares only and put the centre on a pixel."""

from __future__ import annotations

import multiprocessing
import warnings

import numpy as np

from .base import Float32, Program


class ScikitImage(Program):
    tasks = ("backproject", "project", "wbp")
    half = False
    note = "squares only: computes nx/nz times the voxels"

    def prepare(self) -> None:
        import skimage.transform  # noqa: F401

    def run(self) -> Float32:
        rows = range(self.case.ny)
        if self.threads == 1:
            return np.stack([self.one(y) for y in rows], axis=1)
        global _program
        _program = self  # what a forked worker finds
        with multiprocessing.get_context("fork").Pool(self.threads) as pool:
            return np.stack(pool.map(_one, rows, chunksize=8), axis=1)

    def one(self, y: int) -> Float32:
        from skimage.transform import iradon, radon

        angles, rows = -self.case.angles_deg, self.square_rows()
        if self.task == "project":
            square = np.zeros((self.case.nx, self.case.nx), np.float32)
            square[rows] = self.volume[:, y]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of what lies outside its circle
                return radon(square, angles, circle=True).T.astype(np.float32)
        name = "ramp" if self.task == "wbp" else None
        whole = iradon(self.stack[:, y].T, angles, filter_name=name, circle=True)
        return np.asarray(whole[rows], np.float32)


_program: ScikitImage


def _one(y: int) -> Float32:
    return _program.one(y)
