# SPDX-License-Identifier: BSD-3-Clause
"""Images without their beads: what is under them made up to look like what is around, or said to be missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Alignment, TiltSeries
from ..errors import Cancelled, InputError
from .bundle import View, project_points

__all__ = ["remove_beads"]

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_MARGIN = 1.4  # radii at half brightness, and 1.5 px: what a bead and the blur of the image reach
_RING = 1.8  # of that radius: what the background is fitted to
_TRIES = 24
_LEAST_PIXELS = 12
_POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))


def remove_beads(
    series: TiltSeries,
    alignment: Alignment,
    *,
    how: Literal["inpaint", "mask"] = "inpaint",
    seed: int = 0,
    cancel: _core.CancelToken | None = None,
) -> TiltSeries:
    """Take the beads out of the images of a series that was aligned on them.

    Parameters
    ----------
    series : TiltSeries
        Never written to.
    alignment : Alignment
        With ``beads``: they are taken out where the bundle adjustment puts them, also of images in which they were
        hidden or not measured.
    how : "inpaint" or "mask"
        inpaint: a quadratic surface through what is around, and noise with the power spectrum of a neighbouring
        part of the image without beads. mask: NaN, a missing ray for every solver.
    seed : int
        Of the noise: the same seed gives the same images.
    cancel : CancelToken, optional

    Returns
    -------
    TiltSeries
        float32 images, everything else as in ``series``.

    Raises
    ------
    InputError
        An alignment without beads or of another number of images; another word for ``how``.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    Random phases on the spectrum of a window (B. Galerne et al., IEEE Trans. Image Process. 20 (2011) 257, section II)
    give noise of its autocorrelation. A made-up disc is no measurement: reconstructions that count use ``mask``.
    """
    beads = alignment.beads
    if beads is None:
        raise InputError("alignment: found one without beads, expected one that was made on beads")
    if len(series) != len(alignment.angles_deg):
        raise InputError(
            f"series: found {len(series)} images, expected {len(alignment.angles_deg)} as in the alignment"
        )
    if how not in ("inpaint", "mask"):
        raise InputError(f"how: found {how!r}, expected 'inpaint' or 'mask'")
    radius = _MARGIN * beads.diameter_px / 2 + 1.5
    shape = series.images.shape[1:]
    seen = project_points(_view(alignment), beads.points_px) + (np.array(shape) - 1) / 2
    out = np.empty(series.images.shape, np.float32)
    for i in range(len(series)):
        if cancel is not None and cancel.cancelled:
            raise Cancelled("cancelled by the caller")
        out[i] = series.images[i]
        covered = _covered(shape, seen[i], radius)
        if how == "mask":
            out[i][covered] = np.nan
        else:
            rng = np.random.default_rng([seed, i])
            for place in seen[i]:
                _inpaint(out[i], covered, place, radius, rng)
    return replace(series, images=out)


def _view(alignment: Alignment) -> View:
    n = len(alignment.angles_deg)
    zero = np.zeros(n)
    if alignment.axis_offset_px:
        raise InputError(
            f"alignment: found axis_offset_px {alignment.axis_offset_px:g}, expected 0 as in one made on beads"
        )
    return View(
        angles_deg=alignment.angles_deg,
        tilt_axis_deg=alignment.tilt_axis_deg,
        shifts_px=alignment.shifts_px,
        rotations_deg=zero if alignment.rotations_deg is None else alignment.rotations_deg,
        magnifications=zero + 1 if alignment.magnifications is None else alignment.magnifications,
        x_tilts_deg=zero if alignment.x_tilts_deg is None else alignment.x_tilts_deg,
    )


def _window(shape: tuple[int, ...], place: Float64, half: int) -> tuple[slice, slice] | None:
    low = np.maximum(np.rint(place).astype(int) - half, 0)
    high = np.minimum(np.rint(place).astype(int) + half + 1, shape)
    return None if (high <= low).any() else (slice(low[0], high[0]), slice(low[1], high[1]))


def _distance(window: tuple[slice, slice], place: Float64) -> tuple[Float64, Float64, Float64]:
    y, x = np.mgrid[window].astype(np.float64)
    y, x = y - place[0], x - place[1]
    return np.hypot(y, x), y, x


def _covered(shape: tuple[int, ...], places: Float64, radius: float) -> Bool:
    """Which pixels (ny, nx) a bead covers."""
    out = np.zeros(shape, bool)
    for place in places:
        window = _window(shape, place, int(np.ceil(radius)))
        if window is not None:
            out[window] |= _distance(window, place)[0] <= radius
    return out


def _inpaint(
    image: npt.NDArray[np.float32],
    covered: Bool,
    place: Float64,
    radius: float,
    rng: np.random.Generator,
) -> None:
    """Fill one disc of an image, in place, from the ring around it."""
    half = int(np.ceil(_RING * radius))
    window = _window(image.shape, place, half)
    if window is None:
        return
    r, y, x = _distance(window, place)
    inside, part = r <= radius, image[window]
    ring = (r <= half) & ~covered[window] & np.isfinite(part)
    if not inside.any() or ring.sum() < _LEAST_PIXELS:
        return
    design = np.stack([(y / half) ** a * (x / half) ** b for a, b in _POWERS], axis=-1)
    known = part[ring].astype(np.float64)
    found = np.linalg.lstsq(design[ring], known, rcond=None)[0]
    surface = np.clip(design @ found, known.min(), known.max())
    noise = _like_around(image, covered, place, half, rng)
    noise = noise[: part.shape[0], : part.shape[1]]
    part[inside] = (surface + noise)[inside]


def _like_around(
    image: npt.NDArray[np.float32],
    covered: Bool,
    place: Float64,
    half: int,
    rng: np.random.Generator,
) -> Float64:
    """Noise (2 half + 1, 2 half + 1) with the spectrum of the nearest of some windows without beads."""
    size = 2 * half + 1
    best, nearest = None, np.inf
    for _ in range(_TRIES):
        at = place + rng.uniform(-3, 3, 2) * size
        low = np.rint(at).astype(int) - half
        if (low < 0).any() or (low + size > np.array(image.shape)).any():
            continue
        window = (slice(low[0], low[0] + size), slice(low[1], low[1] + size))
        away = float(np.linalg.norm(at - place))
        if away < nearest and not covered[window].any() and np.isfinite(image[window]).all():
            best, nearest = image[window].astype(np.float64), away
    phases = np.fft.rfft2(rng.standard_normal((size, size)))
    if best is None:
        return np.zeros((size, size))
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    design = np.stack([y**a * x**b for a, b in _POWERS], axis=-1)
    flat = design.reshape(-1, len(_POWERS))
    rough = best - design @ np.linalg.lstsq(flat, best.reshape(-1), rcond=None)[0]
    spectrum = np.abs(np.fft.rfft2(rough)) * phases / np.maximum(np.abs(phases), 1e-30)
    return np.asarray(np.fft.irfft2(spectrum, (size, size)))
