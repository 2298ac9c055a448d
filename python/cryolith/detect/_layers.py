# SPDX-License-Identifier: BSD-3-Clause
"""From measured boundaries to the table of layers: who lies between which, names, lengths, errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._boundaries import Boundary, group_count, jackknife
from ._edges import SHARPEST, groups_of
from ._inputs import Float64, Mask, Table, unit_of
from ._layering import Frame
from ._student import student
from .thresholds import multi_otsu

__all__ = ["Layer", "layer_table", "make_layers"]

_WIDTH_10_90 = 2.5631031310892007  # of a step blurred by a Gaussian of unit standard deviation
_SIDES = ("start", "end")
_MOST_PAIRS = 600  # patches, for the matrix of their distances
_TILT, _STEP = 6, 7  # columns of _describe


@dataclass(frozen=True)
class Layer:
    """One layer in the volume's pixels; lengths along ``normal``, NaN where a boundary was not measured."""

    mean: float
    sd: float
    centre: Float64  # (z, y, x) from the volume's centre
    normal: Float64  # (z, y, x)
    thickness: float
    sigma_thickness: float
    boundary: dict[
        str, Float64
    ]  # "start", "end": position, roughness, width with sigmas, tilt; see _describe


def make_layers(frame: Frame, boundaries: list[Boundary], shape: tuple[int, ...]) -> list[Layer]:
    """Return the layers between the boundaries; a first or last one outside the specimen is vacuum.

    A single layer between flat ends is a homogeneous specimen: it has none.
    """
    if not boundaries:
        return []
    slopes = np.array([b.plane.slope for b in boundaries]).mean(axis=0)
    normal = _to_volume(frame, np.array([1.0, *-slopes]))
    normal /= np.linalg.norm(normal)
    described = [_describe(frame, b, normal, shape) for b in boundaries]
    missing = np.full(8, np.nan)
    layers = []
    for k in range(len(boundaries) + 1):
        below = boundaries[k - 1] if k > 0 else None
        above = boundaries[k] if k < len(boundaries) else None
        inside = _between(frame, below, above)
        if not inside.any():
            continue
        if (below is None or above is None) and frame.specimen[inside].mean() < 0.5:
            continue
        values = frame.values[inside].astype(np.float64)
        mean = float(values.mean())
        middle = np.array([c.mean() for c in np.nonzero(inside)])
        size, sigma = _thickness(below, above)
        ends = {
            "start": described[k - 1] if below else missing,
            "end": described[k] if above else missing,
        }
        place = _place(frame, middle, shape)
        layers.append(Layer(mean, float(values.std()), place, normal, size, sigma, ends))
    return layers if len(layers) > 1 else []


def _to_volume(frame: Frame, vector: Float64) -> Float64:
    """Bring components (g, a, b) into the order (z, y, x)."""
    out = np.empty(3)
    out[list(frame.order)] = vector
    return out


def _place(frame: Frame, point: Float64, shape: tuple[int, ...]) -> Float64:
    """Return a point (g, a, b) of the frame as (z, y, x) px from the volume's centre."""
    centre = (np.array(shape) - 1) / 2
    out: Float64 = _to_volume(frame, point) + np.array(frame.corner) - centre
    return out


def _describe(frame: Frame, boundary: Boundary, normal: Float64, shape: tuple[int, ...]) -> Float64:
    """Return position, sigma, roughness, sigma, 10-90 width, sigma [px along normals], tilt [deg], height."""
    plane, cosine = boundary.plane, boundary.cosine
    point = _place(frame, np.array([plane.offset, *plane.centre]), shape)
    own = _to_volume(frame, np.array([1.0, *-plane.slope]))
    tilt = math.degrees(math.acos(min(1.0, abs(float(own @ normal)) * cosine)))
    kept = plane.kept
    lateral, position = boundary.lateral[kept], boundary.position[kept]
    sharp = boundary.width < 1.01 * SHARPEST

    def excess(use: npt.NDArray[np.bool_]) -> float:
        return _excess(lateral[use], position[use], boundary.noise[kept][use], plane.centre)

    variance, sigma = excess(np.ones(len(lateral), bool)), jackknife(lateral, excess)
    rough = math.sqrt(max(variance, 0.0))
    return np.array(
        [
            float(point @ normal),
            math.hypot(_sigma_offset(lateral, position, plane.centre), boundary.model_shift)
            * cosine,
            rough * cosine,
            # sqrt(r^2 + s) - r is s / (2 r) where r is well measured, and sqrt(s) where it is not.
            (math.sqrt(rough**2 + sigma) - rough) * cosine,
            boundary.width * _WIDTH_10_90 * cosine,
            math.nan if sharp else boundary.sigma_width * _WIDTH_10_90 * cosine,
            tilt,
            boundary.height,
        ]
    )


