# SPDX-License-Identifier: BSD-3-Clause
"""Components and their table in one pass, whole or by slabs: those of SciPy and of the definitions, to the byte."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from reference import detect as reference

from cryolith import Cancelled, CancelToken, InputError, Volume
from cryolith.detect import Components, contacts, find_regions, label, regions

RANK = {6: 1, 18: 2, 26: 3}


def scipy_labels(mask, connectivity):
    """Number SciPy's components by their first voxel."""
    labels, count = ndi.label(mask, ndi.generate_binary_structure(3, RANK[connectivity]))
    first = np.full(count + 1, labels.size)
    np.minimum.at(first, labels.ravel(), np.arange(labels.size))
    number = np.zeros(count + 1, int)
    number[1 + np.argsort(first[1:])] = np.arange(1, count + 1)
    return number[labels], count


def exact_moments(labels, count):
    """Return the sums of z, y, x and of zz, yy, xx, zy, zx, yx as Python would add them."""
    at = np.nonzero(labels)
    which = labels[at]
    z, y, x = (a.astype(np.int64) for a in at)
    out = np.zeros((count, 9), np.int64)
    for k, value in enumerate((z, y, x, z * z, y * y, x * x, z * y, z * x, y * x)):
        np.add.at(out[:, k], which - 1, value)
    return out


class Spy(Components):
    """Components that show their sums."""

    def sums(self, threads):
        from cryolith.detect._region_table import Sums

        out = Sums.empty(self.count, moments=True, exits=True, euler=False, intensity=False)
        self._finished().sums(out.columns(), threads=threads)
        return out


@pytest.mark.parametrize("seed", range(10))
def test_fifty_random_volumes_have_scipys_labels_and_exact_sums(seed):
    # 500 cases: odd shapes, every connectivity, any share, grains of one voxel and of several, any threads and slabs.
    rng = np.random.default_rng(seed)
    for _ in range(50):
        shape = rng.integers(1, (80, 24, 140))
        mask = rng.random(shape) < rng.choice([0.02, 0.1, 0.3, 0.5, 0.8, 1.0])
        if rng.random() < 0.5:
            mask = (
                ndi.uniform_filter(mask.astype(np.float32), rng.integers(1, 5)) > 0.5 * mask.mean()
            )
        connectivity = int(rng.choice([6, 18, 26]))
        expected, count = scipy_labels(mask, connectivity)
        found = Spy(mask.shape, connectivity)
        threads, slices = int(rng.integers(1, 4)), 32 * int(rng.integers(1, 4))
        for z in range(0, shape[0], slices):
            found.add(mask[z : z + slices], threads=threads)
        assert found.count == count
        np.testing.assert_array_equal(found.labels(threads=threads), expected)
        sums = found.sums(threads)
        np.testing.assert_array_equal(sums.moments, exact_moments(expected, count))
        np.testing.assert_array_equal(sums.extent[:, 0], np.bincount(expected.ravel())[1:])
        for k, box in enumerate(ndi.find_objects(expected)):
            assert sums.extent[k, 1:4].tolist() == [s.start for s in box]
            assert sums.extent[k, 4:7].tolist() == [s.stop - 1 for s in box]


@pytest.mark.parametrize("shape", [(1, 5, 64), (33, 7, 130), (64, 31, 63), (70, 20, 128)], ids=str)
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_one_pass_gives_the_table_of_the_labels(shape, connectivity):
    rng = np.random.default_rng(1)
    values = rng.standard_normal(shape).astype(np.float32)
    for share in (0.05, 0.3, 0.9):
        mask = rng.random(shape) < share
        found, table = find_regions(mask, values, connectivity, pixel_size=(30.0, 10.0, 20.0))
        labels, count = label(mask, connectivity)
        np.testing.assert_array_equal(found.labels(), labels)
        again = regions(labels, values, pixel_size=(30.0, 10.0, 20.0))
        assert list(table) == list(again)
        for name, column in table.items():
            # Sums of intensity are about another value: each voxel rounds by an ulp or two of the largest, below 6.
            bound = 1e-12 if name.startswith("intensity") else 0
            np.testing.assert_allclose(
                column, again[name], rtol=0, atol=bound * mask.size, err_msg=name
            )
        touching = found.contacts()
        for name, column in contacts(labels).items():
            np.testing.assert_array_equal(touching[name], column)
        if connectivity == 26:
            assert len(touching["label"]) == 0
        assert len(table["label"]) == count


