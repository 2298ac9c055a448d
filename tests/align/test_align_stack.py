# SPDX-License-Identifier: BSD-3-Clause
"""Shifts of many images at once: right, with honest errors, and safe against jumps by a unit cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from reference import registration as reference
from scenes import Scene

from cryolith import CancelToken
from cryolith.align import align_movie, register, register_stack
from cryolith.align.stack import frame_pairs, solve_pairs
from cryolith.errors import Cancelled, InputError


def frames(
    seed: int, n: int, dose: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Images of a scene that wanders, and how."""
    scene, rng = Scene(seed), np.random.default_rng(seed)
    truth = np.cumsum(rng.normal(0, 1.5, (n, 2)), axis=0)
    truth -= truth.mean(axis=0)
    return np.stack([scene.counts(s, dose, rng) for s in truth]), truth


def test_beats_registration_to_one_image_and_knows_its_error() -> None:
    stack, truth = frames(4, 12, 1.0)
    found = register_stack(stack)
    single = np.array([register(stack[6], image).shift_px for image in stack])
    error = np.sqrt(np.mean((found.shifts_px - truth) ** 2))
    assert error < np.sqrt(np.mean((single - single.mean(0) - truth) ** 2))
    # 22 free components: their root mean square in units of sigma lies in 0.5 to 1.5 (3.3 sigma).
    assert 0.5 < np.sqrt(np.mean(((found.shifts_px - truth) / found.sigma_px) ** 2)) < 1.5
    np.testing.assert_allclose(found.shifts_px.mean(axis=0), 0, atol=1e-12)


def test_shifts_are_the_maximum_of_the_likelihood() -> None:
    """No other shift of an image agrees better with the sum of the others, by the definition."""
    stack, _ = frames(5, 5, 50.0)
    found = register_stack(stack)
    slopes, bends = reference.stack_slopes(stack.astype(float), found.shifts_px)
    # In px: how far each image would still move. Windows lie where the round before put them: a tenth of sigma.
    assert np.abs(slopes / bends).max() < 0.2 * found.sigma_px.min()


def test_two_images_are_a_pair() -> None:
    stack, _ = frames(6, 2, 100.0)
    found, pair = register_stack(stack), register(stack[0], stack[1])
    assert found.jumps == 0
    # The pair weighs the powers of both images apart, the stack their mean.
    np.testing.assert_allclose(
        np.diff(found.shifts_px, axis=0)[0], pair.shift_px, atol=0.2 * pair.sigma_px.min()
    )
    np.testing.assert_allclose(2 * found.sigma_px[0], pair.sigma_px, rtol=0.1)


def test_same_bits_for_any_number_of_threads() -> None:
    stack, _ = frames(3, 5, 20.0)
    one, three = (register_stack(stack, threads=t) for t in (1, 3))
    assert one.shifts_px.tobytes() == three.shifts_px.tobytes()
    assert one.sigma_px.tobytes() == three.sigma_px.tobytes()


def test_pairs_that_jump_by_a_unit_cell_are_put_right() -> None:
    rng = np.random.default_rng(7)
    n, cell = 12, 8.0
    truth = np.cumsum(rng.normal(0, 2, (n, 2)), axis=0)
    pairs = frame_pairs(n)
    right = truth[pairs[:, 1]] - truth[pairs[:, 0]] + rng.normal(0, 0.1, (len(pairs), 2))
    found = np.full((len(pairs), 4, 2), np.nan)
    found[:, 0], found[:, 1] = right, right + np.array([cell, 0])
    wrong = rng.random(len(pairs)) < 0.2
    found[wrong, 0], found[wrong, 1] = right[wrong] - np.array([0, cell]), right[wrong]
    shifts, transitivity, jumps = solve_pairs(pairs, found, n)
    assert jumps == wrong.sum() > 5
    assert np.abs(shifts - (truth - truth.mean(axis=0))).max() < 0.2
    assert transitivity < 0.3


