# SPDX-License-Identifier: BSD-3-Clause
"""A copy of a volume whose voxels are averages, for what needs all of it at once, and its tables in full voxels."""

from __future__ import annotations

import numpy as np

from ._inputs import Float32, Float64, Table
from ._scan import Scan

__all__ = ["averaged", "blobs_in_full_voxels", "in_full_voxels", "middle_moved"]

_LENGTHS = (
    "thickness",
    "start",
    "end",
    "start_roughness",
    "end_roughness",
    "start_width",
    "end_width",
)


def averaged(scan: Scan, factor: int) -> Float32:
    """Return the means of ``factor`` x ``factor`` x ``factor`` voxels; those left over at the far ends are not used."""
    nz, ny, nx = (n // factor for n in scan.shape)
    out = np.empty((nz, ny, nx), np.float32)
    for z in range(nz):
        part = np.zeros((ny, nx), np.float64)
        for at in range(z * factor, (z + 1) * factor):
            image = scan.read((at, at + 1))[0, : ny * factor, : nx * factor]
            part += image.reshape(ny, factor, nx, factor).mean(axis=(1, 3), dtype=np.float64)
        out[z] = part / factor
    return out


def middle_moved(shape: tuple[int, int, int], factor: int) -> Float64:
    """Return where the middle of the copy lies (z, y, x), from that of the volume [px]."""
    return np.array([-(n % factor) / 2 for n in shape])


def in_full_voxels(
    layers: Table, shape: tuple[int, int, int], factor: int, pixel: float | None
) -> Table:
    """Return the table of layers of a copy as one of the volume: lengths in px grow, places count from its middle.

    Lengths in nm have grown with the voxel's edge already.
    """
    unit, grown, step = ("px", factor, 1.0) if pixel is None else ("nm", 1, pixel / 10)
    out = dict(layers)
    for name in _LENGTHS:
        for column in (f"{name}_{unit}", f"sigma_{name}_{unit}"):
            out[column] = layers[column] * grown
    moved = middle_moved(shape, factor) * step
    along = sum(layers[f"normal_{a}"] * moved[i] for i, a in enumerate("zyx"))
    for side in ("start", "end"):
        out[f"{side}_{unit}"] = out[f"{side}_{unit}"] + along
    for i, a in enumerate("zyx"):
        out[f"{a}_{unit}"] = layers[f"{a}_{unit}"] * grown + moved[i]
    return out


def blobs_in_full_voxels(
    blobs: Table, shape: tuple[int, int, int], factor: int, pixel: float | None
) -> Table:
    """Return the table of blobs of a copy as one of the volume."""
    out, moved = dict(blobs), middle_moved(shape, factor)
    for i, a in enumerate("zyx"):
        # The voxel of a copy is the middle of those it was made from.
        out[f"{a}_px"] = blobs[f"{a}_px"] * factor + (factor - 1) / 2
        out[f"sigma_{a}_px"] = blobs[f"sigma_{a}_px"] * factor
        if pixel is not None:
            out[f"{a}_nm"] = blobs[f"{a}_nm"] + moved[i] * pixel / 10
    if pixel is None:
        for name in ("size", "diameter"):
            for column in (f"{name}_px", f"sigma_{name}_px"):
                out[column] = blobs[column] * factor
    return out
