# SPDX-License-Identifier: BSD-3-Clause
"""Blobs by a matched filter that knows the noise and the missing wedge, at a false-discovery rate that is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..adapters.napari import Frame, LayerData, show
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..projection import Geometry
from ._blob_search import Outcome, Search
from ._blob_table import PLACES, Detectability, NullCheck, blob_table, detectability, null_check
from ._filter_bank import blob_reference, make_bank
from ._injection import Calibration, calibrate
from ._inputs import Float64, Table
from ._levels import Levelled, measured_levels, uneven
from ._peak_errors import PeakErrors
from ._reprojected import Reprojected, reprojects
from ._search_inputs import (
    HalvesLike,
    given_volumes,
    imaging_of,
    noise_of,
    searched_volumes,
)
from ._spectrum import Spectra, measured_noise

__all__ = ["FoundBlobs", "blobs"]

_BEYOND = 2  # margins beyond the faces along z and x: there streaks of what is inside go on


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundBlobs:
    """What :func:`blobs` found, and what it could have found.

    Attributes
    ----------
    table : dict of str to (n,) array
        Its columns are those of :func:`blobs`.
    null : NullCheck
        Extrema of noise against their expected number.
    detectability : Detectability
        The chance to find a blob by its size and contrast.
    notes : tuple of str
        Where the noise comes from, what the errors rest on, what was refused.
    """

    table: Table
    null: NullCheck
    detectability: Detectability
    notes: tuple[str, ...]

    def to_napari(self, volume: Volume | None = None, *, viewer: Any = None) -> list[LayerData]:
        """Return the blobs as points for napari, on the volume if it is given; add them to a ``viewer``."""
        pixel_size = volume.pixel_size if volume is not None else None
        if "z_nm" in self.table and pixel_size is None:
            pixel_size = 10.0  # places are nm already
        frame = Frame(pixel_size, None if volume is None else volume.data.shape)
        layers = [] if volume is None else [frame.volume(volume)]
        return show([*layers, frame.points(self.table, "blobs")], viewer)


def blobs(
    volume: Volume | npt.ArrayLike | None,
    *,
    sizes: npt.ArrayLike,
    fdr: float = 0.05,
    halves: HalvesLike | None = None,
    noise: NoisePower | npt.ArrayLike | None = None,
    geometry: Geometry | None = None,
    image_shape: tuple[int, int] | None = None,
    solve: Callable[..., Any] | None = None,
    transfer: npt.ArrayLike | None = None,
    method: Literal["matched", "log"] = "matched",
    margin: int | None = None,
    injections: int = 300,
    seed: int = 0,
    pixel_size: float | None = None,
    device: str = "cpu",
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> FoundBlobs:
    """Find bright and dark blobs: particles, precipitates, bubbles, voids, smooth and about round.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused. With ``halves`` their sum is searched, and this may be None.
    sizes : (n_scales,) [px]
        Standard deviations of Gaussian blobs to look for, ascending, two or more; steps of a factor of 1.2 to 1.4.
    fdr : float, default 0.05
        The share of false blobs in the table, on average.
    halves : Halves, or (first, second), optional
        Two reconstructions that add up to the volume and whose noise is independent, such as
        ``wbp(stack, angles, halves="tilts")``. Their difference gives the spectrum of the noise, and decoys.
    noise : float, NoisePower or (nz, ny, nx // 2 + 1), optional
        Standard deviation of white noise, shells, or variance per voxel of each Fourier term. Without it and halves
        the noise is that of white images through ``geometry``, or is fitted to the finest terms of the volume.
    geometry : Geometry, optional
        How the images were taken: what is looked for is then what the reconstruction shows of a blob, missing wedge
        and all. Rays must be perpendicular to the volume's y where the noise is measured.
    image_shape : (int, int), optional
        (height, width) of the images; default (ny, nx).
    solve : callable, default ``wbp``
        How the volume was reconstructed: a solver of :mod:`cryolith.reconstruct` with its options bound by
        ``functools.partial``. It must be linear: bounds off (``lower=-numpy.inf``). What is searched of an iterative
        one is the weighted back-projection of the volume's own projections, in a larger box, unless ``noise`` is given
        or ``halves`` do not say their tilts.
    transfer : (nz, ny, nx // 2 + 1) real, optional
        In place of a geometry: the share of each Fourier term that the volume holds, 0 in a missing wedge.
    method : {"matched", "log"}, default "matched"
        ``log``: Laplacian of Gaussian, the quick look; knows no wedge, subtracts nothing, has no injected errors.
    margin : int [voxels], optional
        Blobs nearer to a face are not looked for; default 4/3 of the largest size.
    injections : int, default 300
        Blobs like those found that are added to what is left and measured, to calibrate sizes, heights and errors; 0:
        closed form only.
    seed : int, default 0
        Of the places of injected blobs and of planned noise.
    device : str, default "cpu"
        Where the filters of all sizes and the search for their extrema run (:func:`cryolith.devices`): five transforms
        and three passes a size. Rows equal the CPU's to rounding.
    pixel_size, threads, cancel
        As for :func:`particles`.

    Returns
    -------
    FoundBlobs
        One row of its table for each blob, the most significant first:

        - ``z_px``, ``y_px``, ``x_px`` (and ``z_nm``, ... from the centre) with ``sigma_``: the centre;
        - ``size_px`` or ``_nm``: the Gaussian's standard deviation; ``diameter_``: its full width at half maximum;
        - ``amplitude``: peak over the surroundings, negative when dark; ``sign`` 1 or -1;
        - ``significance``: amplitude over noise with all other blobs taken out, or with only those beyond 8 taken out,
          whichever is lower;
        - ``p_value``: chance that noise alone makes one such peak or more in the volume; ``q_value``: the
          false-discovery rate of a table that ends with this row, NaN where the null check failed;
        - ``coverage``: share of the power of a blob of this size that the data hold.

    Raises
    ------
    InputError
        NaN, shapes that do not fit, an ``fdr`` outside of 0 to 1, fewer than two sizes, noise that cannot be fitted.
    Cancelled
        ``cancel`` was set.
    DeviceError
        There is no such device, it has too little memory, or failed its self-test.

    Notes
    -----
    The filter of a size is T / (P (1 + (k0 / k)^4)): T is the transform of what the reconstruction shows of that blob,
    P the power of the noise, and the last factor takes slow background for noise too. Extrema over place and size are
    fitted together, what the reconstruction shows of them is subtracted, and the rest is searched again.

    Noise alone makes E(z) extrema beyond z about each size (expected Euler characteristic over place and log size), and
    an extremum is as rare as E(z) of its size is small: what noise makes of small blobs costs large ones nothing.
    q-values are those of Benjamini & Hochberg on the expected number of extrema as rare, over that beyond 3.7, and with
    decoys times decoys over expected, where that is more than 1. If decoys and expectation differ by more than a factor
    of 2, no q-values are given.

    References
    ----------
    North & Moore (matched filter): Proc. IEEE 51 (1963) 1016; Siegmund & Worsley, Ann. Stat. 23 (1995) 608;
    Genovese, Roeder & Wasserman (weights by size), Biometrika 93 (2006) 509; errors: design/021-blobs.md.
    """
    scales = _checked(sizes, fdr, method, injections)
    searched, difference, pixel_size = searched_volumes(volume, halves, pixel_size)
    notes: list[str] = []
    edge = _margin(margin, scales, searched.shape)
    pad = 0
    if method == "matched" and noise is None and reprojects(solve, geometry, halves):
        pad = _BEYOND * edge
        given = given_volumes(volume, halves, None)[0] if halves is None else halves
        image_shape = image_shape or (searched.shape[1], searched.shape[2])
        solve = Reprojected(solve, pad)
        again = solve.of(given, geometry, image_shape, threads=threads, cancel=cancel)
        searched, difference, _ = searched_volumes(*again, None)
        notes.append("searched: projections of the volume, back-projected into a larger box")
    edges = (edge + pad, edge, edge + pad)
    spectra = Spectra(searched.shape, threads, cancel, device)
    imaging = imaging_of(spectra, geometry, image_shape, solve, transfer, halves)
    reference = blob_reference(spectra, imaging, scales, method)
    power, decoys = noise_of(
        spectra, imaging, searched, difference, noise, float(scales[0]), seed, notes, edge
    )
    bank = make_bank(spectra, reference, scales, power, method)
    levels = None
    if decoys is not None and noise is None:
        levels = measured_levels(bank, decoys, edges)
    if decoys is not None and levels is not None:
        notes.append(
            "noise: not the same everywhere, evened out in the section across the tilt axis"
        )
        searched, decoys = searched * levels.gain, decoys * levels.gain
        imaging = Levelled(imaging, levels, spectra)
        bank = make_bank(spectra, reference, scales, measured_noise(spectra, decoys), method)
    if decoys is not None and noise is None:
        bank.settle(decoys, edges)
        if pad:
            bank.levels = uneven(bank, decoys, edges, PLACES)
    search = Search(bank, imaging, searched, decoys, edges, (pad, 0, pad))
    outcome = search.run() if method == "matched" else search.look()
    null = null_check(search, outcome)
    calibration = calibrate(search, outcome, injections, seed) if method == "matched" else None
    errors = (search.fit if method == "matched" else PeakErrors(bank)).errors(outcome.blobs)
    table = blob_table(search, outcome, null, errors, calibration, levels, fdr, pixel_size)
    notes += _words(outcome, null, calibration, method)
    return FoundBlobs(
        table=table,
        null=null,
        detectability=detectability(search, outcome, null, table, levels, fdr),
        notes=tuple(notes),
    )


def _checked(sizes: npt.ArrayLike, fdr: float, method: str, injections: int) -> Float64:
    scales: Float64 = as_core(sizes, "sizes", ("n_scales",), np.float64)
    good = (
        len(scales) > 1
        and np.isfinite(scales).all()
        and scales[0] >= 1
        and (np.diff(scales) > 0).all()
    )
    if not good:
        raise InputError(
            f"sizes: found {np.array2string(scales, threshold=6)}, expected two or more ascending standard deviations "
            "of 1 px and more"
        )
    if not 0 < fdr < 1:
        raise InputError(f"fdr: found {fdr}, expected a number between 0 and 1")
    if method not in ("matched", "log"):
        raise InputError(f"method: found {method!r}, expected 'matched' or 'log'")
    if injections < 0:
        raise InputError(f"injections: found {injections}, expected 0 or more")
    return scales


def _margin(margin: int | None, sizes: Float64, shape: tuple[int, ...]) -> int:
    found = math.ceil(4 / 3 * sizes[-1]) if margin is None else margin
    if found < 1 or min(shape) <= 2 * found + 2:
        raise InputError(
            f"margin: found {found} voxels for a volume of {shape}, expected 1 or more and room inside; "
            "give a smaller margin or smaller sizes"
        )
    return found


def _words(
    outcome: Outcome, null: NullCheck, calibration: Calibration | None, method: str
) -> list[str]:
    words = []
    if method == "log":
        words.append("method: Laplacian of Gaussian, a quick look")
    elif calibration is None and len(outcome.blobs):
        words.append("errors: closed form only, too short where blobs are crowded")
    elif calibration is not None:
        words.append(f"errors: calibrated on {calibration.count} injected blobs")
    if not null.passed:
        words.append(
            f"null check failed: {null.observed[0]} extrema of noise, {null.expected[0]:.0f} expected; no q-values"
        )
    return words
