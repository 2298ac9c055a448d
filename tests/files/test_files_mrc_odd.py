# SPDX-License-Identifier: BSD-3-Clause
"""MRC files that are odd but can be read: the values, and the one warning where there is a doubt."""

from __future__ import annotations

import bz2
import gzip
import itertools
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_files import fei_2003, fei_new, images, mrc, serialem, write

from cryolith import TiltSeries
from cryolith.errors import CryolithWarning, FileFormatError
from cryolith.files import info, read_tilt_series, read_volume

ANGLES = [-10.0, 0.0, 10.0]
TILTS = [-12.34, 0.0, 45.67]


def read(path: Path, angles: Any = None, **options: Any) -> tuple[TiltSeries, list[str]]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        series = read_tilt_series(path, angles, **options)
    assert all(w.category is CryolithWarning for w in told)
    lines = [str(w.message) for w in told]
    assert lines == list(series.source.warnings)
    return series, lines


@dataclass
class Odd:
    name: str
    content: bytes
    expected: np.ndarray
    words: tuple[str, ...] = ()  # of the one warning; empty: no warning
    facts: dict[str, str] = field(default_factory=dict)


def nibbles(nx: int) -> tuple[np.ndarray, np.ndarray]:
    """4-bit values (3, 5, nx) and their bytes, the first pixel in the low half."""
    values = images("u1", (3, 5, nx)) % 16
    even = np.concatenate([values, np.zeros((3, 5, nx % 2), "u1")], axis=2)
    return values, (even[..., 0::2] | even[..., 1::2] << 4).astype("u1")