def as_bytes(found, threads, intensity=True):
    table = found.regions(threads=threads)
    return [column.tobytes() for column in table.values()], found.labels(threads=threads).tobytes()


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("kind", ["mask", "bounds", "same_value", "delta"])
def test_threads_and_slabs_change_no_byte(connectivity, kind):
    rng = np.random.default_rng(5)
    shape = (131, 21, 130)
    noise = ndi.uniform_filter(rng.random(shape, dtype=np.float32), 2)
    options, bounds, image = {}, {}, noise > 0.55
    if kind == "bounds":
        bounds, image = {"above": 0.4, "below": 0.6}, noise
    elif kind == "same_value":
        options, image = {"same_value": True}, (noise * 7).astype(np.uint8)
    elif kind == "delta":
        options, image = {"delta": 0.06}, np.where(noise > 0.4, noise, 0)
    measure = ("axes", "surface", "holes") if kind in ("mask", "bounds") else ("axes", "surface")
    if connectivity == 18:
        measure = ("axes", "surface")
    results = []
    for threads, slices in ((1, 131), (2, 131), (3, 32), (1, 64), (2, 96)):
        found = Components(shape, connectivity, intensity=True, measure=measure, **options)
        for z in range(0, 131, slices):
            part = slice(z, z + slices)
            # Copies that are gone afterwards: nothing may be read from a slab once it was added.
            slab, values = image[part].copy(), noise[part].copy()
            found.add(slab, values, threads=threads, **bounds)
            slab[...], values[...] = 0, np.nan
        results.append(as_bytes(found, threads))
    assert all(r == results[0] for r in results[1:])


def test_labels_are_written_for_any_slices_into_any_type():
    mask = np.random.default_rng(2).random((70, 9, 71)) < 0.02
    found, _ = find_regions(mask, measure=())
    whole = found.labels()
    for start, stop in ((0, 1), (5, 6), (31, 33), (1, 70), (64, 70)):
        for dtype in (np.uint16, np.int32):
            got = found.labels(start, stop, dtype=dtype, threads=2)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, whole[start:stop])


def enclosed(mask, connectivity):
    """Holes of each component, their voxels and the component around it, by filling one component after the other."""
    dual = ndi.generate_binary_structure(3, 1 if connectivity == 26 else 3)
    labels, count = scipy_labels(mask, connectivity)
    rest, cavities = ndi.label(np.pad(~mask, 1, constant_values=True), dual)
    rest = rest[1:-1, 1:-1, 1:-1]
    outside = ndi.label(np.pad(~mask, 1, constant_values=True), dual)[0][0, 0, 0]
    filled = []
    for value in range(1, count + 1):
        around, _ = ndi.label(np.pad(labels != value, 1, constant_values=True), dual)
        filled.append((around != around[0, 0, 0])[1:-1, 1:-1, 1:-1] & (labels != value))
    holes = np.zeros((count, 2), int)
    around = np.zeros(cavities + 1, int)
    for cavity in range(1, cavities + 1):
        where = rest == cavity
        if cavity == outside or not where.any():
            continue
        # The innermost component whose filling covers it.
        covers = [k for k in range(count) if filled[k][where].all()]
        inner = min(covers, key=lambda k: filled[k].sum())
        holes[inner] += (1, where.sum())
        around[cavity] = inner + 1
    parents = np.zeros(count, int)
    for k in range(count):
        covers = [j for j in range(count) if filled[j][labels == k + 1].all()]
        parents[k] = min(covers, key=lambda j: filled[j].sum()) + 1 if covers else 0
    return holes, parents


@pytest.mark.parametrize("connectivity", [6, 26])
def test_holes_and_nesting_are_what_filling_finds(connectivity):
    rng = np.random.default_rng(9)
    for shape, share in (
        ((5, 6, 7), 0.6),
        ((7, 7, 9), 0.75),
        ((9, 5, 66), 0.85),
        ((36, 4, 5), 0.7),
    ):
        mask = rng.random(shape) < share
        table = find_regions(mask, None, connectivity, measure=("holes",))[1]
        holes, parents = enclosed(mask, connectivity)
        np.testing.assert_array_equal(table["holes"], holes[:, 0])
        np.testing.assert_array_equal(table["hole_voxels"], holes[:, 1])
        np.testing.assert_array_equal(table["enclosed_by"], parents)
        labels = label(mask, connectivity)[0]
        expected = [reference.euler(labels == k, connectivity) for k in table["label"]]
        assert table["euler"].tolist() == expected


