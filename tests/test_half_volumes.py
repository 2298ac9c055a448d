# SPDX-License-Identifier: BSD-3-Clause
"""Half volumes of a job: their files, and what their correlation says."""

import dataclasses

import numpy as np
import pytest

from cryolith import half_volumes, metrics
from cryolith.datamodel import Volume
from cryolith.files import read_volume, write_volume
from cryolith.report.findings import resolution


def written(path, *halves):
    for half, to in zip(halves, half_volumes.half_paths(path), strict=True):
        write_volume(to, Volume(data=half, pixel_size=20.0))


@pytest.mark.parametrize("name", ["volume.mrc", "v.zarr"])
def test_halves_lie_beside_the_volume(tmp_path, rng, name):
    first, second = rng.normal(size=(2, 6, 8, 10)).astype("f4")
    written(tmp_path / name, first, second)
    stem, _, end = name.partition(".")
    assert {p.name for p in tmp_path.iterdir()} == {f"{stem}_half1.{end}", f"{stem}_half2.{end}"}
    read = read_volume(half_volumes.half_paths(tmp_path / name)[1])
    assert np.array_equal(read.data, second)
    assert read.pixel_size == 20.0


def test_faces_that_cut_the_specimen_do_not_correlate(tmp_path, rng):
    """A specimen that leaves the volume, brighter at one end, under noise without anything in common."""
    shape = (48, 96, 48)
    needle = np.broadcast_to(np.linspace(0, 6, 96)[None, :, None], shape)
    first, second = (needle + rng.normal(size=(2, *shape))).astype("f4")
    written(tmp_path / "v.mrc", first, second)
    sharp = metrics.fsc(first, second, pixel_size=2.0)
    curve = half_volumes.correlate_halves(tmp_path / "v.mrc")
    fine = curve.frequency > 0.25
    assert sharp.correlation[fine].mean() > 0.1
    assert abs(curve.correlation[fine].mean()) < 0.03


def test_large_volumes_are_correlated_in_their_middle(tmp_path, rng):
    first, second = rng.normal(size=(2, 21, 16, 40)).astype("f4")
    written(tmp_path / "v.mrc", first, second)
    middle = (slice(2, 18), slice(None), slice(12, 28))
    written(tmp_path / "middle.mrc", first[middle], second[middle])
    want = half_volumes.correlate_halves(tmp_path / "middle.mrc")
    found = half_volumes.correlate_halves(tmp_path / "v.mrc", 16)
    assert np.array_equal(found.correlation, want.correlation)


def test_words_for_every_curve(rng):
    volume = Volume(data=np.zeros((16, 16, 16), "f4"), pixel_size=20.0)
    noise = rng.normal(size=(2, 16, 16, 16))
    cases = {
        "to the sampling's limit, 4 nm, at 0.143": (noise[0], noise[0] + 0.1 * noise[1]),
        "nowhere at 0.143": (noise[0], -noise[0]),
    }
    for words, (first, second) in cases.items():
        assert words in resolution(metrics.fsc(first, second, pixel_size=2.0), volume).text
    falling = dataclasses.replace(
        metrics.fsc(*noise, pixel_size=2.0), correlation=np.linspace(1.0, -0.2, 8)
    )
    want = falling.resolution(0.143)
    text = resolution(falling, volume).text
    assert f"{want:.0f}"[:1] in text
    assert "nm at 0.143" in text
    assert (
        " px at half-bit" in resolution(falling, dataclasses.replace(volume, pixel_size=None)).text
    )
