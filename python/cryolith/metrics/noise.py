# SPDX-License-Identifier: BSD-3-Clause
"""The noise of a reconstruction: predicted from the images' own, and measured from two halves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_output
from ..errors import InputError
from ..projection import Geometry
from ..projection.operators import make_plan
from ..reconstruct.filters import Filter, Window
from ..reconstruct.inputs import Chosen, Float32
from ..reconstruct.missing import fill_missing
from ..reconstruct.wbp_slabs import row_gains
from .shells import Float64, Shells, as_pair

__all__ = ["NoisePower", "noise_power", "noise_variance"]

# Volume rows around the probe: its kernel reaches 4 px and an axis within 45 degrees of y spreads it by as much.
PROBE_ROWS = 24
PROBE_MARGIN = 8
# Pixels that are probed, up to so many columns from the middle; multiples of these, less whole numbers, fill a square.
PROBES, PROBE_REACH = 8, 16
_IRRATIONAL = np.array([0.7548776662, 0.5698402910])


@dataclass(frozen=True, kw_only=True, eq=False)
class NoisePower:
    """Power spectrum of the noise, averaged over shells.

    Attributes
    ----------
    frequency : (n_shells,) float64 [cycles/px]
    power, sigma_power : (n_shells,) float64
        Variance per voxel that noise of this spectrum would have if all shells were like this one: the mean over all
        Fourier terms is the variance.
    count : (n_shells,) int64
        Independent terms.
    """

    frequency: Float64
    power: Float64
    sigma_power: Float64
    count: npt.NDArray[np.int64]


def noise_power(first: npt.ArrayLike, second: npt.ArrayLike) -> NoisePower:
    """Measure the power spectrum of the noise in the sum of two halves, from their difference.

    Parameters
    ----------
    first, second : (nz, ny, nx) or (ny, nx) array_like
        Halves with independent noise, such as :class:`cryolith.reconstruct.Halves` holds.

    Returns
    -------
    NoisePower
        Of ``first + second``. The specimen drops out where both halves show it alike; halves by tilts show
        different planes of it, and what differs counts as noise.
    """
    a, b = as_pair(first, second)
    shells = Shells(a.shape)
    spectrum = np.abs(np.fft.rfftn(a - b)) ** 2 / a.size
    with np.errstate(invalid="ignore"):
        power = shells.total(spectrum) / shells.total(np.ones(spectrum.shape))
    return NoisePower(
        frequency=shells.frequency,
        power=power,
        sigma_power=power / np.sqrt(np.maximum(shells.count, 1)),  # each term is exponential
        count=shells.count,
    )


def noise_variance(
    geometry: Geometry,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int],
    variance: npt.ArrayLike,
    *,
    filter: Filter = "hamming",
    n_iter: int = 10,
    cutoff: float = 0.25,
    order: int = 4,
    out: Float32 | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Propagate the variance of independent pixels to the voxels of :func:`cryolith.reconstruct.wbp`.

    Parameters
    ----------
    geometry, shape, image_shape
        As in :func:`cryolith.metrics.coverage`.
    variance : float, (n_tilts,) or (n_tilts, height, width)
        Of each pixel [square of the images' unit]; for counted electrons the expected counts.
    filter, n_iter, cutoff, order
        As in the reconstruction.
    out : (nz, ny, nx) float32, optional
    threads, cancel
        As in :func:`cryolith.projection.project`.

    Returns
    -------
    (nz, ny, nx) float32
        Variance of each voxel. Averaged over the places of a voxel between pixels, to some percent: rows in the
        plane of the axis, which need no interpolation at some tilts, have more; where the axis lies more than 7
        degrees from the image axes, single rows of an unfiltered ramp up to 25 % more or less.

    Notes
    -----
    A voxel is a weighted sum of pixels, so its variance is that of the pixels summed with the squares of the weights.
    Along a stretched row these are the square of the filter's kernel; their sum is measured for each tilt on the
    response of the whole pair to one pixel.
    """
    window = Window(filter=filter, n_iter=n_iter, cutoff=cutoff, order=order)
    pixels = _as_variance(variance, (len(geometry), *image_shape))
    result = as_output(out, shape)
    plan = _row_plan(geometry, shape, image_shape)
    gains, lengths = row_gains(plan, Chosen.all(geometry), shape, window)
    squares = np.zeros_like(gains)
    for i, n in enumerate(lengths):
        gain = gains[i, : n // 2 + 1]
        kernel = np.fft.irfft(gain.astype(np.float64) * n, n) ** 2
        spectrum = np.fft.rfft(kernel).real / kernel.sum() / n
        weights = _response(geometry.subset([i]), shape, image_shape, gain, n, threads, cancel)
        squares[i, : n // 2 + 1] = spectrum * weights
    images = fill_missing(pixels, geometry, threads, cancel)
    _core.wbp(plan, images, squares, lengths, result, threads, cancel)
    np.maximum(result, 0.0, out=result)  # the interpolation rings at the images' edges
    return result


def _row_plan(
    geometry: Geometry, shape: tuple[int, int, int], image_shape: tuple[int, int]
) -> _core.ProjectionPlan:
    plan = make_plan(geometry, shape, image_shape)
    if not isinstance(plan, _core.ProjectionPlan):
        raise InputError(
            "geometry: found rays that cross the volume's y, or voxels or magnifications other than 1; expected a tilt "
            "axis along y and voxels as large as the pixels"
        )
    return plan


def _response(
    view: Geometry,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int],
    gain: Float32,
    n: int,
    threads: int,
    cancel: _core.CancelToken | None,
) -> float:
    """Return the sum of the squares of the weights with which the pixels of one view enter a voxel.

    One pixel enters all voxels with the same weights as all pixels enter one voxel, once for each voxel per pixel;
    how many that are tells the unfiltered response, whose weights sum to 1.
    """
    nz, ny, nx = shape
    rows = min(ny, PROBE_ROWS + ny % 2)  # the parity decides where voxels lie between pixels
    near = replace(
        view,
        shifts_px=view.shifts_px - np.rint(view.shifts_px),
        local=None,
        axis_offset_px=view.axis_offset_px - round(view.axis_offset_px),
    )
    # Narrower by four pixels, or a shift could make a row longer than the filter.
    height, width = (e - 4 if e > 5 else 2 - e % 2 for e in image_shape)
    plan = _row_plan(near, (nz, rows, nx), (height, width))
    plain, filtered = np.empty((2, nz, rows, nx), np.float32)
    voxels, squares = 0.0, 0.0
    for place in _probes(height, width, rows):
        point = np.zeros((1, height, width), np.float32)
        point[0][place] = 1.0
        plan.backproject(point, plain, threads, cancel)
        _core.wbp(plan, point, gain[None], [n], filtered, threads, cancel)
        voxels += float(plain.sum(dtype=np.float64))
        squares += float((filtered.astype(np.float64) ** 2).sum())
    return squares / voxels if voxels > 0 else 0.0


def _probes(height: int, width: int, rows: int) -> list[tuple[int, int]]:
    """Return the pixels to probe, near the middle: a turned image meets each place between its pixels otherwise."""
    reach = max(0, min(rows // 2 - PROBE_MARGIN, height // 4)), min(PROBE_REACH, width // 4)
    steps = (np.arange(PROBES)[:, None] * _IRRATIONAL + 0.5) % 1.0 - 0.5
    offsets = np.rint(2 * steps * np.array(reach)).astype(int)
    return [(height // 2 + int(r), width // 2 + int(c)) for r, c in offsets]


def _as_variance(variance: npt.ArrayLike, shape: tuple[int, int, int]) -> Float32:
    given = np.asarray(variance, dtype=np.float32)
    if given.ndim == 1:
        given = given[:, None, None]
    if given.ndim != 0 and given.shape not in (shape, (shape[0], 1, 1)):
        raise InputError(
            f"variance: found shape {np.shape(variance)}, expected one number, ({shape[0]},) or {shape}"
        )
    if not (np.isfinite(given).any() and np.nanmin(given) >= 0):
        raise InputError("variance: found a negative number or NaN only, expected 0 or more")
    return np.ascontiguousarray(np.broadcast_to(given, shape))
