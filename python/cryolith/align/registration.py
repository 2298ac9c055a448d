# SPDX-License-Identifier: BSD-3-Clause
"""The shift between two images, with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import InputError

__all__ = ["Registration", "StackRegistration", "register", "register_pairs", "register_stack"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """The shift of one image against another.

    Attributes
    ----------
    shift_px : (2,) float64 [px]
        (row, column): ``b(p) = a(p - shift_px)``; what ``a`` shows at p, ``b`` shows at p + shift_px.
    sigma_px : (2,) float64 [px]
        Standard deviation of each component, from the coherence of the two images; infinite without contrast.
    covariance_px2 : (2, 2) float64 [px^2]
    peak : float
        Normalised correlation of the overlap in the searched band, -1 to 1.
    runner_up : float
        Height of the next maximum of the correlation over the highest's: near 1 the shift is ambiguous.
    """

    shift_px: Float64
    sigma_px: Float64
    covariance_px2: Float64
    peak: float
    runner_up: float


@dataclass(frozen=True, kw_only=True, eq=False)
class StackRegistration:
    """The shift of every image of a stack, less their mean; see :func:`register_stack`."""

    shifts_px: Float64
    sigma_px: Float64
    peaks: Float64


def register_pairs(
    a: Float32,
    b: Float32,
    *,
    band: tuple[float, float] = (0.01, 0.12),
    taper: float = 0.1,
    max_shift: float = 0.0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float64:
    """Register ``b[i]`` against ``a[i]``: (n, 7) shift row, column, variances, covariance, peak, runner-up."""
    out = np.empty((len(a), 7))
    _core.register_pairs(a, b, out, *band, taper, max_shift, threads, cancel)
    return out


def register(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    band: tuple[float, float] = (0.01, 0.12),
    max_shift: float | None = None,
    threads: int = 0,
) -> Registration:
    """Find the shift of image ``b`` against image ``a``, with its error.

    Parameters
    ----------
    a, b : (ny, nx) array_like of real numbers
        Two images of one scene, of one shape, without missing pixels.
    band : (float, float) [cycles/px]
        Gaussian high-pass and low-pass of the first search; the last polish needs no filter, its weights come
        from the coherence of the images.
    max_shift : float, optional [px]
        Half of the shorter edge when not given.
    threads : int, default 0

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        Different shapes, fewer than 4 x 4 pixels, or a pixel that is not finite.

    Notes
    -----
    Two passes, the second with both windows on the overlap: a window that stays in place pulls the shift
    towards zero. Weights: C. H. Knapp and G. C. Carter, IEEE Trans. ASSP 24 (1976) 320, eq. 25 (Hannan and
    Thomson's processor); variance: G. C. Carter, Proc. IEEE 75 (1987) 236.
    """
    images = [as_core(v, name, ("ny", "nx")) for v, name in ((a, "a"), (b, "b"))]
    if images[0].shape != images[1].shape:
        raise InputError(
            f"b: found shape {images[1].shape}, expected {images[0].shape}, the shape of a; "
            "crop or pad one of them"
        )
    for image, name in zip(images, "ab", strict=True):
        if not np.isfinite(image).all():
            raise InputError(
                f"{name}: found NaN or infinite pixels, expected finite ones; fill them"
            )
    row = register_pairs(
        images[0][None], images[1][None], band=band, max_shift=max_shift or 0.0, threads=threads
    )[0]
    covariance = np.array([[row[2], row[4]], [row[4], row[3]]])
    return Registration(
        shift_px=row[:2].copy(),
        sigma_px=np.sqrt(row[2:4]),
        covariance_px2=covariance,
        peak=float(row[5]),
        runner_up=float(row[6]),
    )


def register_stack(
    stack: npt.ArrayLike,
    *,
    rounds: int = 3,
    band: tuple[float, float] = (0.01, 0.12),
    max_shift: float | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> StackRegistration:
    """Find the shifts of images of one scene: each against the sum of all others, in rounds.

    Parameters
    ----------
    stack : (n, ny, nx) array_like of real numbers
        At least two images without missing pixels.
    rounds : int, default 3
        The first round registers to the middle image.
    band, max_shift, threads, cancel
        As in :func:`register`.

    Returns
    -------
    StackRegistration
        ``shifts_px`` (n, 2) with mean zero: image i shows the scene moved by shifts_px[i].

    Raises
    ------
    InputError
        Fewer than two images, or a pixel that is not finite.
    Cancelled
        ``cancel`` was set.
    """
    images: Float32 = as_core(stack, "stack", ("n", "ny", "nx"))
    n = len(images)
    if n < 2:
        raise InputError(f"stack: found {n} image, expected at least two")
    if not np.isfinite(images).all():
        raise InputError("stack: found NaN or infinite pixels, expected finite ones; fill them")
    reference: Float32 = np.repeat(images[n // 2][None], n, axis=0)
    found = np.zeros((n, 7))
    for number in range(rounds):
        found = register_pairs(
            reference, images, band=band, max_shift=max_shift or 0.0, threads=threads, cancel=cancel
        )
        if number == 0:
            found[n // 2, :2] = 0.0
        found[:, :2] -= found[:, :2].mean(axis=0)
        if number + 1 < rounds:
            reference = _others(images, found[:, :2])
    return StackRegistration(
        shifts_px=found[:, :2].copy(), sigma_px=np.sqrt(found[:, 2:4]), peaks=found[:, 5].copy()
    )


def _others(images: Float32, shifts_px: Float64) -> Float32:
    """Return for each image the mean of all others, moved back by a phase ramp (exact for periodic images)."""
    ny, nx = images.shape[1:]
    fy, fx = np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx)[None]
    total = np.zeros((ny, nx))
    moved = np.empty_like(images)
    for i, (dy, dx) in enumerate(shifts_px):
        ramp = np.exp(2j * np.pi * (fy * dy + fx * dx))
        moved[i] = np.fft.irfft2(np.fft.rfft2(images[i]) * ramp, s=(ny, nx))
        total += moved[i]
    return ((total - moved) / (len(images) - 1)).astype(np.float32)
