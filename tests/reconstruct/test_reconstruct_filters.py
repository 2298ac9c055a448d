# SPDX-License-Identifier: BSD-3-Clause
"""Filters against their definition, their limits, and SIRT."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import on_devices

import cryolith
from cryolith import _core
from cryolith.errors import DeviceError, InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import filter_projections, sirt, wbp
from cryolith.reconstruct.filters import FILTERS, Window


def ramp_by_definition(rows):
    """Direct float64 convolution with the band-limited ramp (Kak & Slaney, eq. 3.61)."""
    n = rows.shape[-1]
    m = np.arange(-(n - 1), n)
    kernel = np.where(m == 0, 0.25, np.where(m % 2, -1.0 / (np.pi * np.where(m, m, 1)) ** 2, 0))
    return np.apply_along_axis(
        lambda r: np.convolve(r, kernel)[n - 1 : 2 * n - 1], -1, rows.astype("f8")
    )


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 2), (3, 17, 37), (2, 16, 100), (2, 40, 81), (1, 5, 250)]
)
def test_ramp_equals_its_definition(shape, rng):
    stack = rng.normal(size=shape).astype("f4")
    got = filter_projections(stack, np.arange(shape[0]), "ramp", weights=False)
    want = ramp_by_definition(stack)
    # Each of log2(n) passes there and back rounds a few times: relative to the norm of a row.
    n = _core.filter_length(shape[2])
    bound = (
        4 * (np.log2(n) + 2) * np.finfo("f4").eps * np.linalg.norm(stack, axis=-1, keepdims=True)
    )
    assert (np.abs(got - want) <= bound).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 2), (3, 17, 37), (1, 5, 250)])
def test_ramp_aperture_takes_the_pixel_off_the_ramp(shape, rng):
    """Its definition, in float64: the transform of the ramp over sinc(f), padded as the filter pads."""
    stack = rng.normal(size=shape).astype("f4")
    got = filter_projections(stack, np.arange(shape[0]), "ramp-aperture", weights=False)
    n = _core.filter_length(shape[2])
    m = np.minimum(np.arange(n), n - np.arange(n))
    kernel = np.where(m == 0, 0.25, np.where(m % 2, -1.0 / (np.pi * np.maximum(m, 1)) ** 2, 0))
    gain = np.fft.rfft(kernel).real / np.sinc(np.arange(n // 2 + 1) / n)
    want = np.fft.irfft(np.fft.rfft(stack.astype("f8"), n) * gain, n)[..., : shape[2]]
    # As for the ramp, whose largest gain is pi / 2 times smaller.
    norm = np.linalg.norm(stack, axis=-1, keepdims=True)
    bound = np.pi / 2 * 4 * (np.log2(n) + 2) * np.finfo("f4").eps * norm
    assert (np.abs(got - want) <= bound).all()


def test_filter_lengths_have_no_wrap_and_small_factors():
    for count in range(1, 600):
        n = _core.filter_length(count)
        assert n >= 2 * count - 1
        for p in (2, 3, 5):
            while n % p == 0:
                n //= p
        assert n == 1


def test_no_error_at_zero_frequency():
    """A constant that fills the detector: what is left in the middle falls as 1 / width, no offset stays."""
    for width in (64, 256, 1024):
        got = filter_projections(np.ones((1, 8, width), "f4"), [0.0], "ramp", weights=False)
        want = 2 / (
            np.pi**2 * (width / 2)
        )  # tails of the kernel beyond both edges: sum of 1/(pi m)^2 over odd m
        assert got[0, 0, width // 2] == pytest.approx(want / 2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("ramp-aperture", lambda f: np.pi * f / np.sin(np.pi * f)),
        ("shepp-logan", lambda f: np.sinc(f)),
        ("cosine", lambda f: np.cos(np.pi * f)),
        ("hann", lambda f: 0.5 * (1 + np.cos(2 * np.pi * f))),
        ("hamming", lambda f: 0.54 + 0.46 * np.cos(2 * np.pi * f)),
        ("sirt-like", lambda f: 1 - (1 - min(1, 1 / (np.pi * f * 600))) ** 10),
    ],
)
def test_windows(name, gain):
    width = 600
    for f in (0.05, 0.2, 0.4):
        wave = np.cos(2 * np.pi * f * np.arange(width)).astype("f4")[None, None]
        ramp = filter_projections(wave, [0.0], "ramp", weights=False)[0, 0, 200:400]
        got = filter_projections(wave, [0.0], name, weights=False)[0, 0, 200:400]
        mine = filter_projections(
            wave, [0.0], lambda g, f=f: np.full_like(g, gain(f)), weights=False
        )[0, 0, 200:400]
        assert np.dot(got, ramp) / np.dot(ramp, ramp) == pytest.approx(gain(f), rel=0.02)
        assert np.abs(got - mine).max() < 0.03 * np.abs(ramp).max()


def test_a_horizontal_axis_filters_the_other_way(rng):
    stack = rng.normal(size=(2, 20, 30)).astype("f4")
    along_y = filter_projections(stack, [0.0, 10.0])
    along_x = filter_projections(
        stack.swapaxes(1, 2), Geometry.single_axis([0.0, 10.0], tilt_axis_deg=90.0)
    )
    assert np.array_equal(along_x, along_y.swapaxes(1, 2))
    with pytest.raises(InputError, match="multiple of 90"):
        filter_projections(stack, Geometry.single_axis([0.0, 10.0], tilt_axis_deg=5.0))


def test_bad_filters_are_refused():
    stack = np.zeros((1, 4, 4), "f4")
    with pytest.raises(InputError, match="did you mean 'hamming'"):
        filter_projections(stack, [0.0], "haming")
    with pytest.raises(InputError, match="one finite number"):
        filter_projections(stack, [0.0], lambda f: f[:2])
    with pytest.raises(InputError, match="thickness: found -1"):
        filter_projections(stack, [0.0], "sirt-like", thickness=-1.0)
    with pytest.raises(InputError, match="stack: found 1 images, expected 2"):
        filter_projections(stack, [0.0, 1.0])


def slab_series(tilts, nz, nx, width):
    """Exact rows (n_tilts, 4, width) of a block of density 1, ``nz`` x ``nx`` px across the tilt axis."""
    u = (np.arange(width * 8) + 0.5) / 8 - width / 2
    out = np.empty((len(tilts), 4, width), np.float32)
    for row, theta in zip(out, np.deg2rad(tilts), strict=True):
        c, s = abs(np.cos(theta)) * nx / 2, abs(np.sin(theta)) * nz / 2
        top = nx * nz / (2 * max(c, s))
        chord = np.clip((c + s - np.abs(u)) / max(2 * min(c, s), 1e-9), 0, 1) * top
        row[:] = chord.reshape(width, 8).mean(1)
    return out


@pytest.mark.parametrize("name", ["ramp", "ramp-aperture", "hamming", "butterworth"])
def test_a_block_comes_back_at_its_value_on_a_level_of_zero(name):
    tilts = np.arange(0.0, 180.0, 1.0)
    stack = slab_series(tilts, 40, 72, 128)
    got = wbp(stack, tilts, thickness=128, filter=name)[:, 2]
    z, x = np.abs(np.indices((128, 128)) - 63.5)
    inside, outside = (z < 16) & (x < 30), ((z > 24) | (x > 42)) & (np.hypot(x, z) < 60)
    assert got[inside].mean() == pytest.approx(1.0, abs=0.001)
    assert got[outside].mean() == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize("name", [*FILTERS, "butterworth", "sirt-like"])
def test_zero_padding_leaves_no_wrap_around(name, rng):
    """One end of a row knows nothing of the other: the same row in a detector 16 times as wide."""
    row = rng.normal(size=(1, 1, 200)).astype("f4")
    row[..., 150:] = 0
    wide = np.zeros((1, 1, 3200), "f4")
    wide[..., 1400:1600] = row
    short = filter_projections(row, [0.0], name, weights=False, thickness=200)
    long = filter_projections(wide, [0.0], name, weights=False, thickness=200)[..., 1400:1600]
    # Windows with an edge at 1/2 have a kernel that outlasts the padding: 1.2e-4 of the peak for the cosine.
    assert np.abs(short - long).max() < 2e-4 * np.abs(long).max()


def test_butterworth_falls_to_the_root_of_a_half_at_its_cutoff_and_then_by_its_order(rng):
    f = np.array([0.0, 0.1, 0.2, 0.4])
    got = Window(filter="butterworth", cutoff=0.1, order=3)(f, 1.0)
    assert got == pytest.approx(1 / np.sqrt([1, 2, 1 + 2**6, 1 + 4**6]))
    row = rng.normal(size=(1, 3, 50)).astype("f4")
    named = filter_projections(row, [0.0], "butterworth", cutoff=0.1, order=3)
    own = filter_projections(row, [0.0], lambda g: 1 / np.sqrt(1 + (g / 0.1) ** 6))
    assert np.array_equal(named, own)


@pytest.mark.parametrize(
    "tilts",
    [np.arange(-60, 61, 2.0), np.concatenate([np.arange(-60, 0, 3.0), np.arange(0, 61, 1.5)])],
    ids=["even", "uneven"],
)
def test_sirt_like_is_sirt_of_as_many_iterations(tilts, rng):
    """A slab of smooth noise: nearer to its SIRT than with any other number, and than any other filter."""
    shape = (32, 8, 192)
    z, x = np.ogrid[:32, :192]
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(192)[None])
    smooth = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(32, 192))) * (frequency < 0.3), (32, 192))
    smooth *= np.sin(np.pi * (z + 0.5) / 32) * np.clip((76 - np.abs(x - 95.5)) / 20, 0, 1)
    volume = np.repeat(smooth[:, None], 8, 1).astype("f4")
    geometry = Geometry.single_axis(tilts)
    stack = project(volume, geometry, (8, 192))

    def distance(n_sirt, **options):
        iterated = sirt(stack, geometry, shape=shape, n_iter=n_sirt, lower=-np.inf)
        at_once = wbp(stack, geometry, shape=shape, **options)
        inside = (slice(None), 4, slice(30, -30))
        return np.linalg.norm((at_once - iterated)[inside]) / np.linalg.norm(iterated[inside])

    for n in (3, 10):
        right = distance(n, filter="sirt-like", n_iter=n)
        assert right < 0.15
        assert right < 0.5 * distance(n, filter="sirt-like", n_iter=round(n / 1.6))
        assert right < 0.5 * distance(n, filter="sirt-like", n_iter=round(n * 1.6))
        assert right < 0.4 * distance(n, filter="hamming")


@pytest.mark.parametrize(
    ("options", "word"),
    [({"order": 0}, "order"), ({"cutoff": 0.0}, "cutoff"), ({"n_iter": 0}, "n_iter")],
)
def test_bad_numbers_of_a_filter_are_refused_by_name(options, word):
    with pytest.raises(InputError, match=f"{word}: found 0"):
        wbp(np.zeros((1, 4, 4), "f4"), [0.0], **options)


@on_devices
@pytest.mark.parametrize("axis", [0.0, 90.0])
def test_devices_filter_as_the_cpu(device, axis):
    rng = np.random.default_rng(8)
    stack = rng.normal(size=(3, 21, 37)).astype("f4")
    stack[1, 3, 5] = np.nan
    geometry = Geometry.single_axis([-40.0, 0.0, 50.0], tilt_axis_deg=axis)
    wanted = filter_projections(stack, geometry, "hann")
    before = stack.copy()
    found = filter_projections(stack, geometry, "hann", device=device)
    np.testing.assert_array_equal(stack, before)
    # Two transforms of either, each with an rms error below 5e-7 (core/fft.hpp).
    assert np.linalg.norm(found - wanted) < 1e-6 * np.linalg.norm(wanted)
    # A row is filtered by itself: in parts of any size, by several devices.
    for others, memory in [("emulated", 20_000), ("emulated:1,emulated:2,emulated", 3_000)]:
        parts = filter_projections(stack, geometry, "hann", device=others, max_memory=memory)
        if device == "emulated":
            np.testing.assert_array_equal(parts, found)


@on_devices
def test_a_stack_on_a_device_is_filtered_there(device):
    stack = np.random.default_rng(9).normal(size=(3, 21, 37)).astype("f4")
    angles = [-40.0, 0.0, 50.0]
    there = cryolith.to_device(stack, device)
    out = cryolith.to_device(np.full_like(stack, np.nan), device)
    assert filter_projections(there, angles, "hann", out=out) is out
    wanted = filter_projections(stack, angles, "hann", device=device)
    np.testing.assert_array_equal(out.numpy(), wanted)
    np.testing.assert_array_equal(there.numpy(), stack)
    turned = Geometry.single_axis(angles, tilt_axis_deg=90.0)
    for given, match in [
        ({"angles_deg": turned}, "axis along y"),
        ({"max_memory": 10**6}, "no limit"),
        ({"out": np.empty_like(stack)}, "expected a float32 DeviceArray"),
        ({"device": "cpu"}, "lie on"),
    ]:
        with pytest.raises(InputError, match=match):
            filter_projections(there, **{"angles_deg": angles, **given})


def test_filters_on_devices_refuse_what_does_not_fit():
    stack = np.ones((2, 5, 37), "f4")
    for given, match in [
        ({"device": "emulated,emulated:0"}, "twice"),
        ({"device": []}, "found none"),
        ({"device": "emulated", "max_memory": 0}, "max_memory: found 0"),
        ({"device": "cpu", "max_memory": 10**6}, "max_memory: found one for the CPU"),
    ]:
        with pytest.raises(InputError, match=match):
            filter_projections(stack, [0.0, 10.0], **given)
    with pytest.raises(DeviceError, match="one row of 37 pixels takes"):
        filter_projections(stack, [0.0, 10.0], device="emulated", max_memory=1000)
    whole = filter_projections(stack, [0.0, 10.0], device="emulated")
    try:
        _core.emulated_memory(12, 3_000)  # for a few rows at once
        short = filter_projections(stack, [0.0, 10.0], device="emulated:12")
    finally:
        _core.emulated_memory(12, 2**40)
    np.testing.assert_array_equal(short, whole)
    _core.lose_emulated_after(13, 8)
    with pytest.raises(DeviceError, match="lost"):
        filter_projections(stack, [0.0, 10.0], device="emulated:1,emulated:13")
    token = cryolith.CancelToken()
    token.cancel()
    with pytest.raises(cryolith.Cancelled):
        filter_projections(stack, [0.0, 10.0], device="emulated", cancel=token)
