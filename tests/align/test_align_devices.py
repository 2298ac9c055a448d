# SPDX-License-Identifier: BSD-3-Clause
"""What is aligned and summed on a device is what the CPU makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import on_devices
from scenes import Scene

import cryolith
from cryolith.align import Registration, align_movie, register, register_stack
from cryolith.errors import InputError

# Transforms in float32 are off by a relative 5e-7, which moves a shift by about that part of its error; that is up to
# 1 px here (3e-9 to 5.4e-7 px were found).
SAME_PX = 1e-6
# Windows on the frames of a stack lie where the parabolas of the search through three float32 numbers say, and pull the
# shift by up to 0.2 of what those are off (1.6e-6 px was found).
SAME_IN_STACKS_PX = 1e-5


def pair(seed: int, edge: int, dose: float, shift: tuple[float, float]) -> list[np.ndarray]:
    scene, rng = Scene(seed, edge), np.random.default_rng(seed)
    return [scene.counts(s, dose, rng) for s in ((0, 0), shift)]


def assert_same(found: Registration, wanted: Registration) -> None:
    np.testing.assert_allclose(found.shift_px, wanted.shift_px, atol=SAME_PX)
    np.testing.assert_allclose(found.sigma_px, wanted.sigma_px, rtol=1e-4)
    np.testing.assert_allclose(found.peak, wanted.peak, atol=1e-6)
    np.testing.assert_allclose(found.candidates_px, wanted.candidates_px, atol=1e-4)
    np.testing.assert_allclose(found.candidate_heights, wanted.candidate_heights, rtol=1e-5)


@on_devices
@pytest.mark.parametrize(
    ("seed", "edge", "dose"), [(21, 40, 30.0), (22, 49, 5.0), (23, 15, 1000.0)]
)
def test_pairs_are_registered_as_on_the_cpu(device, seed, edge, dose):
    a, b = pair(seed, edge, dose, (1.7, -1.2))
    assert_same(register(a, b, device=device), register(a, b))


@on_devices
def test_reflections_beyond_the_first_frequencies_are_seen_as_on_the_cpu(device):
    """Images of 512 px are searched binned, and tell more than that only where lines of their spectra agree."""
    scene, rng = Scene(24, 512), np.random.default_rng(24)
    y, x = np.mgrid[:512, :512]

    def counts(dy: float, dx: float) -> np.ndarray:
        lattice = np.cos(2 * np.pi * (0.31 * (y - dy) + 0.12 * (x - dx)))
        lattice += np.cos(2 * np.pi * (0.31 * (x - dx) - 0.12 * (y - dy)))
        return rng.poisson(4 * np.clip(scene.view((dy, dx)) + 0.1 * lattice, 0, None))

    a, b = counts(0, 0), counts(1.7, -2.6)
    wanted = register(a, b, max_shift=20)
    assert_same(register(a, b, max_shift=20, device=device), wanted)
    plain = register(*pair(24, 512, 4.0, (1.7, -2.6)), max_shift=20)
    assert (wanted.sigma_px < 0.6 * plain.sigma_px).all()  # the reflections were used


@on_devices
def test_missing_pixels_are_weighted_as_on_the_cpu(device):
    a, b = pair(25, 44, 40.0, (2.3, 1.1))
    a[20:25, 10:25] = np.nan
    b[3, 5] = np.inf
    wanted = register(a, b)
    assert_same(register(a, b, device=device), wanted)
    good = np.isfinite(a)
    masked = register(np.where(good, a, 7e4), b, mask_a=good, device=device)
    assert_same(masked, wanted)
    lie_there = [cryolith.to_device(v, device) for v in (a, b)]
    assert_same(register(*lie_there), wanted)


@on_devices
def test_stacks_that_lie_on_a_device_are_registered_there(device):
    scene, rng = Scene(26, 40), np.random.default_rng(26)
    stack = np.array([scene.counts((1.1 * i, -0.7 * i), 40.0, rng) for i in range(3)])
    stack[1, 7, 9] = np.nan
    wanted = register_stack(stack, max_shift=6)
    found = register_stack(cryolith.to_device(stack, device), max_shift=6)
    np.testing.assert_allclose(found.shifts_px, wanted.shifts_px, atol=SAME_IN_STACKS_PX)
    np.testing.assert_allclose(found.sigma_px, wanted.sigma_px, rtol=1e-4)
    np.testing.assert_allclose(found.peaks, wanted.peaks, atol=1e-6)
    np.testing.assert_allclose(found.transitivity_px, wanted.transitivity_px, atol=1e-5)
    assert found.jumps == wanted.jumps


@on_devices
def test_images_without_contrast_or_pixels_are_told_on_a_device(device):
    flat = np.ones((24, 24), np.float32)
    assert np.isinf(register(flat, flat, device=device).sigma_px).all()
    with pytest.raises(InputError, match="b: found no pixel to use"):
        register(flat, cryolith.to_device(np.full_like(flat, np.nan), device))


def test_what_other_devices_do_not_do_is_refused() -> None:
    a = np.ones((24, 24), np.float32)
    there = cryolith.to_device(a, "emulated:1")
    for words, call in {
        "device: found 'cpu'": lambda: register(there, a, device="cpu"),
        "device: found 'emulated'": lambda: register_stack(
            cryolith.to_device(np.ones((2, 9, 9), np.float32), "emulated:1"), device="emulated"
        ),
        "for model='rigid'": lambda: register(a, a, model="rigid", device="emulated"),
        "mask_a: found one for an image that lies": lambda: register(there, a, mask_a=a > 0),
        "b: found shape": lambda: register(there, a[1:]),
        "at least 4 x 4": lambda: register(a[:20, :3], a[:20, :3], device="emulated"),
        "stack: found float32": lambda: register_stack(there),
        "expected 'cpu', 'cuda'": lambda: register(a, a, device="gpu"),
    }.items():
        with pytest.raises(InputError, match=words):
            call()


@on_devices
def test_movies_are_added_up_as_on_the_cpu(device):
    rng = np.random.default_rng(2)
    scene = np.cumsum(np.cumsum(rng.normal(size=(70, 96)), axis=0), axis=1)
    scene = 30 + 10 * scene / np.abs(scene).max()
    frames = [rng.poisson(scene[i : i + 64, 2 * i : 2 * i + 80]).astype(float) for i in range(4)]
    frames[1][5, 7] = np.nan
    wanted = align_movie(frames)
    found = align_movie(frames, device=device)
    np.testing.assert_allclose(found.shifts_px, wanted.shifts_px, atol=SAME_IN_STACKS_PX)
    np.testing.assert_allclose(found.sigma_px, wanted.sigma_px, rtol=1e-4)
    for name in ("total", "even", "odd"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        # Two transforms of either, each with an rms error below 5e-7 of the sum's; shifts 1e-6 px off move it less.
        assert np.linalg.norm(ours - theirs) < 1e-6 * np.linalg.norm(theirs)