def test_shells_within_shells_and_a_ring():
    n = 41
    z, y, x = (g - 20.0 for g in np.indices((n, n, n)))
    r = np.sqrt(z**2 + y**2 + x**2)
    mask = (r < 3) | ((r > 6) & (r < 9)) | ((r > 11) & (r < 14))
    ring = (np.hypot(np.hypot(y, x) - 17.5, z) < 1.5) & (r > 15.5)
    for connectivity in (6, 26):
        table = find_regions(mask | ring, None, connectivity, measure=("holes",))[1]
        labels = label(mask | ring, connectivity)[0]
        names = [int(labels[20, 20, 20 + s]) for s in (0, 7, 12, 17)]
        ball, inner, outer, loop = (name - 1 for name in names)
        rows = [ball, inner, outer, loop]
        assert table["enclosed_by"][rows].tolist() == [names[1], names[2], 0, 0]
        assert table["holes"][rows].tolist() == [0, 1, 1, 0]
        assert table["tunnels"][rows].tolist() == [0, 0, 0, 1]
        assert table["euler"][rows].tolist() == [1, 2, 2, 0]


def test_a_volume_brings_its_pixel_size():
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 1, 1] = True
    values = Volume(data=np.full(mask.shape, 2.0, np.float32), pixel_size=20.0)
    table = find_regions(mask, values)[1]
    assert table["volume_nm3"].tolist() == [8.0]
    assert table["intensity_sum"].tolist() == [2.0]


def test_nan_is_background_for_bounds_and_refused_as_intensity_of_a_region():
    image = np.full((3, 4, 70), np.nan, np.float32)
    image[1, 1, 2:5] = 1
    found, table = find_regions(image, image, above=0.5)
    assert found.count == 1
    assert table["intensity_mean"][0] == 1
    mask = np.zeros(image.shape, bool)
    mask[1, 1, 2:6] = True
    with pytest.raises(InputError, match="intensity: found NaN or infinite voxels in 1 regions"):
        find_regions(mask, image)


def test_a_cancelled_slab_may_be_added_again():
    mask = np.random.default_rng(4).random((70, 40, 100)) < 0.3
    token = CancelToken()
    token.cancel()
    found = Components(mask.shape)
    with pytest.raises(Cancelled):
        found.add(mask[:64], cancel=token)
    found.add(mask[:64])
    found.add(mask[64:])
    np.testing.assert_array_equal(found.labels(), label(mask)[0])
    with pytest.raises(Cancelled):
        found.labels(cancel=token)


def test_components_refuse_by_name():
    mask = np.ones((40, 4, 5), bool)
    with pytest.raises(InputError, match="shape: found"):
        Components((0, 4, 5))
    with pytest.raises(InputError, match="measure: found 'holes'"):
        Components(mask.shape, 18, measure=("holes",))
    with pytest.raises(InputError, match="measure: found 'holes'"):
        Components(mask.shape, 6, same_value=True, measure=("holes",))
    with pytest.raises(InputError, match="measure: found 'area'"):
        Components(mask.shape, measure=("area",))
    found = Components(mask.shape)
    with pytest.raises(InputError, match="slabs: found 0 slices, expected 40"):
        found.regions()
    with pytest.raises(InputError, match="an end at slice 7, expected a multiple of 32 or 40"):
        found.add(mask[:7])
    with pytest.raises(InputError, match="slab: found shape"):
        found.add(mask[:32, :3])
    with pytest.raises(InputError, match="intensity: found one, expected none"):
        found.add(mask[:32], np.ones((32, 4, 5)))
    found.add(mask[:32])
    with pytest.raises(InputError, match="slabs: found 32 slices, expected 40"):
        found.labels()
    with pytest.raises(InputError, match="slab: found shape"):
        found.add(mask)
    found.add(mask[32:])
    with pytest.raises(InputError, match="start, stop: found 3 and 3"):
        found.labels(3, 3)
    found.regions()
    with pytest.raises(InputError, match="sums: found none"):
        found.regions()
    values = Components(mask.shape, intensity=True)
    with pytest.raises(InputError, match="intensity: found none, expected one"):
        values.add(mask)
    with pytest.raises(InputError, match="intensity: found shape"):
        values.add(mask, np.ones((40, 4, 6)))
    with pytest.raises(InputError, match="pixel_size: found"):
        find_regions(mask, pixel_size=(1.0, 2.0))
