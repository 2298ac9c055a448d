# SPDX-License-Identifier: BSD-3-Clause
"""`check` looks at every image; `info` at none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_files import fei_2003, images, mdoc, mrc, tiff, write

from cryolith import Alignment
from cryolith.files import Finding, check, info, write_alignment, write_volume

ANGLES = [-10.0, 0.0, 10.0, 20.0]


def noise(dtype: str = "f4") -> np.ndarray:
    return (np.random.default_rng(5).normal(1000, 50, (4, 16, 18))).astype(dtype)


def one(found: list[Finding], level: str) -> Finding:
    chosen = [f for f in found if f.level == level]
    assert len(chosen) == 1, [str(f) for f in found]
    return chosen[0]


def put(index: object, value: float) -> Callable[[np.ndarray], None]:
    def work(data: np.ndarray) -> None:
        data[index] = value  # type: ignore[index]

    return work


DATA: list[tuple[str, str, Callable[[np.ndarray], None], tuple[str, ...]]] = [
    (
        "one NaN",
        "f4",
        put((2, 3, 4), np.nan),
        ("pixels of image 2", "1 NaN or infinite", "missing"),
    ),
    ("infinities", "f4", put((slice(1, 3), 0, 0), np.inf), ("pixels of image 1, 2", "2 NaN")),
    ("an image of NaN", "f4", put(1, np.nan), ("pixels of image 1", "288 NaN", "leave those")),
    ("a blank image", "f4", put(3, 0), ("pixels of image 3", "all zero (blank)", "leave those")),
    ("a constant image", "i2", put(0, 7), ("pixels of image 0", "one value (7)")),
    ("all constant", "i2", put(slice(None), 9), ("pixels of image 0, 1, 2, 3", "one value (9)")),
    ("saturated", "u2", put((0, slice(0, 4)), 65535), ("image 0", "saturated", "25 %")),
]


@pytest.mark.parametrize(("name", "dtype", "change", "words"), DATA, ids=[d[0] for d in DATA])
def test_what_the_pixels_tell(
    tmp_path: Path,
    name: str,
    dtype: str,
    change: Callable[[np.ndarray], None],
    words: tuple[str, ...],
) -> None:
    data = noise(dtype)
    change(data)
    path = write(tmp_path / "a.mrc", mrc(data, dmin=0.0, dmax=0.0))
    warned = one(check(path, ANGLES), "warning")
    assert all(word in str(warned) for word in words), str(warned)
    tif = write(tmp_path / "a.tif", tiff(list(data)))
    assert one(check(tif, ANGLES, pixel_size=2.0), "warning").found == warned.found


def test_a_dark_image(tmp_path: Path) -> None:
    data = noise()
    data[2] = data[2] * 0.01
    path = write(tmp_path / "a.mrc", mrc(data))
    warned = one(check(path, ANGLES), "warning")
    assert warned.field == "mean of image 2"
    assert "blocked beam" in warned.do


def test_a_good_series(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(noise()))
    done: list[float] = []
    found = check(path, ANGLES, progress=done.append)
    assert [f.level for f in found] == ["info"] * 3
    assert {f.field: f.found for f in found} == {
        "angles": "4 angles, -10 to 20 deg (given)",
        "data": "4 x 16 x 18 float32",
        "pixel size": "2 A (header)",
    }
    assert done == [0.25, 0.5, 0.75, 1.0]
    assert str(found[0]).startswith(f"{path}: ")


def test_statistics_that_do_not_describe_the_data(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(noise(), dmax=5000.0))
    warned = one(check(path, ANGLES), "warning")
    assert warned.field == "dmin, dmax"
    not_computed = write(tmp_path / "b.mrc", mrc(noise(), dmin=0.0, dmax=-1.0))
    assert all(f.level == "info" for f in check(not_computed, ANGLES))


def test_errors_of_angles_come_with_those_of_pixels(tmp_path: Path) -> None:
    data = noise()
    data[1] = 0
    path = write(tmp_path / "a.mrc", mrc(data, dmin=0.0, dmax=0.0))
    found = check(path)
    assert [f.level for f in found] == ["error", "warning", "info", "info"]
    assert found[0].field == "angles"
    assert "blank" in found[1].found


def test_shifted_counts_are_not_taken_for_a_wrong_header(tmp_path: Path) -> None:
    counts = noise("u2")
    stored = (counts.astype("i4") - 32768).astype("i2")
    ext = fei_2003(ANGLES, mean=float(counts.mean()))
    fields = {"nreal": 32, "xlen": 18.0, "ylen": 16.0, "zlen": 4.0}
    found = check(write(tmp_path / "a.mrc", mrc(stored, ext=ext, **fields)))
    assert [f.level for f in found] == ["info"] * 3
    assert found[1].found == "4 x 16 x 18 uint16"


def test_volumes(tmp_path: Path) -> None:
    for name in ("v.rec", "v.map", "v.zarr"):
        data = noise()
        data[1, 2, 3] = np.nan
        write_volume(tmp_path / name, data)
        found = check(tmp_path / name)
        assert one(found, "warning").field == "pixels of section 1"
    write_volume(tmp_path / "v.mrc", noise())
    assert check(tmp_path / "v.mrc")[0].field == "angles"
    assert all(f.level == "info" for f in check(tmp_path / "v.mrc", kind="volume"))


def test_text_files(tmp_path: Path) -> None:
    good = write(tmp_path / "a.rawtlt", b"-10\n0\n10\n")
    assert str(one(check(good), "info")).endswith("3 angles, -10 to 10 deg")
    radians = write(tmp_path / "a.tlt", b"-1\n0\n1\n")
    assert "radians" in str(one(check(radians), "warning"))
    log = write(tmp_path / "a.mdoc", mdoc(ANGLES).encode())
    assert one(check(log), "info").found == "4 angles, -10 to 20 deg"
    lost = write(tmp_path / "b.mdoc", mdoc(ANGLES, {1: {"TiltAngle": "NaN"}}).encode())
    assert "nan at image 1" in str(one(check(lost), "error"))
    alignment = Alignment(angles_deg=np.arange(3.0), tilt_axis_deg=0.0, shifts_px=np.zeros((3, 2)))
    write_alignment(tmp_path / "a.json", alignment)
    assert one(check(tmp_path / "a.json"), "info").found == "3 tilts"


def test_progress_can_stop(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mrc", mrc(noise()))

    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(path, ANGLES, progress=stop)


def test_info_is_json(tmp_path: Path) -> None:
    ext = fei_2003(ANGLES[:3], magnification=115000.0)
    path = write(tmp_path / "a.mrc", mrc(images(), ext=ext, nreal=32, dmean=np.nan))
    facts = info(path)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["angles_deg"] == ANGLES[:3]
    assert facts["pixel_size_angstrom"] == 33.6
    assert facts["extended_header"]["type"] == "FEI 2003"
    assert facts["extended_header"]["magnification"] == 115000.0
    assert len(facts["warnings"]) == 1
    assert facts["problems"] == []
