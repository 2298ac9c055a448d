# SPDX-License-Identifier: BSD-3-Clause
"""What the caller adds to the files of other programs, and asking for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment, TiltSeries
from ...errors import InputError
from ..findings import Notes, fail

__all__ = ["Known", "check_known", "missing", "pixel_of"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What files of other programs leave open and the caller knows.

    Attributes
    ----------
    n_tilts : int or None
        Images in the raw stack, excluded ones too.
    angles_deg : (n_tilts,) or None [deg]
        Tilts of all of them; they win over a file's own only where it has none.
    image_shape : (int, int) or None
        (height, width) of the raw images.
    pixel_size : float or None [angstrom]
    tilt_axis_deg : float or None [deg]
        Counter-clockwise from the image's +y, for files that hold only shifts.
    pre_exposure : (n_tilts,) or None [e/angstrom^2]
        Dose that the specimen had before each image.
    name : str
        Of the data set, for files that name others.
    """

    n_tilts: int | None = None
    angles_deg: Float64 | None = None
    image_shape: tuple[int, int] | None = None
    pixel_size: float | None = None
    tilt_axis_deg: float | None = None
    pre_exposure: Float64 | None = None
    name: str = ""

    def __post_init__(self) -> None:
        n = self.n_tilts
        for field in ("angles_deg", "pre_exposure"):
            value = getattr(self, field)
            if value is not None and (value.ndim != 1 or len(value) != (n or len(value))):
                raise InputError(
                    f"{field}: found shape {value.shape}, expected ({n or 'n_tilts'},)"
                )
        shape, pixel = self.image_shape, self.pixel_size
        if shape is not None and (len(shape) != 2 or min(shape) < 1):
            raise InputError(f"image_shape: found {shape}, expected positive (height, width)")
        if pixel is not None and not (np.isfinite(pixel) and pixel > 0):
            raise InputError(f"pixel_size: found {pixel}, expected a positive number of angstrom")

    @classmethod
    def of_series(cls, series: TiltSeries, **given: Any) -> Known:
        """What a tilt series tells; what is given by name wins."""
        n, height, width = series.images.shape
        dose, order = series.dose, series.order
        before = None
        if dose is not None and order is not None:
            before = np.array([dose[order < rank].sum() for rank in order])
        told = {
            "n_tilts": n,
            "angles_deg": series.angles_deg,
            "image_shape": (height, width),
            "pixel_size": series.pixel_size,
            "pre_exposure": before,
        }
        return cls(**{**told, **given})


def missing(path: str | os.PathLike[str], what: str, why: str, option: str) -> NoReturn:
    """Fail for want of something that only the caller can know."""
    fail(path, what, "none", why, f"give it: {option}")


def pixel_of(path: str | os.PathLike[str], alignment: Alignment, known: Known) -> float:
    """Return the pixel size [angstrom] for a form whose shifts are in angstrom."""
    pixel = alignment.pixel_size or known.pixel_size
    if pixel is None:
        missing(path, "pixel size", "it, for shifts are in angstrom", "--pixel, pixel_size=")
    return pixel


def check_known(alignment: Alignment, known: Known, notes: Notes) -> None:
    """Refuse what the caller knows of other images; warn where the alignment says otherwise and wins."""
    n = len(alignment.angles_deg)
    if known.n_tilts not in (None, n):
        fail(
            notes.path,
            "tilts",
            f"{n} in the alignment",
            f"{known.n_tilts}, one per image",
            "give the alignment and the series of the same images",
        )
    for name, ours, theirs in (
        ("image size", alignment.image_shape, known.image_shape),
        ("pixel size", alignment.pixel_size, known.pixel_size),
    ):
        if (
            ours is not None
            and theirs is not None
            and not np.allclose(ours, theirs, rtol=1e-3, atol=0)
        ):
            notes.warn(name, theirs, f"{ours}, as in the alignment", "the alignment's is taken")
