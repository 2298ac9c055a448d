# SPDX-License-Identifier: BSD-3-Clause
"""OME-Zarr 0.4: a folder of chunks with scale and translation, readable piece by piece.

Written here directly in the Zarr v2 layout, which is plain JSON and one file per chunk: the bytes
do not depend on the installed zarr, and the whole folder is published at once. Read through zarr 2
or 3.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..errors import InputError
from .atomic import publish_folder
from .findings import Notes, fail

__all__ = [
    "ZarrHead",
    "ZarrSlabs",
    "open_ome_zarr",
    "open_zarr_slabs",
    "read_ome_zarr",
    "write_ome_zarr",
]

# Labels shrink twenty-fold at the fastest level; float densities hardly shrink at any, so they stay
# raw.
_ZLIB_LEVEL = 1
# Deflate shrinks nothing more than 1032-fold; a folder that promises more holds no such data.
_BOMB_RATIO = 1100
_BOMB_FREE = 64 << 20
_ANGSTROM = {
    "angstrom": 1.0, "picometer": 0.01, "nanometer": 10.0, "micrometer": 1e4, "millimeter": 1e7,
    "meter": 1e10,
}  # fmt: skip


def write_ome_zarr(
    path: str | os.PathLike[str],
    data: npt.NDArray[Any],
    pixel_size: float | None,
    first_voxel: npt.NDArray[np.float64],
    labels: Sequence[str],
    chunks: tuple[int, int, int],
) -> None:
    """Write ``data`` (nz, ny, nx) with its position [angstrom] as one resolution level."""
    with open_zarr_slabs(
        path, data.shape, data.dtype, pixel_size, first_voxel, labels, chunks
    ) as slabs:
        slabs.write(0, data)


@dataclass(frozen=True)
class ZarrSlabs:
    """A volume on its way to disk, whole rows or slices of chunks at a time."""

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    squeeze: bool

    def write(self, first: int, slab: npt.NDArray[Any]) -> None:
        """Write rows ``first`` to ``first + slab.shape[1]``; both ends lie on edges of chunks or of the volume."""
        self._put((0, first // self.chunks[1], 0), slab)

    def write_slices(self, first: int, slab: npt.NDArray[Any]) -> None:
        """Write slices ``first`` to ``first + len(slab)``, with the same rule for both ends."""
        self._put((first // self.chunks[0], 0, 0), slab)

    def _put(self, first: tuple[int, int, int], slab: npt.NDArray[Any]) -> None:
        _write_chunks(self.folder, slab, first, self.dtype, self.chunks, self.squeeze)


@contextmanager
def open_zarr_slabs(
    path: str | os.PathLike[str],
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    pixel_size: float | None,
    first_voxel: npt.NDArray[np.float64],
    labels: Sequence[str],
    chunks: tuple[int, int, int],
    more: Mapping[str, Any] | None = None,
) -> Iterator[ZarrSlabs]:
    """Give a writer of slabs; leaving the block gives the folder :func:`write_ome_zarr` would have written.

    ``more`` are further attributes of the image.
    """
    if len(chunks) != 3 or any(int(c) != c or c < 1 for c in chunks):
        raise InputError(f"chunks: found {chunks}, expected three whole numbers of at least 1")
    dtype = kind.newbyteorder("<")
    sizes = tuple(min(int(c), n) for c, n in zip(chunks, shape, strict=True))
    squeeze = kind.kind in "biu"
    array = {
        "chunks": list(sizes),
        "compressor": {"id": "zlib", "level": _ZLIB_LEVEL} if squeeze else None,
        "dimension_separator": "/",
        "dtype": dtype.str,
        "fill_value": False if kind.kind == "b" else 0,
        "filters": None,
        "order": "C",
        "shape": list(shape),
        "zarr_format": 2,
    }
    need = 0 if squeeze else math.prod(shape) * kind.itemsize
    with publish_folder(path, need=need) as folder:
        _write_json(folder / ".zgroup", {"zarr_format": 2})
        attributes = _attributes(pixel_size, first_voxel, labels) | dict(more or {})
        _write_json(folder / ".zattrs", attributes)
        (folder / "0").mkdir()
        _write_json(folder / "0" / ".zarray", array)
        yield ZarrSlabs(folder / "0", shape, dtype, sizes, squeeze)


def _write_json(path: Path, value: Any) -> None:
    path.write_bytes((json.dumps(value, indent=1) + "\n").encode())


def _attributes(
    pixel_size: float | None, first_voxel: npt.NDArray[np.float64], labels: Sequence[str]
) -> dict[str, Any]:
    axes: list[dict[str, str]] = [{"name": a, "type": "space"} for a in "zyx"]
    if pixel_size is not None:
        axes = [a | {"unit": "angstrom"} for a in axes]
    place = [
        {"type": "scale", "scale": [pixel_size or 1.0] * 3},
        {"type": "translation", "translation": [float(v) for v in first_voxel]},
    ]
    multiscale = {
        "version": "0.4",
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": place}],
    }
    return {
        "multiscales": [multiscale],
        "cryolith": {"version": __version__, "labels": list(labels)},
    }


def _write_chunks(
    folder: Path,
    data: npt.NDArray[Any],
    first: tuple[int, int, int],
    dtype: np.dtype[Any],
    sizes: tuple[int, ...],
    squeeze: bool,
) -> None:
    """Write the chunks of ``data``, of which the first along z, y, x is number ``first``."""
    counts = [math.ceil(n / c) for n, c in zip(data.shape, sizes, strict=True)]
    for index in itertools.product(*map(range, counts)):
        where = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, sizes, strict=True))
        block = np.zeros(sizes, dtype)  # every chunk is whole, also at the far edges
        part = data[where]
        block[tuple(slice(0, n) for n in part.shape)] = part
        raw = block.tobytes()
        target = folder.joinpath(*(str(i + f) for i, f in zip(index, first, strict=True)))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(zlib.compress(raw, _ZLIB_LEVEL) if squeeze else raw)


@dataclass(frozen=True)
class ZarrHead:
    """What the metadata of an OME-Zarr say; no chunk has been read.

    Attributes
    ----------
    pixel_size : float or None [angstrom]
    first_voxel : (3,) float64 or None [angstrom]
        Position (z, y, x) of the first voxel.
    image_label : dict
        What a label image says of its labels; empty for other images.
    """

    array: Any
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    pixel_size: float | None
    first_voxel: npt.NDArray[np.float64] | None
    labels: tuple[str, ...]
    image_label: dict[str, Any]


def open_ome_zarr(path: str | os.PathLike[str], notes: Notes) -> ZarrHead:
    """Read the metadata of the full-resolution level of an OME-Zarr 0.4 or 0.5, or a plain array.

    Raises
    ------
    FileFormatError
        No Zarr, damaged metadata, or an array that is not three axes of real numbers.
    """
    import zarr

    name = os.fspath(path)
    try:
        root: Any = zarr.open(str(path), mode="r")
        attributes: dict[str, Any] = dict(root.attrs)
        meta = attributes.get("ome", attributes).get("multiscales", [{}])[0]
        level = meta.get("datasets", [{}])[0]
        array = root[level["path"]] if "path" in level else root
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        missing, chunks = _chunks_missing(array, Path(path))
        pixel, first = _place(meta, level, notes)
        labels = tuple(str(t) for t in attributes.get("cryolith", {}).get("labels", ()))
        image_label = dict(attributes.get("ome", attributes).get("image-label", {}))
    except Exception as error:  # each zarr version has its own family of errors
        fail(
            name, "zarr metadata", _told(error), "an OME-Zarr image", "copy the whole folder again"
        )
    if not meta:
        do = "read as a plain array without pixel size"
        notes.warn("multiscales", "none", "OME-Zarr metadata", do)
    if len(shape) != 3 or dtype.kind not in "biuf" or 0 in shape:
        do = "choose one channel and time point"
        fail(name, "array", f"{dtype} {shape}", "real numbers (nz, ny, nx)", do)
    _refuse_bomb(name, array)
    if missing:
        notes.warn(
            "chunks",
            f"{missing} of {chunks} missing",
            "all",
            "missing voxels read as the fill value; write the volume again",
        )
    return ZarrHead(array, shape, dtype, pixel, first, labels, image_label)


def _refuse_bomb(path: str, array: Any) -> None:
    """Metadata may promise any size; what is read must be there."""
    need = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    disk = sum(p.stat().st_size for p in Path(path).rglob("*") if p.is_file())
    limit = _BOMB_FREE + _BOMB_RATIO * disk
    if need > limit:
        found = f"{need} bytes from {disk} on disk"
        fail(path, "size", found, f"at most {limit} bytes", "read it with zarr if you trust it")


def _chunks_missing(array: Any, folder: Path) -> tuple[int, int]:
    """How many chunk files are missing, of how many.

    Counted on disk: zarr 2 counts only the first level of folders, and zarr 3 asks for every chunk
    that the metadata promise, which may be any number.
    """
    sizes = getattr(array, "shards", None) or array.chunks
    pairs = zip(array.shape, sizes, strict=True)
    expected = math.prod(-(-int(n) // max(int(size), 1)) for n, size in pairs)
    files = (folder / array.path).rglob("*")
    there = sum(f.is_file() and f.name.replace(".", "").lstrip("c").isdigit() for f in files)
    return max(0, expected - there), expected


def read_ome_zarr(head: ZarrHead, notes: Notes) -> npt.NDArray[Any]:
    """Return the full-resolution array (nz, ny, nx), in memory."""
    try:
        return np.asarray(head.array[...])
    except Exception as error:  # a codec may raise anything on damaged data
        fail(notes.path, "chunks", _told(error), "chunks that decode", "copy the folder again")


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _place(
    meta: dict[str, Any], level: dict[str, Any], notes: Notes
) -> tuple[float | None, npt.NDArray[np.float64] | None]:
    steps = {t.get("type"): t for t in level.get("coordinateTransformations", ())}
    units = [a.get("unit") for a in meta.get("axes", ()) if isinstance(a, dict)]
    factor = _ANGSTROM.get(units[0] or "") if units and len(set(units)) == 1 else None
    scale = steps.get("scale", {}).get("scale", ())
    if factor is None or len(scale) != 3:
        notes.facts["pixel_size"] = "not told by the metadata"
        factor, pixel = 1.0, None
    else:
        edges = [float(s) * factor for s in scale]
        pixel = edges[2]
        if not (math.isfinite(pixel) and pixel > 0):
            notes.warn("scale", scale, "positive finite lengths", "taken as unknown")
            pixel = None
        elif max(edges) - min(edges) > 0.01 * pixel:
            notes.warn(
                "scale", scale, "cubes", "the value along x is taken; resample the volume to cubes"
            )
        notes.facts["pixel_size"] = "OME-Zarr scale"
    move = steps.get("translation", {}).get("translation", ())
    return pixel, np.array([float(v) * factor for v in move]) if len(move) == 3 else None
