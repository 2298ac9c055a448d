# SPDX-License-Identifier: BSD-3-Clause
"""Resolution by direction: isotropic pairs, a wedge of known angle, halves of a real geometry."""

from __future__ import annotations

import numpy as np
import pytest
from spectra import pair, snr

from cryolith.errors import InputError
from cryolith.metrics import directional_fsc, fsc
from cryolith.projection import Geometry, project
from cryolith.reconstruct import wbp

AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_a_cone_of_90_degrees_is_the_whole_shell(rng):
    a, b = rng.standard_normal((2, 14, 15, 16))
    found = directional_fsc(a, b, 3, half_angle_deg=90.0)
    whole = fsc(a, b)
    np.testing.assert_allclose(found.correlation, np.tile(whole.correlation, (3, 1)), atol=1e-12)
    assert (found.count == whole.count).all()


def test_cones_equal_their_definition(rng):
    a, b = rng.standard_normal((2, 13, 12, 11))
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    k = np.stack(np.meshgrid(*(np.fft.fftfreq(n) for n in a.shape), indexing="ij"))
    radius = np.sqrt((k**2).sum(0))
    found = directional_fsc(a, b, [(1.0, 2.0, -1.0)], half_angle_deg=30.0)
    assert found.directions[0] == pytest.approx(np.array([1, 2, -1]) / np.sqrt(6))
    along = np.abs(np.tensordot(found.directions[0], k, 1))
    for i, value in enumerate(found.correlation[0], start=1):
        s = (np.rint(radius * 13) == i) & (along >= radius * np.cos(np.deg2rad(30)))
        power = (np.abs(fa[s]) ** 2).sum() * (np.abs(fb[s]) ** 2).sum()
        if s.any():
            assert value == pytest.approx((fa[s] * fb[s].conj()).sum().real / np.sqrt(power))
        else:
            assert np.isnan(value)


def test_directions_spread_evenly():
    found = directional_fsc(*np.ones((2, 4, 4, 4)), 200).directions
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)
    # A spread without a preferred direction has the second moment 1/3 along each axis.
    assert found.T @ found / 200 == pytest.approx(np.eye(3) / 3, abs=0.01)


def test_an_isotropic_pair_is_alike_in_all_directions_within_the_stated_errors():
    a, b = pair((48, 48, 48), np.random.default_rng(2))
    found = directional_fsc(a, b, 12)
    expected = snr(found.frequency) / (1 + snr(found.frequency))
    deviation = ((found.correlation - expected) / found.sigma_correlation)[found.count > 30]
    assert 0.75 < np.mean(deviation**2) < 1.25
    spread, whole = found.resolution(0.5), fsc(a, b).resolution(0.5)
    assert np.median(spread) == pytest.approx(whole, rel=0.06)
    assert spread == pytest.approx(whole, rel=0.3)


def test_a_missing_wedge_shows_where_it_is():
    n = 48
    kz, kx = np.fft.fftfreq(n)[:, None, None], np.fft.rfftfreq(n)[None, None]
    seen = np.abs(kz) <= np.tan(np.deg2rad(60)) * np.abs(kx) + 1e-9
    found = directional_fsc(*pair((n, n, n), np.random.default_rng(4), seen), AXES)
    expected = snr(found.frequency) / (1 + snr(found.frequency))
    z, _, x = found.correlation
    inside = slice(4, None)
    assert np.abs(z / found.sigma_correlation[0])[inside].max() < 4.5
    assert np.abs((x - expected) / found.sigma_correlation[2])[inside].max() < 4.5
    assert found.resolution(0.5)[2] == pytest.approx(1 / (0.16 * np.sqrt(np.log(8))), rel=0.1)
    assert not found.resolution(0.5)[0] < 20.0


def test_a_limited_tilt_range_agrees_with_the_specimen_across_the_wedge_only():
    """Halves of one geometry would also agree on the little that leaks into the wedge: the truth does not."""
    rng = np.random.default_rng(7)
    shape = (32, 32, 32)
    truth = pair(shape, rng)[0].astype("f4")
    geometry = Geometry.single_axis(np.arange(-60, 61, 3.0))
    found = wbp(project(truth, geometry, (32, 32)), geometry, shape=shape)
    curves = directional_fsc(found, truth, AXES, half_angle_deg=15.0)
    z, y, x = (c[3:10].mean() for c in curves.correlation)
    assert x > 0.85
    assert y == pytest.approx(np.sqrt(2 / 3), abs=0.1)  # 2/3 of the planes through y are seen
    assert z < 0.4


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"directions": 0}, "directions: found 0"),
        ({"directions": [(0, 0, 0)]}, "directions: found"),
        ({"directions": [(0, 1)]}, "directions: found"),
        ({"half_angle_deg": 0.0}, "half_angle_deg: found"),
        ({"pixel_size": -1.0}, "pixel_size: found"),
    ],
)
def test_bad_directions_are_refused(options, word):
    with pytest.raises(InputError, match=word):
        directional_fsc(np.ones((4, 4, 4)), np.ones((4, 4, 4)), **options)
