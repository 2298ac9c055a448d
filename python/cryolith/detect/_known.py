# SPDX-License-Identifier: BSD-3-Clause
"""What a caller knows of a volume: its voxels, its noise, and what it shows of a body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..metrics import NoisePower
from ..projection import Geometry
from ._inputs import Float32, Float64, Table
from ._layer_model import Response
from ._search_inputs import HalvesLike, given_volumes, imaging_of, noise_of
from ._spectrum import Spectra

__all__ = ["Known", "as_known", "place_columns"]

_SMALLEST = (
    2.0  # px: terms that hold nothing of blobs of this size tell the noise where nothing else does
)


@dataclass(frozen=True)
class Known:
    """A volume, the power spectrum of its noise, and its response to bodies."""

    data: Float32
    power: Float32
    note: str
    spectra: Spectra
    response: Response
    pixel_size: float | None


def as_known(
    volume: Volume | npt.ArrayLike | None,
    halves: HalvesLike | None,
    noise: NoisePower | npt.ArrayLike | None,
    geometry: Geometry | None,
    image_shape: tuple[int, int] | None,
    solve: Callable[..., Any] | None,
    pixel_size: float | None,
    seed: int,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Known:
    """Return all that is known, from what was given; see :func:`cryolith.detect.layer_thickness`."""
    data, difference, pixel_size = given_volumes(volume, halves, pixel_size)
    spectra = Spectra(data.shape, threads, cancel)
    imaging = imaging_of(spectra, geometry, image_shape, solve, None, None)
    notes: list[str] = []
    power, _ = noise_of(spectra, imaging, data, difference, noise, _SMALLEST, seed, notes)
    return Known(data, power, notes[0], spectra, Response(imaging), pixel_size)


def place_columns(place: Float64, shape: tuple[int, ...], pixel_size: float | None) -> Table:
    """Return columns of places (n, 3) [voxels]: in px, and in nm from the volume's centre where that is known."""
    table: Table = {f"{a}_px": place[:, i].copy() for i, a in enumerate("zyx")}
    if pixel_size is not None:
        centred = (place - (np.array(shape) - 1) / 2) * pixel_size / 10
        table |= {f"{a}_nm": centred[:, i].copy() for i, a in enumerate("zyx")}
    return table
