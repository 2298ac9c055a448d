# SPDX-License-Identifier: BSD-3-Clause
"""Write MRC2014, section by section, with the same bytes for the same volume on every run."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from mrcfile.dtypes import HEADER_DTYPE

from .._fields import FileField
from .._version import __version__
from ..errors import InputError
from .atomic import publish
from .disk import write_at
from .findings import fail
from .mrc_header import HEADER_BYTES
from .statistics import Statistics

__all__ = [
    "OWN_LABEL",
    "MrcSlabs",
    "check_sizes",
    "label_lines",
    "mrc_dtype",
    "mrc_header",
    "open_mrc_slabs",
    "write_mrc",
]

OWN_LABEL = "cryolith"
_MODE = {"i1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}
_LABEL_BYTES, _MAX_LABELS = 80, 10
_EXACT_IN_FLOAT32 = 1 << 24
_IMOD_STAMP, _SIGNED_BYTES = b"IMOD", 1


def write_mrc(
    path: str | os.PathLike[str],
    data: npt.NDArray[Any],
    *,
    pixel_size: float | None,
    first_voxel: npt.NDArray[np.float64],
    labels: Sequence[str],
) -> None:
    """Write ``data`` (nz, ny, nx) as a little-endian MRC2014 volume.

    Parameters
    ----------
    pixel_size : float or None [angstrom]
        None leaves the cell 0, which readers take as unknown.
    first_voxel : (3,) [angstrom]
        Position (z, y, x) of the first voxel: the ORIGIN words.
    labels : sequence of str
        Texts for the ten labels; long ones run over several.
    """
    target = os.fspath(path)
    check_sizes(data.shape, target)
    dtype = mrc_dtype(data, target)
    lines = label_lines(labels, target)
    seen = Statistics()
    with (
        publish(path, need=HEADER_BYTES + data.size * dtype.itemsize) as partial,
        open(partial, "wb") as out,
    ):
        out.write(bytes(HEADER_BYTES))
        for section in data:
            values = np.ascontiguousarray(section, dtype)
            seen = Statistics.merged((seen, Statistics.of(values[None])))
            out.write(values.tobytes())
        out.seek(0)
        out.write(mrc_header(data.shape, dtype, seen, pixel_size, first_voxel, lines))


class MrcSlabs:
    """A float32 MRC volume on its way to disk, some rows (y) of every section at a time."""

    def __init__(self, descriptor: int, shape: tuple[int, int, int]) -> None:
        os.ftruncate(descriptor, HEADER_BYTES + 4 * math.prod(shape))
        self._field = FileField(descriptor, shape, HEADER_BYTES)
        self.statistics = Statistics()

    def write(self, first: int, slab: npt.NDArray[np.float32]) -> None:
        """Write rows ``first`` to ``first + slab.shape[1]`` of all sections."""
        self._field.put_window((first, first + slab.shape[1], 0, slab.shape[2]), slab)
        self.statistics = Statistics.merged((self.statistics, Statistics.of(slab)))


@contextmanager
def open_mrc_slabs(
    path: str | os.PathLike[str],
    shape: tuple[int, int, int],
    *,
    pixel_size: float | None,
    first_voxel: npt.NDArray[np.float64],
    labels: Sequence[str],
) -> Iterator[MrcSlabs]:
    """Give a writer of slabs; leaving the block gives the file :func:`write_mrc` would have written."""
    target = os.fspath(path)
    check_sizes(shape, target)
    lines, dtype = label_lines(labels, target), np.dtype("<f4")
    with (
        publish(path, need=HEADER_BYTES + 4 * math.prod(shape)) as partial,
        open(partial, "w+b", buffering=0) as file,
    ):
        slabs = MrcSlabs(file.fileno(), shape)
        yield slabs
        header = mrc_header(shape, dtype, slabs.statistics, pixel_size, first_voxel, lines)
        write_at(file.fileno(), header, 0)


def check_sizes(shape: tuple[int, ...], target: str) -> None:
    """Refuse what the header's words cannot hold."""
    for name, size in zip(("nz", "ny", "nx"), shape, strict=True):
        if not 0 < size < 2**31:
            fail(
                target,
                name,
                size,
                "1 to 2147483647",
                "an MRC header cannot hold that size; use .zarr",
            )


