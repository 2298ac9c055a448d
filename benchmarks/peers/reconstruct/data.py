# SPDX-License-Identifier: BSD-3-Clause
"""The specimen of a case as files, and how far a result is from it.

Images are exact line integrals of ellipsoids: no projector is involved. Each exists twice, for programs that turn about
(n - 1) / 2 and for those that turn about pixel n // 2, so that nobody pays for an interpolation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.ndimage
from benchmarks import cases

from cryolith import simulate

Array = npt.NDArray[np.floating]
ROWS = 16  # judged: the middle ones
# Twice what working programs show on S (ray-driven weights of the adjoint: 0.053); data with the sign of the tilts
# turned round must stay above: the wedge leaves wbp and sirt at 0.5 to 0.6.
LIMITS = {"backproject": 0.1, "project": 0.02, "wbp": 0.75, "sirt": 0.75}


class Data:
    """The arrays of one case in ``folder``."""

    def __init__(self, folder: Path, case: cases.TiltCase, axis_deg: float = 0.0) -> None:
        self.folder, self.case, self.axis_deg = folder, case, axis_deg

    def write(self, half: bool, *, whole_volume: bool) -> None:
        """Make what is missing: images, the middle rows of the truth and, to project, the whole volume."""
        case, offset = self.case, 0.0 if half else 0.5
        phantom = cases.grains(case, offset)
        middle = simulate.Phantom(shape=(case.nz, ROWS, case.nx), solids=phantom.solids)
        makers = {"stack": lambda: self.images(offset), "truth": lambda: middle.volume}
        if whole_volume:
            makers["volume"] = lambda: phantom.volume
        for name, make in makers.items():
            path = self.path(name, half)
            if not path.exists():
                np.save(path, make())

    def images(self, offset: float) -> Array:
        series, _ = simulate.tilt_series(
            cases.grains(self.case),
            self.case.angles_deg,
            axis_offset_px=offset,
            tilt_axis_deg=self.axis_deg,
        )
        return np.asarray(series.images, np.float32)

    def path(self, name: str, half: bool) -> Path:
        case = self.case
        size = f"{case.n_tilts}x{case.ny}x{case.nx}x{case.nz}"
        return (
            self.folder / f"{name}-{size}-axis{self.axis_deg:g}-{'half' if half else 'pixel'}.npy"
        )

    def read(self, name: str, half: bool) -> npt.NDArray[np.float32]:
        return np.load(self.path(name, half))


def error_of(found: Array, truth: Array) -> float:
    """Return the rms difference over the truth's standard deviation, gain and offset fitted.

    Programs scale a limited tilt range differently; that is no error of theirs.
    """
    x, y = (np.asarray(a, np.float64).ravel() for a in (found, truth))
    x, y = x - x.mean(), y - y.mean()
    return float(np.sqrt(((x @ y) / (x @ x) * x - y).var() / y.var()))


def check(data: Data, task: str, half: bool, result: Array) -> float:
    """Return the error of a result: against exact images, the definition in float64, or the specimen."""
    case = data.case
    depth, across = case.nz // 5, case.nx // 5  # every program's own border handling left out
    inner = (slice(depth, -depth), slice(None), slice(across, -across))
    rows = slice((case.ny - ROWS) // 2, (case.ny + ROWS) // 2)
    found = result[:, rows]
    if task == "project":
        return error_of(found, data.read("stack", half)[:, rows])
    if task == "backproject" and data.axis_deg:
        truth = backprojected_about(case, data.read("stack", half), data.axis_deg)
    elif task == "backproject":
        truth = backprojected(case, data.read("stack", half)[:, rows], half)
    else:
        truth = data.read("truth", half)
    return error_of(found[inner], truth[inner])


def backprojected(case: cases.TiltCase, stack: Array, half: bool) -> Array:
    """Return the definition: linear interpolation at u = x cos + z sin, float64."""
    shift = 0.5 if half else 0.0
    x, z = (np.arange(n) - n // 2 + shift for n in (case.nx, case.nz))
    out = np.zeros((case.nz, stack.shape[1], case.nx))
    for image, angle in zip(stack.astype(np.float64), np.deg2rad(case.angles_deg), strict=True):
        u = x * np.cos(angle) + z[:, None] * np.sin(angle) + case.nx // 2 - shift
        for row in range(image.shape[0]):
            out[:, row] += np.interp(u, np.arange(case.nx), image[row], left=0, right=0)
    return out


def backprojected_about(case: cases.TiltCase, stack: Array, axis_deg: float) -> Array:
    """Return the same for a tilt axis at any angle: the images are sampled bilinearly."""
    x, z, v = (np.arange(n) - (n - 1) / 2 for n in (case.nx, case.nz, ROWS))
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    out = np.zeros((case.nz, ROWS, case.nx))
    for image, angle in zip(stack, np.deg2rad(case.angles_deg), strict=True):
        u = (x * np.cos(angle) + z[:, None] * np.sin(angle))[:, None]
        row = (image.shape[0] - 1) / 2 + u * sin + v[:, None] * cos
        column = (image.shape[1] - 1) / 2 + u * cos - v[:, None] * sin
        out += scipy.ndimage.map_coordinates(image, [row, column], order=1)
    return out
