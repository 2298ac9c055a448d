# SPDX-License-Identifier: BSD-3-Clause
"""OME-Zarr 0.4: a folder of chunks with scale and translation, readable piece by piece.

Written here directly in the Zarr v2 layout, which is plain JSON and one file per chunk: the bytes
do not depend on the installed zarr, and the whole folder is published at once, with smaller copies
of the volume for viewers. Read through zarr 2 or 3.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..errors import InputError
from .atomic import publish_folder
from .disk import write_file
from .findings import Notes, fail
from .zarr_levels import Levels

__all__ = [
    "ZarrHead",
    "ZarrSlabs",
    "open_ome_zarr",
    "open_zarr_slabs",
    "read_ome_zarr",
    "write_ome_zarr",
    "write_zarr_metadata",
    "zarr_attributes",
    "zarr_bytes",
    "zarr_levels",
]

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
    """Write ``data`` (nz, ny, nx) with its position [angstrom], and smaller copies of it (:class:`.Levels`)."""
    attributes = zarr_attributes(pixel_size, first_voxel, labels)
    with open_zarr_slabs(path, data.shape, data.dtype, chunks, attributes) as slabs:
        slabs.write(0, data)


class ZarrSlabs:
    """A volume on its way to disk, whole rows or slices of chunks at a time."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self.edges = levels.edges
        self._done: set[str] = set()

    def write(self, first: int, slab: npt.NDArray[Any]) -> None:
        """Write rows ``first`` to ``first + slab.shape[1]``; both ends lie on edges of chunks or of the volume."""
        self._levels.write(first, slab, self._note)

    def write_slices(self, first: int, slab: npt.NDArray[Any]) -> None:
        """Write slices ``first`` to ``first + len(slab)``, with the same rule for both ends."""
        self._levels.write(first, slab, self._note, axis=0)

    def finish(self) -> None:
        """Write what is left of the smaller copies."""
        self._levels.finish(self._done, self._note)

    def _note(self, name: str, raw: Any) -> None:
        self._done.add(name)


@contextmanager
def open_zarr_slabs(
    path: str | os.PathLike[str],
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    chunks: tuple[int, int, int],
    attributes: Mapping[str, Any],
    *,
    nearest: bool = False,
) -> Iterator[ZarrSlabs]:
    """Give a writer of slabs; leaving the block gives the folder :func:`write_ome_zarr` would have written.

    ``attributes`` come from :func:`zarr_attributes`; ``nearest`` says that the voxels are labels.
    """
    levels = zarr_levels(Path(path), shape, kind, chunks, nearest=nearest)
    need = 0 if levels.squeezed else zarr_bytes(levels)
    with publish_folder(path, need=need) as folder:
        slabs = ZarrSlabs(replace(levels, folder=folder))
        yield slabs
        slabs.finish()
        write_zarr_metadata(replace(levels, folder=folder), attributes)


def zarr_levels(
    folder: Path,
    shape: tuple[int, ...],
    kind: np.dtype[Any],
    chunks: tuple[int, int, int],
    *,
    nearest: bool = False,
) -> Levels:
    """Return where the chunks of a volume go."""
    if len(chunks) != 3 or any(int(c) != c or c < 1 for c in chunks):
        raise InputError(f"chunks: found {chunks}, expected three whole numbers of at least 1")
    z, y, x = (min(int(c), n) for c, n in zip(chunks, shape, strict=True))
    size = (shape[0], shape[1], shape[2])
    return Levels(folder, size, kind.newbyteorder("<"), (z, y, x), nearest)


def zarr_bytes(levels: Levels) -> int:
    """Return what the chunks take on disk before compression."""
    counts = 0
    for level, shape in enumerate(levels.shapes):
        sizes = levels.sizes(level)
        counts += math.prod(-(-n // c) * c for n, c in zip(shape, sizes, strict=True))
    return counts * levels.dtype.itemsize


def write_zarr_metadata(levels: Levels, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Write what readers look at first, and return it by the names of its files."""
    texts: dict[str, Any] = {
        ".zgroup": {"zarr_format": 2},
        ".zattrs": _place_levels(levels, attributes),
    }
    for level in range(len(levels.shapes)):
        texts[f"{level}/.zarray"] = levels.metadata(level)
    files = {name: (json.dumps(text, indent=1) + "\n").encode() for name, text in texts.items()}
    for name, raw in files.items():
        (levels.folder / name).parent.mkdir(exist_ok=True)
        write_file(levels.folder / name, raw)
    return files


def _place_levels(levels: Levels, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Add the smaller copies: a voxel of level n lies in the middle of those that it stands for."""
    out = dict(attributes)
    image = dict(out["multiscales"][0])
    first = image["datasets"][0]
    scale, move = (t[t["type"]] for t in first["coordinateTransformations"])
    image["datasets"] = [first]
    for level in range(1, len(levels.shapes)):
        step = 1 << level
        off = 0.0 if levels.takes_first else (step - 1) / 2
        moved = [m + off * s for m, s in zip(move, scale, strict=True)]
        place = [
            {"type": "scale", "scale": [s * step for s in scale]},
            {"type": "translation", "translation": moved},
        ]
        image["datasets"].append({"path": str(level), "coordinateTransformations": place})
    if len(levels.shapes) > 1:
        image["type"] = "nearest" if levels.takes_first else "mean"
    return out | {"multiscales": [image]}


def zarr_attributes(
    pixel_size: float | None, first_voxel: npt.NDArray[np.float64], labels: Sequence[str]
) -> dict[str, Any]:
    """Return what ``.zattrs`` says of a volume, its smaller copies left out."""
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