def mrc_dtype(data: npt.NDArray[Any], target: str) -> np.dtype[Any]:
    """The type that ``data`` is written as: the smallest MRC mode that holds every value exactly.

    float64 is the exception: it is rounded to float32. bool and int8 become mode 0 (signed, and
    said so), uint8 mode 6 because half of all readers take mode 0 for signed; wider integers mode
    1, 6 or, up to 2^24, 2.
    """
    kind, item = data.dtype.kind, data.dtype.itemsize
    if kind == "f":
        return np.dtype("<f2" if item == 2 else "<f4")
    if kind == "b" or data.dtype == np.int8:
        return np.dtype("i1")
    if data.dtype == np.uint8:
        return np.dtype("<u2")
    if kind not in "iu":
        raise InputError(f"data: found dtype {data.dtype}, expected real numbers to write {target}")
    if item == 2:
        return np.dtype("<i2" if kind == "i" else "<u2")
    low, high = min(int(s.min()) for s in data), max(int(s.max()) for s in data)
    if low >= -32768 and high <= 32767:
        return np.dtype("<i2")
    if low >= 0 and high <= 65535:
        return np.dtype("<u2")
    if max(-low, high) > _EXACT_IN_FLOAT32:
        raise InputError(
            f"data: found integers from {low} to {high}, expected at most 2^24 in size, "
            "which MRC holds exactly; write .zarr instead"
        )
    return np.dtype("<f4")


def label_lines(labels: Sequence[str], target: str) -> list[bytes]:
    """Cut the texts into lines of 80 ASCII bytes, the program's own name first."""
    texts = [" ".join(t.split()) for t in labels]
    if not (texts and texts[0].startswith(OWN_LABEL)):
        texts.insert(0, f"{OWN_LABEL} {__version__}")
    lines = []
    for text in texts:
        raw = text.encode("ascii", "replace")
        lines += [raw[i : i + _LABEL_BYTES] for i in range(0, max(len(raw), 1), _LABEL_BYTES)]
    if len(lines) > _MAX_LABELS:
        raise InputError(
            f"labels: found {len(lines)} lines of {_LABEL_BYTES} characters for {target}, "
            f"expected at most {_MAX_LABELS}; shorten them"
        )
    return lines


def mrc_header(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    statistics: Statistics,
    pixel_size: float | None,
    first_voxel: npt.NDArray[np.float64],
    lines: list[bytes],
) -> bytes:
    """Return the 1024 bytes before the voxels."""
    record = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    record["mode"] = _MODE[dtype.str[1:]]
    sizes = shape[::-1]
    for axis, size, low in zip("xyz", sizes, first_voxel[::-1], strict=True):
        record[f"n{axis}"] = record[f"m{axis}"] = size
        record["cella"][axis] = size * (pixel_size or 0.0)
        record["origin"][axis] = low
    for angle in ("alpha", "beta", "gamma"):
        record["cellb"][angle] = 90.0
    record["mapc"], record["mapr"], record["maps"] = 1, 2, 3
    if statistics.count:
        record["dmin"], record["dmax"] = statistics.low, statistics.high
        record["dmean"], record["rms"] = statistics.mean, statistics.rms
    record["ispg"], record["nversion"] = 1, 20141
    record["map"], record["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    record["nlabl"] = len(lines)
    record["label"][: len(lines)] = lines
    raw = bytearray(record.tobytes())
    if record["mode"] == 0:
        # IMOD's stamp and flags: signed bytes, and the origin with MRC2014's sign.
        raw[152:156] = _IMOD_STAMP
        raw[156:160] = int(_SIGNED_BYTES | 4).to_bytes(4, "little")
    return bytes(raw)
