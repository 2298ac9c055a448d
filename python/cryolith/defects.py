# SPDX-License-Identifier: BSD-3-Clause
"""Tables of what was found, with their units, the covariance of places, and what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .units import column_unit

__all__ = ["CORE_TABLES", "Defects", "Provenance", "SurfaceLike", "place_columns"]

Float64 = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]

CORE_TABLES = ("layers", "voids", "particles")


class SurfaceLike(Protocol):
    """A triangle mesh with values on its vertices.

    ``vertices`` (n, 3) [nm, or px without a pixel size]: (z, y, x) from the centre of the volume; ``faces`` (m, 3):
    indices of vertices; ``fields``: columns of length n, the unit in the name.
    """

    @property
    def vertices(self) -> npt.NDArray[Any]: ...
    @property
    def faces(self) -> npt.NDArray[Any]: ...
    @property
    def fields(self) -> Columns: ...


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made a result.

    Attributes
    ----------
    made_by : str
        The function, as ``cryolith.detect.detect``.
    version : str
        Of cryolith.
    settings : mapping
        Everything it was told.
    inputs : mapping of str to str
        sha256 by the name of each input, as :func:`cryolith.files.atomic.sha256` counts it.
    """

    made_by: str = ""
    version: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Defects:
    """Tables of what was found. Column names carry the unit, error columns start with ``sigma_``.

    Attributes
    ----------
    particles, voids, layers : mapping of str to (n,) array
        Columnar tables; equal length within a table, possibly 0.
    labels : (nz, ny, nx) int32 or None
        Particle ``i`` of the table has label ``i + 1``, void ``i`` has label ``-(i + 1)``, 0 is the rest.
    thresholds : mapping of str to float
        Thresholds used, in the volume's units, by name.
    notes : tuple of str
        What was decided.
    tables : mapping of str to table
        Further tables by name: ``blobs``, ``tubes``, ``sheets``, ``surfaces`` and any other.
    covariances : mapping of str to (n, 3, 3) float64
        By table: covariance of the places (z, y, x), in the unit of its place columns squared.
    surfaces : mapping of str to SurfaceLike
        Meshes by name.
    lines : mapping of str to sequence of (n, 3) float64
        Traced lines by name, such as ``tubes``: points (z, y, x) from the centre of the volume, in nm or px.
    pixel_size : float or None [angstrom]
        Of the volume that was searched.
    provenance : Provenance
    """

    particles: Columns = field(default_factory=dict)
    voids: Columns = field(default_factory=dict)
    layers: Columns = field(default_factory=dict)
    labels: npt.NDArray[np.int32] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tables: Mapping[str, Columns] = field(default_factory=dict)
    covariances: Mapping[str, Float64] = field(default_factory=dict)
    surfaces: Mapping[str, SurfaceLike] = field(default_factory=dict)
    lines: Mapping[str, Sequence[Float64]] = field(default_factory=dict)
    pixel_size: float | None = None
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        taken = sorted(set(self.tables) & set(CORE_TABLES))
        if taken:
            raise InputError(
                f"tables: found {', '.join(taken)}, expected other names; give it as {taken[0]}="
            )
        for name, matrices in self.covariances.items():
            rows = len(next(iter(self.table(name).values()), ()))
            if np.shape(matrices) != (rows, 3, 3):
                raise InputError(
                    f"covariances: found shape {np.shape(matrices)} for {name!r}, expected ({rows}, 3, 3), "
                    "one for each row of its table"
                )

    @property
    def all_tables(self) -> dict[str, Columns]:
        """Every table by name, those that were not searched (no columns) too."""
        return {name: getattr(self, name) for name in CORE_TABLES} | dict(self.tables)

    def table(self, name: str) -> Columns:
        """Return a table by its name.

        Raises
        ------
        InputError
            There is none of that name.
        """
        known = self.all_tables
        if name not in known:
            raise InputError(f"name: found {name!r}, expected one of {', '.join(known)}")
        return known[name]

    def units(self, name: str) -> dict[str, str]:
        """Return the unit of each column of a table, "" for numbers without one."""
        return {column: column_unit(column) for column in self.table(name)}

    def position_covariance(self, name: str) -> Float64 | None:
        """Return (n, 3, 3), the covariance of the places (z, y, x) of a table, if it is known.

        As given in ``covariances``, else diagonal from the ``sigma_`` columns of the places, else None.
        """
        if name in self.covariances:
            return self.covariances[name]
        table = self.table(name)
        errors = [f"sigma_{column}" for column in place_columns(table)]
        if not errors or any(column not in table for column in errors):
            return None
        return np.stack([np.asarray(table[c], np.float64) for c in errors], 1)[
            :, :, None
        ] ** 2 * np.eye(3)

    def label_properties(self) -> dict[int, dict[str, Any]]:
        """Return the rows of particles and voids by their value in ``labels`` (for ``write_labels``)."""
        found: dict[int, dict[str, Any]] = {}
        for kind, sign, table in (("particle", 1, self.particles), ("void", -1, self.voids)):
            columns = {name: np.asarray(v).tolist() for name, v in table.items() if name != "label"}
            for row in range(len(next(iter(table.values()), ()))):
                found[sign * (row + 1)] = {"kind": kind} | {n: v[row] for n, v in columns.items()}
        return found

    def to_napari(
        self, volume: Any = None, *, viewer: Any = None
    ) -> list[tuple[Any, dict[str, Any], str]]:
        """Return layers for napari: labels, and points, surfaces and lines with their columns as features.

        Parameters
        ----------
        volume : Volume, optional
            Shown below them.
        viewer : napari.Viewer, optional
            To which the layers are added.

        Returns
        -------
        list of (data, options, type)
            napari's LayerData, also made without napari.
        """
        from .adapters.napari import layers_of_defects, show

        return show(layers_of_defects(self, volume), viewer)


def place_columns(table: Columns) -> tuple[str, ...]:
    """Return the names of the columns with the places (z, y, x), nanometres before pixels; empty without any."""
    for unit in ("nm", "px"):
        names = tuple(f"{axis}_{unit}" for axis in "zyx")
        if all(name in table for name in names):
            return names
    return ()
