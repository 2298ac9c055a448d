# SPDX-License-Identifier: BSD-3-Clause
"""What the searches for tubes and for sheets share: arguments in, table out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..projection import Geometry
from ._blob_table import NullCheck
from ._inputs import Float64, Table, unit_of
from ._oriented_bank import Kind, OrientedBank
from ._oriented_objects import Traced
from ._oriented_search import OrientedSearch
from ._oriented_table import (
    OrientedDetectability,
    oriented_detectability,
    oriented_null,
    oriented_table,
)
from ._search_inputs import HalvesLike, imaging_of, noise_of, searched_volumes
from ._spectrum import Spectra

__all__ = ["Found", "Known", "find"]


class Known(NamedTuple):
    """What is known of the volume; see :func:`cryolith.detect.tubes`."""

    halves: HalvesLike | None
    noise: NoisePower | npt.ArrayLike | None
    geometry: Geometry | None
    image_shape: tuple[int, int] | None
    solve: Callable[..., Any] | None
    transfer: npt.ArrayLike | None
    pixel_size: float | None
    seed: int


class Found(NamedTuple):
    """A table, its objects in the order of its rows, what goes with it, and the middle and pixel [nm or px]."""

    table: Table
    objects: list[Traced]
    null: NullCheck
    detectability: OrientedDetectability
    notes: tuple[str, ...]
    middle: Float64
    pixel: float


def find(
    kind: Kind,
    volume: Volume | npt.ArrayLike | None,
    widths: npt.ArrayLike,
    length: float | None,
    fdr: float,
    directions: int | None,
    margin: int | None,
    known: Known,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Found:
    """Look for tubes or sheets."""
    sizes, long = _checked(widths, length, fdr, directions)
    searched, difference, pixel_size = searched_volumes(volume, known.halves, known.pixel_size)
    edge = _margin(margin, long, searched.shape)
    spectra = Spectra(searched.shape, threads, cancel)
    imaging = imaging_of(
        spectra, known.geometry, known.image_shape, known.solve, known.transfer, known.halves
    )
    notes: list[str] = []
    power, decoys = noise_of(
        spectra, imaging, searched, difference, known.noise, float(sizes[0]), known.seed, notes
    )
    bank = OrientedBank(spectra, imaging, kind, sizes, long, power, directions)
    search = OrientedSearch(bank, imaging, searched, decoys, edge)
    outcome = search.run()
    null = oriented_null(search, outcome)
    table, objects = oriented_table(search, outcome, null, fdr, pixel_size)
    if not null.passed:
        notes.append(
            f"null check failed: {null.observed[0]} extrema of noise, {null.expected[0]:.0f} expected; no q-values"
        )
    detectability = oriented_detectability(search, null, len(objects), fdr)
    middle, (_, pixel) = (np.array(searched.shape) - 1) / 2, unit_of(pixel_size)
    return Found(table, objects, null, detectability, tuple(notes), middle, pixel)


def _checked(
    widths: npt.ArrayLike, length: float | None, fdr: float, directions: int | None
) -> tuple[Float64, float]:
    sizes: Float64 = as_core(np.atleast_1d(np.asarray(widths)), "widths", ("n_widths",), np.float64)
    if not (np.isfinite(sizes).all() and sizes[0] >= 1 and (np.diff(sizes) > 0).all()):
        raise InputError(
            f"widths: found {np.array2string(sizes, threshold=6)}, expected ascending standard deviations of 1 px "
            "and more"
        )
    long = 5.0 * float(sizes[-1]) if length is None else float(length)
    if not (math.isfinite(long) and long >= 2 * sizes[-1]):
        raise InputError(
            f"length: found {length}, expected twice the largest width, {2 * sizes[-1]:g} px, or more"
        )
    if not 0 < fdr < 1:
        raise InputError(f"fdr: found {fdr}, expected a number between 0 and 1")
    if directions is not None and directions < 13:
        raise InputError(f"directions: found {directions}, expected 13 or more")
    return sizes, long


def _margin(margin: int | None, length: float, shape: tuple[int, ...]) -> int:
    found = math.ceil(4 / 3 * length) if margin is None else margin
    if found < 2 or min(shape) <= 2 * found + 2:
        raise InputError(
            f"margin: found {found} voxels for a volume of {shape}, expected 2 or more and room inside; "
            "give a smaller margin or length"
        )
    return found
