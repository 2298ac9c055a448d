# SPDX-License-Identifier: BSD-3-Clause
"""Makes good and bad files, byte by byte, without any code of the package under test."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

# Byte offset and struct code of each MRC header word.
FIELDS = {
    "nx": (0, "i"), "ny": (4, "i"), "nz": (8, "i"), "mode": (12, "i"),
    "nxstart": (16, "i"), "nystart": (20, "i"), "nzstart": (24, "i"),
    "mx": (28, "i"), "my": (32, "i"), "mz": (36, "i"),
    "xlen": (40, "f"), "ylen": (44, "f"), "zlen": (48, "f"),
    "alpha": (52, "f"), "beta": (56, "f"), "gamma": (60, "f"),
    "mapc": (64, "i"), "mapr": (68, "i"), "maps": (72, "i"),
    "dmin": (76, "f"), "dmax": (80, "f"), "dmean": (84, "f"),
    "ispg": (88, "i"), "nsymbt": (92, "i"), "exttyp": (104, "4s"), "nversion": (108, "i"),
    "nint": (128, "h"), "nreal": (130, "h"), "imod": (152, "4s"), "imodflags": (156, "I"),
    "xorg": (196, "f"), "yorg": (200, "f"), "zorg": (204, "f"),
    "map": (208, "4s"), "stamp": (212, "4s"), "rms": (216, "f"), "nlabl": (220, "i"),
    "label": (224, "80s"),
}  # fmt: skip
MODE_OF = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


def images(dtype: str = "i2", shape: tuple[int, int, int] = (3, 5, 6)) -> np.ndarray:
    """Different values everywhere, both signs where the type has them."""
    values = np.arange(np.prod(shape)).reshape(shape) * 7 % 251 - (0 if dtype[0] == "u" else 100)
    return values.astype(dtype)


def mrc(data: np.ndarray, order: str = "<", ext: bytes = b"", **fields: Any) -> bytes:
    """An MRC file as bytes; ``fields`` overrides any word of the header."""
    nz, ny, nx = data.shape
    words: dict[str, Any] = {
        "nx": nx, "ny": ny, "nz": nz, "mode": MODE_OF.get(data.dtype.str[1:], 2),
        "mx": nx, "my": ny, "mz": nz, "xlen": 2.0 * nx, "ylen": 2.0 * ny, "zlen": 2.0 * nz,
        "alpha": 90.0, "beta": 90.0, "gamma": 90.0, "mapc": 1, "mapr": 2, "maps": 3,
        "dmin": float(np.nanmin(data)), "dmax": float(np.nanmax(data)),
        "dmean": float(np.nanmean(data)), "nsymbt": len(ext), "map": b"MAP ",
        "stamp": b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0", "nversion": 20140,
    }  # fmt: skip
    words.update(fields)
    head = bytearray(1024)
    for name, value in words.items():
        at, code = FIELDS[name]
        struct.pack_into(order + code, head, at, value)
    return bytes(head) + ext + data.astype(data.dtype.newbyteorder(order)).tobytes()


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def fei_2003(angles: Any, order: str = "<", pixel_m: float = 3.36e-9, **columns: float) -> bytes:
    """The 131072-byte extended header of FEI's first MRC writers: 1024 records of 32 reals."""
    names = [
        "a_tilt",
        "b_tilt",
        "x_stage",
        "y_stage",
        "z_stage",
        "x_shift",
        "y_shift",
        "defocus",
        "exposure",
        "mean",
        "tilt_axis",
        "pixel",
        "magnification",
        "voltage",
    ]
    table = np.zeros((1024, 32), order + "f4")
    n = len(angles)
    table[:n, 0] = angles
    table[:n, 11] = pixel_m
    for name, value in columns.items():
        table[:n, names.index(name)] = value
    return table.tobytes()


