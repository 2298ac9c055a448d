# SPDX-License-Identifier: BSD-3-Clause
"""From measured boundaries to the table of layers: who lies between which, names, lengths, errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._boundaries import Boundary, jackknife
from ._inputs import Float64, Mask, Table, unit_of
from ._layering import Frame
from .thresholds import multi_otsu

__all__ = ["Layer", "layer_table", "make_layers"]

_WIDTH_10_90 = 2.5631031310892007  # of a step blurred by a Gaussian of unit standard deviation
_SIDES = ("start", "end")


@dataclass(frozen=True)
class Layer:
    """One layer in the volume's pixels; lengths along ``normal``, NaN where a boundary was not measured."""

    mean: float
    sd: float
    centre: Float64  # (z, y, x) from the volume's centre
    normal: Float64  # (z, y, x)
    thickness: float
    sigma_thickness: float
    boundary: dict[str, Float64]  # "start", "end": position, roughness, width with sigmas, tilt; see _describe


def make_layers(
    frame: Frame, boundaries: list[Boundary], shape: tuple[int, ...], vacuum_below: float
) -> list[Layer]:
    """Return the layers between the boundaries; a first or last one darker than ``vacuum_below`` is vacuum."""
    if not boundaries:
        return []
    slopes = np.array([b.plane.slope for b in boundaries]).mean(axis=0)
    normal = _to_volume(frame, np.array([1.0, *-slopes]))
    normal /= np.linalg.norm(normal)
    described = [_describe(frame, b, normal, shape) for b in boundaries]
    missing = np.full(7, np.nan)
    layers = []
    for k in range(len(boundaries) + 1):
        below = boundaries[k - 1] if k > 0 else None
        above = boundaries[k] if k < len(boundaries) else None
        inside = _between(frame, below, above)
        if not inside.any():
            continue
        values = frame.values[inside].astype(np.float64)
        mean = float(values.mean())
        if (below is None or above is None) and mean < vacuum_below:
            continue
        middle = np.array([c.mean() for c in np.nonzero(inside)])
        size, sigma = _thickness(below, above)
        ends = {
            "start": described[k - 1] if below else missing,
            "end": described[k] if above else missing,
        }
        place = _place(frame, middle, shape)
        layers.append(Layer(mean, float(values.std()), place, normal, size, sigma, ends))
    return layers


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
    """Return position, sigma, roughness, sigma, 10-90 width, sigma [px along normals], tilt [deg]."""
    plane, cosine = boundary.plane, boundary.cosine
    point = _place(frame, np.array([plane.offset, *plane.centre]), shape)
    own = _to_volume(frame, np.array([1.0, *-plane.slope]))
    tilt = math.degrees(math.acos(min(1.0, abs(float(own @ normal)) * cosine)))
    kept = plane.kept
    lateral, position = boundary.lateral[kept], boundary.position[kept]

    def offset(use: npt.NDArray[np.bool_]) -> float:
        return float(_fit(lateral[use], position[use], plane.centre)[0])

    def excess(use: npt.NDArray[np.bool_]) -> float:
        return _excess(lateral[use], position[use], boundary.noise[kept][use], plane.centre)

    variance, sigma = excess(np.ones(len(lateral), bool)), jackknife(lateral, excess)
    rough = math.sqrt(max(variance, 0.0))
    return np.array(
        [
            float(point @ normal),
            jackknife(lateral, offset) * cosine,
            rough * cosine,
            # sqrt(r^2 + s) - r is s / (2 r) where r is well measured, and sqrt(s) where it is not.
            (math.sqrt(rough**2 + sigma) - rough) * cosine,
            boundary.width * _WIDTH_10_90 * cosine,
            boundary.sigma_width * _WIDTH_10_90 * cosine,
            tilt,
        ]
    )


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
    lower, upper = below.plane.kept, above.plane.kept
    lateral = np.concatenate([below.lateral[lower], above.lateral[upper]])
    position = np.concatenate([below.position[lower], above.position[upper]])
    upper_part = np.arange(len(lateral)) >= int(lower.sum())

    def distance(use: npt.NDArray[np.bool_]) -> float:
        first = _fit(lateral[use & ~upper_part], position[use & ~upper_part], centre)
        second = _fit(lateral[use & upper_part], position[use & upper_part], centre)
        slope = (first[1:] + second[1:]) / 2
        return float(second[0] - first[0]) / math.sqrt(1 + float(slope @ slope))

    return distance(np.ones(len(lateral), bool)), jackknife(lateral, distance)


def _between(frame: Frame, below: Boundary | None, above: Boundary | None) -> Mask:
    """Voxels of the domain between two boundaries, twice the blur (at most a third of the way) away from them."""
    g = np.arange(len(frame.values))[:, None, None]
    lateral = np.stack(np.indices(frame.values.shape[1:]), axis=-1)
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
    """Call each layer bright or dark by its level; an open one that is like neither is an end.

    The levels are those of the complete layers, parted in two by Otsu's threshold: a substrate much darker than
    all layers must not make all of them bright.
    """
    levels = np.array([layer.mean for layer in layers])
    complete = np.array([math.isfinite(layer.thickness) for layer in layers])
    if complete.sum() < 2:
        cut = float(levels.min() + levels.max()) / 2
        return ["bright" if level > cut else "dark" for level in levels]
    cut = float(multi_otsu(levels[complete], 2, quantiles=(0.0, 1.0)).values[0])
    bright = levels > cut
    centres = [levels[complete & ~bright], levels[complete & bright]]
    kinds = []
    for level, is_bright, whole in zip(levels, bright, complete, strict=True):
        own = centres[int(is_bright)]
        near = abs(level - own.mean()) <= abs(own.mean() - cut)
        kinds.append(("bright" if is_bright else "dark") if whole or near else "end")
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
    columns = ("{}_", "sigma_{}_", "{}_roughness_", "sigma_{}_roughness_", "{}_width_", "sigma_{}_width_")
    for side in _SIDES:
        for i, name in enumerate(columns):
            table[name.format(side) + unit] = np.array([x.boundary[side][i] * pixel for x in layers])
        table[f"{side}_tilt_deg"] = np.array([x.boundary[side][6] for x in layers])
    table["intensity_mean"] = np.array([x.mean for x in layers])
    table["intensity_sd"] = np.array([x.sd for x in layers])
    for i, name in enumerate("zyx"):
        table[f"{name}_{unit}"] = np.array([x.centre[i] * pixel for x in layers])
    for i, name in enumerate("zyx"):
        table[f"normal_{name}"] = np.array([x.normal[i] for x in layers])
    return table
