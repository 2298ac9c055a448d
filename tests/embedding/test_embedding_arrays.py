# SPDX-License-Identifier: BSD-3-Clause
"""The gate for arrays: every kind of input is used rightly or refused by name, and never written into."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from layouts import LAYOUTS, read_only

from cryolith import InputError, _core
from cryolith._arrays import as_angles, as_core, as_output

SHAPES = [(3, 4, 5), (1, 1, 1), (1, 6, 1), (2, 1, 7)]
DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g"]
Array = npt.NDArray[Any]


def values(shape: tuple[int, ...], dtype: str) -> Array:
    rng = np.random.default_rng(len(shape) + shape[-1])
    low = 0 if np.dtype(dtype).kind in "?u" or dtype == "?" else -100
    return rng.integers(low, 2 if dtype == "?" else 100, shape).astype(dtype)


def snapshot(a: Array) -> tuple[bytes, dict[str, bool]]:
    return a.tobytes(), {f: a.flags[f] for f in ("WRITEABLE", "ALIGNED", "C_CONTIGUOUS")}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_as_core_is_right_for_every_dtype_and_layout(layout: str) -> None:
    for dtype, shape in itertools.product(DTYPES, SHAPES):
        if layout == "a memory view" and dtype == "g":
            continue  # the buffer protocol has no long double that numpy would read back
        a = LAYOUTS[layout](values(shape, dtype))
        before = snapshot(a)
        out = as_core(a, "stack", ("n_tilts", "ny", "nx"))
        case = f"{dtype} {shape} {layout}"
        assert out.dtype == np.float32, case
        assert out.dtype.isnative, case
        assert out.flags.c_contiguous, case
        assert out.flags.aligned, case
        assert np.array_equal(out, np.array(a.tolist()).astype(np.float32)), case
        assert snapshot(a) == before, case


def test_as_core_copies_nothing_that_needs_no_copy() -> None:
    a = values((3, 4, 5), "f4")
    assert as_core(a, "stack", ("n", "y", "x")) is a
    frozen = read_only(a)
    assert as_core(frozen, "stack", ("n", "y", "x")) is frozen


REFUSED: dict[str, tuple[Any, str]] = {
    "complex": (np.zeros((2, 2), np.complex64), "complex64"),
    "object": (np.zeros((2, 2), object), "object"),
    "text": (np.zeros((2, 2), "U3"), "U3"),
    "bytes": (np.zeros((2, 2), "S3"), "S3"),
    "dates": (np.zeros((2, 2), "M8[s]"), "datetime64"),
    "durations": (np.zeros((2, 2), "m8[s]"), "timedelta64"),
    "records": (np.zeros((2, 2), [("a", "f4")]), "'a'"),
    "None": (None, "object"),
    "a word": ("1 2 3", "U5"),
    "one axis": (np.zeros(4, np.float32), r"\(4,\)"),
    "three axes": (np.zeros((1, 2, 2), np.float32), r"\(1, 2, 2\)"),
    "a number": (3.0, r"\(\)"),
    "empty": (np.zeros((2, 0), np.float32), r"\(2, 0\)"),
    "ragged": ([[1, 2], [3]], "inhomogeneous"),
    "masked": (np.ma.masked_equal([[1.0, 2.0], [3.0, 4.0]], 3), "mask"),
    "too large": (np.array([[1.0, 1e300], [0, 0]]), "float32"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_as_core_refuses_by_name(case: str) -> None:
    value, found = REFUSED[case]
    with pytest.raises(InputError, match="image: found .*" + found):
        as_core(value, "image", ("ny", "nx"))


def test_as_core_keeps_nan_and_infinity() -> None:
    a = np.array([[np.nan, np.inf], [-np.inf, 1e-300]])
    out = as_core(a, "image", ("ny", "nx"))
    assert np.array_equal(
        out, np.array([[np.nan, np.inf], [-np.inf, 0]], np.float32), equal_nan=True
    )


def test_as_angles_refuses_what_is_no_angle() -> None:
    assert as_angles([1, 2, 3], "angles").dtype == np.float64
    with pytest.raises(InputError, match="angles: found nan at index 1"):
        as_angles([0, np.nan], "angles")
    with pytest.raises(InputError, match="angles: found 2 angles, expected 3"):
        as_angles([0, 1], "angles", 3)


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"C", "a memory view"}))
def test_as_output_refuses_what_the_core_cannot_write(layout: str) -> None:
    bad = LAYOUTS[layout](values((3, 4, 5), "f4"))
    with pytest.raises(InputError, match="out: found"):
        as_output(bad, (3, 4, 5))


def test_as_output_refuses_other_things_and_keeps_good_ones() -> None:
    good = values((3, 4, 5), "f4")
    assert as_output(good, (3, 4, 5)) is good
    assert as_output(None, (2, 3)).shape == (2, 3)
    others: list[Any] = [values((3, 4, 5), "f8"), values((3, 5, 4), "f4"), [[1.0]], "out"]
    for bad in others:
        with pytest.raises(InputError, match="out: found"):
            as_output(bad, (3, 4, 5))


# The extension itself takes only what it can use without a copy; Python converts before.
USABLE = {"C", "read-only", "a memory view"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["?", "i2", "i4", "f2", "f4", "f8"])
def test_the_binding_takes_its_own_kind_only(dtype: str, layout: str) -> None:
    a = LAYOUTS[layout](values((3, 4, 5), dtype))
    before = snapshot(a)
    if dtype == "f4" and layout in USABLE:
        assert _core.count_missing(a) == 0
    else:
        with pytest.raises((TypeError, InputError), match=r"count_missing|stack"):
            _core.count_missing(a)
    assert snapshot(a) == before


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"C", "a memory view"}))
def test_the_binding_never_writes_into_a_copy_of_out(layout: str) -> None:
    images = LAYOUTS[layout](np.arange(60, dtype=np.float32).reshape(3, 4, 5) % 11)
    before = snapshot(images)
    with pytest.raises((TypeError, InputError), match="images"):
        _core.despike(images, np.zeros(3, np.int64), 1)
    assert snapshot(images) == before


# The transform takes arrays as they lie, if their elements are whole ones of its own kind.
PLAN = _core.FftPlan((3, 4, 5), 1)
STRIDED = {"Fortran", "every second", "backwards", "transposed"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["?", "i2", "i4", "f2", "f4", "f8"])
def test_the_transform_reads_any_strides_of_its_own_kind(dtype: str, layout: str) -> None:
    a = LAYOUTS[layout](values((3, 4, 5), dtype))
    before = snapshot(a)
    out = np.zeros(PLAN.spectrum, np.complex64)
    if dtype == "f4" and layout in USABLE | STRIDED | {"zero stride"}:
        PLAN.rfft(a, out)
        assert np.allclose(out, np.fft.rfft(a.astype(float)), rtol=1e-5, atol=1e-3)
    else:
        with pytest.raises((TypeError, InputError), match="array"):
            PLAN.rfft(a, out)
        assert not out.any(), "refused, and yet written"
    assert snapshot(a) == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_transform_writes_into_out_itself(layout: str) -> None:
    x = values((3, 4, 5), "f4")
    expected = np.fft.rfft(x.astype(float))
    half = LAYOUTS[layout](np.zeros(PLAN.spectrum, np.complex64))
    back = LAYOUTS[layout](np.zeros((3, 4, 5), np.float32))
    if layout in STRIDED | {"C", "a memory view"}:
        PLAN.rfft(x, half)
        assert np.allclose(half, expected, rtol=1e-5, atol=1e-3)
        PLAN.irfft(half, back, 1 / 5)
        assert np.allclose(back, x, atol=1e-3)
        return
    with pytest.raises((TypeError, InputError), match="out"):
        PLAN.rfft(x, half)
    with pytest.raises((TypeError, InputError), match="out"):
        PLAN.irfft(expected.astype(np.complex64), back, 1.0)
    assert not half.any()
    assert not back.any()


@pytest.mark.parametrize("bad", [None, 3.0, "text", [[1.0]], np.zeros((3, 4, 5), object)])
def test_the_binding_refuses_other_objects(bad: Any) -> None:
    with pytest.raises(TypeError, match="rfft"):
        PLAN.rfft(bad, np.zeros(PLAN.spectrum, np.complex64))
