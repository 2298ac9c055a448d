# SPDX-License-Identifier: BSD-3-Clause
"""Detection block by block: the same bits as in one piece, from files that are never in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryolith import CancelToken, Volume, _core
from cryolith._stored import StoredArray, scratch_array
from cryolith.detect import DetectSettings, detect, detect_needs, interfaces
from cryolith.detect._binned import averaged, in_full_voxels
from cryolith.detect._scan import Scan
from cryolith.detect._scan_basins import fill
from cryolith.detect._smooth import erode, smooth
from cryolith.errors import Cancelled, InputError
from cryolith.files import open_volume, read_volume, write_labels, write_volume

SHAPE = (75, 46, 51)
LIMIT = 2_000_000  # bytes: some blocks of a few slices each
ONLY_OBJECTS = DetectSettings(layers=False)


def specimen(seed: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray[Any, Any]:
    """An ellipsoid with balls of other densities, some of them cut by each other or by its surface, in noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    middle, size = (np.array(shape) - 1) / 2, 0.42 * np.array(shape)
    axes = [(g - m) / s for g, m, s in zip((z, y, x), middle, size, strict=True)]
    out = (sum(a**2 for a in axes) < 1).astype(np.float32)
    for _ in range(14):
        place, radius = rng.uniform(0.2, 0.8, 3) * shape, rng.uniform(2, 6)
        ball = (z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2 < radius**2
        out[ball] = rng.choice([0.1, 0.3, 2.5])
    return out + rng.normal(0, 0.12, shape).astype(np.float32)


def same_table(one: Any, other: Any) -> bool:
    return list(one) == list(other) and all(
        one[k].dtype == other[k].dtype and one[k].tobytes() == other[k].tobytes() for k in one
    )


@pytest.mark.parametrize("seed", range(4))
def test_tables_and_labels_are_those_of_one_piece_to_the_bit(seed: int, tmp_path: Path) -> None:
    data = specimen(seed)
    write_volume(tmp_path / "volume.mrc", Volume(data=data, pixel_size=7.0))
    whole = detect(read_volume(tmp_path / "volume.mrc"), ONLY_OBJECTS)
    parts = detect(
        open_volume(tmp_path / "volume.mrc"), ONLY_OBJECTS, max_memory=LIMIT, workspace=tmp_path
    )
    assert len(whole.voids["label"]) + len(whole.particles["label"]) > 3
    assert same_table(whole.voids, parts.voids)
    assert same_table(whole.particles, parts.particles)
    assert whole.notes == parts.notes
    assert whole.thresholds == parts.thresholds
    assert isinstance(parts.labels, StoredArray)
    assert np.asarray(parts.labels).tobytes() == whole.labels.tobytes()
    write_volume(tmp_path / "whole.mrc", Volume(data=whole.labels, pixel_size=7.0))
    write_labels(tmp_path / "parts.mrc", Volume(data=parts.labels, pixel_size=7.0))
    assert (tmp_path / "whole.mrc").read_bytes() == (tmp_path / "parts.mrc").read_bytes()


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((40, 16, 16), np.float32),
        np.random.default_rng(3).normal(size=(40, 16, 16)).astype(np.float32),
        specimen(5, (170, 40, 41))[:, 20:21],
    ],
    ids=["constant", "noise", "one row"],
)
def test_where_there_is_little_to_find_the_same_is_said(data: Any) -> None:
    whole = detect(Volume(data=data), ONLY_OBJECTS)
    parts = detect(Volume(data=data), ONLY_OBJECTS, max_memory=39 * data.size)
    assert same_table(whole.voids, parts.voids)
    assert same_table(whole.particles, parts.particles)
    assert whole.thresholds == parts.thresholds
    assert (np.asarray(parts.labels) == whole.labels).all()


def test_a_threshold_that_is_given_is_taken() -> None:
    data, chosen = specimen(6), DetectSettings(layers=False, particle_threshold=1.5, min_size=40)
    whole = detect(Volume(data=data), chosen)
    parts = detect(Volume(data=data), chosen, max_memory=LIMIT)
    assert same_table(whole.particles, parts.particles)
    assert same_table(whole.voids, parts.voids)


