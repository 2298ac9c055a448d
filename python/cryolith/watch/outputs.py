# SPDX-License-Identifier: BSD-3-Clause
"""What a watch writes of a series besides its run: coarse volume, its picture, and what is kept of the tilts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..datamodel import Volume
from ..files import write_volume
from ..files.atomic import write_bytes

__all__ = ["COARSE", "KEPT", "PICTURE", "write_coarse"]

COARSE, PICTURE, KEPT = "coarse.mrc", "coarse.png", "tilts.json"


def write_coarse(
    folder: Path, volume: npt.NDArray[np.float32], voxel_size: float | None, n_tilts: int
) -> None:
    """Write a coarse volume, and the slices through its middle: seen along z, and below it along y."""
    label = f"cryolith {__version__} coarse volume of {n_tilts} tilts"
    write_volume(folder / COARSE, Volume(data=volume, pixel_size=voxel_size), labels=[label])
    write_bytes(folder / PICTURE, _picture(volume))


def _picture(volume: npt.NDArray[np.float32]) -> bytes:
    from PIL import Image

    from ..report.pictures import Window

    planes = [volume[volume.shape[0] // 2], volume[:, volume.shape[1] // 2]]
    grey = [Window.of(plane).bytes_of(plane) for plane in planes]
    line = np.full((2, volume.shape[2]), 255, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([grey[0], line, grey[1]])).save(buffer, "PNG")
    return buffer.getvalue()
