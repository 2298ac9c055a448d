# SPDX-License-Identifier: BSD-3-Clause
"""Layers for napari from volumes, labels, tables, surfaces, lines and tracks. napari itself is not imported.

A layer is napari's LayerData: ``(data, options, type)``, for ``Viewer.add_<type>(data, **options)``. Layers of one
volume lie on each other: in nanometres from its centre, or in voxels as array indices where no pixel size is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..defects import Defects, SurfaceLike, place_columns
from ..errors import InputError

if TYPE_CHECKING:
    from ..datamodel import Volume

__all__ = ["Frame", "LayerData", "layers_of_defects", "show"]

LayerData = tuple[Any, dict[str, Any], str]
Table = Mapping[str, npt.NDArray[Any]]

_LEAST_SIZE = 3.0  # voxels: smaller points are hard to see


def show(layers: list[LayerData], viewer: Any = None) -> list[LayerData]:
    """Add layers to a viewer, if there is one, and return them."""
    for data, options, kind in layers if viewer is not None else ():
        getattr(viewer, f"add_{kind}")(data, **options)
    return layers


@dataclass(frozen=True)
class Frame:
    """Where layers of one volume lie.

    Parameters
    ----------
    pixel_size : float or None [angstrom]
    shape : (nz, ny, nx) or None
        Of the volume. Needed where places in pixels and from the centre come together.
    """

    pixel_size: float | None = None
    shape: tuple[int, ...] | None = None

    @property
    def edge(self) -> float:
        """Edge of a voxel in the unit of the layers."""
        return 1.0 if self.pixel_size is None else self.pixel_size / 10

    def _space(self) -> dict[str, Any]:
        unit = "pixel" if self.pixel_size is None else "nm"
        return {"axis_labels": ("z", "y", "x"), "units": (unit,) * 3}

    def _of_indices(self, shape: Sequence[int]) -> dict[str, Any]:
        """Options of data whose coordinates are array indices of a volume of ``shape``."""
        if self.pixel_size is None:
            return self._space()
        first = tuple(-(n - 1) / 2 * self.edge for n in shape)
        return {"scale": (self.edge,) * 3, "translate": first, **self._space()}

    def _from_centre(self) -> dict[str, Any]:
        """Options of data whose coordinates count from the centre, in nm or px."""
        if self.pixel_size is None and self.shape is not None:
            return {"translate": tuple((n - 1) / 2 for n in self.shape), **self._space()}
        return self._space()

    def volume(self, volume: Volume, name: str = "volume") -> LayerData:
        """Return a volume as an image."""
        place = self._of_indices(volume.data.shape)
        return volume.data, {"name": name, "colormap": "gray", **place}, "image"

    def labels(
        self, labels: npt.NDArray[Any], name: str, rows: Mapping[int, Mapping[str, Any]]
    ) -> LayerData:
        """Return labels; what each is, by label, becomes features whose ``index`` is the label."""
        options = {"name": name, "features": _features(rows), **self._of_indices(labels.shape)}
        return labels, options, "labels"

    def points(
        self, table: Table, name: str, covariance: npt.NDArray[np.float64] | None = None
    ) -> LayerData:
        """Return the places of a table as points as large as what was found, its columns as features.

        The covariance of the places (z, y, x) goes into the metadata (``position_covariance``).

        Raises
        ------
        InputError
            The table has no places, or only such in another unit than that of the layers.
        """
        columns = place_columns(table)
        if not columns:
            listed = ", ".join(table) or "no columns"
            raise InputError(
                f"table: found {listed}, expected places z_nm, y_nm, x_nm or z_px, y_px, x_px"
            )
        nm = columns[0].endswith("_nm")
        if nm != (self.pixel_size is not None) and (nm or self.shape is None):
            raise InputError(
                f"table: found places in {columns[0][-2:]} with pixel_size {self.pixel_size}, expected both or none; "
                "pass the volume"
            )
        place = self._space() if nm else self._of_indices(self.shape or (1, 1, 1))
        unit, edge = ("nm", self.edge) if nm else ("px", 1.0)
        points = np.stack([np.asarray(table[c], np.float64) for c in columns], axis=1)
        size = np.asarray(table.get(f"diameter_{unit}", np.zeros(len(points))), np.float64)
        options: dict[str, Any] = {
            "name": name,
            "features": {c: np.asarray(v) for c, v in table.items()},
            "size": np.maximum(np.nan_to_num(size), _LEAST_SIZE * edge),
            "out_of_slice_display": True,
            "metadata": {} if covariance is None else {"position_covariance": covariance},
            **place,
        }
        return points, options, "points"

    def surface(self, surface: SurfaceLike, name: str) -> LayerData:
        """Return a mesh, coloured by its first field; all fields are in the metadata."""
        fields = {k: np.asarray(v) for k, v in surface.fields.items()}
        data: tuple[Any, ...] = (np.asarray(surface.vertices), np.asarray(surface.faces))
        shown = next(iter(fields), "")
        if shown:
            data = (*data, fields[shown].astype(np.float32))
        metadata = {"fields": fields, "shown": shown}
        return data, {"name": name, "metadata": metadata, **self._from_centre()}, "surface"

    def lines(
        self, lines: Iterable[npt.NDArray[Any]], name: str, features: Table | None = None
    ) -> LayerData:
        """Return open lines, points (z, y, x) from the centre, as paths; ``features`` has a row for each."""
        paths = [np.asarray(line, np.float64) for line in lines]
        options = {
            "name": name,
            "shape_type": "path",
            "edge_width": self.edge,
            "features": dict(features) if features else {"line": np.arange(len(paths))},
            **self._from_centre(),
        }
        return paths, options, "shapes"

    def tracks(
        self,
        table: Table,
        name: str = "tracks",
        *,
        track: str = "track",
        time: str = "time",
        graph: Mapping[int, Sequence[int]] | None = None,
    ) -> LayerData:
        """Return what was followed through time, a row of ``table`` for each place at each time.

        Parameters
        ----------
        table : mapping
            Places, and the columns named by ``track`` (a whole number for each track) and ``time``.
        graph : mapping of int to sequence of int, optional
            By track, those that it came from: splits and merges.
        """
        missing = [c for c in (track, time) if c not in table]
        if missing:
            raise InputError(
                f"table: found no column {missing[0]!r}, expected {track!r} and {time!r}"
            )
        points, placed, _ = self.points(table, name)
        order = np.lexsort((table[time], table[track]))
        data = np.column_stack([table[track], table[time], points])[order]
        options: dict[str, Any] = {
            "name": name,
            "features": {c: v[order] for c, v in placed["features"].items()},
            "graph": {int(k): [int(p) for p in v] for k, v in (graph or {}).items()},
        }
        for key in ("scale", "translate"):  # of time, too
            if key in placed:
                options[key] = (1.0 if key == "scale" else 0.0, *placed[key])
        options["axis_labels"] = ("t", *placed["axis_labels"])
        options["units"] = ("pixel", *placed["units"])
        return data, options, "tracks"


def _features(rows: Mapping[int, Mapping[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return columns with a row for each label, the background first; what a row lacks is NaN or empty."""
    labels = sorted(rows)
    out: dict[str, npt.NDArray[Any]] = {"index": np.array([0, *labels])}
    for name in dict.fromkeys(name for label in labels for name in rows[label]):
        known = [rows[label].get(name) for label in labels]
        empty: Any = "" if any(isinstance(v, str) for v in known) else np.nan
        out[name] = np.array([empty, *(empty if v is None else v for v in known)])
    return out


def layers_of_defects(defects: Defects, volume: Volume | None) -> list[LayerData]:
    """Return labels, points of every table that has places and no labels, surfaces and lines."""
    pixel, labels = defects.pixel_size, defects.labels
    if pixel is None and volume is not None:
        pixel = volume.pixel_size
    known = volume.data if volume is not None else labels
    frame = Frame(pixel, None if known is None else known.shape)
    layers = [] if volume is None else [frame.volume(volume)]
    if labels is not None:
        layers.append(frame.labels(labels, "found", defects.label_properties()))
    labelled = () if labels is None else ("particles", "voids")
    for name, table in defects.all_tables.items():
        if place_columns(table) and name not in (*labelled, *defects.lines):
            layers.append(frame.points(table, name, defects.position_covariance(name)))
    layers += [frame.surface(mesh, name) for name, mesh in defects.surfaces.items()]
    layers += [
        frame.lines(lines, name, defects.tables.get(name)) for name, lines in defects.lines.items()
    ]
    return layers