@pytest.mark.parametrize("block", [1, 700, 5000])
def test_smoothing_and_erosion_have_no_seams(block: int) -> None:
    data = specimen(7, (21, 19, 17))
    scan = Scan(data, None, 2, None, block)
    out, mask = scan.scratch(np.float32), scan.scratch(bool)
    scan.smooth(data, 1.7, out)
    assert np.asarray(out).tobytes() == smooth(data, 1.7).tobytes()
    inside = data > 0.5
    left = scan.erode(lambda b: inside[b[0] : b[1]], 2, mask)
    expected = erode(inside, 2, (0, 1, 2))
    assert left == expected.sum()
    assert (np.asarray(mask) == expected).all()


@pytest.mark.parametrize("slices", [1, 2, 5, 24])
def test_water_finds_its_way_through_slabs_up_and_down_again(slices: int) -> None:
    # A channel that winds through all slabs: the level in it is known only after many turns.
    values = np.full((24, 5, 23), 9.0, np.float32)
    for k, x in enumerate(range(1, 22, 2)):
        values[2:22, 2, x] = 1.0 + k / 16
        values[2 if k % 2 else 21, 2, x + 1] = 1.0 + k / 16
    values[21, 2, 22] = 0.5  # ends at the face
    values += np.random.default_rng(1).normal(0, 0.01, values.shape).astype(np.float32)
    inside = np.ones(values.shape, bool)
    expected = np.empty_like(values)
    _core.fill_basins(values, (~inside).view(np.uint8), expected, None)
    scan = Scan(values, None, 1, None)
    stored, out = scan.scratch(np.float32), scan.scratch(np.float32)
    stored.put(0, values)
    fill(scan, stored, lambda b: inside[b[0] : b[1]], out, slices)
    assert np.asarray(out).tobytes() == expected.tobytes()


