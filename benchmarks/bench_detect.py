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


@pytest.fixture(scope="module")
def half_pores():
    """A random field above its median: pores that lead through in every direction."""
    _, field = cases.pores(64)
    return field > np.median(field)


@pytest.mark.benchmark(group="networks")
def test_skeleton(benchmark, half_pores):
    found = benchmark(detect.skeleton, half_pores, threads=1)
    assert found.any()
    assert not (found & ~half_pores).any()


@pytest.mark.benchmark(group="networks")
def test_pore_network(benchmark, half_pores):
    found = benchmark(detect.pore_network, half_pores, threads=1)
    assert found.pores["volume"].sum() == pytest.approx(half_pores.sum())


@pytest.mark.benchmark(group="networks")
def test_tortuosity(benchmark, half_pores):
    found = benchmark(detect.tortuosity, half_pores, "z", threads=1)
    assert 1 < found.tortuosity < np.inf
    assert found.error < 1e-4 * found.tortuosity


@pytest.mark.benchmark(group="shares")
def test_size_distribution(benchmark, half_pores):
    thick = detect.local_thickness(half_pores, threads=1)
    table = benchmark(detect.size_distribution, thick)
    assert table["share"].sum() == pytest.approx(1)


@pytest.mark.benchmark(group="blobs")
def test_blobs(benchmark):
    """Five blobs of peak 3 in white noise of 1."""
    rng = np.random.default_rng(3)
    at = np.moveaxis(np.indices((48,) * 3), 0, -1)
    places = np.array([[12, 12, 12], [12, 34, 30], [34, 14, 34], [33, 35, 12], [24, 22, 24]])
    volume = rng.standard_normal((48,) * 3, np.float32)
    for place in places:
        square = ((at - place) ** 2).sum(axis=-1)
        volume += (3 * np.exp(-square / (2 * 2.5**2))).astype(np.float32)
    settings = {"sizes": (1.8, 2.5, 3.5), "noise": 1.0, "injections": 30, "threads": 1}
    table = benchmark.pedantic(detect.blobs, (volume,), settings, rounds=2).table
    found = np.stack([table[name] for name in ("z_px", "y_px", "x_px")], axis=1)
    near = np.linalg.norm(places[:, None] - found, axis=-1).min(axis=1)
    assert (near < 2).all()
