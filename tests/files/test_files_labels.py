# SPDX-License-Identifier: BSD-3-Clause
"""Labels as MRC and OME-Zarr, with what each of them is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from cryolith import Volume
from cryolith.detect import Components
from cryolith.errors import FileFormatError, InputError
from cryolith.files import read_labels, read_volume, write_labels, write_volume

PLACE = {"pixel_size": 10.52, "origin": np.array([10.0, -20.0, 30.0])}


def labels(kind: str, largest: int, shape: tuple[int, int, int] = (5, 7, 9)) -> Any:
    rng = np.random.default_rng(1)
    out = rng.integers(0, 4, shape).astype(kind)
    out[0, 0, 0] = largest
    if out.dtype.kind == "i":
        out[1, 1, 1] = -1
    return out


@pytest.mark.parametrize("name", ["l.mrc", "l.zarr"])
@pytest.mark.parametrize(
    ("kind", "largest"),
    [("u1", 255), ("u2", 40000), ("i2", 300), ("i4", 40000), ("i4", 1 << 24), ("i8", 70000)],
)
def test_round_trip(tmp_path: Path, name: str, kind: str, largest: int) -> None:
    data = labels(kind, largest)
    write_labels(tmp_path / name, Volume(data=data, **PLACE))  # type: ignore[arg-type]
    got = read_labels(tmp_path / name)
    assert got.volume.data.dtype.kind in "iu"
    assert np.array_equal(got.volume.data, data)
    assert got.volume.pixel_size == pytest.approx(10.52, rel=1e-6)
    assert np.allclose(got.volume.origin, PLACE["origin"], atol=1e-4)
    if name.endswith(".zarr"):
        assert got.volume.data.dtype == data.dtype


def test_labels_beyond_24_bits_need_zarr(tmp_path: Path) -> None:
    data = labels("i4", (1 << 24) + 1)
    with pytest.raises(InputError, match=r"2\^24"):
        write_labels(tmp_path / "l.mrc", data)
    write_labels(tmp_path / "l.zarr", data)
    assert np.array_equal(read_labels(tmp_path / "l.zarr").volume.data, data)


ROWS = {1: {"kind": "particle", "diameter_nm": 2.5, "border": True}, -1: {"kind": "void", "n": 3}}
COLORS = {1: (255, 176, 40, 255), -1: (80, 220, 255, 128)}


def test_what_the_labels_are_is_in_the_file(tmp_path: Path) -> None:
    rows = {1: ROWS[1] | {"sigma_nm": math.nan}, -1: ROWS[-1]}
    write_labels(
        tmp_path / "l.zarr", labels("i4", 1), properties=rows, colors=COLORS, source="../v.zarr"
    )
    got = read_labels(tmp_path / "l.zarr")
    assert got.properties == ROWS
    assert got.colors == COLORS
    assert got.source == "../v.zarr"
    about = json.loads((tmp_path / "l.zarr" / ".zattrs").read_text())["image-label"]
    assert about["version"] == "0.4"
    assert [row["label-value"] for row in about["properties"]] == [-1, 1]


def test_inside_of_an_image(tmp_path: Path) -> None:
    image = tmp_path / "v.zarr"
    data = np.random.default_rng(2).normal(size=(5, 7, 9)).astype("f4")
    write_volume(image, Volume(data=data, **PLACE))  # type: ignore[arg-type]
    for name in ("voids", "cracks", "voids"):
        write_labels(image / "labels" / name, Volume(data=labels("i4", 9), **PLACE))  # type: ignore[arg-type]
    root: Any = zarr.open(str(image), mode="r")
    assert list(root["labels"].attrs["labels"]) == ["cracks", "voids"]
    assert np.array_equal(root["labels/voids/0"][...], labels("i4", 9))
    got = read_labels(image / "labels" / "voids")
    assert got.source == "../../"
    assert np.allclose(got.volume.origin, PLACE["origin"])
    assert np.array_equal(read_volume(image).data, data)


def test_labels_of_ngff_0_5(tmp_path: Path) -> None:
    if int(zarr.__version__.split(".")[0]) < 3:
        pytest.skip("zarr 2 writes no format 3")
    root: Any = zarr.open_group(str(tmp_path / "l.zarr"), mode="w", zarr_format=3)
    data = labels("i4", 40000)
    root.create_array("0", data=data, chunks=data.shape)
    unit = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    scale = [{"type": "scale", "scale": [2.0, 2.0, 2.0]}]
    root.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {"axes": unit, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
        ],
        "image-label": {"properties": [{"label-value": 2, "class": "pore"}]},
    }
    got = read_labels(tmp_path / "l.zarr")
    assert np.array_equal(got.volume.data, data)
    assert got.volume.pixel_size == 20.0
    assert got.properties == {2: {"class": "pore"}}


@pytest.mark.parametrize("name", ["l.mrc", "l.zarr"])
def test_components_are_written_slab_by_slab(tmp_path: Path, name: str) -> None:
    mask = np.random.default_rng(3).random((70, 9, 33)) < 0.1
    found = Components(mask.shape, measure=None)
    found.add(mask)
    whole = found.labels(dtype=np.int32)
    most = 0

    class Watched:
        shape, count = found.shape, found.count

        def labels(self, start: int, stop: int, *, dtype: Any) -> Any:
            nonlocal most
            most = max(most, stop - start)
            return found.labels(start, stop, dtype=dtype)

    write_labels(tmp_path / name, Watched(), pixel_size=5.0, chunks=(16, 16, 16))  # type: ignore[arg-type]
    write_labels(tmp_path / f"whole-{name}", whole, pixel_size=5.0, chunks=(16, 16, 16))
    assert most <= 32
    got = read_labels(tmp_path / name)
    assert np.array_equal(got.volume.data, whole)
    for path in sorted((tmp_path / name).rglob("*")) or [tmp_path / name]:
        twin = tmp_path / f"whole-{name}" / path.relative_to(tmp_path / name)
        assert path.is_dir() or path.read_bytes() == twin.read_bytes()


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    class Broken:
        shape, count = (40, 3, 3), 1

        def labels(self, start: int, stop: int, *, dtype: Any) -> Any:
            if start:
                raise RuntimeError("broken")
            return np.zeros((stop - start, 3, 3), dtype)

    with pytest.raises(RuntimeError):
        write_labels(tmp_path / "l.zarr", Broken(), chunks=(16, 16, 16))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


GOOD = np.zeros((2, 2, 2), np.int32)
BAD: list[tuple[str, str, Any, dict[str, Any], str]] = [
    ("fractions", "l.mrc", np.zeros((2, 2, 2)), {}, "labels: found dtype float64"),
    ("mask", "l.mrc", np.zeros((2, 2, 2), bool), {}, "label a mask first"),
    ("axes", "l.mrc", np.zeros((2, 2), int), {}, "labels: found shape (2, 2)"),
    ("suffix", "l.png", GOOD, {}, "suffix '.png'"),
    ("MRC with rows", "l.mrc", GOOD, {"properties": ROWS}, "MRC, which has no place"),
    ("colour", "l.zarr", GOOD, {"colors": {1: (0, 0, 256, 0)}}, "colors: found (0, 0, 256, 0)"),
    ("pixel", "l.zarr", GOOD, {"pixel_size": -1.0}, "pixel_size: found -1.0"),
]


@pytest.mark.parametrize(("name", "file", "data", "more", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_input(
    tmp_path: Path, name: str, file: str, data: Any, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        write_labels(tmp_path / file, data, **more)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_bad_files(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.mrc", np.full((2, 2, 2), 0.5, np.float32))
    with pytest.raises(FileFormatError, match="no integers"):
        read_labels(tmp_path / "v.mrc")
    write_labels(tmp_path / "l.zarr", GOOD, properties=ROWS)
    attributes = tmp_path / "l.zarr" / ".zattrs"
    attributes.write_text(attributes.read_text().replace("label-value", "value"))
    with pytest.raises(FileFormatError, match="image-label"):
        read_labels(tmp_path / "l.zarr")