def odd_files() -> list[Odd]:
    i1, u1, i2, f4 = images("i1"), images("u1"), images("i2"), images("f4")
    stamped = {"imod": b"IMOD"}
    out = [
        Odd("mode 0 by MRC2014", mrc(i1), i1, facts={"dtype": "int8 by MRC2014 (no IMOD flag)"}),
        Odd("mode 0, IMOD signed", mrc(i1, **stamped, imodflags=1), i1),
        Odd("mode 0, IMOD unsigned", mrc(u1, **stamped, imodflags=0), u1),
        Odd("mode 0, IMOD unsigned, big", mrc(u1, ">", **stamped, imodflags=0), u1),
        Odd("mode 0, maximum above 127", mrc(u1), u1),
        Odd("stamp 44440000", mrc(i2, stamp=b"\x44\x44\0\0"), i2),
        Odd("stamp 44000000", mrc(i2, stamp=b"\x44\0\0\0"), i2),
        Odd("stamp 44110000", mrc(i2, stamp=b"\x44\x11\0\0"), i2),
        Odd("stamp 44202020", mrc(i2, stamp=b"D   "), i2),
        Odd("stamp of blanks", mrc(i2, stamp=b"    "), i2),
        Odd("no stamp", mrc(i2, stamp=b"\0\0\0\0"), i2),
        Odd("no stamp, big-endian", mrc(i2, ">", stamp=b"\0\0\0\0"), i2, ("stamp", "big-endian")),
        Odd("wrong stamp, big", mrc(i2, ">", stamp=b"DD\0\0"), i2, ("stamp", "44440000", "other")),
        Odd("wrong stamp, little", mrc(i2, stamp=b"\x11\x11\0\0"), i2, ("stamp", "11110000")),
        Odd("no MAP id", mrc(i2, map=b"\0\0\0\0"), i2),
        Odd("MAP id ends in NUL", mrc(i2, map=b"MAP\0"), i2),
        Odd("no id, no stamp", mrc(i2, map=b"\0\0\0\0", stamp=b"\0\0\0\0"), i2),
        Odd("3 px wide, big-endian", mrc(i2[..., :3], ">"), i2[..., :3]),
        Odd("4 px wide, big-endian", mrc(i2[..., :4], ">"), i2[..., :4]),
        Odd("1 x 1 px", mrc(i2[:, :1, :1]), i2[:, :1, :1]),
        Odd("1 row", mrc(i2[:, :1]), i2[:, :1]),
        Odd("1 column", mrc(i2[..., :1]), i2[..., :1]),
        Odd("axes 0 0 0", mrc(i2, mapc=0, mapr=0, maps=0), i2, ("mapc, mapr, maps", "1, 2, 3")),
        Odd("bytes left over", mrc(i2) + b"\0" * 7, i2, ("file size", "last 7 bytes")),
        Odd("nz too small", mrc(i2, nz=2), i2[:2], ("file size", "last 60 bytes")),
        Odd("gzip", gzip.compress(mrc(i2)), i2),
        Odd("gzip, big-endian", gzip.compress(mrc(f4, ">")), f4),
        Odd("gzip, two members", gzip.compress(mrc(i2)[:900]) + gzip.compress(mrc(i2)[900:]), i2),
        Odd("gzip, bytes left over", gzip.compress(mrc(i2) + b"??"), i2, ("file size", "last 2")),
        Odd("bzip2", bz2.compress(mrc(i2)), i2),
        Odd("100 labels", mrc(i2, nlabl=100, label=b"a label"), i2),
        Odd("-1 labels", mrc(i2, nlabl=-1), i2),
        Odd("label of odd bytes", mrc(i2, nlabl=1, label=bytes(range(128, 208))), i2),
        Odd("ISPG 401, mz 0", mrc(i2, ispg=401, mz=0), i2, ("mz", "found 0", "divisor")),
        Odd("ISPG 401, mz 2", mrc(i2, ispg=401, mz=2), i2, ("mz", "found 2", "divisor")),
        Odd("ISPG 401, mz 1", mrc(i2, ispg=401, mz=1), i2, ("ispg", "stack of 3 volumes")),
        Odd("unknown extension", mrc(i2, ext=b"x" * 80, exttyp=b"CCP4"), i2),
        Odd("NaN statistics", mrc(i2, dmin=np.nan, dmax=np.nan, dmean=np.nan), i2),
        Odd("origin NaN", mrc(i2, xorg=np.nan), i2, ("origin", "nan", "0, 0, 0")),
    ]
    for dtype, order in itertools.product(("i2", "f4", "u2", "f2"), "<>"):
        data = images(dtype)
        out.append(Odd(f"{dtype}, {order}", mrc(data, order), data))
    for nx in (6, 7):
        values, packed = nibbles(nx)
        out.append(Odd(f"mode 101, {nx} px", mrc(packed, mode=101, nx=nx), values))
        out.append(
            Odd(f"mode 101, {nx} px, gzip", gzip.compress(mrc(packed, mode=101, nx=nx)), values)
        )
    values, packed = nibbles(6)
    out.append(Odd("IMOD packed bytes", mrc(packed, **stamped, imodflags=16), values))
    return out


ODD = odd_files()


@pytest.mark.parametrize("case", ODD, ids=[c.name for c in ODD])
def test_odd_mrc_is_read(tmp_path: Path, case: Odd) -> None:
    path = write(tmp_path / "odd.mrc", case.content)
    series, told = read(path, ANGLES[: len(case.expected)])
    got = np.asarray(series.images)
    assert got.shape == case.expected.shape
    assert got.dtype.newbyteorder("=") == case.expected.dtype
    assert np.array_equal(got, case.expected)
    assert len(told) == bool(case.words)
    for word in case.words:
        assert word in told[0]
    for key, value in case.facts.items():
        assert series.source.facts[key] == value


PIXELS: list[tuple[str, dict[str, Any], float | None, tuple[str, ...]]] = [
    ("2 A", {}, 2.0, ()),
    ("a default of 1 A", {"xlen": 6.0, "ylen": 5.0, "zlen": 3.0}, 1.0, ("pixel size", "default")),
    ("cell 0", {"xlen": 0.0, "ylen": 0.0, "zlen": 0.0}, None, ("pixel size", "found none")),
    ("cell NaN", {"xlen": np.nan}, None, ("pixel size", "nan")),
    ("cell infinite", {"ylen": np.inf}, None, ("pixel size", "inf")),
    ("cell negative", {"xlen": -12.0, "ylen": -10.0}, None, ("pixel size", "-12.0")),
    ("grid 0", {"mx": 0, "my": 0}, None, ("pixel size", "grid [0, 0")),
    ("grid negative", {"mx": -6}, None, ("pixel size", "grid [-6")),
    ("mz 0", {"mz": 0}, 2.0, ()),
    ("cell NaN along z", {"zlen": np.nan}, 2.0, ()),
    ("oblong pixels", {"ylen": 11.0}, 2.0, ("2 A along x, 2.2 A along y", "square")),
]


