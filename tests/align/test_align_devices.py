# SPDX-License-Identifier: BSD-3-Clause
"""What is aligned and summed on a device is what the CPU makes of it."""

from __future__ import annotations

import numpy as np
from on_devices import on_devices

from cryolith.align import align_movie


@on_devices
def test_movies_are_added_up_as_on_the_cpu(device):
    rng = np.random.default_rng(2)
    scene = np.cumsum(np.cumsum(rng.normal(size=(70, 96)), axis=0), axis=1)
    scene = 30 + 10 * scene / np.abs(scene).max()
    frames = [rng.poisson(scene[i : i + 64, 2 * i : 2 * i + 80]).astype(float) for i in range(4)]
    frames[1][5, 7] = np.nan
    wanted = align_movie(frames)
    found = align_movie(frames, device=device)
    np.testing.assert_array_equal(found.shifts_px, wanted.shifts_px)
    for name in ("total", "even", "odd"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        # Two transforms of either, each with an rms error below 5e-7 of the sum's.
        assert np.linalg.norm(ours - theirs) < 1e-6 * np.linalg.norm(theirs)
