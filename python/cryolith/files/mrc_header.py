# SPDX-License-Identifier: BSD-3-Clause
"""The 1024 bytes at the head of an MRC file, in either byte order, checked against the file.

Every size is checked against what the file can hold before anything is allocated; sizes are Python
integers, so no product overflows. Sources: MRC2014 (Cheng et al., J. Struct. Biol. 192, 146, 2015)
and the published description of IMOD's use of the extra words (imodStamp, imodFlags, nint, nreal).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from .findings import Notes, fail

Order = Literal["<", ">"]

__all__ = ["HEADER_BYTES", "MODES", "MrcHeader", "check_size", "parse_header", "shortest"]

HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", 101: "u1"}
_REFUSED = {
    3: "complex int16 (a Fourier transform)",
    4: "complex float32 (a Fourier transform)",
    16: "RGB colour",
}
_IMOD_SIGNED, _IMOD_INVERTED_ORIGIN, _IMOD_PACKED = 1, 4, 16


@dataclass(frozen=True, kw_only=True)
class MrcHeader:
    """What the header says, after checking.

    Attributes
    ----------
    shape : (3,) int
        Sections, rows, columns as stored, with packed 4-bit pixels counted as pixels.
    dtype : numpy dtype
        Of the stored values, in the file's byte order; uint8 for packed 4-bit.
    packed : bool
        Two 4-bit pixels in each byte, the first in the low half.
    order : "<" or ">"
        Byte order of the file.
    axes : (3,) int
        Which of x (0), y (1), z (2) the columns, rows and sections run along.
    voxel : (3,) float or None [angstrom]
        Voxel size along x, y, z.
    cell_angles : (3,) float [deg]
        90, 90, 90 for a rectangular grid.
    origin : (3,) float [angstrom]
        MRC2014: position (x, y, z) of the first voxel.
    start : (3,) int [voxels]
        nxstart, nystart, nzstart: place of the first column, row, section in the unit cell.
    nint, nreal : int
        Two words that SerialEM and Agard's format use to describe their extended headers.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    mode: int
    packed: bool
    order: Order
    axes: tuple[int, int, int]
    voxel: tuple[float, float, float] | None
    cell_angles: tuple[float, float, float]
    origin: tuple[float, float, float]
    start: tuple[int, int, int]
    extended_bytes: int
    extended_type: str
    nint: int
    nreal: int
    volumes: int
    labels: tuple[str, ...]
    dmin: float
    dmax: float
    dmean: float

    @property
    def offset(self) -> int:
        """Where the data starts [bytes]."""
        return HEADER_BYTES + self.extended_bytes

    @property
    def row_bytes(self) -> int:
        """Length of one stored row."""
        nx = self.shape[2]
        return (nx + 1) // 2 if self.packed else nx * self.dtype.itemsize

    @property
    def data_bytes(self) -> int:
        """Length of the data block."""
        return self.shape[0] * self.shape[1] * self.row_bytes


def parse_header(raw: bytes, notes: Notes, available: int | None) -> MrcHeader:
    """Parse and check the first 1024 bytes of an MRC file.

    Parameters
    ----------
    raw : bytes
        The head of the (decompressed) file.
    notes : Notes
        Collects warnings.
    available : int or None [bytes]
        Size of the file; None when it is compressed and only known after reading.

    Raises
    ------
    FileFormatError
        Truncated header, unknown or refused mode, impossible sizes or axis order, or a data block
        that the file cannot hold.
    """
    path = notes.path
    if len(raw) < HEADER_BYTES:
        fail(
            path,
            "header",
            f"{len(raw)} bytes",
            f"the {HEADER_BYTES} bytes of an MRC header",
            "the file is truncated or no MRC file; copy it again",
        )
    h, order = _record(raw, notes, available)
    stamped = raw[152:156] in (b"IMOD", b"DOMI")
    flags = int.from_bytes(raw[156:160], "little" if order == "<" else "big") if stamped else 0
    mode = _mode(path, int(h["mode"]))
    packed = mode == 101 or (mode == 0 and bool(flags & _IMOD_PACKED))
    shape = _shape(path, h, packed_bytes=mode == 0 and packed)
    extended = _extended_bytes(path, h)
    dtype = np.dtype("u1") if packed else _dtype(h, mode, stamped, flags, notes).newbyteorder(order)
    nint, nreal = (int(v) for v in np.frombuffer(raw[128:132], order + "i2"))
    header = MrcHeader(
        shape=shape,
        dtype=dtype,
        mode=mode,
        packed=packed,
        order=order,
        axes=_axes(h, notes),
        voxel=_voxel(h, notes, doubled=mode == 0 and packed),
        cell_angles=_cell_angles(h),
        origin=_origin(h, stamped, flags, notes),
        start=(int(h["nxstart"]), int(h["nystart"]), int(h["nzstart"])),
        extended_bytes=extended,
        extended_type=bytes(h["exttyp"]).decode("latin-1").strip("\0 "),
        nint=nint,
        nreal=nreal,
        volumes=_volumes(h, shape[0], notes),
        labels=_labels(h),
        dmin=float(h["dmin"]),
        dmax=float(h["dmax"]),
        dmean=float(h["dmean"]),
    )
    if available is not None:
        check_size(header, notes, available)
    return header


