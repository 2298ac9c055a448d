# SPDX-License-Identifier: BSD-3-Clause
"""How thick a phase is at each place, and how its volume is spread over sizes, with errors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._inputs import Float32, Float64, Table, as_mask
from ._sampling import Sampling, cell_counts
from ._spacing import Spacing, as_spacing
from .distances import depth_of

__all__ = ["local_thickness", "size_distribution", "volume_fraction"]

# How far structures hang together, in radii of one (``Sampling``). Measured: design/020-distance.md.
_REACH_OF_PHASE = 2.0
_REACH_OF_SIZES = 3.0
# Where n pores are expected none is found with a chance of exp(-n), which is 5 % for n = 3 = 1.96 x 1.53.
_NONE_SEEN = 1.53


def local_thickness(
    mask: npt.ArrayLike,
    *,
    spacing: Spacing = None,
    border: bool = False,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Find the diameter of the largest ball that fits into a phase and holds each voxel.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        The phase: pores, a layer, a skeleton of solid.
    spacing : float, three floats or Volume, optional
        Edges of a voxel along z, y, x; a Volume gives them in nm. Default 1: diameters in px.
    border : bool, default False
        Whether the phase ends at the border of the volume. By default it goes on, and balls may reach out of it.
    threads, cancel
        As for :func:`distance`.

    Returns
    -------
    (nz, ny, nx) float32
        Diameters in the unit of ``spacing``, 0 outside of the phase. Radii reach from centre to centre of voxels, so
        a plate of n voxels has a thickness of n + 1 (n odd) or n (n even), and a single voxel has 2.

    Raises
    ------
    InputError
        As :func:`distance`; a volume that is phase throughout (without ``border``).

    Notes
    -----
    A voxel lies in a ball if it is nearer to its centre than the radius. Exact for this definition; edges of unequal
    length are slower, as fewer balls can be skipped.

    References
    ----------
    Hildebrand & Ruegsegger, J. Microsc. 185 (1997) 67, eq. 2. Skipping of balls: Remy & Thiel, Image Vis. Comput. 23
    (2005) 167, section 3.
    """
    phase = as_mask(mask, "mask")
    edges = as_spacing(spacing)
    depth = depth_of(phase, edges, border, threads, cancel)
    thickness = np.empty(phase.shape, np.float32)
    _core.local_thickness(depth, edges, thickness, threads, cancel)
    return thickness


def size_distribution(
    thickness: npt.ArrayLike,
    edges: npt.ArrayLike | int = 20,
    *,
    spacing: Spacing = None,
    margin: float | None = None,
) -> Table:
    """Spread the volume of a phase over its local thickness (for pores: the pore-size distribution).

    Parameters
    ----------
    thickness : (nz, ny, nx) real
        Of :func:`local_thickness`; voxels of 0 are outside of the phase.
    edges : (n + 1,) increasing, or int
        Bounds of the bins, in the unit of ``thickness``, the lower one included; or how many bins of equal width
        from 0 to the largest value.
    spacing : float, three floats or Volume, optional
        As for :func:`local_thickness`.
    margin : float, optional
        What is left out along each face of the volume, in the unit of ``thickness``. Default: the largest thickness, as
        from there on no ball depends on what lies outside. 0 for a phase that ends inside of the volume.

    Returns
    -------
    dict of str to (n,) array
        ``low``, ``high``: bounds of the bin; ``share`` of the phase's volume and ``sigma_share``; ``above``: share
        that is at least as thick as ``low``, and ``sigma_above``.

    Raises
    ------
    InputError
        Bounds that do not increase or leave voxels of the phase out, negative or infinite thickness, no phase, a margin
        that leaves nothing.

    Notes
    -----
    Errors are those of the volume as a sample of a stationary medium, as of :func:`volume_fraction`, and what three
    pores more or less would do to the shares, which matters where few or none were seen: balls as wide as a bin's lower
    bound inside of it, as its upper bound beyond it. They do not hold the error of the mask.
    """
    values = _as_thickness(thickness)
    bounds = as_bounds(edges, float(values.max()))
    values = _without_margin(values, as_spacing(spacing), margin)
    inside = values > 0
    if not inside.any():
        raise InputError("thickness: found no voxel above 0, expected a phase")
    if values[inside].min() < bounds[0] or values.max() >= bounds[-1]:
        raise InputError(
            f"edges: found {bounds[0]} to {bounds[-1]}, expected them to hold all values, "
            f"{values[inside].min()} to {values.max()}"
        )
    bins = np.where(inside, np.searchsorted(bounds, values, side="right") - 1, -1)
    counts = cell_counts(bins, len(bounds) - 1)
    sizes = as_spacing(spacing)
    sampling = Sampling(bins.shape, sizes, _REACH_OF_SIZES)
    # Share of one ball in the volume of the phase.
    ball = np.pi / 6 * np.maximum(bounds, 0) ** 3 / (float(counts.sum()) * np.prod(sizes))
    whole = counts.sum(axis=3)
    share, sigma = sampling.shares(counts, whole)
    above, sigma_above = sampling.shares(counts[..., ::-1].cumsum(axis=3)[..., ::-1], whole)
    wider = np.append(ball[1:-1], 0.0)  # nothing lies beyond the last bin
    return {
        "low": bounds[:-1].copy(),
        "high": bounds[1:].copy(),
        "share": share,
        "sigma_share": np.sqrt(
            sigma**2 + _NONE_SEEN**2 * (((1 - share) * ball[:-1]) ** 2 + (share * wider) ** 2)
        ),
        "above": above,
        "sigma_above": np.hypot(sigma_above, _NONE_SEEN * (1 - above) * ball[:-1]),
    }