def test_a_crystal_with_an_edge_keeps_its_cells() -> None:
    """A lattice fits again a cell away; only its envelope and noise tell."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:96, :96] - 47.5
    truth = rng.uniform(-6, 6, (8, 2))

    def image(dy: float, dx: float) -> npt.NDArray[np.float64]:
        lattice = 1 + np.cos(2 * np.pi * (y - dy) / 9) * np.cos(2 * np.pi * (x - dx) / 9)
        return 4 + 6 * lattice * np.exp(-(((y - dy) ** 2 + (x - dx) ** 2) / (2 * 18**2)))

    found = register_stack(np.stack([rng.poisson(image(*s)) for s in truth]), max_shift=24)
    assert np.abs(found.shifts_px - (truth - truth.mean(axis=0))).max() < 0.3


def test_missing_pixels_are_filled() -> None:
    stack, truth = frames(9, 6, 50.0)
    stack[:, 30] = np.nan
    found = register_stack(stack)
    assert np.abs(found.shifts_px - truth).max() < 0.3


def test_pairs_reach_every_image() -> None:
    for n in (2, 3, 16, 17, 100):
        pairs = frame_pairs(n)
        assert set(pairs.ravel()) == set(range(n))
        assert len({tuple(p) for p in pairs}) == len(pairs) <= n * (n - 1) // 2


class Lazy:
    """Frames that exist only while they are looked at."""

    def __init__(self, stack: npt.NDArray[np.float32]) -> None:
        self.stack, self.reads = stack, 0

    def __len__(self) -> int:
        return len(self.stack)

    def __getitem__(self, i: int) -> npt.NDArray[np.float32]:
        if i >= len(self.stack):
            raise IndexError(i)
        self.reads += 1
        return self.stack[i].copy()


def test_a_movie_with_gain_and_defects() -> None:
    stack, truth = frames(10, 9, 20.0)
    rng = np.random.default_rng(10)
    gain = rng.uniform(0.8, 1.25, stack.shape[1:]).astype(np.float32)
    bad = rng.random(gain.shape) < 0.01
    raw = np.where(bad, 5e4, stack / gain).astype(np.float32)
    lazy, done = Lazy(raw), []
    found = align_movie(lazy, gain=gain, defects=bad, progress=done.append)
    assert np.abs(found.shifts_px - truth).max() < 0.4
    assert lazy.reads <= 1 + 5 * len(lazy)
    assert done == sorted(done)
    assert done[-1] == 1.0
    # The sum is the scene, sharp: compare where no side comes in from the other.
    scene = Scene(10).view((0, 0)) * 20 * len(stack)
    inner = (slice(12, -12),) * 2
    blur = [(v - scene)[inner].var() - 20 * len(stack) for v in (found.total, stack.sum(axis=0))]
    assert blur[0] < 0.3 * blur[1]
    np.testing.assert_array_equal(found.total, found.odd + found.even)
    assert abs(found.even.sum() / found.odd.sum() - 5 / 4) < 0.01
    corrected = raw.astype(float) * gain
    means = corrected.mean(axis=(1, 2), where=~bad)
    np.testing.assert_allclose(found.mean_counts, means, rtol=1e-6)
    lying = np.where(bad, means[:, None, None], corrected).sum(axis=0)
    np.testing.assert_allclose(found.unaligned, lying, rtol=1e-5)


def test_a_movie_can_be_stopped() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        align_movie(np.ones((3, 8, 8)), cancel=token)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: register_stack(np.ones((1, 8, 8))), "stack: found 1 image"),
        (lambda: register_stack(np.ones((3, 2, 8))), "stack: found 2 x 8"),
        (lambda: align_movie(np.ones((1, 8, 8))), "frames: found 1"),
        (lambda: align_movie([np.ones((8, 8)), np.ones((8, 9))]), r"frames\[1\]: found shape"),
        (lambda: align_movie([np.ones((8, 8)), np.full((8, 8), np.nan)]), r"frames\[1\]: found no"),
        (lambda: align_movie(np.ones((2, 3, 8))), "frames: found"),
        (lambda: align_movie(np.ones((2, 8, 8)), gain=np.ones((8, 9))), "gain: found shape"),
        (
            lambda: align_movie(np.ones((2, 8, 8)), defects=np.ones((8, 8))),
            "defects: found float64",
        ),
    ],
)
def test_what_cannot_be_aligned_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()


def test_images_without_contrast_have_no_error_bar() -> None:
    found = register_stack(np.ones((3, 16, 16)))
    assert np.isinf(found.sigma_px).all()
    np.testing.assert_array_equal(found.shifts_px, 0)
