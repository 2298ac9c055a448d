# SPDX-License-Identifier: BSD-3-Clause
"""Label volumes: MRC, or OME-Zarr with what each label is, alone or inside the image they belong to."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .._stored import StoredArray
from ..datamodel import Volume
from ..errors import InputError
from .atomic import write_json
from .findings import Notes, fail
from .mrc_write import write_mrc
from .ome_zarr import open_ome_zarr, open_zarr_slabs, read_ome_zarr, zarr_attributes
from .volume import assemble_volume, check_place, first_of, is_mrc, is_zarr, volume_of

__all__ = ["Labels", "SlicedLabels", "read_labels", "write_labels"]

Properties = Mapping[int, Mapping[str, Any]]
Colors = Mapping[int, Sequence[int]]


class SlicedLabels(Protocol):
    """Labels that are made slice by slice, as :class:`cryolith.detect.Components` does."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def count(self) -> int: ...
    def labels(self, start: int, stop: int, /, *, dtype: Any) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """What :func:`read_labels` found.

    Attributes
    ----------
    volume : Volume
        Integer labels; 0 is background.
    properties : mapping of int to mapping
        By label: names to values.
    colors : mapping of int to (r, g, b, a)
        By label, 0 to 255.
    source : str
        The image that the labels belong to, as the file names it.
    """

    volume: Volume
    properties: Properties = field(default_factory=dict)
    colors: Colors = field(default_factory=dict)
    source: str = ""


def write_labels(
    path: str | os.PathLike[str],
    labels: Volume | npt.ArrayLike | SlicedLabels,
    *,
    pixel_size: float | None = None,
    properties: Properties | None = None,
    colors: Colors | None = None,
    source: str = "",
    texts: Sequence[str] = (),
    chunks: tuple[int, int, int] = (64, 64, 64),
) -> None:
    """Write a label volume, whole or not at all; the name chooses the format.

    ``.mrc .rec .map .st``: the smallest mode that holds every label exactly, up to 2^24 (:func:`write_volume`).
    ``.zarr``: OME-Zarr 0.4 with ``image-label`` metadata, in the labels' own type. ``IMAGE.zarr/labels/NAME``: the same
    inside an OME-Zarr image, whose list of labels then names it.

    Parameters
    ----------
    path : path
    labels : (nz, ny, nx) integer, Volume, or Components
        Components are written a row of chunks at a time; the labels are never in memory as a whole.
    pixel_size : float, optional [angstrom]
        Edge of a voxel; a Volume brings its own, and its place.
    properties : mapping of int to mapping, optional
        By label, what it is (:meth:`cryolith.Defects.label_properties`); NaN is left out. OME-Zarr only.
    colors : mapping of int to (r, g, b, a), optional
        By label, 0 to 255. OME-Zarr only.
    source : str, optional
        Path of the image, from the label image; ``../../`` inside of one.
    texts : sequence of str
        Provenance, as ``labels`` of :func:`write_volume`.
    chunks : (3,) int [voxels]

    Raises
    ------
    InputError
        Labels that are no integers, a suffix that says no format, properties or colours for MRC, a colour that is none,
        more than 2^24 labels for MRC.
    FileFormatError
        The folder is missing or not writable, or the disk is too full; no image around ``labels/NAME``.

    References
    ----------
    OME-NGFF 0.4, section "image-label".
    """
    data, place = _input(labels, pixel_size)
    check_place(place)
    first = first_of(data.shape, place)
    inside = Path(path).parent.name == "labels" and is_zarr(Path(path).parent.parent)
    if not inside and is_mrc(path):
        if properties or colors:
            raise InputError(
                "properties, colors: found some for MRC, which has no place for them; write .zarr, or a table"
            )
        write_mrc(path, data, pixel_size=place.pixel_size, first_voxel=first, labels=texts)  # type: ignore[arg-type]
        return
    about = _image_label(properties or {}, colors or {}, "../../" if inside else source)
    if inside:
        _make_labels_folder(Path(path).parent)
    attributes = zarr_attributes(place.pixel_size, first, texts) | {"image-label": about}
    with open_zarr_slabs(path, data.shape, data.dtype, chunks, attributes, nearest=True) as slabs:
        rows = slabs.edges[0]
        for z in range(0, data.shape[0], rows):
            slabs.write_slices(z, data.slices(z, min(z + rows, data.shape[0])))
    if inside:
        _list_label(Path(path))


