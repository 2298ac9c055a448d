# SPDX-License-Identifier: BSD-3-Clause
"""What microscopes write between an MRC header and its data: tilt, pixel size, axis, dose.

Known: FEI 2003 (128-byte records), FEI1 and FEI2 (mrcfile's dtypes), SerialEM's packed words
("SERI"), and Agard's reals ("AGAR"). Others are left alone. Nothing here reads pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from mrcfile.dtypes import get_ext_header_dtype

from .findings import Notes
from .mrc_header import MrcHeader, shortest

__all__ = ["Extended", "parse_extended"]

Float64 = npt.NDArray[np.float64]

# One record of 32 reals per image; lengths in metres, angles in degrees.
_FEI_2003 = (
    "a_tilt", "b_tilt", "x_stage", "y_stage", "z_stage", "x_shift", "y_shift", "defocus",
    "exposure", "mean_intensity", "tilt_axis", "pixel_size", "magnification", "voltage",
)  # fmt: skip
# Bytes of each word of SerialEM's flags, from the lowest bit.
_SERIALEM_BYTES = (2, 6, 4, 2, 2, 4, 2, 4, 2, 4, 2)
_METRE = 1e10  # in angstrom


@dataclass
class Extended:
    """Facts of an extended header; None where it has none.

    Attributes
    ----------
    angles_deg : (n,) float64 or None [deg]
    pixel_size : float or None [angstrom]
    tilt_axis_deg : float or None [deg]
        As the microscope's maker defines it.
    dose : (n,) float64 or None [e/angstrom^2]
    mean_intensity : (n,) float64 or None [counts]
        The mean that the microscope recorded for each image (FEI 2003).
    """

    name: str
    angles_deg: Float64 | None = None
    pixel_size: float | None = None
    tilt_axis_deg: float | None = None
    dose: Float64 | None = None
    mean_intensity: Float64 | None = None
    more: dict[str, float] = field(default_factory=dict)


def parse_extended(raw: bytes, header: MrcHeader, notes: Notes) -> Extended | None:
    """Read the facts of the extended header ``raw``; None when it is empty or of unknown kind."""
    if not raw:
        return None
    kind = header.extended_type
    if kind in ("FEI1", "FEI2"):
        return _fei_new(raw, header, notes)
    if kind == "SERI" or (not kind and _is_serialem(header)):
        return _serialem(raw, header, notes)
    if kind in ("", "AGAR", "FEI"):
        return _reals(raw, header, notes)
    return None


def _short(notes: Notes, name: str, have: int, need: int) -> None:
    notes.warn(
        "extended header",
        f"{have} {name} records",
        f"{need}, one per image",
        "it is ignored; give angles= and pixel_size=",
    )


def _fei_new(raw: bytes, header: MrcHeader, notes: Notes) -> Extended | None:
    dtype = get_ext_header_dtype(header.extended_type.encode(), header.order)
    name, n = header.extended_type, header.shape[0]
    # The record says its own length: writers pad it (768 bytes in some FEI2 files).
    step = int.from_bytes(raw[:4], "little" if header.order == "<" else "big")
    if step < dtype.itemsize or step > 65536:
        step = dtype.itemsize
    have = len(raw) // step
    if have < n:
        _short(notes, name, have, n)
        return None
    table = np.ndarray((n,), dtype, buffer=raw, strides=(step,))

    def column(key: str) -> Float64:
        return np.asarray(table[key], np.float64)

    out = Extended(name, angles_deg=column("Alpha tilt"))
    out.pixel_size = _one_length(column("Pixel size X"), notes)
    out.tilt_axis_deg = _one_angle(column("Tilt axis angle"))
    dose = column("Dose") / _METRE**2  # from e/m^2
    out.dose = dose if _useful(dose) else None
    return out


def _is_serialem(header: MrcHeader) -> bool:
    """As IMOD: the flags must add up to the number of bytes, or the words mean something else."""
    flags, count = header.nreal, len(_SERIALEM_BYTES)
    total = sum(size for bit, size in enumerate(_SERIALEM_BYTES) if flags >> bit & 1)
    return 0 < flags < 1 << count and header.nint == total


def _serialem(raw: bytes, header: MrcHeader, notes: Notes) -> Extended | None:
    if not _is_serialem(header):
        notes.warn(
            "extended header",
            f"SERI with {header.nint} bytes per image and flags {header.nreal}",
            "flags that add up to the bytes",
            "it is ignored; give angles=",
        )
        return None
    step, n = header.nint, header.shape[0]
    if len(raw) < n * step:
        _short(notes, "SERI", len(raw) // step, n)
        return None
    table = np.frombuffer(raw, np.uint8, n * step).reshape(n, step)
    out, at = Extended("SERI"), 0
    for bit, size in enumerate(_SERIALEM_BYTES):
        if header.nreal >> bit & 1:
            words = np.ascontiguousarray(table[:, at : at + size]).view(header.order + "i2")
            _serialem_word(out, bit, words.astype(np.int64))
            at += size
    return out


def _serialem_word(out: Extended, bit: int, words: npt.NDArray[np.int64]) -> None:
    if bit == 0:
        out.angles_deg = words[:, 0] / 100.0
    elif bit == 3:
        out.more["magnification"] = float(words[0, 0]) * 100
    elif bit == 5:
        # SerialEM's own float in two shorts: s1 = mantissa / 256 with its sign, |s2| = low mantissa
        # byte plus 256 times the exponent, whose sign s2 carries.
        high, low = words[:, 0], words[:, 1]
        mantissa = np.abs(high) * 256 + np.abs(low) % 256
        exponent = np.sign(low) * (np.abs(low) // 256)
        dose = np.sign(high) * mantissa * np.exp2(exponent.astype(np.float64))
        out.dose = dose if _useful(dose) else None


def _reals(raw: bytes, header: MrcHeader, notes: Notes) -> Extended | None:
    """Agard's layout: ``nint`` integers and ``nreal`` reals per image; FEI 2003 is 0 and 32."""
    fei = _is_fei_2003(header)
    if fei:
        before, count = 0, 32
    elif header.extended_type == "AGAR":
        before, count = header.nint, header.nreal
    else:
        return None
    n, step = header.shape[0], 4 * (before + count)
    if before < 0 or count <= 0 or len(raw) < n * step:
        name = "FEI 2003" if fei else "AGAR"
        _short(notes, name, len(raw) // step if step > 0 else 0, n)
        return None
    table = np.frombuffer(raw, header.order + "f4", n * (before + count)).reshape(n, -1)[:, before:]
    table = table.astype(np.float64)
    if not fei:
        return Extended("AGAR", angles_deg=table[:, 0])
    columns = {name: table[:, i] for i, name in enumerate(_FEI_2003)}
    out = Extended("FEI 2003", angles_deg=columns["a_tilt"])
    out.pixel_size = _one_length(np.array([shortest(v) for v in columns["pixel_size"]]), notes)
    out.tilt_axis_deg = _one_angle(columns["tilt_axis"])
    if _useful(columns["mean_intensity"]):
        out.mean_intensity = columns["mean_intensity"]
    for name in ("magnification", "voltage"):
        if _useful(columns[name][:1]):
            out.more[name] = float(columns[name][0])
    return out


def _is_fei_2003(header: MrcHeader) -> bool:
    labelled = bool(header.labels) and header.labels[0].lower().startswith("fei ")
    shaped = header.nint == 0 and header.nreal == 32 and header.extended_bytes == 131072
    return header.extended_type in ("", "FEI", "AGAR") and (labelled or shaped)


def _useful(values: Float64) -> bool:
    return bool(np.isfinite(values).all() and (values >= 0).all() and values.any())


def _one_length(metres: Float64, notes: Notes) -> float | None:
    """One pixel size [angstrom] for all images; 0 and what is no size of a pixel mean unset."""
    values = metres * _METRE
    good = values[np.isfinite(values) & (values > 0.01) & (values < 1e7)]
    if not good.size:
        return None
    middle = float(f"{np.median(good):.12g}")
    if np.ptp(good) > 0.01 * middle:
        notes.warn(
            "pixel size",
            f"{good.min():.4g} to {good.max():.4g} A over the images",
            "one value",
            f"the median {middle:.4g} A was taken; check the magnification",
        )
    return middle


def _one_angle(values: Float64) -> float | None:
    """0 on every image is what an unset field holds, so it tells nothing."""
    good = values[np.isfinite(values) & (np.abs(values) <= 360)]
    return float(np.median(good)) if good.size == values.size and good.any() else None