@pytest.mark.parametrize(
    ("name", "fields", "expected", "words"), PIXELS, ids=[p[0] for p in PIXELS]
)
def test_pixel_size_of_the_header(
    tmp_path: Path,
    name: str,
    fields: dict[str, Any],
    expected: float | None,
    words: tuple[str, ...],
) -> None:
    path = write(tmp_path / "a.mrc", mrc(images(), **fields))
    series, told = read(path, ANGLES)
    assert series.pixel_size == expected
    if expected is None:  # the doubtful value, and that there is none now
        assert "lengths will be in pixels" in told[-1]
        told = told[:1]
    assert len(told) == bool(words)
    for word in words:
        assert word in told[0]
    given, silent = read(path, ANGLES, pixel_size="0.5 nm")
    assert given.pixel_size == 5.0
    assert len(silent) <= 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("axes", list(itertools.permutations((1, 2, 3))))
def test_every_axis_order_gives_z_y_x(tmp_path: Path, axes: tuple[int, ...], order: str) -> None:
    """mapc, mapr, maps name the axis that columns, rows, sections run along."""
    volume = images("i2", (2, 3, 4))  # (z, y, x)
    along = {1: 2, 2: 1, 3: 0}
    mapc, mapr, maps = axes
    stored = volume.transpose(along[maps], along[mapr], along[mapc])
    sizes = {"xlen": 4.0, "ylen": 3.0, "zlen": 2.0, "mx": 4, "my": 3, "mz": 2}
    raw = mrc(np.ascontiguousarray(stored), order, mapc=mapc, mapr=mapr, maps=maps, **sizes)
    got = read_volume(write(tmp_path / "a.mrc", raw))
    assert np.array_equal(got.data, volume)
    assert got.pixel_size == 1.0


def extended_cases() -> list[tuple[str, bytes, dict[str, Any]]]:
    seri, words = serialem(TILTS)
    seri_big, words_big = serialem(TILTS, ">")
    agar = np.zeros((3, 4), "<f4")
    agar[:, 2] = TILTS
    data, metre = images(), 3.36e-9
    new = {"pixel": metre, "axis": 84.0, "dose": 2e20}
    fei = {"exttyp": b"FEI1"}
    return [
        ("FEI 2003", mrc(data, ext=fei_2003(TILTS, tilt_axis=84.0), nreal=32), {"axis": 84.0}),
        ("FEI 2003, big", mrc(data, ">", ext=fei_2003(TILTS, ">"), nreal=32), {}),
        ("FEI1", mrc(data, ext=fei_new("FEI1", TILTS, **new), **fei), {"axis": 84.0, "dose": 2.0}),
        ("FEI1, big", mrc(data, ">", ext=fei_new("FEI1", TILTS, ">", **new), **fei), {"dose": 2.0}),
        ("FEI2", mrc(data, ext=fei_new("FEI2", TILTS, **new), exttyp=b"FEI2"), {"axis": 84.0}),
        (
            "FEI2 padded",
            mrc(data, ext=fei_new("FEI2", TILTS, step=1024, **new), exttyp=b"FEI2"),
            {},
        ),
        (
            "FEI2 with a tail",
            mrc(data, ext=fei_new("FEI2", [*TILTS, 60.0], **new), exttyp=b"FEI2"),
            {},
        ),
        ("SERI", mrc(data, ext=seri, **words), {"pixel": 2.0}),
        ("SERI, big", mrc(data, ">", ext=seri_big, **words_big), {"pixel": 2.0}),
        ("SERI unnamed", mrc(data, ext=seri, **{**words, "exttyp": b"\0\0\0\0"}), {"pixel": 2.0}),
        ("AGAR", mrc(data, ext=agar.tobytes(), exttyp=b"AGAR", nint=2, nreal=2), {"pixel": 2.0}),
    ]