def check_size(header: MrcHeader, notes: Notes, available: int) -> None:
    """Refuse a file that is too short for its header; note bytes left over."""
    need = header.offset + header.data_bytes
    nz, ny, _ = header.shape
    what = f"{need} bytes (1024 + {header.extended_bytes} + {nz} x {ny} x {header.row_bytes})"
    if available < need:
        if available <= header.offset:
            found = f"{available} bytes: a header without data"
        else:
            section = ny * header.row_bytes
            whole = (available - header.offset) // section
            found = f"{available} bytes, {whole} of {nz} sections complete"
        fail(
            notes.path,
            "file size",
            found,
            what,
            "the file is truncated or nx, ny, nz, nsymbt are wrong; copy or record it again",
        )
    if available > need:
        notes.warn(
            "file size",
            f"{available} bytes",
            what,
            f"the last {available - need} bytes are ignored; check that nz is right",
        )


def _record(raw: bytes, notes: Notes, available: int | None) -> tuple[Any, Order]:
    """The header in the byte order that makes sense; the stamp decides when both or neither do."""
    stamp = raw[212]
    stamps: dict[int, Order] = {0x44: "<", 0x11: ">"}
    stamped = stamps.get(stamp)
    both: tuple[Order, Order] = ("<", ">")
    records = {o: np.frombuffer(raw, HEADER_DTYPE.newbyteorder(o), count=1)[0] for o in both}
    good = [o for o in both if _plausible(records[o], available)]
    order = stamped if stamped in good or not good else good[0]
    order = order or ("<" if "<" in good or not good else ">")
    if not good and stamped is None and raw[208:211] != b"MAP":
        _no_mrc(notes.path, records["<"])
    if stamped is not None and order != stamped:
        notes.warn(
            "machine stamp",
            raw[212:216].hex(),
            "11110000" if order == ">" else "44440000",
            "the sizes make sense only in the other byte order, which was taken",
        )
    elif stamped is None and order == ">":
        notes.warn(
            "machine stamp", raw[212:216].hex(), "11110000", "read as big-endian, by its sizes"
        )
    return records[order], order


def _no_mrc(path: str, h: Any) -> None:
    sizes = [int(h[k]) for k in ("nx", "ny", "nz")]
    fail(
        path,
        "header",
        f"no 'MAP' id and impossible values (nx, ny, nz = {sizes}, mode = {int(h['mode'])})",
        "an MRC header",
        "the file is no MRC file or its header is damaged; check where it came from",
    )


def _plausible(h: Any, available: int | None) -> bool:
    mode, sizes = int(h["mode"]), [int(h[k]) for k in ("nx", "ny", "nz")]
    if (mode not in MODES and mode not in _REFUSED) or min(sizes) <= 0:
        return False
    if not 0 <= int(h["nsymbt"]) < 2**31:
        return False
    axes = sorted(int(h[k]) for k in ("mapc", "mapr", "maps"))
    if axes not in ([1, 2, 3], [0, 0, 0]):
        return False
    pixel = 0.5 if mode in (0, 101) else np.dtype(MODES.get(mode, "f4")).itemsize  # bytes, at least
    return available is None or math.prod(sizes) * pixel <= available


def _mode(path: str, mode: int) -> int:
    if mode in _REFUSED:
        fail(
            path,
            "mode",
            f"{mode}, {_REFUSED[mode]}",
            f"one of {sorted(MODES)}",
            "convert to real images first",
        )
    if mode not in MODES:
        fail(
            path, "mode", mode, f"one of {sorted(MODES)}", "the header is damaged or no MRC header"
        )
    return mode


def _shape(path: str, h: Any, packed_bytes: bool) -> tuple[int, int, int]:
    nx, ny, nz = (int(h[k]) for k in ("nx", "ny", "nz"))
    for name, value in (("nx", nx), ("ny", ny), ("nz", nz)):
        if value <= 0:
            fail(
                path,
                name,
                value,
                "at least 1",
                "the header is damaged; record or convert the file again",
            )
    return nz, ny, 2 * nx if packed_bytes else nx


def _extended_bytes(path: str, h: Any) -> int:
    value = int(h["nsymbt"])
    if value < 0:
        fail(
            path,
            "nsymbt",
            value,
            "at least 0",
            "the header is damaged; record or convert the file again",
        )
    return value


