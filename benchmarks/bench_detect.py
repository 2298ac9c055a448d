# SPDX-License-Identifier: BSD-3-Clause
"""Times of the detectors, SciPy beside them; results are checked in the timed run."""

from __future__ import annotations

import cases
import numpy as np
import pytest
import scipy.ndimage as ndi

from cryolith import detect

SIZE = cases.DETECT_EDGE


@pytest.fixture(scope="module")
def pores():
    return cases.pores()


@pytest.mark.benchmark(group="label")
@pytest.mark.parametrize("connectivity", [26, 18, 6])
def test_label(benchmark, pores, connectivity):
    mask, _ = pores
    _, count = benchmark(detect.label, mask, connectivity, threads=1)
    rank = {6: 1, 18: 2, 26: 3}[connectivity]
    assert count == ndi.label(mask, ndi.generate_binary_structure(3, rank))[1]


@pytest.mark.benchmark(group="label")
def test_label_by_scipy(benchmark, pores):
    _, count = benchmark(ndi.label, pores[0], np.ones((3, 3, 3)))
    assert count > 0


@pytest.mark.benchmark(group="regions")
def test_regions(benchmark, pores):
    mask, field = pores
    labels, count = detect.label(mask)
    table = benchmark(detect.regions, labels, field, threads=1)
    assert len(table["label"]) == count
    assert table["voxels"].sum() == mask.sum()


@pytest.mark.benchmark(group="regions")
def test_find_regions(benchmark, pores):
    mask, field = pores
    found, table = benchmark(detect.find_regions, mask, field, threads=1)
    assert found.count == len(table["label"])
    assert table["voxels"].sum() == mask.sum()


@pytest.mark.benchmark(group="volume")
def test_interfaces_of_a_film(benchmark):
    rng = np.random.default_rng(1)
    g = np.arange(SIZE)
    level = 1.0 + ((g // 24) % 2)
    volume = np.broadcast_to(ndi.gaussian_filter1d(level, 0.9)[:, None, None], (SIZE, 64, 64))
    volume = (volume + 0.1 * rng.standard_normal(volume.shape)).astype(np.float32)
    table = benchmark.pedantic(detect.interfaces, (volume,), {"axis": "z"}, rounds=1)
    assert table["complete"].sum() == SIZE // 24 - 2


@pytest.mark.benchmark(group="volume")
def test_voids(benchmark):
    rng = np.random.default_rng(2)
    grid = np.indices((128,) * 3) - 63.5
    volume = 1.0 * ((grid**2).sum(axis=0) < 55**2)
    volume[60:68, 60:68, 60:68] = 0
    volume = (volume + 0.1 * rng.standard_normal(volume.shape)).astype(np.float32)
    table = benchmark.pedantic(detect.voids, (volume,), rounds=1)
    assert len(table["label"]) == 1
