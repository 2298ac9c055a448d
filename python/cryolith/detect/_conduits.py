# SPDX-License-Identifier: BSD-3-Clause
"""What a network of pores conducts: resistances of its conduits, and the flow between two faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._inputs import Float32, Float64

__all__ = ["Resistance", "conductance", "resistance_between"]

_STEPS = 64  # of a conduit
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Resistance:
    """Of conduits: to diffusion, the integral of ds / A; to flow, that of 8 pi ds / A^2 (viscosity 1)."""

    diffusive: Float64
    viscous: Float64

    def __add__(self, other: Resistance) -> Resistance:
        return Resistance(self.diffusive + other.diffusive, self.viscous + other.viscous)


def resistance_between(
    depth: Float32,
    start: Float64,
    end: Float64,
    radius: Float64,
    area: Float64,
    edges: tuple[float, float, float],
) -> Resistance:
    """Return the resistance from the centre of a pore to its throat, along the straight line.

    Parameters
    ----------
    depth : (nz, ny, nx)
        Distances to the surface.
    start, end : (n, 3)
        The centre of the pore and the widest place of the throat, array indices.
    radius, area : (n,)
        Distance to the surface at the widest place, and cross-section of the throat.

    Notes
    -----
    The cross-section of the conduit goes with the square of the distance to the surface, and is nowhere below the
    throat's: A(s) = A_t max(1, d(s) / d_t)^2.
    """
    part = (np.arange(_STEPS) + 0.5) / _STEPS
    last = np.array(depth.shape) - 1
    sums = np.zeros((2, len(start)))
    for p in part:
        place = np.clip(np.rint(start + p * (end - start)), 0, last).astype(np.intp)
        widening = np.maximum(depth[tuple(place.T)] / radius, 1.0) ** 2
        sums += [1 / widening, 1 / widening**2]
    step = np.linalg.norm((end - start) * edges, axis=1) / _STEPS
    return Resistance(sums[0] * step / area, 8 * np.pi * sums[1] * step / area**2)


def conductance(
    count: int,
    ends: Index,
    resistance: Float64,
    inlet: Index,
    into: Float64,
    outlet: Index,
    out: Float64,
) -> float:
    """Return the flow from the inlet at 1 to the outlet at 0.

    Parameters
    ----------
    count : int
        Pores.
    ends : (n, 2)
        Pores that a throat joins, from 0.
    resistance : (n,)
        Of the throats.
    inlet, outlet : (m,), (k,)
        Pores that open onto the faces.
    into, out : (m,), (k,)
        Resistances between them and the faces.

    Notes
    -----
    Kirchhoff's equations by conjugate gradients, scaled by the diagonal (Hestenes & Stiefel, J. Res. Natl. Bur. Stand.
    49 (1952) 409), until the residual is 1e-12 of the source's.
    """
    bond = 1 / resistance
    source = np.bincount(inlet, 1 / into, count)
    diagonal = source + np.bincount(outlet, 1 / out, count)
    diagonal += np.bincount(ends[:, 0], bond, count) + np.bincount(ends[:, 1], bond, count)
    inverse: Float64 = np.divide(1.0, diagonal, out=np.zeros(count), where=diagonal > 0)

    def apply(values: Float64) -> Float64:
        flow = np.bincount(ends[:, 0], bond * values[ends[:, 1]], count)
        flow += np.bincount(ends[:, 1], bond * values[ends[:, 0]], count)
        result: Float64 = diagonal * values - flow
        return result

    values: Float64 = np.zeros(count)
    residual: Float64 = source.astype(np.float64)
    way: Float64 = inverse * residual
    size = first = float(residual @ way)
    for _ in range(10 * count + 10):
        if not size > 1e-24 * first:
            break
        applied = apply(way)
        step = size / float(way @ applied)
        values += step * way
        residual -= step * applied
        scaled = inverse * residual
        size, before = float(residual @ scaled), size
        way = scaled + size / before * way
    return float((values[outlet] / out).sum())
