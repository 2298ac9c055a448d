# SPDX-License-Identifier: BSD-3-Clause
"""Both solvers on geometries that are not single axis, against specimens whose truth is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cryolith import simulate
from cryolith.errors import InputError
from cryolith.metrics.noise import noise_variance
from cryolith.projection import Geometry, rotation_matrix
from cryolith.reconstruct import filter_projections, sirt, wbp
from cryolith.reconstruct.exact_filter import exact_filter, path_lengths
from cryolith.reconstruct.filters import Window

sys.path.insert(0, str(Path(__file__).parents[1] / "projection"))
from poses import exact_images

SHAPE, IMAGE = (48, 48, 48), (56, 56)
ANGLES = np.arange(-60.0, 61.0, 3.0)
FIRST = Geometry.single_axis(ANGLES, tilt_axis_deg=3.0, shifts_px=np.tile([1.2, -0.7], (41, 1)))
SECOND = Geometry.single_axis(ANGLES).oriented(
    rotation_matrix(x_deg=1.0, z_deg=90.7), displacement_px=(1.0, 2.0, -3.0)
)
DUAL = Geometry.joined(FIRST, SECOND)
CONICAL = Geometry.conical(np.arange(0.0, 360.0, 6.0), 50.0)


@pytest.fixture(scope="module")
def specimen():
    return simulate.particle(SHAPE)


def error(volume, truth):
    return float(np.linalg.norm(volume - truth) / np.linalg.norm(truth))


def wedge_error(volume, truth, alone, other):
    """Error at frequencies (5 to 15 cycles a field) that one series misses by 3 or more and the other measures."""
    f = np.stack(np.meshgrid(*(np.fft.fftfreq(n) * n for n in SHAPE), indexing="ij"))
    radius = np.sqrt((f**2).sum(0))
    missed, measured = (
        np.abs(np.tensordot(g.rotations()[:, 0], f, axes=1)).min(0) for g in (alone, other)
    )
    chosen = (missed > 3.0) & (measured < 0.5) & (radius > 5) & (radius < 15)
    difference, whole = (np.fft.fftn(v)[chosen] for v in (volume - truth, truth))
    return float(np.linalg.norm(difference) / np.linalg.norm(whole))


@pytest.mark.parametrize("solver", [sirt, wbp])
def test_two_axes_together_beat_either_alone_in_its_missing_wedge(solver, specimen):
    truth = specimen.volume
    options = {"n_iter": 30} if solver is sirt else {"filter": "ramp"}
    found = {
        name: solver(exact_images(specimen, g, IMAGE), g, shape=SHAPE, **options)
        for name, g in (("first", FIRST), ("second", SECOND), ("dual", DUAL))
    }
    for name, alone, other in (("first", FIRST, SECOND), ("second", SECOND, FIRST)):
        together, by_itself = (
            wedge_error(v, truth, alone, other) for v in (found["dual"], found[name])
        )
        assert together < 0.8 * by_itself
        assert error(found["dual"], truth) < 0.95 * error(found[name], truth)


def test_a_cone_is_reconstructed(specimen):
    """Better than the same number of tilts about one axis, whose wedge is larger than the cone's missing cone."""
    truth, cone = specimen.volume, exact_images(specimen, CONICAL, IMAGE)
    single = Geometry.single_axis(np.linspace(-50, 50, 60))
    beside = exact_images(specimen, single, IMAGE)
    assert error(wbp(cone, CONICAL, shape=SHAPE, filter="ramp"), truth) < error(
        wbp(beside, single, shape=SHAPE, filter="ramp"), truth
    )
    assert error(sirt(cone, CONICAL, shape=SHAPE), truth) < 0.25