def _dtype(h: Any, mode: int, stamped: bool, flags: int, notes: Notes) -> np.dtype[Any]:
    """Mode 0 is signed by MRC2014, but IMOD long wrote unsigned bytes and says so in a flag."""
    if mode != 0:
        return np.dtype(MODES[mode])
    dmin, dmax = float(h["dmin"]), float(h["dmax"])
    if stamped:
        signed, why = bool(flags & _IMOD_SIGNED), "IMOD's flag word"
    elif dmax > 127 and dmin >= 0:
        signed, why = False, f"no IMOD flag, but the header's maximum is {dmax:g}"
    else:
        signed, why = True, "MRC2014 (no IMOD flag)"
    notes.facts["dtype"] = f"{'int8' if signed else 'uint8'} by {why}"
    return np.dtype("i1" if signed else "u1")


def _axes(h: Any, notes: Notes) -> tuple[int, int, int]:
    axes = tuple(int(h[k]) for k in ("mapc", "mapr", "maps"))
    if axes == (0, 0, 0):
        notes.warn("mapc, mapr, maps", "0, 0, 0", "a permutation of 1, 2, 3", "taken as 1, 2, 3")
        return 0, 1, 2
    if sorted(axes) != [1, 2, 3]:
        fail(
            notes.path,
            "mapc, mapr, maps",
            ", ".join(map(str, axes)),
            "a permutation of 1, 2, 3",
            "the header is damaged; set them to 1, 2, 3 if columns run along x and rows along y",
        )
    return axes[0] - 1, axes[1] - 1, axes[2] - 1


def _voxel(h: Any, notes: Notes, doubled: bool) -> tuple[float, float, float] | None:
    """Cell edge over grid intervals; None, with a warning, where that gives no length."""
    cell = [shortest(h["cella"][k]) for k in "xyz"]
    grid = [int(h[k]) for k in ("mx", "my", "mz")]
    if doubled and grid[0] == int(h["nx"]):  # half-width bytes: IMOD counts mx in bytes as well
        grid[0] *= 2
        cell[0] *= 2
    if not any(cell):
        return None  # a writer that knows no pixel size leaves zeros
    size = [c / g if g > 0 else math.nan for c, g in zip(cell, grid, strict=True)]
    if grid[2] <= 0:  # some writers leave mz 0 for a stack; z is not needed then
        size[2] = size[0]
    if not all(math.isfinite(s) and s > 0 for s in size[:2]):
        notes.warn(
            "pixel size",
            f"cell {cell} A over grid {grid}",
            "positive finite lengths",
            "taken as unknown; give pixel_size=",
        )
        return None
    if not (math.isfinite(size[2]) and size[2] > 0):
        size[2] = size[0]
    x, y, z = (float(f"{s:.12g}") for s in size)
    return x, y, z


def shortest(value: Any) -> float:
    """The shortest decimal that is this float32: 8069.12 A over 1024 px, not 8069.1201171875 A."""
    return float(str(np.float32(value)))


def _cell_angles(h: Any) -> tuple[float, float, float]:
    a, b, c = (float(h["cellb"][k]) for k in ("alpha", "beta", "gamma"))
    return a, b, c


def _origin(h: Any, stamped: bool, flags: int, notes: Notes) -> tuple[float, float, float]:
    """IMOD's own origin has the opposite sign of MRC2014's unless bit 4 of its flags is set."""
    sign = -1.0 if stamped and not flags & _IMOD_INVERTED_ORIGIN else 1.0
    values = [sign * float(h["origin"][k]) for k in "xyz"]
    if not all(math.isfinite(v) for v in values):
        notes.warn("origin", values, "finite lengths", "taken as 0, 0, 0")
        values = [0.0, 0.0, 0.0]
    return values[0] + 0.0, values[1] + 0.0, values[2] + 0.0


def _volumes(h: Any, nz: int, notes: Notes) -> int:
    """ISPG 401 and above: a stack of volumes of mz sections each."""
    if int(h["ispg"]) < 401:
        return 1
    mz = int(h["mz"])
    if mz <= 0 or nz % mz:
        notes.warn(
            "mz", mz, f"a divisor of nz = {nz} (ispg {int(h['ispg'])})", "read as one volume"
        )
        return 1
    return nz // mz


def _labels(h: Any) -> tuple[str, ...]:
    count = int(h["nlabl"])
    count = count if 0 <= count <= 10 else 10
    texts = (bytes(label).decode("latin-1") for label in h["label"][:count])
    clean = ("".join(c if c.isprintable() else " " for c in t).strip() for t in texts)
    return tuple(t for t in clean if t)
