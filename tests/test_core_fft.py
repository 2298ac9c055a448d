# SPDX-License-Identifier: BSD-3-Clause
"""The Fourier transform of the core against scipy.fft in higher precision."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from reference.fft import fast_size

from cryolith import InputError, _core

# Worst seen: 2.5e-7 one way, 3.7e-7 there and back (Bluestein lengths); in float64 7e-16. A rounding: 6e-8, 1.1e-16.
ERROR = {np.dtype(np.float32): 5e-7, np.dtype(np.float64): 1e-15}
FIXED = [
    (1,), (2, 1), (1, 2), (7, 1, 3), (1, 4099), (10007, 3), (128, 129), (4, 64, 96), (5, 12, 64),
    (3, 1, 1024), (2,), (3,), (1, 1), (2, 2), (1, 1, 1), (16, 16, 17), (40, 48, 50), (1024,),
    (2, 600, 1100), (2, 9973 * 2), (3, 65537), (150000,), (1 << 18,),
]  # fmt: skip

MOST_SAMPLES = 100_000  # of several signals of random shape: larger ones are among the fixed


Array = npt.NDArray[Any]


def relative_rms(a: Array, b: Array) -> float:
    return float(np.sqrt((np.abs(a - b) ** 2).mean() / (np.abs(b) ** 2).mean()))


def random_shape(rng: np.random.Generator, axes: int) -> tuple[int, ...]:
    top = {1: 5000, 2: 700, 3: 80}[axes]
    shape = tuple(int(np.exp(rng.uniform(0, np.log(top)))) for _ in range(axes))
    count = int(rng.integers(1, 20))
    many = axes < 3 and rng.random() < 0.6 and count * math.prod(shape) <= MOST_SAMPLES
    return (count, *shape) if many else shape


def cases(count: int, seed: int) -> list[tuple[tuple[int, ...], int]]:
    rng = np.random.default_rng(seed)
    fixed = FIXED if count > len(FIXED) else FIXED[:10]  # those at the end take long
    out = [(shape, min(int(rng.integers(1, 4)), len(shape))) for shape in fixed]
    while len(out) < count:
        axes = int(rng.integers(1, 4))
        out.append((random_shape(rng, axes), axes))
    return out


def strided(seed: tuple[int, int], shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros in any order of the axes, with gaps between them and some of them backwards."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(shape))
    step = rng.integers(1, 3, len(shape))
    base = np.zeros([shape[d] * step[d] + rng.integers(0, 3) for d in order], dtype)
    view = base.transpose(np.argsort(order))
    view = view[tuple(slice(0, n * k, k) for n, k in zip(shape, step, strict=True))]
    return view[tuple(slice(None, None, -1 if rng.random() < 0.3 else 1) for _ in shape)]


Layout = Callable[[tuple[int, ...], npt.DTypeLike], Array]


def transforms(x: Array, z: Array, axes: int, threads: int, empty: Layout) -> list[Array]:
    """rfft of x, irfft of that, fft of z, ifft of z in place."""
    wide = x.dtype == np.float64
    real = _core.FftPlan(x.shape, axes, wide=wide)
    half, back = empty(tuple(real.spectrum), z.dtype), empty(x.shape, x.dtype)
    half[...], back[...] = np.nan, np.nan
    real.rfft(x, half, threads)
    kept = half.copy()
    real.irfft(half, back, 1 / real.count, threads)
    assert np.array_equal(half, kept), "the inverse wrote into its input"
    plan = _core.FftPlan(x.shape, axes, real=False, wide=wide)
    forward, inverse = empty(z.shape, z.dtype), empty(z.shape, z.dtype)
    plan.fft(z, forward, threads)
    inverse[...] = z
    plan.ifft(inverse, inverse, 1 / plan.count, threads)
    return [half, back, forward, inverse]


def check_shapes(count: int, seed: int) -> None:
    """Every other case in float64, every third with any strides."""
    rng = np.random.default_rng(seed)
    for k, (shape, axes) in enumerate(cases(count, seed)):
        dtype = np.dtype(np.float64 if k % 2 else np.float32)
        layout: Layout = np.empty if k % 3 else partial(strided, (seed, k))
        x, z = layout(shape, dtype), layout(shape, np.result_type(dtype, 1j))
        x[...] = rng.standard_normal(shape) + 0.1
        z[...] = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        one, two = (transforms(x, z, axes, threads, layout) for threads in (1, 2))
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)), (shape, axes)
        last = tuple(range(-axes, 0))
        wider = np.longdouble if k % 2 else np.float64
        wide = z.astype(np.result_type(wider, 1j))
        expected = [
            scipy.fft.rfftn(x.astype(wider), axes=last),
            x,
            scipy.fft.fftn(wide, axes=last),
            scipy.fft.ifftn(wide, axes=last),
        ]
        errors = [relative_rms(a, b) for a, b in zip(one, expected, strict=True)]
        assert max(errors) <= ERROR[dtype], (shape, axes, dtype, errors)


def test_1000_shapes_equal_scipy() -> None:
    check_shapes(1000, seed=1)


@pytest.mark.parametrize("wide", [False, True])
def test_other_axes_are_a_matter_of_strides(wide: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 6, 33)).astype(np.float64 if wide else np.float32)
    plan = _core.FftPlan((6, 33, 40), 1, wide=wide)
    out = np.empty((21, 6, 33), np.result_type(x, 1j))
    plan.rfft(np.moveaxis(x, 0, 2), np.moveaxis(out, 0, 2))
    expected = scipy.fft.rfft(x.astype(np.longdouble), axis=0)
    assert relative_rms(out, expected) <= ERROR[x.dtype]


def test_broadcast_input_is_read_as_it_looks() -> None:
    row = np.random.default_rng(4).standard_normal(24).astype(np.float32)
    plan = _core.FftPlan((5, 24), 2)
    out, same = np.empty(plan.spectrum, np.complex64), np.empty(plan.spectrum, np.complex64)
    plan.rfft(np.broadcast_to(row, (5, 24)), out)
    plan.rfft(np.tile(row, (5, 1)), same)
    assert relative_rms(out, same) <= ERROR[row.dtype]


@pytest.mark.parametrize("shape", [(9, 20), (64, 256), (3, 8, 27), (2, 16, 33)])
def test_real_images_in_place_are_those_of_two_arrays(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    plan = _core.FftPlan(shape, len(shape))
    half = np.empty(plan.spectrum, np.complex64)
    plan.rfft(x, half)
    memory = np.zeros(plan.spectrum, np.complex64)
    image = memory.view(np.float32)[..., : shape[-1]]
    image[...] = x
    plan.rfft(image, memory)
    assert np.array_equal(memory, half)
    plan.irfft(memory, image, 1 / plan.count)
    assert relative_rms(image, x) <= ERROR[x.dtype]


def test_a_plan_serves_many_calls_at_once() -> None:
    """Each call has its own scratch, which later calls use again."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((8, 120, 135)).astype(np.float32)
    plan = _core.FftPlan(x.shape[1:], 2)
    half = np.array([np.fft.rfft2(image) for image in x]).astype(np.complex64)

    def inverse(image: Array) -> Array:
        out = np.empty(plan.shape, np.float32)
        plan.irfft(image, out, 1 / plan.count, 1)
        return out

    with ThreadPoolExecutor(4) as pool:
        back = list(pool.map(inverse, [*half, *half]))
    assert np.array_equal(back[:8], back[8:])
    assert relative_rms(np.array(back[:8]), x) <= ERROR[x.dtype]


