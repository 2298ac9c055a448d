# SPDX-License-Identifier: BSD-3-Clause
"""The real files beside the repository, with what is known of each (their catalogue)."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from cryolith.errors import FileFormatError
from cryolith.files import check, info, read_angle_file, read_mdoc, read_tilt_series, read_volume


def test_haadf_needle(shared_data: Path) -> None:
    path = shared_data / "haadf_needle" / "HAADF.mrc"
    series = read_tilt_series(path)  # warnings are errors: there is nothing to doubt
    assert series.images.shape == (77, 256, 256)
    assert np.array_equal(series.angles_deg, np.arange(-76.0, 77.0, 2.0))
    assert series.pixel_size == 33.6
    assert series.tilt_axis_deg == 90.0
    assert series.source.facts["angles"] == "FEI 2003 extended header"
    assert "HAADF.txt" in series.source.facts["tilt_axis"]
    raw = np.memmap(path, "<i2", "r", 1024 + 131072, (77, 256, 256))
    whole = np.asarray(series.images)
    assert whole.dtype == np.uint16
    assert np.array_equal(whole.astype("i4") - 32768, raw)
    assert (whole.min(), whole.max()) == (860, 65093)
    assert all(f.level == "info" for f in check(path))
    assert info(path)["extended_header"]["magnification"] == 115000.0
    assert read_angle_file(path.with_suffix(".rawtlt")).tolist() == series.angles_deg.tolist()


def test_serialem(shared_data: Path) -> None:
    path = shared_data / "serialem" / "test_000.mrc"
    with pytest.raises(FileFormatError, match=r"-0\.000488 for all 2 images"):
        read_tilt_series(path)
    series = read_tilt_series(path, [-1.0, 4.0])
    assert series.images.shape == (2, 1024, 1024)
    assert series.images.dtype == np.dtype("<i2")
    assert series.pixel_size == 7.88
    assert series.tilt_axis_deg == -90.0
    assert series.order is not None
    assert series.order.tolist() == [0, 1]
    means = [float(np.mean(image)) for image in series.images]
    assert means == pytest.approx([4070.21, 4068.35], abs=0.005)  # the .mdoc's MinMaxMean
    assert info(path)["extended_header"]["type"] == "SERI"


def test_mdocs(shared_data: Path) -> None:
    folder = shared_data / "metadata" / "mdoc"
    got = read_mdoc(folder / "tilt_series.mdoc")
    assert len(got.angles_deg) == 41
    assert got.angles_deg[:3].tolist() == [0.000999877, 3.00113, -2.99863]
    assert (got.tilt_axis_deg, got.pixel_size, got.dose) == (85.3, 5.4, None)
    assert got.order is not None
    assert got.order.tolist() == list(range(41))
    for name in ("frame_set_single", "frame_set_multiple", "montage_section"):
        assert len(read_mdoc(folder / f"{name}.mdoc").sections) >= 1
    for path in sorted((shared_data / "serialem").glob("*.mdoc")):
        assert read_mdoc(path).pixel_size == 7.88


@pytest.mark.parametrize("name", ["EMD-3197.map", "emd_3197.map.gz"])
def test_emd_3197(shared_data: Path, name: str) -> None:
    volume = read_volume(shared_data / "emdb" / name)
    assert volume.data.shape == (20, 20, 20)
    assert volume.pixel_size == 11.4
    assert float(volume.data.mean(dtype="f8")) == pytest.approx(0.7836120, abs=1e-7)
    assert volume.data.min() == np.float32(-4.1337456703186035)


@pytest.mark.parametrize("name", ["EMD-3001.map", "EMD-3001.map.bz2"])
def test_emd_3001_is_an_oblique_cell_in_another_axis_order(shared_data: Path, name: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        volume = read_volume(shared_data / "emdb" / name)
    texts = [str(w.message) for w in told]
    assert ["cell angles" in texts[0], "voxel size" in texts[1], len(texts)] == [True, True, 2]
    assert volume.data.shape == (73, 25, 43)  # mapc, mapr, maps = 3, 1, 2; stored 25, 43, 73
    raw = np.fromfile(shared_data / "emdb" / "EMD-3001.map", "<f4", offset=1184)
    assert np.array_equal(volume.data, raw.reshape(25, 43, 73).transpose(2, 0, 1))


def test_microtubule(shared_data: Path) -> None:
    volume = read_volume(shared_data / "microtubule" / "14pf_MT.tif")
    assert volume.data.shape == (44, 136, 84)
    assert volume.data.dtype == np.uint8
    assert volume.pixel_size == pytest.approx(10.52, rel=1e-9)  # XResolution is a rational


@pytest.mark.parametrize("name", ["haadf_full_range/HAADF.dm3", "dm_series/BF_001.dm3"])
def test_digital_micrograph_is_refused_by_name(shared_data: Path, name: str) -> None:
    with pytest.raises(FileFormatError, match="a DigitalMicrograph file"):
        read_tilt_series(shared_data / name)


def test_solved_angles_of_other_programs(shared_data: Path) -> None:
    imod = shared_data / "metadata" / "imod"
    assert read_angle_file(imod / "test.rawtlt").tolist() == [-66.0, -64.5, -63.0]
    assert len(read_angle_file(imod / "convert" / "imod_1" / "tilt_1.tlt")) == 59
    assert len(read_angle_file(shared_data / "metadata" / "eman" / "example.tlt")) == 55
