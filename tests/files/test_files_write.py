# SPDX-License-Identifier: BSD-3-Clause
"""Volumes out and in again: MRC and OME-Zarr."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryolith import Volume
from cryolith.errors import CryolithWarning, FileFormatError, InputError
from cryolith.files import atomic, check, info, read_volume, write_volume

SUFFIXES = (".mrc", ".zarr")
ARRAYS = hnp.arrays(
    dtype=st.sampled_from(["f4", "f2", "i2", "u2", "i1", "u1", "i4", ">f4", ">i2", "?"]),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    elements=None,
)
PIXELS = st.one_of(st.none(), st.floats(0.01, 1e5))


@given(data=ARRAYS, pixel=PIXELS, origin=st.tuples(*[st.floats(-1e6, 1e6)] * 3))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_round_trip(
    data: np.ndarray, pixel: float | None, origin: tuple[float, ...], tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("v")
    volume = Volume(data=data, pixel_size=pixel, origin=np.array(origin))
    for suffix in SUFFIXES:
        if suffix == ".mrc" and data.dtype == np.int32 and np.abs(data.astype("i8")).max() > 2**24:
            continue  # refused: test_integers_that_mrc_cannot_hold
        write_volume(folder / f"v{suffix}", volume)
        got = read_volume(folder / f"v{suffix}")
        assert np.array_equal(got.data, data, equal_nan=data.dtype.kind == "f")
        extent = (np.array(data.shape) - 1) / 2 * (pixel or 0.0)
        if suffix == ".mrc":  # a header of float32
            assert (got.pixel_size is None) == (pixel is None)
            assert abs((got.pixel_size or 0) - (pixel or 0)) <= 1.2e-7 * (pixel or 0)
            bound = 2e-7 * (np.abs(origin) + 2 * extent) + np.finfo("f4").smallest_normal
        else:
            assert got.pixel_size == pixel
            assert got.data.dtype == data.dtype.newbyteorder("<")
            bound = 4e-16 * (np.abs(origin) + extent)
        assert (np.abs(got.origin - origin) <= bound).all()


@given(
    data=hnp.arrays("f4", (4, 6, 5), elements=st.floats(-1e6, 1e6, width=32)),
    steps=st.tuples(*[st.sampled_from([1, 2, -1, -2])] * 3),
    axes=st.permutations((0, 1, 2)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_strided_views_are_written_as_they_look(
    data: np.ndarray, steps: tuple[int, ...], axes: list[int], tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("v")
    view = data[:: steps[0], :: steps[1], :: steps[2]].transpose(axes)
    before = data.tobytes()
    for suffix in SUFFIXES:
        write_volume(folder / f"v{suffix}", view)
        assert np.array_equal(read_volume(folder / f"v{suffix}").data, view)
    assert data.tobytes() == before


TYPES = [
    ("f4", 2), ("f8", 2), ("f2", 12), ("i2", 1), ("u2", 6), ("i1", 0), ("?", 0), ("u1", 6),
    ("i4", 1), ("u4", 1), ("i8", 1), (">f4", 2), (">i2", 1),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "mode"), TYPES)
def test_mrcfile_agrees(tmp_path: Path, dtype: str, mode: int) -> None:
    rng = np.random.default_rng(1)
    data = (rng.normal(size=(5, 6, 7)) * 30).astype("i1")
    data = (np.abs(data) if dtype[0] == "u" else data).astype(dtype)
    path = tmp_path / "v.mrc"
    write_volume(path, Volume(data=data, pixel_size=3.4), labels=["wbp hann", "sha256 1234"])
    with mrcfile.open(path) as mrc:
        assert np.array_equal(mrc.data, data)
        assert mrc.header.mode == mode
        assert mrc.voxel_size.x == pytest.approx(3.4, rel=1e-6)
        assert mrc.header.origin.x == pytest.approx(-3 * 3.4, rel=1e-6)
        assert mrc.header.origin.z == pytest.approx(-2 * 3.4, rel=1e-6)
        assert [str(t).split()[0] for t in mrc.get_labels()] == ["cryolith", "wbp", "sha256"]
        assert mrc.header.dmin == data.min()
        assert mrc.header.dmax == data.max()
        exact = data.astype("f8")
        assert mrc.header.dmean == pytest.approx(exact.mean(), rel=1e-6)
        assert mrc.header.rms == pytest.approx(exact.std(), rel=1e-6)
    if dtype != "f2":  # mrcfile sums float16 in float16
        assert mrcfile.validate(path)


def test_statistics_leave_out_what_is_missing(tmp_path: Path) -> None:
    data = np.ones((2, 3, 4), "f4") * 1e6 + np.arange(4, dtype="f4")
    data[1, 1, 1], data[0, 0, 0] = np.nan, np.inf
    good = data[np.isfinite(data)].astype("f8")
    write_volume(tmp_path / "v.mrc", data)
    with mrcfile.open(tmp_path / "v.mrc") as mrc:
        header = mrc.header
        got = [float(header[k]) for k in ("dmin", "dmax", "dmean", "rms")]
    # rms is small against the mean: a sum of squares in one pass would lose it.
    assert got == pytest.approx([good.min(), good.max(), good.mean(), good.std()], rel=1e-6)
    write_volume(tmp_path / "v.mrc", np.full((1, 1, 1), np.nan, "f4"))
    assert np.isnan(read_volume(tmp_path / "v.mrc").data).all()


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(-32768, 32767, "i2"), (0, 65535, "u2"), (-1, 32768, "f4"), (-(2**24), 2**24, "f4")],
)
def test_wide_integers_are_written_exactly(tmp_path: Path, low: int, high: int, dtype: str) -> None:
    data = np.array([low, high, 0, 1], "i8").reshape(1, 2, 2)
    write_volume(tmp_path / "v.mrc", data)
    got = read_volume(tmp_path / "v.mrc").data
    assert np.array_equal(got, data)
    assert got.dtype == np.dtype(dtype)


def test_integers_that_mrc_cannot_hold(tmp_path: Path) -> None:
    for value in (2**24 + 1, -(2**24) - 1, -(2**63)):
        with pytest.raises(InputError, match="expected at most 2\\^24 in size"):
            write_volume(tmp_path / "v.mrc", np.full((1, 1, 1), value, "i8"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_volume_same_bytes(tmp_path: Path, suffix: str) -> None:
    data = np.random.default_rng(3).normal(size=(9, 8, 7)).astype("f4")
    sums = set()
    for name, array in (("a", data), ("b", np.asfortranarray(data)), ("c", data.astype(">f4"))):
        path = tmp_path / (name + suffix)
        write_volume(path, Volume(data=array, pixel_size=2.0), labels=["one", "two"])
        sums.add(atomic.sha256(path))
    assert len(sums) == 1
    assert info(tmp_path / ("a" + suffix))["labels"][-2:] == ["one", "two"]


def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "v.mrc"
    data = np.zeros((1, 1, 1), "f4")
    write_volume(path, data, labels=["cryolith 9.9: wbp", "x" * 100, "µm\nnext"])
    assert info(path)["labels"] == ["cryolith 9.9: wbp", "x" * 80, "x" * 20, "?m next"]
    with pytest.raises(InputError, match="found 11 lines"):
        write_volume(path, data, labels=["x"] * 10)


BAD = [
    ("complex", np.zeros((1, 1, 1), "c8"), "v.mrc", "complex64"),
    ("objects", np.zeros((1, 1, 1), "O"), "v.mrc", "object"),
    ("texts", np.zeros((1, 1, 1), "U3"), "v.zarr", "<U3"),
    ("two axes", np.zeros((3, 3), "f4"), "v.mrc", "(nz, ny, nx)"),
    ("no voxel", np.zeros((0, 3, 3), "f4"), "v.mrc", "at least one voxel"),
    ("no suffix", np.zeros((1, 1, 1), "f4"), "v", "found suffix ''"),
    ("unknown suffix", np.zeros((1, 1, 1), "f4"), "v.hdf5", ".hdf5"),
    ("no folder", np.zeros((1, 1, 1), "f4"), "none/v.mrc", "no such folder"),
    ("no folder for zarr", np.zeros((1, 1, 1), "f4"), "none/v.zarr", "no such folder"),
]


@pytest.mark.parametrize(("name", "data", "target", "words"), BAD, ids=[b[0] for b in BAD])
def test_what_cannot_be_written(
    tmp_path: Path, name: str, data: np.ndarray, target: str, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        write_volume(tmp_path / target, data)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("name", "value"),
    [("pixel_size", 0.0), ("pixel_size", -1.0), ("pixel_size", np.nan), ("pixel_size", np.inf),
     ("origin", np.array([0, np.nan, 0])), ("origin", np.zeros(2))],
)  # fmt: skip
def test_a_place_that_is_none_is_refused(
    tmp_path: Path, suffix: str, name: str, value: Any
) -> None:
    volume = Volume(data=np.zeros((2, 2, 2), "f4"), **{name: value})
    with pytest.raises(InputError, match=f"{name}: found"):
        write_volume(tmp_path / f"v{suffix}", volume)
    assert list(tmp_path.iterdir()) == []


def test_zarr_opens_in_zarr(tmp_path: Path) -> None:
    data = np.arange(5 * 70 * 66, dtype="f4").reshape(5, 70, 66)
    path = tmp_path / "v.zarr"
    write_volume(path, Volume(data=data, pixel_size=2.5), chunks=(4, 32, 64))
    root: Any = zarr.open(str(path), mode="r")
    assert root["0"].chunks == (4, 32, 64)
    assert np.array_equal(root["0"][...], data)
    meta = dict(root.attrs)["multiscales"][0]
    assert meta["version"] == "0.4"
    assert [a["name"] for a in meta["axes"]] == ["z", "y", "x"]
    assert {a["unit"] for a in meta["axes"]} == {"angstrom"}
    scale, move = meta["datasets"][0]["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": [2.5] * 3}
    assert move == {"type": "translation", "translation": [-5.0, -86.25, -81.25]}
    assert info(path)["shape"] == [5, 70, 66]


def test_zarr_in_nanometres(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, Volume(data=np.zeros((2, 2, 2), "f4"), pixel_size=25.0))
    meta = json.loads((path / ".zattrs").read_text())
    for axis in meta["multiscales"][0]["axes"]:
        axis["unit"] = "nanometer"
    (path / ".zattrs").write_text(json.dumps(meta))
    got = read_volume(path)
    assert got.pixel_size == 250.0
    assert np.allclose(got.origin, 0, atol=1e-12)


def edit(name: str, change: Any) -> Any:
    def work(path: Path) -> None:
        value = json.loads((path / name).read_text())
        change(value)
        (path / name).write_text(json.dumps(value))

    return work


def chunk(path: Path) -> Path:
    return path / "0" / "0" / "0" / "0"


ZARRS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("empty folder", lambda p: [shutil.rmtree(p), p.mkdir()], ("zarr metadata",)),
    ("no JSON", lambda p: (p / "0" / ".zarray").write_text("{"), ("zarr metadata",)),
    ("no array", lambda p: (p / "0" / ".zarray").unlink(), ("zarr metadata",)),
    ("chunk cut", lambda p: chunk(p).write_bytes(b"\0" * 7), ("chunks", "decode")),
    ("negative shape", edit("0/.zarray", lambda v: v.update(shape=[-1, 2, 2])), ("",)),
    ("two axes", edit("0/.zarray", lambda v: v.update(shape=[2, 4], chunks=[2, 4])), ("array",)),
    ("texts", edit("0/.zarray", lambda v: v.update(dtype="<U4", fill_value="")), ("array",)),
    ("no datasets", edit(".zattrs", lambda v: v["multiscales"][0].update(datasets=[])), ("zarr",)),
    ("scale of words", edit(".zattrs", lambda v: v["multiscales"][0]["datasets"][0].update(
        coordinateTransformations=[{"type": "scale", "scale": ["a", "b", "c"]}])), ("zarr",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "words"), ZARRS, ids=[z[0] for z in ZARRS])
def test_bad_zarr_is_one_error(
    tmp_path: Path, name: str, damage: Any, words: tuple[str, ...]
) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, Volume(data=np.ones((2, 2, 2), "f4"), pixel_size=2.0))
    damage(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(FileFormatError) as caught:
            read_volume(path)
        assert check(path)[0].level == "error"
    assert str(caught.value).startswith(f"{path}: ")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_missing_chunks_draw_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, np.ones((2, 2, 2), "f4"), chunks=(1, 2, 2))
    (path / "0" / "1" / "0" / "0").unlink()
    with pytest.warns(CryolithWarning, match="1 of 2 missing"):
        got = read_volume(path)
    assert got.data.sum() == 4


@pytest.mark.parametrize("scale", [[np.nan] * 3, [0.0] * 3, [2.0, 2.0, -2.0], [2.0, 2.0, 3.0]])
def test_doubtful_scales_draw_a_warning(tmp_path: Path, scale: list[float]) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, Volume(data=np.ones((2, 2, 2), "f4"), pixel_size=2.0))
    place = [{"type": "scale", "scale": scale}]
    edit(
        ".zattrs",
        lambda v: v["multiscales"][0]["datasets"][0].update(coordinateTransformations=place),
    )(path)
    with pytest.warns(CryolithWarning, match="scale"):
        got = read_volume(path)
    assert got.pixel_size == (3.0 if scale[2] == 3.0 else None)
