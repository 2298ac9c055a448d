# SPDX-License-Identifier: BSD-3-Clause
"""A phase as pores that throats join: sizes, areas, connections, and what the network conducts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._conduits import Resistance, conductance, resistance_between
from ._inputs import Float32, Float64, Table, as_mask
from ._spacing import Spacing, as_spacing
from .components import contacts
from .distances import depth_of

__all__ = ["PoreNetwork", "pore_network"]

_LEAST = 0.5  # of a voxel: maxima of the distances inside of one ball differ by that much
_SIDES = ("min", "max")
Edges = tuple[float, float, float]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class PoreNetwork:
    """What :func:`pore_network` finds; lengths, areas and volumes in the unit of ``spacing``.

    Attributes
    ----------
    pores : dict of str to (n,) array
        ``pore`` from 1, its label; ``z``, ``y``, ``x``: centre of its largest ball, from the centre of the volume;
        ``volume``;
        ``inscribed_diameter`` of that ball, ``equivalent_diameter`` of a ball of the pore's volume; ``coordination``:
        how many throats it has; ``zmin``, ``zmax``, ``ymin`` ...: whether it opens onto that face of the volume, so
        that it is cut.
    throats : dict of str to (m,) array
        ``pore1`` < ``pore2``, the pores that it joins; ``z``, ``y``, ``x``: its widest place; ``area`` of the
        interface by Crofton's formula; ``cross_section``: area of its shadow along its mean normal, which is what
        flows see; ``equivalent_diameter`` of a disk of that cross-section; ``inscribed_diameter``, the largest ball
        that passes; ``length`` from centre to centre through the widest place; ``diffusive_resistance``,
        ``viscous_resistance`` (viscosity 1).
    openings : dict of str to (k,) array
        The same for where pores meet faces of the volume: ``pore``; ``face``: "zmin" ...; ``cross_section``,
        ``length``, resistances.
    labels : (nz, ny, nx) int32
        The pore of each voxel, 0 outside of the phase.
    extent : (3,) tuple of float
        Lengths of the volume along z, y, x.
    """

    pores: Table
    throats: Table
    openings: Table
    labels: Labels
    extent: Edges

    def diffusivity(self, axis: Literal["z", "y", "x"]) -> float:
        """Return the effective diffusivity along an axis over that of the free phase; 0 where nothing leads through."""
        return self._transport(axis, "diffusive_resistance")

    def permeability(self, axis: Literal["z", "y", "x"]) -> float:
        """Return the permeability along an axis (Hagen & Poiseuille in each conduit), an area."""
        return self._transport(axis, "viscous_resistance")

    def _transport(self, axis: str, kind: str) -> float:
        if axis not in ("z", "y", "x"):
            raise InputError(f"axis: found {axis!r}, expected z, y or x")
        ends = np.stack([self.throats["pore1"], self.throats["pore2"]], axis=1) - 1
        face = self.openings["face"]
        low, high = (np.flatnonzero(face == axis + side) for side in _SIDES)
        pore, resistance = self.openings["pore"] - 1, self.openings[kind]
        flow = conductance(
            len(self.pores["pore"]),
            ends,
            self.throats[kind],
            pore[low],
            resistance[low],
            pore[high],
            resistance[high],
        )
        length = self.extent["zyx".index(axis)]
        return flow * length**2 / float(np.prod(self.extent))

    def openpnm(self) -> dict[str, npt.NDArray[Any]]:
        """Return the network as OpenPNM has it: ``pore.coords``, ``throat.conns`` ..., counted from 0.

        Coordinates are (z, y, x) from the corner of the volume, as porespy has them along array axes 0, 1, 2.
        """
        middle = np.array(self.extent) / 2
        out: dict[str, npt.NDArray[Any]] = {
            "pore.coords": np.stack([self.pores[a] for a in "zyx"], axis=1) + middle,
            "throat.conns": np.stack([self.throats["pore1"], self.throats["pore2"]], axis=1) - 1,
            "throat.coords": np.stack([self.throats[a] for a in "zyx"], axis=1) + middle,
            "pore.region_label": self.pores["pore"],
            "pore.coordination_number": self.pores["coordination"],
            "throat.cross_sectional_area": self.throats["cross_section"],
            "throat.total_length": self.throats["length"],
        }
        for name in ("volume", "inscribed_diameter", "equivalent_diameter"):
            out[f"pore.{name}"] = self.pores[name]
        for name in ("inscribed_diameter", "equivalent_diameter"):
            out[f"throat.{name}"] = self.throats[name]
        for face in (a + side for a in "zyx" for side in _SIDES):
            out[f"pore.{face}"] = self.pores[face]
        return out


def pore_network(
    mask: npt.ArrayLike,
    *,
    spacing: Spacing = None,
    border: bool = False,
    prominence: float = 0.1,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> PoreNetwork:
    """Part a phase into pores and the throats between them.

    Parameters
    ----------
    mask : (nz, ny, nx) bool or integer
        The phase: pores, or solid for its grains and necks.
    spacing : float, three floats or Volume, optional
        Edges of a voxel along z, y, x; a Volume gives them in nm. Default 1: lengths in px.
    border : bool, default False
        Whether the phase ends at the border of the volume. By default it goes on.
    prominence : float, default 0.1
        A widening is a pore of its own if the way to a wider one narrows by more than this share of its radius (and by
        more than half a voxel). More of it gives fewer pores.
    threads, cancel
        As for :func:`distance`; the partition runs on one thread.

    Returns
    -------
    PoreNetwork

    Raises
    ------
    InputError
        As :func:`skeleton`; no phase; a ``prominence`` that is not between 0 and 1.

    Notes
    -----
    Radii reach from the centre of a voxel to that of the first outside, as in :func:`distance`. What a network
    conducts is an estimate: conduits lead straight from the centre of a pore to the widest place of a throat, with a
    cross-section that goes with the square of the distance to the surface. For diffusion :func:`tortuosity` solves the
    voxels themselves.

    References
    ----------
    Regions of the distance's maxima: Gostick, Phys. Rev. E 96 (2017) 023307 (SNOW), here with one rule for which maxima
    count. Names: Gostick et al., Comput. Sci. Eng. 18 (2016) 60 (OpenPNM).
    """
    if not 0 <= prominence < 1:
        raise InputError(f"prominence: found {prominence}, expected a share from 0 to below 1")
    phase = as_mask(mask, "mask")
    if not phase.any():
        raise InputError("mask: found no voxel, expected a phase")
    edges = as_spacing(spacing)
    depth = depth_of(phase, edges, border, threads, cancel)
    labels = np.empty(phase.shape, np.int32)
    peaks = _core.split_pores(
        depth, phase.view(np.uint8), _LEAST * min(edges), prominence, labels, cancel
    )
    radius = depth.ravel()[peaks].astype(np.float64)
    measured = _Measured(depth, labels, _centres(depth, labels, peaks), radius, edges, threads)
    throats, openings = measured.throats(), measured.openings()
    return PoreNetwork(
        pores=measured.pores(throats, openings),
        throats=throats,
        openings=openings,
        labels=labels,
        extent=_triple(np.multiply(phase.shape, edges)),
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """Numbers of pores and throats, from the labels of the pores."""

    depth: Float32
    labels: Labels
    centres: Float64  # (n, 3) array indices
    radius: Float64  # (n,) of the largest balls
    edges: Edges
    threads: int

    def throats(self) -> Table:
        pair, place, axis, sign, radius = self._faces()
        low, high = np.divmod(pair, len(self.centres) + 1)
        names, first = np.unique(pair, return_index=True)
        group = np.searchsorted(names, pair)
        vector = np.zeros((3, len(names)))
        np.add.at(vector, (axis, group), sign * self._face_areas()[axis])
        neck, width = _widest(group, len(names), radius, place)
        # An interface that bends back upon itself has no mean normal; one face it has at least.
        section = np.maximum(np.linalg.norm(vector, axis=0), min(self._face_areas()))
        start, end = low[first], high[first]
        halves = [self._half(pore, neck, width, section) for pore in (start, end)]
        total = halves[0][1] + halves[1][1]
        return {
            "pore1": start,
            "pore2": end,
            **self._place(neck),
            "area": self._contacts(start, end),
            "cross_section": section,
            "equivalent_diameter": np.sqrt(4 * section / np.pi),
            "inscribed_diameter": 2 * width,
            "length": halves[0][0] + halves[1][0],
            "diffusive_resistance": total.diffusive,
            "viscous_resistance": total.viscous,
        }

    def openings(self) -> Table:
        """Measure where pores meet the faces of the volume."""
        rows: list[Table] = []
        for axis, name in enumerate("zyx"):
            for side, end in zip(_SIDES, (0, self.labels.shape[axis] - 1), strict=True):
                rows.append(
                    self._opening(axis, end, name + side, outwards=-0.5 if end == 0 else 0.5)
                )
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _opening(self, axis: int, end: int, face: str, outwards: float) -> Table:
        labels = self.labels.take(end, axis).ravel()
        inside = np.flatnonzero(labels)
        radius = self.depth.take(end, axis).ravel()[inside].astype(np.float64)
        found = labels[inside].astype(np.int64)
        pore, group, count = np.unique(found, return_inverse=True, return_counts=True)
        flat = [n for a, n in enumerate(self.labels.shape) if a != axis]
        place = np.stack(np.unravel_index(inside, flat), axis=1).astype(np.float64)
        place = np.insert(place, axis, end + outwards, axis=1)
        neck, width = _widest(group, len(pore), radius, place)
        section = count * self._face_areas()[axis]
        length, resistance = self._half(pore, neck, width, section)
        return {
            "pore": pore,
            "face": np.full(len(pore), face),
            "cross_section": section,
            "length": length,
            "diffusive_resistance": resistance.diffusive,
            "viscous_resistance": resistance.viscous,
        }

    def pores(self, throats: Table, openings: Table) -> Table:
        n = len(self.centres)
        volume = np.bincount(self.labels.ravel(), minlength=n + 1)[1:] * float(np.prod(self.edges))
        both = np.concatenate([throats["pore1"], throats["pore2"]])
        table: Table = {
            "pore": np.arange(1, n + 1),
            **self._place(self.centres),
            "volume": volume,
            "inscribed_diameter": 2 * self.radius,
            "equivalent_diameter": np.cbrt(6 * volume / np.pi),
            "coordination": np.bincount(both, minlength=n + 1)[1:],
        }
        for face in (a + side for a in "zyx" for side in _SIDES):
            there = openings["pore"][openings["face"] == face]
            table[face] = np.isin(table["pore"], there)
        return table

    def _faces(
        self,
    ) -> tuple[npt.NDArray[np.int64], Float64, npt.NDArray[np.intp], Float64, Float64]:
        """List the faces between voxels of two pores: both labels in one number, place, axis, sign, radius."""
        found = []
        for axis in range(3):
            a, b = (np.moveaxis(self.labels, axis, 0)[cut] for cut in (np.s_[:-1], np.s_[1:]))
            index = np.nonzero((a != b) & (a > 0) & (b > 0))
            one, other = a[index].astype(np.int64), b[index].astype(np.int64)
            depth = np.moveaxis(self.depth, axis, 0)
            beyond = (index[0] + 1, *index[1:])
            radius = np.minimum(depth[index], depth[beyond]).astype(np.float64)
            place = np.stack(index).astype(np.float64)
            place[0] += 0.5
            found.append(
                (
                    np.minimum(one, other) * (len(self.centres) + 1) + np.maximum(one, other),
                    np.insert(place[1:], axis, place[0], axis=0).T,
                    np.full(len(one), axis),
                    np.where(one < other, 1.0, -1.0),
                    radius,
                )
            )
        pair, place, along, sign, radius = (
            np.concatenate(part) for part in zip(*found, strict=True)
        )
        return pair, place, along, sign, radius

    def _half(
        self, pore: npt.NDArray[np.int64], neck: Float64, width: Float64, section: Float64
    ) -> tuple[Float64, Resistance]:
        """Return length and resistance from the centres of pores to their throats."""
        centre = self.centres[pore - 1]
        length: Float64 = np.linalg.norm((neck - centre) * self.edges, axis=1)
        return length, resistance_between(self.depth, centre, neck, width, section, self.edges)

    def _contacts(self, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> Float64:
        # Edges as angstrom of nm give areas in squares of the unit.
        found = contacts(self.labels, pixel_size=[10 * e for e in self.edges], threads=self.threads)
        base = len(self.centres) + 1
        # Both tables are sorted by label and other; this one also has pores that meet at edges alone.
        where = np.searchsorted(found["label"] * base + found["other"], start * base + end)
        out: Float64 = found["contact_nm2"][where]
        return out

    def _face_areas(self) -> Float64:
        out: Float64 = np.prod(self.edges) / np.array(self.edges)
        return out

    def _place(self, index: Float64) -> Table:
        where = (index - (np.array(self.labels.shape) - 1) / 2) * self.edges
        return {name: where[:, i] for i, name in enumerate("zyx")}


def _widest(
    group: npt.NDArray[np.integer], count: int, radius: Float64, place: Float64
) -> tuple[Float64, Float64]:
    """Return of each group the mean place of those with the largest radius, and that radius."""
    largest = np.zeros(count)
    np.maximum.at(largest, group, radius)
    top = radius == largest[group]
    number = np.bincount(group[top], minlength=count)
    mean = [np.bincount(group[top], place[top, i], count) / number for i in range(3)]
    return np.stack(mean, axis=1), largest


def _centres(depth: Float32, labels: Labels, peaks: npt.NDArray[np.int64]) -> Float64:
    """Return the middle of where a pore is deepest, as array indices; the peak itself where that lies aside."""
    at_peak = np.stack(np.unravel_index(peaks, depth.shape), axis=1).astype(np.float64)
    radius = depth.ravel()[peaks].astype(np.float64)
    top = np.flatnonzero(depth == np.concatenate([[np.float32(-1)], depth.ravel()[peaks]])[labels])
    place = np.stack(np.unravel_index(top, depth.shape), axis=1).astype(np.float64)
    mean, _ = _widest(
        labels.ravel()[top] - 1, len(peaks), depth.ravel()[top].astype(np.float64), place
    )
    there = tuple(np.rint(mean).astype(np.intp).T)
    aside = (depth[there] < 0.9 * radius) | (labels[there] != np.arange(1, len(peaks) + 1))
    return np.where(aside[:, None], at_peak, mean)


def _triple(values: npt.ArrayLike) -> Edges:
    z, y, x = (float(v) for v in np.asarray(values))
    return z, y, x