class _Sections:
    """Labels of an array or of components: what a writer of volumes asks for, a few slices at a time."""

    ndim = 3
    _AT_ONCE = 32

    def __init__(self, labels: npt.NDArray[Any] | StoredArray | SlicedLabels) -> None:
        self._labels = labels
        z, y, x = labels.shape
        self.shape = (int(z), int(y), int(x))
        self.size = math.prod(self.shape)
        stored = isinstance(labels, (np.ndarray, StoredArray))
        self.dtype: np.dtype[Any] = labels.dtype if stored else np.dtype(np.int32)  # type: ignore[union-attr]
        self._at_once = 1 if isinstance(labels, StoredArray) else self._AT_ONCE

    def slices(self, start: int, stop: int) -> npt.NDArray[Any]:
        if isinstance(self._labels, (np.ndarray, StoredArray)):
            return np.asarray(self._labels[start:stop])
        return self._labels.labels(start, stop, dtype=np.int32)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for z in range(0, self.shape[0], self._at_once):
            yield from self.slices(z, min(z + self._at_once, self.shape[0]))


def _input(
    labels: Volume | npt.ArrayLike | SlicedLabels, pixel_size: float | None
) -> tuple[_Sections, Volume]:
    if callable(getattr(labels, "labels", None)):
        sliced: Any = labels
        data = _Sections(sliced)
        return data, Volume(data=np.broadcast_to(np.int32(0), data.shape), pixel_size=pixel_size)
    given = labels if isinstance(labels, Volume) else None
    held: Any = labels if given is None else given.data
    array = held if isinstance(held, StoredArray) else np.asarray(held)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"labels: found dtype {array.dtype}, expected integers; label a mask first (cryolith.detect.label)"
        )
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(
            f"labels: found shape {array.shape}, expected (nz, ny, nx), none of them 0"
        )
    if given is not None and pixel_size is None:
        pixel_size = given.pixel_size
    origin = np.zeros(3) if given is None else given.origin
    place = np.broadcast_to(np.int32(0), array.shape)
    return _Sections(array), Volume(data=place, pixel_size=pixel_size, origin=origin)


def _image_label(properties: Properties, colors: Colors, source: str) -> dict[str, Any]:
    about: dict[str, Any] = {"version": "0.4"}
    if colors:
        for label, rgba in colors.items():
            if len(rgba) != 4 or not all(0 <= int(c) == c <= 255 for c in rgba):
                raise InputError(
                    f"colors: found {tuple(rgba)} for label {label}, expected four whole numbers from 0 to 255"
                )
        about["colors"] = [
            {"label-value": int(v), "rgba": [int(c) for c in colors[v]]} for v in sorted(colors)
        ]
    if properties:
        about["properties"] = [
            {"label-value": int(v)} | _plain(properties[v]) for v in sorted(properties)
        ]
    if source:
        about["source"] = {"image": source}
    return about


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
    return {k: v for k, v in plain.items() if not (isinstance(v, float) and not math.isfinite(v))}


def _make_labels_folder(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if not (folder / ".zgroup").exists():
        write_json(folder / ".zgroup", {"zarr_format": 2})


def _list_label(path: Path) -> None:
    """Add a label image to the list that its folder keeps; last, so that what is listed is there."""
    index = path.parent / ".zattrs"
    known = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    names = [*known.get("labels", ()), path.name]
    write_json(index, known | {"labels": sorted(set(names))})


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """Read a label volume: MRC, TIFF or OME-Zarr (0.4, 0.5), also ``IMAGE.zarr/labels/NAME``.

    Returns
    -------
    Labels
        Its volume has an integer type: that of the file, int32 where MRC had to take float32.

    Raises
    ------
    FileFormatError
        The file is damaged, or its values are no integers.
    """
    notes = Notes(os.fspath(path))
    about: dict[str, Any] = {}
    if is_zarr(path):
        head = open_ome_zarr(path, notes)
        about = head.image_label
        volume = volume_of(read_ome_zarr(head, notes), head.pixel_size, head.first_voxel, notes)
    else:
        volume = assemble_volume(path, notes)
    notes.tell()
    return _assemble(notes.path, volume, about)


def _assemble(path: str, volume: Volume, about: Mapping[str, Any]) -> Labels:
    data = volume.data
    if data.dtype.kind == "f":
        whole = np.isfinite(data).all() and (data == np.trunc(data)).all()
        if not (whole and np.abs(data).max() < 2**31):
            fail(path, "voxels", "numbers that are no integers", "labels", "give a label volume")
        data = data.astype(np.int32)
    properties, colors = {}, {}
    try:
        for row in about.get("properties", ()):
            properties[int(row["label-value"])] = {
                k: v for k, v in row.items() if k != "label-value"
            }
        for row in about.get("colors", ()):
            colors[int(row["label-value"])] = tuple(int(c) for c in row["rgba"])
        source = str(about.get("source", {}).get("image", ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        fail(path, "image-label", found, "properties and colors by label-value", "repair .zattrs")
    return Labels(
        volume=replace(volume, data=data), properties=properties, colors=colors, source=source
    )
