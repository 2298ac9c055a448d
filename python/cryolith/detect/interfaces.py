# SPDX-License-Identifier: BSD-3-Clause
"""The layers of a layered specimen: thickness, boundaries, roughness, each with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..datamodel import Volume
from ..errors import InputError
from ._boundaries import measure_boundaries
from ._inputs import Float64, Mask, Table, as_mask, as_volume
from ._layering import find_steps, layering_normal, make_frame
from ._layers import layer_table, make_layers
from ._support import Support, find_support

__all__ = ["interfaces"]


def interfaces(
    volume: Volume | npt.ArrayLike,
    *,
    axis: Literal["z", "y", "x"] | Sequence[float] | None = None,
    pixel_size: float | None = None,
    support: npt.ArrayLike | None = None,
    min_contrast: float = 0.05,
    margin_px: int | None = None,
    threads: int = 0,
) -> Table:
    """Find the layers of a layered specimen and measure them; a homogeneous one has none.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        Reconstruction; NaN is refused.
    axis : {"z", "y", "x"} or (3,) vector (z, y, x), optional
        Layering direction. By default the direction along which the inside of the specimen varies most.
    pixel_size : float [angstrom], optional
        Edge of a voxel; taken from a Volume. Without it lengths are in pixels (``_px``).
    support : (nz, ny, nx) bool, optional
        Where the specimen is; by default found from the histogram. A volume without vacuum that shows fewer than
        two bright layers needs it (all True).
    min_contrast : float, default 0.05
        Smallest step that parts two layers, as a share of the specimen's mean level above the vacuum.
    margin_px : int, optional
        Voxels left out along the specimen's sides, where vacuum mixes in; by default 3, or a tenth of its radius.

    Returns
    -------
    dict of str to (n,) array
        One row per layer, in order along the layering direction (its largest component positive):

        - ``name``: "bright 1", "dark 1" ... numbered along the direction; a layer at an end of the specimen
          whose level is neither is "end"; ``kind``; ``complete``: both boundaries were measured;
        - ``thickness_nm``, ``sigma_thickness_nm``: between the two fitted planes, along their mean normal, at
          the middle of the patches measured; NaN for a layer that is not complete;
        - ``start_nm``, ``end_nm`` and ``sigma_...``: where the boundaries lie along the direction, from the
          volume's centre;
        - ``start_roughness_nm``, ``end_roughness_nm`` and ``sigma_...``: rms deviation of the boundary from its
          plane over lateral patches (of up to 4 x 4 px), the image noise's part subtracted; its sigma is how far
          one standard error of its square reaches upwards, so 0 +- 0.1 says less than 0.1;
        - ``start_width_nm``, ``end_width_nm`` and ``sigma_...``: 10-90 % width of the edge about its plane:
          resolution, interdiffusion and roughness together;
        - ``start_tilt_deg``, ``end_tilt_deg``: angle of the boundary's normal to the direction;
        - ``intensity_mean``, ``intensity_sd`` over the layer's core; ``z_nm``, ``y_nm``, ``x_nm``: its middle,
          from the volume's centre; ``normal_z``, ``normal_y``, ``normal_x``: the direction.

    Raises
    ------
    InputError
        NaN, not three axes, an axis that is no direction, a support of another shape.

    Notes
    -----
    Columns of voxels are taken along the volume axis nearest to the direction, so nothing is resampled. Steps of
    the mean profile that exceed ``min_contrast`` and on which lateral groups agree (t test at 6 standard errors,
    each column compared with itself) are fitted in each patch by a level and a step blurred by a Gaussian; a
    plane goes through the positions, outliers beyond four robust standard deviations left out.

    Errors are jackknife errors over 4 to 16 compact lateral groups, widened by Student's t; noise shared by
    neighbouring patches therefore counts once, noise shared by a whole plane does not show. They do not hold the
    error of the pixel size, nor of an elongation by the missing wedge: boundaries normal to the tilt axis are
    free of it.

    References
    ----------
    Jackknife: Efron, The Jackknife, the Bootstrap and Other Resampling Plans (SIAM 1982), eq. 3.5.
    Blurred-step edges: Hyde et al., IEEE Trans. Pattern Anal. 7 (1985), not used for the noise, which is
    propagated to first order through the fit with the covariance measured inside the layers.
    """
    data, pixel_size = as_volume(volume, pixel_size)
    if not 0 < min_contrast < 1:
        raise InputError(f"min_contrast: found {min_contrast}, expected a share between 0 and 1")
    direction = None if axis is None else _direction(axis)
    found = find_support(data, threads)
    inside = (
        _specimen(found, data.shape) if support is None else as_mask(support, "support", data.shape)
    )
    if not inside.any() or float(np.ptp(data)) == 0:
        return layer_table([], pixel_size)
    margin = _margin(inside) if margin_px is None else margin_px
    normal = layering_normal(data, inside, margin) if direction is None else direction
    level = abs(float(data[inside].mean(dtype=np.float64)) - found.background)
    unit = _unit(level or float(np.ptp(data)))
    frame = make_frame(data / unit, inside, normal, margin)
    steps = find_steps(frame, min_contrast * level / float(unit)) if frame.domain.any() else []
    boundaries = measure_boundaries(frame, steps)
    table = layer_table(make_layers(frame, boundaries, data.shape), pixel_size)
    for name in ("intensity_mean", "intensity_sd"):
        table[name] = table[name] * unit
    return table


def _unit(level: float) -> np.float32:
    """Return the power of two nearest to a level: dividing by it brings the level near 1 and rounds nothing.

    The fits solve for levels and for positions [px] together; with counts of 1e5 beside pixels of 1 the
    positions would drown in the levels' rounding.
    """
    return np.float32(2.0 ** round(math.log2(level)))


def _specimen(found: Support, shape: tuple[int, ...]) -> Mask:
    """Return the specimen's mask; everything, where what is bright falls into many parts as layers do.

    A volume cut from inside a specimen has no vacuum: the histogram's lower peak is then its dark layers.
    """
    return found.mask if found.share > 0.6 else np.ones(shape, bool)


def _direction(axis: str | Sequence[float]) -> Float64:
    """Return the unit vector (z, y, x) of an axis given by name or by components."""
    if isinstance(axis, str):
        if axis not in ("z", "y", "x"):
            raise InputError(f"axis: found {axis!r}, expected 'z', 'y', 'x' or a vector (z, y, x)")
        named: Float64 = np.eye(3)["zyx".index(axis)]
        return named
    vector = np.asarray(axis, dtype=np.float64)
    length = float(np.linalg.norm(vector)) if vector.shape == (3,) else 0.0
    if not (math.isfinite(length) and length > 0):
        raise InputError(f"axis: found {axis!r}, expected 'z', 'y', 'x' or a vector (z, y, x)")
    out: Float64 = vector / length * math.copysign(1.0, vector[np.abs(vector).argmax()])
    return out


def _margin(specimen: Mask) -> int:
    """A tenth of the specimen's radius (of the sphere with its volume), at least 3 voxels."""
    radius = (3 * np.count_nonzero(specimen) / (4 * math.pi)) ** (1 / 3)
    return max(3, round(radius / 10))
