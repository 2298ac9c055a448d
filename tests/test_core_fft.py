# SPDX-License-Identifier: BSD-3-Clause
"""The Fourier transform of the core against numpy in double precision."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from reference.fft import fast_size

from cryolith import InputError, _core

# Worst of 300 shapes over several seeds: 2.5e-7 one way (a Bluestein length). One rounding is 6e-8.
ERROR = 5e-7
FIXED = [
    (1,), (2, 1), (1, 2), (7, 1, 3), (1, 4099), (10007, 3), (128, 129), (4, 64, 96), (5, 12, 64),
    (3, 1, 1024), (2,), (3,), (1, 1), (2, 2), (1, 1, 1), (16, 16, 17), (40, 48, 50), (1024,),
    (2, 600, 1100), (2, 9973 * 2), (3, 65537), (150000,), (1 << 18,),
]  # fmt: skip


def relative_rms(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.sqrt((np.abs(a - b) ** 2).mean() / (np.abs(b) ** 2).mean()))


def random_shape(rng: np.random.Generator, axes: int) -> tuple[int, ...]:
    top = {1: 5000, 2: 700, 3: 80}[axes]
    shape = tuple(int(np.exp(rng.uniform(0, np.log(top)))) for _ in range(axes))
    return (int(rng.integers(1, 20)), *shape) if axes < 3 and rng.random() < 0.6 else shape


def cases(count: int, seed: int) -> list[tuple[tuple[int, ...], int]]:
    rng = np.random.default_rng(seed)
    fixed = FIXED if count > len(FIXED) else FIXED[:10]  # those at the end take long
    out = [(shape, min(int(rng.integers(1, 4)), len(shape))) for shape in fixed]
    while len(out) < count:
        axes = int(rng.integers(1, 4))
        out.append((random_shape(rng, axes), axes))
    return out


def transforms(
    x: npt.NDArray[np.float32], z: npt.NDArray[np.complex64], axes: int, threads: int
) -> list[npt.NDArray[Any]]:
    """rfft of x, irfft of that, fft of z, ifft of z."""
    real = _core.FftPlan(x.shape, axes)
    half = np.full(real.spectrum, np.nan, np.complex64)
    real.rfft(x, half, threads)
    kept = half.copy()
    back = np.full(x.shape, np.nan, np.float32)
    real.irfft(half, back, 1 / real.count, threads)
    assert np.array_equal(half, kept), "the inverse wrote into its input"
    plan = _core.FftPlan(x.shape, axes, real=False)
    forward, inverse = z.copy(), z.copy()
    plan.fft_in_place(forward, inverse=False, threads=threads)
    plan.fft_in_place(inverse, inverse=True, scale=1 / plan.count, threads=threads)
    return [half, back, forward, inverse]


def check_shapes(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for shape, axes in cases(count, seed):
        x = (rng.standard_normal(shape) + 0.1).astype(np.float32)
        z = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
        one, two = transforms(x, z, axes, 1), transforms(x, z, axes, 2)
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)), (shape, axes)
        last = tuple(range(-axes, 0))
        wide = z.astype(complex)
        expected = [
            np.fft.rfftn(x.astype(float), axes=last),
            x,
            np.fft.fftn(wide, axes=last),
            np.fft.ifftn(wide, axes=last),
        ]
        errors = [relative_rms(a, b) for a, b in zip(one, expected, strict=True)]
        assert max(errors) <= ERROR, (shape, axes, errors)


def test_300_shapes_equal_numpy() -> None:
    check_shapes(300, seed=1)


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
    assert relative_rms(out, np.fft.irfft(half.astype(complex), n)) <= ERROR


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
        plan.fft_in_place(np.zeros((4, 6), np.complex64), inverse=False)
    memory = np.zeros(64, np.float32)
    with pytest.raises(InputError, match="out: shares memory with array"):
        plan.rfft(memory[:24].reshape(4, 6), memory[16:48].view(np.complex64).reshape(4, 4))
