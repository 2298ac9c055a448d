# SPDX-License-Identifier: BSD-3-Clause
"""What a caller knows of a volume: its voxels, its noise, and what it shows of a body."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..projection import Geometry
from ..reconstruct import wbp
from ._inputs import Float32, Float64, Table
from ._layer_model import Response
from ._search_inputs import HalvesLike, given_volumes
from ._spectrum import Spectra, as_noise, fitted_noise, measured_noise, noise_scale

__all__ = ["Known", "as_known", "place_columns"]


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
    if geometry is None and (image_shape is not None or solve is not None):
        raise InputError("geometry: found None, expected one beside solve= or image_shape=")
    data, difference, pixel_size = given_volumes(volume, halves, pixel_size)
    spectra = Spectra(data.shape, threads, cancel)
    pixels = image_shape or (data.shape[1], data.shape[2])
    response = Response(geometry, pixels, solve or functools.partial(wbp), threads, cancel)
    power, note = _noise(spectra, response, data, difference, noise, seed)
    return Known(data, power, note, spectra, response, pixel_size)


def place_columns(place: Float64, shape: tuple[int, ...], pixel_size: float | None) -> Table:
    """Return columns of places (n, 3) [voxels]: in px, and in nm from the volume's centre where that is known."""
    table: Table = {f"{a}_px": place[:, i].copy() for i, a in enumerate("zyx")}
    if pixel_size is not None:
        centred = (place - (np.array(shape) - 1) / 2) * pixel_size / 10
        table |= {f"{a}_nm": centred[:, i].copy() for i, a in enumerate("zyx")}
    return table


def _noise(
    spectra: Spectra,
    response: Response,
    data: Float32,
    difference: Float32 | None,
    noise: NoisePower | npt.ArrayLike | None,
    seed: int,
) -> tuple[Float32, str]:
    """Return the power spectrum of the noise and where it comes from."""
    if noise is not None:
        return as_noise(spectra, noise), "noise: as given"
    if difference is not None:
        return measured_noise(spectra, difference), "noise: from the difference of the halves"
    if response.geometry is None:
        found = fitted_noise(spectra, spectra.forward(data), 2.0, None)
        return found.power, found.note
    pixels = (len(response.geometry), *response.image_shape)
    white = np.random.default_rng(seed).standard_normal(pixels, dtype=np.float32)
    planned = response.reconstruct(white, data.shape)
    power = measured_noise(spectra, planned)
    power *= np.float32(noise_scale(spectra, data, planned, 2.0))
    return power, "noise: planned, white images through the geometry, scaled to the finest terms"