@pytest.mark.parametrize("slices", [1, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_levels_of_noise_are_those_of_one_piece(seed: int, slices: int) -> None:
    rng = np.random.default_rng(seed)
    values = smooth(rng.normal(size=(23, 17, 19)).astype(np.float32), 0.5 + seed / 2)
    inside = rng.random(values.shape) < 0.97
    expected = np.empty_like(values)
    _core.fill_basins(values, (~inside).view(np.uint8), expected, None)
    scan = Scan(values, None, 1, None)
    stored, out = scan.scratch(np.float32), scan.scratch(np.float32)
    stored.put(0, values)
    fill(scan, stored, lambda b: inside[b[0] : b[1]], out, slices)
    assert np.asarray(out).tobytes() == expected.tobytes()


def test_layers_of_a_copy_lie_where_those_of_the_volume_do() -> None:
    shape, edges = (131, 61, 63), (30.5, 60.5, 96.5)
    z = np.arange(shape[0])[:, None, None]
    data = np.zeros(shape, np.float32)
    data[14:117, 6:55, 6:57] = 1.0
    bright = (z > edges[0]) & (z < edges[1]) | (z > edges[2])
    data[14:117, 6:55, 6:57] += np.broadcast_to(bright, shape)[14:117, 6:55, 6:57]
    data += np.random.default_rng(2).normal(0, 0.05, shape).astype(np.float32)
    scan = Scan(data, None, 2, None)
    for pixel in (None, 8.0):
        unit, step = ("px", 1.0) if pixel is None else ("nm", 0.8)
        full = interfaces(data, axis="z", pixel_size=pixel)
        small = interfaces(averaged(scan, 2), axis="z", pixel_size=pixel and 2 * pixel)
        small = in_full_voxels(small, scan.shape, 2, pixel)
        assert list(full) == list(small)
        assert list(full["kind"]) == list(small["kind"])
        known = np.isfinite(full[f"start_{unit}"])
        apart = full[f"start_{unit}"][known] - small[f"start_{unit}"][known]
        # The middle of the copy lies half a voxel before that of the volume.
        assert np.abs(apart).max() < 0.1 * step
        whole = full["complete"]
        apart = full[f"thickness_{unit}"][whole] - small[f"thickness_{unit}"][whole]
        assert np.abs(apart).max() < 0.15 * step


def test_blobs_of_a_copy_lie_where_they_are() -> None:
    shape, places = (70, 71, 69), np.array([[20.0, 24, 23], [45, 44, 21], [33.5, 22, 47]])
    grid = np.indices(shape)
    data = np.random.default_rng(1).normal(0, 0.05, shape)
    for place in places:
        data += np.exp(-((grid - place[:, None, None, None]) ** 2).sum(axis=0) / (2 * 4.0**2))
    chosen = DetectSettings(
        layers=False, voids=False, particles=False, blobs=True, smallest_blob=1.5, largest_blob=6.0
    )
    volume = Volume(data=data.astype(np.float32), pixel_size=20.0)
    limit = 6_000_000
    assert detect_needs(shape, layers=False, blobs=True, max_memory=limit).blobs_binned == 2
    found = detect(volume, chosen, max_memory=limit)
    table = found.tables["blobs"]
    seen = np.stack([table[f"{a}_px"] for a in "zyx"], axis=1)
    near = np.abs(seen[:, None] - places).max(axis=2).min(axis=0)
    assert near.max() < 0.5
    middle = (np.array(shape) - 1) / 2
    for i, a in enumerate("zyx"):
        assert table[f"{a}_nm"] == pytest.approx((table[f"{a}_px"] - middle[i]) * 2.0)
    best = np.abs(seen[:, None] - places).max(axis=2).argmin(axis=0)
    assert table["size_nm"][best] == pytest.approx(8.0, rel=0.1)
    assert found.tables["blob_detectability"]["size_nm"].min() >= 4.0
    assert any("blobs: looked for in a copy of 2 x 2 x 2 voxels" in note for note in found.notes)


def test_what_was_averaged_is_said_and_what_cannot_be_cut_is_refused() -> None:
    data = np.zeros((64, 48, 48), np.float32)
    data[8:56, 6:42, 6:42] = 1.0
    data[24:40, 6:42, 6:42] = 2.0
    data += np.random.default_rng(4).normal(0, 0.05, data.shape).astype(np.float32)
    shape = (64, 48, 48)
    found = detect(Volume(data=data), max_memory=1_900_000)
    factor = detect_needs(shape, max_memory=1_900_000).layers_binned
    assert factor > 1
    assert any(f"{factor} x {factor} x {factor} voxels averaged" in note for note in found.notes)
    with pytest.raises(InputError, match="max_memory: found 0 MB, expected at least"):
        detect(Volume(data=data), ONLY_OBJECTS, max_memory=200_000)


def test_voxels_that_are_no_numbers_are_refused_and_cancelling_ends_the_work() -> None:
    data = specimen(8)
    data[3, 4, 5] = np.nan
    with pytest.raises(InputError, match="1 NaN or infinite voxels"):
        detect(Volume(data=data), ONLY_OBJECTS, max_memory=LIMIT)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        detect(Volume(data=specimen(8)), ONLY_OBJECTS, max_memory=LIMIT, cancel=cancel)


def test_a_plan_without_a_limit_cuts_nothing() -> None:
    free = detect_needs((512, 1024, 1024))
    assert not free.in_blocks
    assert detect_needs((512, 1024, 1024), max_memory=free.bytes_memory) == free
    cut = detect_needs((512, 1024, 1024), max_memory=500_000_000)
    assert cut.in_blocks
    assert cut.bytes_memory <= 500_000_000


def test_a_stored_array_is_read_where_it_is_looked_at(tmp_path: Path) -> None:
    data = np.random.default_rng(9).normal(size=(6, 5, 7)).astype(np.float32)
    write_volume(
        tmp_path / "v.mrc", Volume(data=data, pixel_size=3.0, origin=np.array([1.0, 2, 3]))
    )
    volume, mapped = open_volume(tmp_path / "v.mrc"), read_volume(tmp_path / "v.mrc")
    stored = volume.data
    assert isinstance(stored, StoredArray)
    assert volume.pixel_size == mapped.pixel_size
    assert (volume.origin == mapped.origin).all()
    for key in (2, -1, slice(1, 4), slice(None, None, 2), (slice(None), 3), (1, 2), (1, 2, 3),
                (slice(1, 3), slice(2, 5), slice(0, 4)), (slice(None), slice(None), 4), slice(3, 3)):  # fmt: skip
        assert np.array_equal(stored[key], data[key]), key
    assert np.array_equal(np.asarray(stored), data)
    assert np.array_equal(np.stack(list(stored)), data)
    with pytest.raises(IndexError):
        stored[6]
    scratch = scratch_array((6, 5, 7), np.int32, tmp_path)
    scratch.put(1, np.arange(2 * 2 * 7, dtype=np.int32).reshape(2, 2, 7), 3)
    assert scratch[2, 4, 6] == 27
    assert np.asarray(scratch).sum() == sum(range(28))
    assert [p.name for p in tmp_path.iterdir()] == ["v.mrc"]
