# SPDX-License-Identifier: BSD-3-Clause
"""Signals against the distance from a surface: means, Poisson errors, widths freed from the resolution."""

from __future__ import annotations

import numpy as np
import pytest
from reference import surfaces as reference

from cryolith import detect
from cryolith.detect._edges import normal_cdf
from cryolith.errors import InputError

SHAPE = (40, 24, 40)
LEVEL = np.broadcast_to(
    np.hypot((np.arange(40) - 19.5)[:, None, None], (np.arange(40) - 19.5)[None, None, :]) - 12.0,
    SHAPE,
)
TEN_NINETY = 2.5631


def signal(width, inside=20.0, outside=4.0, at=1.0):
    return outside + (inside - outside) * normal_cdf((at - LEVEL) / width)


def test_counts_are_averaged_in_shells_with_poisson_errors():
    counts = np.random.default_rng(0).poisson(signal(1.5)).astype(np.float32)
    table = detect.profile(counts, LEVEL, reach_px=6, counts=True).table
    for k, low in enumerate(range(-6, 6)):
        shell = counts[(low <= LEVEL) & (low + 1 > LEVEL)]
        assert table["voxels"][k] == shell.size
        assert np.isclose(table["mean"][k], shell.mean(), rtol=1e-6)
        assert np.isclose(table["sigma_mean"][k], np.sqrt(shell.sum() + 1) / shell.size, rtol=1e-6)


def test_the_step_and_its_errors_hold_over_draws():
    pulls = []
    for seed in range(40):
        counts = np.random.default_rng(seed).poisson(signal(2.0, 3.0, 0.5))
        step = detect.profile(counts, LEVEL, counts=True).step
        truth = {"position": 1.0, "width": TEN_NINETY * 2.0, "inside": 3.0, "outside": 0.5}
        pulls.append([(step[k] - v) / step[f"sigma_{k}"] for k, v in truth.items()])
    pulls = np.array(pulls)
    assert np.abs(pulls.mean(axis=0)).max() < 0.75  # 4.7 standard errors of a mean over 40
    assert (np.abs(pulls) < 1.96).mean(axis=0).min() > 0.8
    assert pulls.std(axis=0).min() > 0.6


def test_the_resolution_is_taken_off_the_width():
    clean = signal(2.5)
    noisy = clean + 0.1 * np.random.default_rng(1).standard_normal(SHAPE)
    step = detect.profile(noisy, LEVEL, resolution_px=1.5, sigma_resolution_px=0.1).step
    assert abs(step["own_width"] - TEN_NINETY * 2.0) < 4 * step["sigma_own_width"]
    assert step["sigma_own_width"] > TEN_NINETY * 1.5 * 0.1 / 2.0 * 0.9
    sharp = detect.profile(noisy, LEVEL, resolution_px=2.6).step
    assert sharp["own_width"] == 0.0
    assert sharp["sigma_own_width"] > 0.0


def test_a_mesh_gives_the_distances_in_its_own_unit():
    mesh = reference.tube_mesh(12.0, SHAPE, pixel_size=20.0, scale=2.0)
    found = detect.profile(signal(1.5), mesh, reach_px=6)
    plain = detect.profile(signal(1.5), LEVEL, reach_px=6)
    assert abs(found.step["position"] - 2 * plain.step["position"]) < 0.05
    assert np.allclose(found.table["distance_nm"], 2 * plain.table["distance_px"], atol=0.1)


def test_masked_and_missing_voxels_are_left_out():
    values = signal(1.5).astype(np.float32)
    half = np.zeros(SHAPE, bool)
    half[:20] = True
    spoiled = np.where(half, values, np.float32(1e6))
    spoiled[10] = np.nan
    table = detect.profile(spoiled, LEVEL, mask=half).table
    assert table["mean"].max() < 21


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surface": LEVEL[:10]}, "surface"),
        ({"surface": LEVEL + 100}, "surface"),
        ({"reach_px": 0.5}, "reach_px"),
        ({"bin_px": 0.0}, "bin_px"),
        ({"resolution_px": -1.0}, "resolution_px"),
        ({"signal": -signal(1.0), "counts": True}, "signal"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        detect.profile(**({"signal": signal(1.0), "surface": LEVEL} | options))