def test_the_exact_filter_is_the_ramp_of_evenly_spaced_tilts():
    """Where neighbours do not overlap and more than one is within reach: frequency times the tilt increment."""
    step, n = 1.0, 180
    geometry = Geometry.single_axis(np.arange(n) * step, x_tilts_deg=1e-4)
    point = np.zeros((1, 65, 65), "f4")
    point[0, 32, 32] = 1.0
    filtered = exact_filter(
        point, geometry, (64, 64, 64), Window(filter="ramp"), index=np.array([40])
    )
    spectrum = np.abs(np.fft.rfft2(filtered[0]))[0]  # along u
    frequency = np.fft.rfftfreq(65)
    middle = (frequency > 0.1) & (frequency < 0.4)
    want = np.deg2rad(step) * frequency[middle]
    assert np.abs(spectrum[middle] / want - 1).max() < 0.06


def test_the_mean_of_a_slab_is_its_density():
    """DC is divided by the summed path lengths: a slab that fills the field keeps its density."""
    geometry = Geometry.conical(np.arange(0.0, 360.0, 20.0), 30.0)
    lengths = path_lengths(geometry, (10, 400, 400))
    assert np.allclose(lengths, 10 / np.cos(np.deg2rad(30)))
    images = np.full((18, 64, 64), 10 / np.cos(np.deg2rad(30)), "f4")
    volume = wbp(
        np.pad(images, ((0, 0), (60, 60), (60, 60)), mode="edge"), geometry, shape=(10, 32, 32)
    )
    assert abs(volume[:, 12:20, 12:20].mean() - 1.0) < 0.05


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("solver", [sirt, wbp])
def test_voxels_of_another_size_hold_the_same_density(solver, factor, specimen):
    """Binning the finer of two reconstructions gives nearly the coarser one."""
    geometry = Geometry.single_axis(np.arange(-90.0, 90.0, 3.0))
    images = exact_images(specimen, geometry, IMAGE)
    options = {"n_iter": 20} if solver is sirt else {"filter": "hamming"}
    same = solver(images, geometry, shape=SHAPE, **options)
    other = geometry.for_volume(sampling=factor)
    shape = tuple(int(n / factor) for n in SHAPE)
    got = solver(images, other, shape=shape, **options)
    fine, coarse = (got, same) if factor < 1 else (same, got)
    n = len(coarse)
    binned = fine.reshape(n, 2, n, 2, n, 2).mean((1, 3, 5))
    assert np.linalg.norm(binned - coarse) < 0.2 * np.linalg.norm(coarse)
    assert binned.mean() == pytest.approx(coarse.mean(), rel=0.05)


def test_few_views_of_fine_voxels_are_not_left_out(specimen):
    geometry = Geometry.single_axis([-40.0, 0.0, 40.0]).for_volume(sampling=0.25)
    images = exact_images(specimen, geometry.for_volume(), (20, 20))
    assert sirt(images, geometry, shape=(40, 40, 40), n_iter=2).max() > 0


def test_halves_of_a_cone_sum_to_the_whole(specimen):
    images = exact_images(specimen, CONICAL, IMAGE)
    whole = wbp(images, CONICAL, shape=SHAPE)
    halves = wbp(images, CONICAL, shape=SHAPE, halves="tilts")
    assert np.abs(halves.full - whole).max() < 1e-4 * np.abs(whole).max()


def test_missing_pixels_do_little_harm(specimen):
    images = exact_images(specimen, CONICAL, IMAGE)
    holes = images.copy()
    holes[3, 20, 30] = np.nan
    for solver in (sirt, wbp):
        whole, got = (solver(i, CONICAL, shape=SHAPE) for i in (images, holes))
        assert np.linalg.norm(got - whole) < 0.01 * np.linalg.norm(whole)


def test_what_only_one_axis_has_is_refused_for_others():
    with pytest.raises(InputError, match="single-axis series; use wbp"):
        filter_projections(np.zeros((60, 8, 8)), CONICAL)
    with pytest.raises(InputError, match="expected a tilt axis along y"):
        noise_variance(CONICAL, (4, 8, 8), (8, 8), 1.0)