@pytest.mark.parametrize("isa", ["baseline", "x86-64-v3", "x86-64-v4"])
def test_every_instruction_set_equals_numpy(isa: str) -> None:
    """In a process of its own, as the choice is read once; a processor with less uses less."""
    here = os.path.dirname(__file__)
    code = "import test_core_fft; test_core_fft.check_shapes(20, seed=2)"
    path = os.pathsep.join([here, *(p for p in sys.path if p)])
    env = {**os.environ, "CRYOLITH_ISA": isa, "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)


@pytest.mark.parametrize("n", [1, 2, 7, 30, 61, 64, 96, 128, 139, 149, 256, 480, 1001, 2048])
def test_inverse_of_any_half_spectrum(n: int) -> None:
    """Like irfft: imaginary parts that Hermitian symmetry demands to be 0 are ignored."""
    rng = np.random.default_rng(n)
    shape = (19, n)
    plan = _core.FftPlan(shape, 1)
    half = (rng.standard_normal(plan.spectrum) + 1j * rng.standard_normal(plan.spectrum)).astype(
        np.complex64
    )
    out = np.empty(shape, np.float32)
    plan.irfft(half, out, 1 / n)
    assert relative_rms(out, np.fft.irfft(half.astype(complex), n)) <= ERROR[out.dtype]


def test_infinity_and_nan_stay_in_their_rows() -> None:
    """One signal per lane: a bad row must not spoil its neighbours."""
    x = np.random.default_rng(0).standard_normal((20, 60)).astype(np.float32)
    plan = _core.FftPlan(x.shape, 1)
    good = np.empty(plan.spectrum, np.complex64)
    plan.rfft(x, good)
    x[3, 5], x[11, 7] = np.nan, np.inf
    got = np.empty_like(good)
    plan.rfft(x, got)
    rows = np.delete(np.arange(20), [3, 11])
    assert np.array_equal(got[rows], good[rows])
    assert not np.isfinite(got[[3, 11]]).any()


def test_good_size_is_the_smallest_fast_length() -> None:
    for n in range(1, 1500):
        assert _core.fft_good_size(n) == fast_size(n)


def test_wrong_arguments_are_refused_by_name() -> None:
    for shape, axes in (((), 1), ((4, 4), 3), ((4, 4), 0), ((2, 2, 2, 2), 4)):
        with pytest.raises(InputError, match=r"axes: found"):
            _core.FftPlan(shape, axes)
    for extents in ((0,), (3, -1), (2**31,)):
        with pytest.raises(InputError, match=r"shape: found an extent"):
            _core.FftPlan(extents, 1)
    with pytest.raises(InputError, match="too large"):
        _core.FftPlan((2**30, 2**30), 2)
    plan = _core.FftPlan((4, 6), 2)
    x, half = np.zeros((4, 6), np.float32), np.zeros((4, 4), np.complex64)
    with pytest.raises(InputError, match=r"out: found shape \(4, 6\), expected \(4, 4\)"):
        plan.rfft(x, np.zeros((4, 6), np.complex64))
    with pytest.raises(InputError, match=r"array: found shape \(6, 4\)"):
        plan.rfft(x.reshape(6, 4), half)
    with pytest.raises(InputError, match="threads: found -1"):
        plan.rfft(x, half, threads=-1)
    with pytest.raises(InputError, match="this plan transforms real data"):
        plan.fft(np.zeros((4, 6), np.complex64), np.zeros((4, 6), np.complex64))
    memory = np.zeros(64, np.float32)
    with pytest.raises(InputError, match="out: shares memory with array"):
        plan.rfft(memory[:24].reshape(4, 6), memory[16:48].view(np.complex64).reshape(4, 4))


def test_wrong_memory_is_refused_by_name() -> None:
    plan = _core.FftPlan((4, 6), 2)
    x, half = np.zeros((4, 6), np.float32), np.zeros((4, 4), np.complex64)
    with pytest.raises(InputError, match="array: found float64 or its complex type, this plan"):
        plan.rfft(x.astype(float), half.astype(complex))
    with pytest.raises(InputError, match="out: elements share memory with each other"):
        plan.rfft(x, np.lib.stride_tricks.as_strided(half, (4, 4), (0, 8)))
    with pytest.raises(InputError, match="out: the array is read-only"):
        plan.rfft(x, np.broadcast_to(half, (4, 4)))
    with pytest.raises(InputError, match="out: begins where the array does; in place the rows"):
        plan.rfft(half.view(np.float32).ravel()[:24].reshape(4, 6), half)
    records = np.zeros((4, 6), [("flag", "u1"), ("value", "f4")])
    with pytest.raises(InputError, match=r"array: .* pass a copy"):
        plan.rfft(records["value"], half)
    both = np.zeros((4, 8), np.complex64)
    complex_plan = _core.FftPlan((4, 4), 1, real=False)
    with pytest.raises(InputError, match="out: shares memory with array, or lies between"):
        complex_plan.fft(both[:, ::2], both[:, 1::2])
    with pytest.raises(InputError, match="in place the strides have to be the same"):
        complex_plan.fft(half, half.T)