def volume_fraction(mask: npt.ArrayLike) -> tuple[float, float]:
    """Return the share of a volume that a phase takes (for pores: the porosity), and its standard error.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        The phase.

    Returns
    -------
    share, sigma : float
        The error is that of the volume as a sample of a stationary medium. Infinite where the volume is too small to
        say: one phase only, or a few structures.

    Notes
    -----
    The variance is the integral of the covariance of two voxels, over the distances at which there is one; the fewer
    structures the volume holds, the more it is widened (Student's t). Scatter over sigma, and how many structures are
    few: design/020-distance.md. It does not hold the error of the mask.

    References
    ----------
    Lantuejoul, J. Microsc. 161 (1991) 387 (integral range).
    """
    phase = as_mask(mask, "mask")
    share = float(phase.mean())
    if not 0 < share < 1:
        return share, float(np.inf)
    counts = cell_counts(phase.view(np.int8), 2)
    sampling = Sampling(phase.shape, (1.0, 1.0, 1.0), _REACH_OF_PHASE)
    return share, float(sampling.shares(counts[..., 1:], counts.sum(axis=3))[1][0])


def _as_thickness(thickness: npt.ArrayLike) -> Float64:
    values = np.asarray(thickness)
    if values.dtype.kind not in "iuf" or values.ndim != 3 or not values.size:
        raise InputError(
            f"thickness: found {values.dtype} {values.shape}, expected real numbers (nz, ny, nx)"
        )
    out: Float64 = values.astype(np.float64)
    if not np.isfinite(out).all() or (out < 0).any():
        raise InputError("thickness: found negative or infinite values, expected lengths")
    return out


def _without_margin(
    values: Float64, edges: tuple[float, float, float], margin: float | None
) -> Float64:
    margin = float(values.max()) if margin is None else margin
    if not margin >= 0:
        raise InputError(f"margin: found {margin}, expected a length of at least 0")
    cuts = [
        int(np.ceil(margin / edge)) if n > 1 else 0
        for edge, n in zip(edges, values.shape, strict=True)
    ]
    if any(2 * cut >= n for cut, n in zip(cuts, values.shape, strict=True)):
        raise InputError(
            f"margin: found {margin:.4g} in a volume of {values.shape} voxels, expected one that leaves some; "
            "0 takes all, with what its faces do to them"
        )
    z, y, x = (slice(cut, n - cut) for cut, n in zip(cuts, values.shape, strict=True))
    return values[z, y, x]


def as_bounds(edges: npt.ArrayLike | int, largest: float) -> Float64:
    if isinstance(edges, int):
        if edges < 1:
            raise InputError(f"edges: found {edges}, expected at least one bin")
        # The largest value lies inside the last bin.
        return np.linspace(0.0, np.nextafter(largest, np.inf) if largest > 0 else 1.0, edges + 1)
    bounds = np.asarray(edges, np.float64)
    if bounds.ndim != 1 or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
        raise InputError(f"edges: found {edges!r}, expected increasing bounds of bins")
    return bounds