def fei_new(
    kind: str, angles: Any, order: str = "<", step: int | None = None, **values: float
) -> bytes:
    """FEI1 or FEI2 records; places as in Thermo Fisher's description of the format."""
    size = {"FEI1": 768, "FEI2": 888}[kind]
    step = step or size
    places = {"dose": 92, "alpha": 100, "axis": 140, "pixel": 156}
    out = bytearray(step * len(angles))
    for i, angle in enumerate(angles):
        at = i * step
        struct.pack_into(order + "ii", out, at, step, 0)
        for name, value in {"alpha": angle, **values}.items():
            struct.pack_into(order + "d", out, at + places[name], value)
    return bytes(out)


def serialem(angles: Any, order: str = "<") -> tuple[bytes, dict[str, Any]]:
    """SerialEM's words: tilt (deg * 100), stage, magnification, intensity; with the header's fields."""
    raw = b"".join(struct.pack(order + "hhhhh", round(100 * a), 25, -25, 1150, 250) for a in angles)
    return raw, {"exttyp": b"SERI", "nint": 10, "nreal": 1 + 4 + 8 + 16}


def mdoc(angles: Any, extra: dict[int, dict[str, str]] | None = None, drop: str = "") -> str:
    """A SerialEM log; ``extra`` adds or replaces fields of sections, ``drop`` leaves one out."""
    lines = ["PixelSpacing = 5.4", "ImageFile = x.mrc", "", "[T = SerialEM: somewhere]", ""]
    lines += ["[T =     Tilt axis angle = 85.3, binning = 4  spot = 8  camera = 2]", ""]
    for i, angle in enumerate(angles):
        fields = {
            "TiltAngle": f"{angle}",
            "ExposureDose": "1.5",
            "PixelSpacing": "5.4",
            "DateTime": f"30-Nov-15  15:{21 + i:02d}:38",
        }
        fields.update((extra or {}).get(i, {}))
        section = fields.pop("ZValue", str(i))
        lines.append(f"[ZValue = {section}]")
        lines += [f"{k} = {v}" for k, v in fields.items() if k != drop]
        lines.append("")
    return "\n".join(lines)


def tiff(
    pages: list[np.ndarray],
    order: str = "<",
    gaps: tuple[int, ...] = (),
    override: dict[int, dict[int, tuple[int, int, int]]] | None = None,
    next_of: dict[int, int] | None = None,
) -> bytes:
    """A plain TIFF: header, all pixels (with ``gaps`` bytes after page i), then all directories.

    ``override[page][tag] = (type, count, value)``; ``next_of[page]`` = page its link leads to.
    """
    body, places = b"", []
    for i, page in enumerate(pages):
        places.append(8 + len(body))
        raw = page.astype(page.dtype.newbyteorder(order)).tobytes()
        body += raw + b"\0" * (gaps[i] if i < len(gaps) else 0)
    body += b"\0" * (len(body) % 2)
    first = 8 + len(body)
    sample = {"u": 1, "i": 2, "f": 3}
    entries = []
    for i, page in enumerate(pages):
        tags = {
            256: (4, 1, page.shape[1]), 257: (4, 1, page.shape[0]),
            258: (3, 1, page.dtype.itemsize * 8), 259: (3, 1, 1), 262: (3, 1, 1),
            273: (4, 1, places[i]), 277: (3, 1, 1), 278: (4, 1, page.shape[0]),
            279: (4, 1, page.nbytes), 339: (3, 1, sample[page.dtype.kind]),
        }  # fmt: skip
        tags.update((override or {}).get(i, {}))
        entries.append(tags)
    sizes = [2 + 12 * len(t) + 4 for t in entries]
    starts = [first + sum(sizes[:i]) for i in range(len(sizes))]
    out = b""
    for i, tags in enumerate(entries):
        out += struct.pack(order + "H", len(tags))
        for tag in sorted(tags):
            kind, count, value = tags[tag]
            small = kind == 3 and count == 1
            packed = (
                struct.pack(order + "HH", value, 0) if small else struct.pack(order + "I", value)
            )
            out += struct.pack(order + "HHI", tag, kind, count) + packed
        target = (next_of or {}).get(i, i + 1)
        out += struct.pack(order + "I", starts[target] if target < len(starts) else 0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", first)
    return head + body + out