EXTENDED = extended_cases()


@pytest.mark.parametrize(("name", "content", "facts"), EXTENDED, ids=[c[0] for c in EXTENDED])
def test_extended_headers(
    tmp_path: Path, name: str, content: bytes, facts: dict[str, float]
) -> None:
    path = write(tmp_path / "a.mrc", content)
    series, told = read(path)
    # SERI keeps hundredths of a degree, the reals of AGAR and FEI 2003 are float32.
    assert np.abs(series.angles_deg - TILTS).max() < 4e-6
    assert "extended header" in series.source.facts["angles"]
    pixel = facts.get("pixel", 33.6)
    assert series.pixel_size == pytest.approx(pixel, rel=1e-12)
    assert series.tilt_axis_deg == facts.get("axis", series.tilt_axis_deg)
    assert ("dose" not in facts) or np.allclose(series.dose, facts["dose"], rtol=1e-12)
    assert np.array_equal(series.images, images())
    doubt = [
        line for line in told if "pixel size" in line
    ]  # 2 A in the header, 33.6 in the records
    assert len(doubt) == len(told) == (pixel == 33.6)
    assert all("33.6 A" in line and "2 A (header)" in line for line in doubt)


BROKEN = [
    (
        "FEI 2003, too few",
        {"ext": fei_2003(TILTS)[:256], "label": b"Fei Company", "nlabl": 1},
        "2 FEI 2003",
    ),
    ("FEI1, too few", {"ext": fei_new("FEI1", TILTS[:2]), "exttyp": b"FEI1"}, "2 FEI1 records"),
    (
        "FEI1, a byte short",
        {"ext": fei_new("FEI1", TILTS)[:-1], "exttyp": b"FEI1"},
        "2 FEI1 records",
    ),
    ("SERI, too few", {"ext": serialem(TILTS)[0][:29], **serialem(TILTS)[1]}, "2 SERI records"),
    ("SERI, wrong sum", {"ext": b"\0" * 99, "exttyp": b"SERI", "nint": 9, "nreal": 1}, "add up"),
    ("SERI, no flags", {"ext": b"\0" * 99, "exttyp": b"SERI", "nint": 0, "nreal": 0}, "add up"),
    (
        "SERI, flags too high",
        {"ext": b"\0" * 99, "exttyp": b"SERI", "nint": 2, "nreal": 2049},
        "add up",
    ),
    (
        "AGAR, negative",
        {"ext": b"\0" * 99, "exttyp": b"AGAR", "nint": -1, "nreal": 9},
        "AGAR records",
    ),
    (
        "AGAR, no reals",
        {"ext": b"\0" * 99, "exttyp": b"AGAR", "nint": 0, "nreal": 0},
        "AGAR records",
    ),
    (
        "AGAR, too few",
        {"ext": b"\0" * 23, "exttyp": b"AGAR", "nint": 0, "nreal": 2},
        "2 AGAR records",
    ),
]


@pytest.mark.parametrize(("name", "fields", "words"), BROKEN, ids=[b[0] for b in BROKEN])
def test_broken_extended_header_is_ignored_with_a_warning(
    tmp_path: Path, name: str, fields: dict[str, Any], words: str
) -> None:
    path = write(tmp_path / "a.mrc", mrc(images(), **fields))
    series, told = read(path, ANGLES)
    assert len(told) == 1
    assert "extended header" in told[0]
    assert words in told[0]
    assert np.array_equal(series.images, images())
    with pytest.raises(FileFormatError, match="angles: found none"):
        read_tilt_series(path)