def _sigma_offset(lateral: Float64, position: Float64, centre: Float64) -> float:
    """Return the standard error of a plane at ``centre`` from the scatter of the patches and its correlation.

    The larger of two estimates, as each falls short where the other holds: means over compact groups, and
    sum_ij w_i w_j C(d_ij) with the weights w of the fit and the covariance C of the residuals at distance d, taken
    as 0 from where it first falls to 0 (Conley, J. Econometrics 92 (1999) 1, eq. 3.13).
    """
    n = len(lateral)
    fitted = _fit(lateral, position, centre)
    residual = position - fitted[0] - (lateral - centre) @ fitted[1:]
    size = group_count(n)
    group = groups_of(lateral, size)
    means = np.bincount(group, residual) / np.bincount(group)
    widened = float(student(size - 1))
    sigma = float(means.std(ddof=1)) / math.sqrt(size) * widened
    if n > _MOST_PAIRS:  # so many patches make groups far larger than any correlation
        return sigma
    weight = np.linalg.pinv(np.concatenate([np.ones((n, 1)), lateral - centre], axis=1))[0]
    distance = np.hypot(*(lateral[:, None, :] - lateral[None, :, :]).transpose(2, 0, 1))
    spacing = float(np.min(distance + 1e9 * np.eye(n)))
    ring = np.ceil(distance / spacing - 0.5).astype(np.int64).ravel()
    pairs = np.maximum(np.bincount(ring), 1)
    covariance = np.bincount(ring, np.outer(residual, residual).ravel()) / pairs
    covariance[np.logical_or.accumulate(covariance <= 0)] = 0.0
    variance = float(np.outer(weight, weight).ravel() @ covariance[ring]) * n / max(n - 3, 1)
    return max(sigma, math.sqrt(max(variance, 0.0)) * widened)


def _fit(lateral: Float64, position: Float64, centre: Float64) -> Float64:
    """Return offset at ``centre`` and slopes of the least-squares plane."""
    design = np.concatenate([np.ones((len(lateral), 1)), lateral - centre], axis=1)
    out: Float64 = np.linalg.lstsq(design, position, rcond=1e-6)[0]
    return out


def _excess(lateral: Float64, position: Float64, noise: Float64, centre: Float64) -> float:
    """Return the variance about the plane that the image noise does not explain; may be negative."""
    shape = _fit(lateral, position, centre)
    residual = position - shape[0] - (lateral - centre) @ shape[1:]
    return float((residual**2).sum()) / max(len(position) - 3, 1) - float(noise.mean())


def _thickness(below: Boundary | None, above: Boundary | None) -> tuple[float, float]:
    """Return the distance of two planes along their mean normal, midway between their patches, and its error."""
    if below is None or above is None:
        return math.nan, math.nan
    centre = (below.plane.centre + above.plane.centre) / 2
    slope = (below.plane.slope + above.plane.slope) / 2
    cosine = 1 / math.sqrt(1 + float(slope @ slope))
    variance = 0.0
    for b in (below, above):
        kept = b.plane.kept
        sigma = _sigma_offset(b.lateral[kept], b.position[kept], centre)
        variance += sigma**2 + b.model_shift**2
    distance = float(above.plane.at(centre)) - float(below.plane.at(centre))
    return distance * cosine, math.sqrt(variance) * cosine


