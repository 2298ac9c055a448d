# SPDX-License-Identifier: BSD-3-Clause
"""Filters of weighted back-projection: exact discrete ramp and windows."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast, overload

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core, as_output
from .._device_arrays import DeviceArray
from .._devices import load_fft_library
from ..errors import InputError
from ..projection import Geometry
from ..projection.on_devices import Devices, checked_limit, device_of, there
from .inputs import Float32
from .missing import fill_missing
from .weights import tilt_weights

__all__ = ["FILTERS", "Filter", "Window", "filter_gains", "filter_projections", "sirt_steps"]

Float64 = npt.NDArray[np.float64]
Filter = str | Callable[[Float64], Float64]

FILTERS: dict[str, Callable[[Float64], Float64]] = {
    "ramp": np.ones_like,
    "ramp-aperture": lambda f: 1.0 / np.sinc(np.minimum(f, 0.5)),
    "shepp-logan": np.sinc,
    "cosine": lambda f: np.cos(np.pi * f),
    "hann": lambda f: 0.5 + 0.5 * np.cos(2 * np.pi * f),
    "hamming": lambda f: 0.54 + 0.46 * np.cos(2 * np.pi * f),
}


@dataclass(frozen=True, kw_only=True)
class Window:
    """The factor to the ramp: a name or function, with what the name needs.

    Attributes
    ----------
    filter : str or callable
        As in :func:`filter_projections`, as are the rest.
    n_iter : int
    cutoff : float [cycles/px]
    order : int
    """

    filter: Filter = "ramp"
    n_iter: int = 10
    cutoff: float = 0.25
    order: int = 4

    def __post_init__(self) -> None:
        known = [*FILTERS, "butterworth", "sirt-like"]
        if not (callable(self.filter) or self.filter in known):
            near = difflib.get_close_matches(str(self.filter), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"filter: found {self.filter!r}, expected one of {', '.join(known)}{hint}"
            )
        if not self.n_iter >= 1:
            raise InputError(f"n_iter: found {self.n_iter}, expected at least 1")
        if not (math.isfinite(self.cutoff) and self.cutoff > 0.0):
            raise InputError(f"cutoff: found {self.cutoff}, expected cycles per pixel above 0")
        if not self.order >= 1:
            raise InputError(f"order: found {self.order}, expected at least 1")

    def __call__(self, frequency: Float64, step: float | Float64) -> Float64:
        """Return the factor at ``frequency`` [cycles/px]; 0 above the detector's 1/2.

        ``step`` is what one iteration of SIRT takes of a component of 1 cycle/px.
        """
        if callable(self.filter):
            values = np.asarray(self.filter(frequency), dtype=np.float64)
            if values.shape != frequency.shape or not np.isfinite(values).all():
                raise InputError("filter: the function must return one finite number per frequency")
        elif self.filter == "sirt-like":
            rate = np.minimum(1.0, step / np.maximum(frequency, 1e-12))
            values = 1.0 - (1.0 - rate) ** self.n_iter
        elif self.filter == "butterworth":
            values = 1.0 / np.sqrt(1.0 + (frequency / self.cutoff) ** (2 * self.order))
        else:
            values = FILTERS[self.filter](frequency)
        return np.where(frequency <= 0.5 + 1e-9, values, 0.0)


def sirt_steps(angles_deg: Float64, thickness: float, width: float) -> Float64:
    """Return what one iteration of SIRT takes of a component of 1 cycle/px that each tilt measures.

    A'A acts on a component of frequency f as the density of tilts there, 1 / (weight f) with the tilt's share of
    the half circle; SIRT divides by the ray length in a box of ``thickness`` x ``width`` px and the number of tilts.
    """
    angles = np.deg2rad(angles_deg)
    across = np.maximum(np.abs(np.cos(angles)) / thickness, np.abs(np.sin(angles)) / width)
    return np.asarray(across / (len(angles) * tilt_weights(angles_deg)))


def ramp_spectrum(n: int) -> Float64:
    """Spectrum (n/2 + 1,) of the band-limited ramp sampled in space: no DC error, no wrap-around.

    Kak & Slaney, Principles of Computerized Tomographic Imaging, eq. 3.61, unit spacing.
    """
    m = np.arange(n)
    m = np.minimum(m, n - m)
    kernel = np.zeros(n)
    odd = m % 2 == 1
    kernel[odd] = -1.0 / (np.pi * m[odd]) ** 2
    kernel[0] = 0.25
    return np.fft.rfft(kernel).real


def filter_gains(
    spacings: Float64, weights: Float64, lengths: Sequence[int], window: Window, steps: Float64
) -> Float32:
    """Return the spectra that the core multiplies with, 1/n included: (n_tilts, max(lengths)/2 + 1).

    ``spacings`` [px] is the distance of the samples of each tilt's rows, ``lengths`` n the length of its transform,
    ``steps`` that of :func:`sirt_steps`; row i holds the frequencies k / n_i, k <= n_i / 2.
    """
    out = np.zeros((len(spacings), max(lengths) // 2 + 1), np.float32)
    tilts_of = {n: np.flatnonzero(np.asarray(lengths) == n) for n in set(lengths)}
    for n, tilts in tilts_of.items():  # one call of the window for all tilts of one length
        spacing = spacings[tilts, None]
        frequency = np.arange(n // 2 + 1) / n / spacing
        step = np.repeat(steps[tilts], n // 2 + 1)
        factors = window(frequency.ravel(), step).reshape(frequency.shape)
        factors *= ramp_spectrum(n) * (weights[tilts, None] / spacing / n)
        out[tilts, : n // 2 + 1] = factors
    return out


@overload
def filter_projections(
    stack: DeviceArray,
    angles_deg: npt.ArrayLike | Geometry,
    filter: Filter = "ramp",
    *,
    n_iter: int = 10,
    cutoff: float = 0.25,
    order: int = 4,
    thickness: float | None = None,
    weights: bool = True,
    out: DeviceArray | None = None,
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> DeviceArray: ...
@overload
def filter_projections(
    stack: npt.ArrayLike,
    angles_deg: npt.ArrayLike | Geometry,
    filter: Filter = "ramp",
    *,
    n_iter: int = 10,
    cutoff: float = 0.25,
    order: int = 4,
    thickness: float | None = None,
    weights: bool = True,
    out: Float32 | None = None,
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32: ...
def filter_projections(
    stack: npt.ArrayLike | DeviceArray,
    angles_deg: npt.ArrayLike | Geometry,
    filter: Filter = "ramp",
    *,
    n_iter: int = 10,
    cutoff: float = 0.25,
    order: int = 4,
    thickness: float | None = None,
    weights: bool = True,
    out: Float32 | DeviceArray | None = None,
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32 | DeviceArray:
    """Filter projections across the tilt axis, so that back-projecting them gives the specimen.

    Parameters
    ----------
    stack : (n_tilts, height, width) array_like, or DeviceArray of float32
        Missing pixels (NaN) are filled by interpolation across the axis. A :class:`cryolith.DeviceArray` stays where it
        is, whole, is not looked through for them, and the result is one, too.
    angles_deg : (n_tilts,) [deg] or Geometry
        Angles mean a tilt axis along the image's y. The axis of a geometry must be a multiple of
        90 degrees, for a DeviceArray of 180; for any other :func:`wbp` filters inside the projector.
    filter : str or callable
        ``ramp``, ``ramp-aperture``, ``shepp-logan``, ``cosine``, ``hann``, ``hamming``, ``butterworth``,
        ``sirt-like``, or a function that returns the factor to the ramp at frequencies (n,) [cycles/px].
    n_iter : int, default 10
        Iterations that ``sirt-like`` imitates.
    cutoff : float, default 0.25 [cycles/px]
        Where ``butterworth`` falls to 1 / sqrt(2).
    order : int, default 4
        Of ``butterworth``: beyond the cutoff it falls as the frequency to this power.
    thickness : float, optional [px]
        Of the volume, for ``sirt-like``; default the images' extent across the axis.
    weights : bool, default True
        Multiply each tilt with its :func:`tilt_weights`.
    out, threads, cancel
        As in :func:`cryolith.projection.project`.
    device : str or sequence of str, optional
        As in :func:`cryolith.projection.project`. Equal to the CPU's result to the rounding of transforms.
    max_memory : int, optional [bytes]
        Of each device: arrays of the host go through it in parts of rows, which do not change the result. By default
        what is free.

    Returns
    -------
    (n_tilts, height, width) float32

    Raises
    ------
    InputError
        A wrong shape or value, by name; an axis that is none of the images'.
    DeviceError
        There is no such device, no FFT library for it, or it failed its self-test or this call; memory that does not
        take one row.
    Cancelled
        ``cancel`` was set; ``out`` then holds part of the work.

    Notes
    -----
    ``ramp-aperture`` is the ramp over sinc(f), the aperture of the detector's square pixels: sharper, and noisier.
    ``sirt-like`` is the ramp times 1 - (1 - s)^n, what n iterations of SIRT reach of frequency f: s = 1 / (N w f L)
    is the eigenvalue of the normalised A'A for N tilts of weight w [rad] and rays of length L in the volume.
    ``butterworth`` is the ramp times (1 + (f / cutoff)^(2 order))^(-1/2).
    """
    window = Window(filter=filter, n_iter=n_iter, cutoff=cutoff, order=order)
    names = device_of(device, stack, out)
    images = (
        stack
        if isinstance(stack, DeviceArray)
        else as_core(stack, "stack", ("n_tilts", "height", "width"))
    )
    geometry = angles_deg if isinstance(angles_deg, Geometry) else Geometry.single_axis(angles_deg)
    turned = _is_turned(geometry, images.shape)
    if thickness is not None and not thickness > 0:
        raise InputError(f"thickness: found {thickness}, expected a length above 0 px")
    width = images.shape[1] if turned else images.shape[2]
    n = _core.filter_length(width)
    factors = tilt_weights(geometry.angles_deg) if weights else np.ones(len(geometry))
    steps = sirt_steps(geometry.angles_deg, float(thickness or width), float(width))
    gains = filter_gains(np.ones(len(geometry)), factors, [n] * len(geometry), window, steps)
    for name in names:
        load_fft_library(name)
    if isinstance(images, DeviceArray):
        return _filter_there(images, turned, gains, n, out, max_memory)
    result = as_output(cast("Float32 | None", out), images.shape)
    limit = checked_limit(names, max_memory)
    images = fill_missing(images, geometry, threads, cancel)
    if turned:
        images = np.ascontiguousarray(images.swapaxes(1, 2))
    target = np.empty_like(images) if turned else result
    if names == ["cpu"]:
        _core.filter_stack(images, gains, n, target, threads, cancel)
    else:
        _core.filter_stack_on(names, images, gains, n, target, limit, threads, cancel)
    if turned:
        result[:] = target.swapaxes(1, 2)
    return result


def _is_turned(geometry: Geometry, shape: tuple[int, ...]) -> bool:
    """Return whether the tilt axis lies along the images' rows, or refuse them: another axis, another number."""
    if len(shape) != 3 or len(geometry) != shape[0]:
        found = f"{shape[0]} images" if len(shape) == 3 else f"{len(shape)} axes"
        raise InputError(f"stack: found {found}, expected {len(geometry)} images, one a tilt")
    if geometry.crosses_y:
        raise InputError(
            "geometry: found rays that are not perpendicular to one tilt axis, expected a single-axis series; use wbp"
        )
    axis = geometry.tilt_axis_deg + geometry.rotations_deg
    if np.any(axis % 90.0 != 0.0) or np.ptp(axis % 180.0) != 0.0:
        raise InputError(
            f"geometry: found a tilt axis at {axis[0]:g} deg, expected a multiple of 90; use wbp"
        )
    return bool(axis[0] % 180.0 != 0.0)


def _filter_there(
    images: DeviceArray,
    turned: bool,
    gains: Float32,
    length: int,
    out: object,
    max_memory: int | None,
) -> DeviceArray:
    if turned or max_memory is not None:
        found = "a tilt axis along their rows" if turned else "max_memory"
        raise InputError(
            f"stack: found a DeviceArray with {found}, expected an axis along y and no limit; filter the host's array"
        )
    result = there(out, "out", images, images.shape)
    _core.filter_stack_there(images.tensor, gains, length, result.tensor)
    return result
