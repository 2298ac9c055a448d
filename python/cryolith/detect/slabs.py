# SPDX-License-Identifier: BSD-3-Clause
"""Connected components of volumes that come slab by slab."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..adapters.napari import Frame, LayerData, show
from ..errors import InputError
from ._inputs import AXES, Table, as_mask
from ._region_table import Sums, as_pixel, contact_table, region_table

__all__ = ["Components", "Connectivity", "Measure", "wanted_of"]

Connectivity = Literal[6, 18, 26]
Measure = Literal["axes", "surface", "holes"]
_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int32))
_CHUNK = 32  # slices; RunLabels::kChunkSlices of cpp/detect/run_labels.hpp


def wanted_of(measure: Sequence[str], known: Sequence[str]) -> dict[str, bool]:
    """Return which sums the named groups of columns need."""
    for name in (measure,) if isinstance(measure, str) else measure:
        if name not in known or isinstance(measure, str):
            raise InputError(f"measure: found {name!r}, expected a sequence of {', '.join(known)}")
    return {"moments": "axes" in measure, "exits": "surface" in measure}


def _next_to(bound: float | None, end: float) -> float:
    """Return the float32 next to a bound on the inner side, or the end where there is none."""
    if bound is None:
        return end
    if not math.isfinite(bound):
        raise InputError(f"above, below: found {bound}, expected finite numbers")
    return float(np.nextafter(np.float32(bound), np.float32(-end)))


def bounds_of(above: float | None, below: float | None) -> tuple[float, float]:
    """Return the least and the largest float32 between two bounds, both excluded."""
    return _next_to(above, -math.inf), _next_to(below, math.inf)


def label_array(
    shape: tuple[int, ...],
    count: int,
    out: npt.NDArray[Any] | None,
    dtype: npt.DTypeLike | None,
) -> npt.NDArray[Any]:
    """Return where ``count`` labels go: ``out`` checked, or a new array."""
    if out is None:
        kind = next(t for t in _TYPES if count <= np.iinfo(t).max)
        out = np.empty(shape, kind if dtype is None else dtype)
    elif not isinstance(out, np.ndarray) or out.shape != shape or not out.flags.c_contiguous:
        raise InputError(f"out: found {np.shape(out)}, expected a C-order array of {shape}")
    if out.dtype not in _TYPES or count > np.iinfo(out.dtype).max:
        raise InputError(
            f"dtype: found {out.dtype} for {count} labels, expected uint8, uint16 or int32 that hold them"
        )
    return out


class Components:
    """Connected components of a volume whose slices come in slabs, with labels and a table at the end.

    The volume never has to be in memory: a slab may be let go once it was added. The labels and the table are those of
    the whole volume, to the byte, however it was cut.

    Parameters
    ----------
    shape : (nz, ny, nx)
        Of the whole volume.
    connectivity, same_value, delta
        As for :func:`label`.
    intensity : bool, default False
        Each slab comes with its intensity.
    measure : sequence of {"axes", "surface", "holes"}
        As for :func:`find_regions`; None: no table.

    Attributes
    ----------
    count : int
        Number of components, once all slabs are there.

    Notes
    -----
    Kept are one bit a voxel (two with values or "holes"), 4 bytes for each run of voxels along x (of 2 x 2 rows
    together for connectivity 26), and up to 250 bytes for each component in each 32 slices.

    Examples
    --------
    >>> found = Components((nz, ny, nx))
    >>> for z in range(0, nz, 64):
    ...     found.add(volume[z : z + 64], above=0.5)
    >>> table = found.regions()
    >>> for z in range(0, nz, 64):
    ...     write(found.labels(z, min(z + 64, nz)))
    """

    def __init__(
        self,
        shape: Sequence[int],
        connectivity: Connectivity = 26,
        *,
        same_value: bool = False,
        delta: float | None = None,
        intensity: bool = False,
        measure: Sequence[Measure] | None = ("axes", "surface"),
    ) -> None:
        if connectivity not in (6, 18, 26):
            raise InputError(f"connectivity: found {connectivity!r}, expected 6, 18 or 26")
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(
                f"shape: found {tuple(shape)}, expected 3 axes with at least one element each"
            )
        groups = () if measure is None else measure
        self._wanted = wanted_of(groups, ("axes", "surface", "holes"))
        if same_value and delta is not None:
            raise InputError("delta: found together with same_value, expected one of them")
        if delta is not None and not (math.isfinite(delta) and delta >= 0):
            raise InputError(f"delta: found {delta}, expected a number of 0 or more")
        valued = same_value or delta is not None
        if "holes" in groups and (connectivity == 18 or valued):
            raise InputError(
                "measure: found 'holes', expected a mask and connectivity 6 or 26 for it"
            )
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self.connectivity = connectivity
        self.delta = delta
        self.same_value = same_value
        self.measure = None if measure is None else tuple(groups)
        self._holes = "holes" in groups
        self.intensity = intensity
        self._done = 0
        self._kind: np.dtype[Any] | None = None
        self._core: _core.Components | None = None
        self._count: int | None = None

    def add(
        self,
        slab: npt.ArrayLike,
        intensity: npt.ArrayLike | None = None,
        *,
        above: float | None = None,
        below: float | None = None,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
    ) -> None:
        """Take the next slices.

        Parameters
        ----------
        slab : (n, ny, nx)
            As ``image`` of :func:`label`. All slabs but the last end at a multiple of 32 slices.
        intensity : (n, ny, nx) real, optional
            Of the same slices.
        above, below
            As for :func:`label`.
        threads, cancel
            As for :func:`label`. A slab whose adding was cancelled may be added again.

        Raises
        ------
        InputError
            As for :func:`label`; slabs that do not follow each other; an intensity that is missing or was not
            announced.
        """
        if (intensity is not None) != self.intensity:
            found, expected = ("one", "none") if intensity is not None else ("none", "one")
            raise InputError(f"intensity: found {found}, expected {expected} with each slab")
        values = None if intensity is None else as_core(intensity, "intensity", AXES)
        bounded = above is not None or below is not None
        if bounded and (self.same_value or self.delta is not None):
            raise InputError("above, below: found together with values, expected one of them")
        if self.delta is not None:
            image = as_core(slab, "image", AXES)
        elif self.same_value:
            image = self._as_values(slab)
        elif bounded:
            image = as_core(slab, "image", AXES)
        else:
            image = as_mask(slab, "image").view(np.uint8)
        self._check_place(image.shape, values)
        core = self._started(image.dtype)
        if bounded:
            low, high = bounds_of(above, below)
            core.add_between(image, low, high, values, threads=threads, cancel=cancel)
        elif self.same_value or self.delta is not None:
            core.add_values(image, values, threads=threads, cancel=cancel)
        else:
            core.add_mask(image, values, threads=threads, cancel=cancel)
        self._done += image.shape[0]

    def _as_values(self, slab: npt.ArrayLike) -> npt.NDArray[Any]:
        a = np.asarray(slab)
        if a.dtype.kind not in "biu":
            raise InputError(
                f"image: found dtype {a.dtype}, expected integers for same_value; use delta=0 for real numbers"
            )
        if self._kind is None:
            native = a.dtype.newbyteorder("=")
            self._kind = native if native in _TYPES else np.dtype(np.int32)
        limits = np.iinfo(self._kind)
        if (
            a.size
            and a.dtype != self._kind
            and not (limits.min <= a.min() and a.max() <= limits.max)
        ):
            raise InputError(
                f"image: found values from {a.min()} to {a.max()}, expected {limits.min} to {limits.max}; "
                "number the values from 1 first"
            )
        out: npt.NDArray[Any] = as_core(a, "image", AXES, self._kind)
        return out

    def _check_place(self, shape: tuple[int, ...], values: npt.NDArray[Any] | None) -> None:
        nz = self.shape[0]
        end = self._done + shape[0]
        if shape[1:] != self.shape[1:] or end > nz:
            raise InputError(
                f"slab: found shape {shape} after {self._done} slices, expected (n, {self.shape[1]}, "
                f"{self.shape[2]}) with n up to {nz - self._done}"
            )
        if end % _CHUNK and end != nz:
            raise InputError(
                f"slab: found an end at slice {end}, expected a multiple of {_CHUNK} or {nz}, the last"
            )
        if values is not None and values.shape != shape:
            raise InputError(
                f"intensity: found shape {values.shape}, expected {shape} as in the slab"
            )

    def _started(self, kind: np.dtype[Any]) -> _core.Components:
        if self._core is None:
            valued = self.same_value or self.delta is not None
            table = self.measure is not None or self.intensity
            wanted, holes = self._wanted, self._holes
            self._core = _core.Components(
                self.shape,
                self.connectivity,
                (table, wanted["moments"], wanted["exits"], holes, self.intensity),
                holes,
                kind.name if valued else None,
                self.delta or 0.0,
            )
        return self._core

    def _finished(self) -> _core.Components:
        if self._core is None or self._done != self.shape[0]:
            raise InputError(f"slabs: found {self._done} slices, expected {self.shape[0]}")
        if self._count is None:
            self._count = self._core.finish()
        return self._core

    @property
    def count(self) -> int:
        """Number of components."""
        self._finished()
        assert self._count is not None
        return self._count

    def labels(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        out: npt.NDArray[Any] | None = None,
        dtype: npt.DTypeLike | None = None,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
    ) -> npt.NDArray[Any]:
        """Write the labels of slices ``start`` to ``stop``, as often as wanted.

        Parameters
        ----------
        start, stop : int
            Slices, ``stop`` excluded; all of them without.
        out, dtype, threads, cancel
            As for :func:`label`.

        Returns
        -------
        (stop - start, ny, nx) uint8, uint16 or int32
        """
        core, count = self._finished(), self.count
        stop = self.shape[0] if stop is None else stop
        if not 0 <= start < stop <= self.shape[0]:
            raise InputError(
                f"start, stop: found {start} and {stop}, expected slices within 0 to {self.shape[0]}"
            )
        out = label_array((stop - start, *self.shape[1:]), count, out, dtype)
        core.write(out, start, threads=threads, cancel=cancel)
        return out

    def regions(
        self,
        pixel_size: float | Sequence[float] | None = None,
        *,
        edge_sigma_px: float = 1 / math.sqrt(12),
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
    ) -> Table:
        """Return the table of :func:`find_regions`; once, as the sums are let go.

        Parameters
        ----------
        pixel_size, edge_sigma_px
            As for :func:`regions`.
        threads, cancel
            As for :func:`label`.
        """
        core, count = self._finished(), self.count
        pixel = as_pixel(pixel_size)
        holes = self._holes
        sums = self.sums(threads=threads, cancel=cancel)
        names = np.arange(1, count + 1, dtype=np.int64)
        table = region_table(names, sums, self.shape, pixel, edge_sigma_px)
        if holes:
            enclosing = np.empty(count, np.int32)
            cavities = np.empty((count, 2), np.int64)
            core.nesting(enclosing, cavities)
            assert sums.euler is not None
            table["euler"] = sums.euler
            table["holes"] = cavities[:, 0].copy()
            table["hole_voxels"] = cavities[:, 1].copy()
            table["tunnels"] = 1 + cavities[:, 0] - sums.euler
            table["enclosed_by"] = enclosing
        return table

    def sums(self, *, threads: int = 0, cancel: _core.CancelToken | None = None) -> Sums:
        """Return what :meth:`regions` makes its table from; once, as they are let go."""
        core, count = self._finished(), self.count
        sums = Sums.empty(count, euler=self._holes, intensity=self.intensity, **self._wanted)
        core.sums(sums.columns(), threads=threads, cancel=cancel)
        return sums

    def contacts(
        self,
        pixel_size: float | Sequence[float] | None = None,
        *,
        threads: int = 0,
        cancel: _core.CancelToken | None = None,
    ) -> Table:
        """Return the table of :func:`contacts` for the components. Those of a mask with connectivity 26 never meet.

        Parameters
        ----------
        pixel_size, threads, cancel
            As for :func:`regions`.
        """
        core, count = self._finished(), self.count
        found = core.contacts(threads=threads, cancel=cancel)
        return contact_table(found, np.arange(1, count + 1), as_pixel(pixel_size))

    def to_napari(
        self,
        table: Table | None = None,
        *,
        pixel_size: float | None = None,
        viewer: Any = None,
    ) -> list[LayerData]:
        """Return the labels as a layer for napari; rows of a ``table`` of :meth:`regions` become their features.

        ``pixel_size`` [angstrom] is that of the volume; with a ``viewer`` the layer is added to it.
        """
        columns = {n: np.asarray(v).tolist() for n, v in (table or {}).items() if n != "label"}
        rows = {
            int(label): {name: values[i] for name, values in columns.items()}
            for i, label in enumerate((table or {}).get("label", ()))
        }
        return show([Frame(pixel_size).labels(self.labels(), "components", rows)], viewer)