def _between(frame: Frame, below: Boundary | None, above: Boundary | None) -> Mask:
    """Voxels of the domain between two boundaries, twice the blur (at most a third of the way) away from them."""
    g = np.arange(len(frame.values))[:, None, None]
    lateral = np.moveaxis(np.indices(frame.values.shape[1:]), 0, -1).astype(np.float64)
    room = math.inf
    if below and above:
        room = abs(above.plane.offset - float(below.plane.at(above.plane.centre))) / 3
    inside = frame.domain.copy()
    if below:
        inside &= g > below.plane.at(lateral) + min(2 * below.width, room)
    if above:
        inside &= g < above.plane.at(lateral) - min(2 * above.width, room)
    return inside


def _kinds(layers: list[Layer]) -> list[str]:
    """Call each layer bright or dark; an open one whose step from its neighbour is unlike the others is an end.

    Complete layers are parted in two by Otsu's threshold of their levels. A substrate much darker than all layers
    must not make all of them bright, so open layers follow from the step at their one boundary.
    """
    levels = np.array([layer.mean for layer in layers])
    complete = np.array([math.isfinite(layer.thickness) for layer in layers])
    if not complete.any():
        middle = (levels.min() + levels.max()) / 2
        return ["bright" if level > middle else "dark" for level in levels]
    if complete.sum() == 1:
        cut = float(levels.min() + levels.max()) / 2
    else:
        cut = float(multi_otsu(levels[complete], 2, quantiles=(0.0, 1.0)).values[0])
    steps = [
        layer.boundary[s][_STEP]
        for layer in layers
        for s in _SIDES
        if complete[layers.index(layer)]
    ]
    usual = float(np.median(np.abs(steps)))
    kinds = ["bright" if level > cut else "dark" for level in levels]
    for i in np.flatnonzero(~complete):
        neighbour = kinds[1] if i == 0 else kinds[-2]
        up = -layers[i].boundary["end"][_STEP] if i == 0 else layers[i].boundary["start"][_STEP]
        ratio = (up if neighbour == "dark" else -up) / usual
        kinds[i] = ("bright" if neighbour == "dark" else "dark") if 0.5 < ratio < 2 else "end"
    return kinds


def layer_table(layers: list[Layer], pixel_size: float | None) -> Table:
    """Return the table of :func:`cryolith.detect.interfaces`."""
    unit, pixel = unit_of(pixel_size)
    kinds = _kinds(layers) if layers else []
    count: dict[str, int] = {}
    names = []
    for kind in kinds:
        count[kind] = count.get(kind, 0) + 1
        names.append(f"{kind} {count[kind]}")
    table: Table = {
        "name": np.array(names, dtype=np.str_),
        "kind": np.array(kinds, dtype=np.str_),
        "complete": np.array([math.isfinite(x.thickness) for x in layers], dtype=bool),
        f"thickness_{unit}": np.array([x.thickness * pixel for x in layers]),
        f"sigma_thickness_{unit}": np.array([x.sigma_thickness * pixel for x in layers]),
    }
    columns = (
        "{}_",
        "sigma_{}_",
        "{}_roughness_",
        "sigma_{}_roughness_",
        "{}_width_",
        "sigma_{}_width_",
    )
    for side in _SIDES:
        for i, name in enumerate(columns):
            table[name.format(side) + unit] = np.array(
                [x.boundary[side][i] * pixel for x in layers]
            )
        table[f"{side}_tilt_deg"] = np.array([x.boundary[side][_TILT] for x in layers])
    table["intensity_mean"] = np.array([x.mean for x in layers])
    table["intensity_sd"] = np.array([x.sd for x in layers])
    for i, name in enumerate("zyx"):
        table[f"{name}_{unit}"] = np.array([x.centre[i] * pixel for x in layers])
    for i, name in enumerate("zyx"):
        table[f"normal_{name}"] = np.array([x.normal[i] for x in layers])
    return table