def test_serialem_dose_words(tmp_path: Path) -> None:
    """1.5 = 0x600000 * 2^-22: a 24-bit mantissa in a short and a byte, the exponent above it."""
    doses, raw = [1.5, 0.375, 96.0], b""
    for i, dose in enumerate(doses):
        mantissa, exponent = np.frexp(dose)
        whole, power = round(mantissa * 2**22), int(exponent) - 22
        high, low = divmod(whole, 256)
        second = (low + 256 * abs(power)) * (-1 if power < 0 else 1)
        raw += np.array([round(100 * TILTS[i]), high, second], "<i2").tobytes()
    path = write(tmp_path / "a.mrc", mrc(images(), ext=raw, exttyp=b"SERI", nint=6, nreal=33))
    series, _ = read(path)
    assert series.dose is not None
    assert np.array_equal(series.dose, doses)


def test_fei_counts_minus_32768_are_shown_as_counts(tmp_path: Path) -> None:
    counts = images("u2") * np.uint16(20)
    stored = (counts.astype("i4") - 32768).astype("i2")
    mean = float(counts.mean())
    fields = {"nreal": 32, "xlen": 6.0, "ylen": 5.0, "zlen": 3.0}
    for order in "<>":
        raw = mrc(stored, order, ext=fei_2003(TILTS, order, mean=mean), **fields)
        path = write(tmp_path / "a.mrc", raw)
        series, told = read(path)
        assert told == []
        assert series.images.dtype == np.uint16
        assert len(series.images) == 3
        assert np.array_equal(np.asarray(series.images), counts)
        assert np.array_equal(series.images[1], counts[1])
        assert np.array_equal(series.images[::2, 1:3, ::-1], counts[::2, 1:3, ::-1])
        assert series.images[2, 4, 5] == counts[2, 4, 5]
        assert np.array_equal(np.stack(list(series.images)), counts)
        assert "counts - 32768" in series.source.facts["intensity"]
        assert series.source.facts["pixel_size"].endswith("header says 1 A, a default")
    plain = mrc(stored, ext=fei_2003(TILTS, mean=float(stored.mean())), **fields)
    series, _ = read(write(tmp_path / "b.mrc", plain))
    assert series.images.dtype == np.dtype("<i2")


def test_plain_files_are_mapped_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(images()))
    series, _ = read(path, ANGLES)
    assert isinstance(series.images, np.memmap)
    assert not series.images.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        series.images[0, 0, 0] = 1


def test_imod_origin_has_the_other_sign(tmp_path: Path) -> None:
    centre = np.array([2.0, 4.0, 5.0])  # (n - 1) / 2 * 2 A along z, y, x
    for flags, sign in ((0, -1), (4, 1)):
        raw = mrc(images(), imod=b"IMOD", imodflags=flags, xorg=30.0, yorg=20.0, zorg=10.0)
        volume = read_volume(write(tmp_path / "a.mrc", raw))
        assert np.array_equal(volume.origin, sign * np.array([10.0, 20.0, 30.0]) + centre)


def test_a_stack_of_volumes_is_no_volume(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(images(), ispg=401, mz=1))
    with pytest.raises(FileFormatError, match="ispg: found a stack of 3 volumes, expected one"):
        read_volume(path)


def test_info_reads_no_pixel(tmp_path: Path) -> None:
    """A sparse file of 3 GB: its facts come at once, and its last section lies beyond 2^31 bytes."""
    path = tmp_path / "large.mrc"
    n = 16384
    sizes = {"nx": n, "ny": n, "nz": 6, "mx": n, "my": n, "mz": 6, "xlen": 2.0 * n, "ylen": 2.0 * n}
    raw = mrc(np.zeros((1, 1, 1), "i2"), **sizes, zlen=12.0)
    path.write_bytes(raw[:1024])
    with open(path, "r+b") as file:
        file.truncate(1024 + 2 * n * n * 6)
        file.seek(-2, 2)
        file.write(b"\x39\x30")
    facts = info(path)
    assert facts["shape"] == [6, n, n]
    assert "found none, expected 6 tilt angles" in facts["problems"][0]
    assert read_volume(path).data[5, n - 1, n - 1] == 12345
