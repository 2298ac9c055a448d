# SPDX-License-Identifier: BSD-3-Clause
"""What detectors make of their arguments: the volume or its halves, its imaging, its noise."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..projection import Geometry
from ..reconstruct import Halves, split_tilts, wbp
from ._imaging import Imaging, Plain, Projected
from ._inputs import Float32, Float64, as_volume
from ._spectrum import Spectra, as_noise, fitted_noise, measured_noise, noise_scale

__all__ = ["HalvesLike", "given_volumes", "imaging_of", "noise_of", "searched_volumes"]

HalvesLike = Halves | tuple[npt.ArrayLike, npt.ArrayLike]


def given_volumes(
    volume: Volume | npt.ArrayLike | None, halves: HalvesLike | None, pixel_size: float | None
) -> tuple[Float32, Float32 | None, float | None]:
    """Return the volume, or the sum of its halves with their difference, and the pixel size."""
    if isinstance(volume, Volume) and pixel_size is None:
        pixel_size = volume.pixel_size
    if halves is None:
        if volume is None:
            raise InputError("volume: found None, expected a volume, or halves=")
        data, pixel_size = as_volume(volume, pixel_size)
        return data, None, pixel_size
    pair = (halves.first, halves.second) if isinstance(halves, Halves) else halves
    if len(pair) != 2:
        raise InputError(f"halves: found {len(pair)} volumes, expected two")
    first, second = (as_volume(np.asarray(h), pixel_size, "halves")[0] for h in pair)
    whole: Any = volume.data if isinstance(volume, Volume) else volume
    shape = np.shape(whole)
    if first.shape != second.shape or (volume is not None and shape != first.shape):
        raise InputError(
            f"halves: found shapes {first.shape} and {second.shape}, expected those of the volume, {shape}"
        )
    return first + second, first - second, pixel_size


def searched_volumes(
    volume: Volume | npt.ArrayLike | None, halves: HalvesLike | None, pixel_size: float | None
) -> tuple[Float32, Float32 | None, float | None]:
    """Return what is searched, less its mean, the difference of the halves, and the pixel size."""
    data, difference, pixel_size = given_volumes(volume, halves, pixel_size)
    return data - data.mean(dtype=np.float64).astype(np.float32), difference, pixel_size


def imaging_of(
    spectra: Spectra,
    geometry: Geometry | None,
    image_shape: tuple[int, int] | None,
    solve: Callable[..., Any] | None,
    transfer: npt.ArrayLike | None,
    halves: HalvesLike | None,
) -> Imaging:
    """Return how the volume, and ``halves`` of it, show what is in it."""
    if geometry is None:
        if solve is not None or image_shape is not None:
            raise InputError("geometry: found None, expected one beside solve= or image_shape=")
        if transfer is None:
            return Plain(spectra, None)
        held: Float32 = as_core(transfer, "transfer", ("nz", "ny", "nx // 2 + 1"))
        if held.shape != spectra.terms or not np.isfinite(held).all():
            raise InputError(
                f"transfer: found shape {held.shape}, expected finite numbers of shape {spectra.terms}"
            )
        return Plain(spectra, held)
    if transfer is not None:
        raise InputError("transfer: found beside geometry, expected one of them")
    pixels = image_shape or (spectra.shape[1], spectra.shape[2])
    solve = solve or functools.partial(wbp)
    if not isinstance(halves, Halves):
        return Projected(spectra, geometry, pixels, solve, None)
    dose = _dividing_dose(geometry, halves) if halves.split == "dose" else None
    return Projected(spectra, geometry, pixels, solve, halves.split, dose)


def _dividing_dose(geometry: Geometry, halves: Halves) -> Float64:
    """Return doses by which :func:`split_tilts` divides the views as they were: halves do not keep their own."""
    n, (first, second) = len(geometry), halves.index
    angles = geometry.angles_deg
    if sorted([*first, *second]) == list(range(n)):
        order, swapped = np.argsort(angles, kind="stable"), np.isin(np.arange(n), second)
        # The balance stays positive: each pair falls as its own difference says.
        dose, left = np.zeros(n), order[: n // 2 * 2 : 2]
        dose[left] = np.where(swapped[left], 1 / n, -1 / n)
        dose[order[0]] = 1.0
        if np.array_equal(split_tilts(angles, "dose", dose=dose)[1], second):
            return dose
    raise InputError(
        f"halves: found index of {len(first)} and {len(second)} images, expected a division of the {n} views of "
        "geometry by dose; give the geometry of the images that were halved"
    )


def noise_of(
    spectra: Spectra,
    imaging: Imaging,
    searched: Float32,
    difference: Float32 | None,
    noise: NoisePower | npt.ArrayLike | None,
    smallest: float,
    seed: int,
    notes: list[str],
    fade: float = 0,
) -> tuple[Float32, Float32 | None]:
    """Return the noise's power spectrum, and a volume of noise alone if there is one."""
    if noise is not None:
        notes.append("noise: as given")
        return as_noise(spectra, noise), difference
    if difference is not None:
        notes.append("noise: from the difference of the halves")
        return measured_noise(spectra, difference, fade), difference
    if isinstance(imaging, Projected):
        planned = imaging.planned_noise(spectra.shape, seed)
        factor = noise_scale(spectra, searched, planned, smallest)
        notes.append(
            "noise: planned, white images through the geometry, scaled to the finest terms"
        )
        planned *= np.float32(math.sqrt(factor))
        return measured_noise(spectra, planned, fade), planned
    power, note = fitted_noise(spectra, spectra.forward(searched), smallest, imaging.held())
    notes.append(note)
    return power, None
