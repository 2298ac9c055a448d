# SPDX-License-Identifier: BSD-3-Clause
"""The pictures show what the arrays hold: places, sizes and directions checked by hand."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cryolith.datamodel import Alignment, Defects, TiltSeries, Volume
from cryolith.report.layers import boundary_lines, layer_cutouts, layer_names
from cryolith.report.movie import make_movie
from cryolith.report.pictures import Window, picture, reduce, sprite
from cryolith.report.rows import cutouts, show
from cryolith.report.slices import ScaleBar, central_planes, plane, spread_planes
from cryolith.report.spectrum import binning, power_xz

WINDOW = Window(0.0, 1.0)


def _decode(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def _centroid(image: np.ndarray) -> tuple[float, float]:
    """Row and column of the centre of mass, from the centre of the array."""
    weight = image.astype(float)
    row, column = (np.arange(n) - (n - 1) / 2 for n in weight.shape)
    total = weight.sum()
    return (weight.sum(1) @ row / total, weight.sum(0) @ column / total)


def _blob(shape: tuple[int, int], row: float, column: float) -> np.ndarray:
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    return np.exp(-((y[:, None] - row) ** 2 + (x[None] - column) ** 2) / (2 * 2.5**2))


@pytest.mark.parametrize("psi", [0.0, 90.0, 30.0, -87.2])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_after_alignment_a_point_stays_on_its_line_across_the_axis(psi, offset):
    """Images made point by point from the definition of an Alignment; the frames undo it to 0.1 px.

    Bilinear resampling of a blob of 2.5 px moves its centre of mass by much less; grey values have 8 bits.
    """
    rng = np.random.default_rng(11)
    angles = np.arange(-60.0, 61.0, 20.0)
    alignment = Alignment(
        angles_deg=angles,
        tilt_axis_deg=psi,
        axis_offset_px=offset,
        shifts_px=rng.uniform(-6, 6, (7, 2)),
        rotations_deg=rng.uniform(-3, 3, 7),
        magnifications=rng.uniform(0.9, 1.1, 7),
    )
    x, y, z = 7.0, 9.0, -4.0
    images = []
    for i, angle in enumerate(np.deg2rad(angles)):
        u, v = x * np.cos(angle) + z * np.sin(angle) + offset, y
        turn = np.deg2rad(psi + alignment.rotations_deg[i])
        row, column = (
            np.array([u * np.sin(turn) + v * np.cos(turn), u * np.cos(turn) - v * np.sin(turn)])
            * alignment.magnifications[i]
        )
        row, column = row + alignment.shifts_px[i, 0], column + alignment.shifts_px[i, 1]
        images.append(_blob((64, 70), row, column))
    series = TiltSeries(images=np.array(images), angles_deg=angles)
    movie = make_movie(series, alignment)
    for i, angle in enumerate(np.deg2rad(angles)):
        row, column = _centroid(movie.after[i])
        turn = np.deg2rad(psi)
        u, v = (
            column * np.cos(turn) + row * np.sin(turn),
            row * np.cos(turn) - column * np.sin(turn),
        )
        assert v == pytest.approx(y, abs=0.1)
        assert u == pytest.approx(x * np.cos(angle) + z * np.sin(angle), abs=0.1)


def test_the_sinogram_line_follows_the_sine_of_a_point_on_it():
    angles = np.arange(-60.0, 61.0, 20.0)
    shifts = np.random.default_rng(12).uniform(-5, 5, (7, 2))
    alignment = Alignment(angles_deg=angles, tilt_axis_deg=90.0, shifts_px=shifts)
    m = np.linspace(0.9, 1.1, 7)
    alignment = replace(alignment, magnifications=m)
    sines = 10 * np.cos(np.deg2rad(angles)) + 5 * np.sin(np.deg2rad(angles))
    images = [_blob((65, 65), u + s[0], s[1]) for u, s in zip(m * sines, shifts, strict=True)]
    movie = make_movie(TiltSeries(images=np.array(images), angles_deg=angles), alignment)
    lines = np.nan_to_num(movie.sinogram_after)
    u = np.arange(lines.shape[1]) - (lines.shape[1] - 1) / 2
    np.testing.assert_allclose(lines @ u / lines.sum(axis=1), sines, atol=0.1)
    before = movie.sinogram_before
    assert np.abs(before @ u / before.sum(axis=1) - sines).max() > 2


def test_frames_come_in_order_of_tilt_and_means_in_order_of_the_series():
    angles = np.array([10.0, -10.0, 0.0])
    images = np.stack([np.full((4, 6), v) for v in (3.0, 1.0, 2.0)])
    alignment = Alignment(angles_deg=angles, tilt_axis_deg=0.0, shifts_px=np.zeros((3, 2)))
    movie = make_movie(TiltSeries(images=images, angles_deg=angles), alignment)
    assert movie.order.tolist() == [1, 2, 0]
    assert movie.mean.tolist() == [3.0, 1.0, 2.0]
    assert movie.before[0].mean() < movie.before[1].mean() < movie.before[2].mean()


@pytest.mark.parametrize("dtype", ["i1", "u2", ">i2", ">f4", "f2", "f8"])
def test_images_of_every_dtype_give_the_same_frames(dtype, rng):
    images = rng.integers(0, 100, (3, 12, 10))
    angles = np.array([-1.0, 0.0, 1.0])
    alignment = Alignment(angles_deg=angles, tilt_axis_deg=0.0, shifts_px=np.ones((3, 2)))
    found = [
        make_movie(TiltSeries(images=images.astype(t), angles_deg=angles), alignment)
        for t in (dtype, "f4")
    ]
    assert (found[0].after == found[1].after).all()
    assert (found[0].mean == found[1].mean).all()


def test_large_images_are_averaged_down_and_missing_pixels_take_the_median():
    image = np.arange(64.0).reshape(8, 8)
    small = reduce(image, 4)
    np.testing.assert_allclose(small, image.reshape(4, 2, 4, 2).mean(axis=(1, 3)))
    image[0, 0] = np.nan
    assert reduce(image, 8)[0, 0] == np.median(np.arange(1, 64))
    assert (reduce(np.full((3, 3), np.nan), 3) == 0).all()
    assert reduce(np.zeros((2, 900)), 256).shape == (1, 256)


def test_a_window_takes_percentiles_and_survives_constants_and_nan():
    assert Window.of(np.full((4, 4), 7.0)).bytes_of(np.full((1, 1), 7.0)) == 0
    assert Window.of(np.full((4, 4), np.nan)) == Window(0.0, 1.0)
    window = Window.of(np.linspace(0, 100, 1001), 0, 100)
    assert window.bytes_of(np.array([[0.0, 100.0, np.nan, -5.0, 105.0]])).tolist() == [
        [0, 255, 0, 0, 255]
    ]


def test_a_sheet_holds_the_frames_row_by_row():
    frames = np.stack([np.full((16, 32), 20 * k, np.uint8) for k in range(7)])
    sheet, columns, rows = sprite(frames)
    grey = _decode(sheet.uri)[..., 0]
    assert (columns * 32, rows * 16) == (sheet.width, sheet.height) == grey.shape[::-1]
    for k in range(7):
        row, column = divmod(k, columns)
        found = grey[row * 16 + 4 : row * 16 + 12, column * 32 + 4 : column * 32 + 28].mean()
        assert found == pytest.approx(20 * k, abs=3)


def test_a_picture_that_does_not_compress_is_made_coarser_until_it_fits(rng):
    noise = rng.integers(0, 256, (512, 512), np.uint8)
    made = picture(noise, most=20_000)
    assert len(made.uri) < 20_100
    assert (made.width, made.height) == (512, 512)


@pytest.mark.parametrize(
    ("width", "pixel", "text", "length"),
    [(128, 67.2, "200 nm", 200 / 6.72), (300, None, "50 px", 50), (64, 1.0, "1 nm", 10),
     (1000, 1e5, "2000 µm", 200)],
)  # fmt: skip
def test_a_scale_bar_has_a_round_length(width, pixel, text, length):
    bar = ScaleBar.of(width, pixel)
    assert (bar.text, bar.length) == (text, pytest.approx(length))
    assert width / 10 <= bar.length <= width / 4 * 1.001


def _volume(shape: tuple[int, int, int] = (20, 30, 40), pixel: float | None = 10.0) -> Volume:
    data = np.random.default_rng(1).random(shape).astype(np.float32)
    return Volume(data=data, pixel_size=pixel)


def _area(path: str) -> float:
    """Area inside the closed lines of a path, by the shoelace formula."""
    total = 0.0
    for part in re.findall(r"M([^Z]*)Z", path):
        points = np.array([[float(v) for v in p.split()] for p in part.split("L")])
        x, y = points.T
        total += abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return total


def test_outlines_enclose_the_labels():
    """A half-level contour cuts each corner of a block at half a pixel: 1/8 pixel less per corner."""
    labels = np.zeros((20, 30, 40), np.int32)
    labels[10, 5:15, 20:26] = 3
    labels[10, 0:4, 0:5] = -1
    made = plane(_volume(), "xy", 10, WINDOW, Defects(labels=labels))
    areas = {o.kind: _area(o.path) for o in made.outlines}
    assert areas == {"particle": pytest.approx(60 - 0.5), "void": pytest.approx(20 - 0.5)}
    numbers = re.findall(r"([\d.]+) ([\d.]+)", made.outlines[0].path)
    x, y = np.array(numbers, float).T
    assert (x.min(), x.max(), y.min(), y.max()) == (20, 26, 5, 15)


def test_the_central_planes_lie_as_they_are_named():
    volume = _volume()
    planes = central_planes(volume, WINDOW, Defects())
    assert {n: (p.across, p.down, p.cut, p.index) for n, p in planes.items()} == {
        "xy": ("x", "y", "z", 10), "xz": ("x", "z", "y", 15), "zy": ("z", "y", "x", 20),
    }  # fmt: skip
    assert [(p.width, p.height) for p in planes.values()] == [(40, 30), (40, 20), (20, 30)]
    grey = _decode(planes["zy"].picture.uri)[..., 0]
    assert np.corrcoef(grey.ravel(), volume.data[:, :, 20].T.ravel())[0, 1] > 0.9


def test_planes_are_spread_over_the_depth_of_what_was_found():
    labels = np.zeros((20, 30, 40), np.int32)
    labels[4:16, 10, 10] = 1
    found = list(spread_planes(_volume(), WINDOW, Defects(labels=labels)))
    assert len(found) == 6
    assert all(4 <= p.index <= 15 for p in found)
    assert not list(spread_planes(_volume(), WINDOW, Defects(labels=labels * 0)))
    volume = _volume()
    volume.data[6:12] += 1
    found = list(spread_planes(volume, WINDOW, Defects(labels=labels * 0, layers=_layers())))
    assert [p.index for p in found] == [7, 8, 9, 10]
    assert all(len(p.layers) == 2 for p in found)


def test_found_places_are_circles_where_a_plane_cuts_them():
    pixel = 20.0  # 2 nm; the middle of (20, 30, 40) voxels is (9.5, 14.5, 19.5)
    volume = Volume(data=np.zeros((20, 30, 40), np.float32), pixel_size=pixel)
    blobs = {
        "z_nm": np.array([1.0, 7.0, np.nan]),  # voxels 10, 13
        "y_nm": np.array([-9.0, 0.0, 0.0]),  # voxel 10
        "x_nm": np.array([21.0, 0.0, 0.0]),  # voxel 30
        "diameter_nm": np.array([20.0, 8.0, 8.0]),
    }
    defects = Defects(tables={"blobs": blobs})
    (drawn,) = plane(volume, "xy", 13, WINDOW, defects).outlines
    # 3 px off the middle of a ball of 5 px: a circle of 4 px around (30.5, 10.5); the other is cut in its middle.
    assert drawn.kind == "place"
    first, second = drawn.path.split("Z")[:2]
    assert first == "M26.5 10.5a4.0 4.0 0 1 0 8.0 0a4.0 4.0 0 1 0 -8.0 0"
    assert second.startswith("M18.0 15.0a2.0 2.0 ")
    assert not plane(volume, "xy", 2, WINDOW, defects).outlines
    odd = {f"{a}_nm": np.zeros(1) for a in "zyx"} | {"diameter_nm": np.array([9.26])}
    (drawn,) = plane(volume, "xy", 9, WINDOW, Defects(tables={"blobs": odd})).outlines
    # 2.26 px in this plane: the arcs end 4.6 px apart, twice their radius as written, not 4.5.
    assert drawn.path == "M17.7 15.0a2.3 2.3 0 1 0 4.6 0a2.3 2.3 0 1 0 -4.6 0Z"
    pixels = {f"{a}_px": np.array([5.0]) for a in "zyx"}
    (drawn,) = plane(volume, "xy", 6, WINDOW, Defects(tables={"spots": pixels})).outlines
    assert drawn.path.startswith("M4.0 5.5a1.5 1.5")
    assert {p.index for p in spread_planes(volume, WINDOW, defects)} <= {10, 13}


def test_fine_labels_are_outlined_coarser_but_not_lost(rng):
    labels = (rng.random((3, 900, 900)) < 0.01).astype(np.int32)
    labels[:, :450] = 0
    volume = Volume(data=np.zeros((3, 900, 900), np.float32))
    made = plane(volume, "xy", 1, WINDOW, Defects(labels=labels))
    path = made.outlines[0].path
    assert len(path) <= 60_000
    y = np.array(re.findall(r" ([\d.]+)", path), float)
    assert 430 < y.min() < 470
    # Of 16 px blocks 0.99^256 = 8 % are empty: holes, whose area the formula adds.
    assert 0.9 * 900 * 450 < _area(path) < 1.1 * 912 * 464


@pytest.mark.parametrize("dtype", [np.int16, ">i4", np.float32])
def test_labels_of_any_type_give_the_same_cutouts(dtype):
    labels = np.zeros((20, 30, 40), np.int32)
    labels[8:12, 3:9, 4:10] = 1
    labels[2:5, 20:24, 30:39] = -2
    plain = cutouts(_volume(), labels, [1, -2, 7], WINDOW)
    assert cutouts(_volume(), labels.astype(dtype), [1, -2, 7], WINDOW) == plain
    assert set(plain) == {1, -2}


def test_a_cutout_is_centred_on_its_object():
    labels = np.zeros((20, 60, 60), np.int32)
    labels[8:12, 40:48, 6:14] = 1
    volume = Volume(data=(labels > 0).astype(np.float32))
    picture_ = cutouts(volume, labels, [1], WINDOW)[1]
    colour = _decode(picture_.uri)
    bright = colour[..., 2] > 128
    assert np.abs(_centroid(bright)).max() < 0.1 * len(bright)
    assert bright.mean() == pytest.approx((8 / 16) ** 2, rel=0.35)


def _layers() -> dict[str, np.ndarray]:
    return {
        "name": np.array(["bright 1", "dark 1"]),
        "start_nm": np.array([np.nan, 3.0]),
        "end_nm": np.array([3.0, 9.0]),
        "z_nm": np.array([0.0, 0.0]), "y_nm": np.array([0.0, 6.0]), "x_nm": np.array([0.0, 0.0]),
        "normal_z": np.zeros(2), "normal_y": np.full(2, 0.8), "normal_x": np.full(2, 0.6),
    }  # fmt: skip


def test_boundaries_are_drawn_where_they_cross_the_plane():
    """r . normal = 3 nm = 3 px, r from the centre; a pixel's centre lies half a pixel inside its corner."""
    lines = boundary_lines(_layers(), _volume(), (1, 2, 0), 4)
    assert len(lines) == 2
    for line, position in zip(lines, (3.0, 9.0), strict=True):
        for x, y in (line[:2], line[2:]):
            assert 0.8 * (y - 15) + 0.6 * (x - 20) == pytest.approx(position, abs=0.02)
            assert 0 <= x <= 40
            assert 0 <= y <= 30
    assert len(boundary_lines(_layers(), _volume(pixel=None), (1, 2, 0), 4)) == 0
    assert not boundary_lines({}, _volume(), (1, 2, 0), 4)


def test_boundaries_along_the_plane_are_not_drawn():
    layers = _layers() | {"normal_z": np.ones(2), "normal_y": np.zeros(2), "normal_x": np.zeros(2)}
    assert not boundary_lines(layers, _volume(), (1, 2, 0), 4)
    assert len(boundary_lines(layers, _volume(), (0, 2, 1), 4)) == 2


def test_names_of_layers_stand_where_they_fit():
    assert [n.text for n in layer_names(_layers(), _volume(), (1, 2, 0), 4, 5.0)] == [
        "bright 1",
        "dark 1",
    ]
    assert [n.text for n in layer_names(_layers(), _volume(), (1, 2, 0), 4, 6.5)] == ["bright 1"]


def test_a_layer_has_a_cutout_with_its_boundaries():
    made = layer_cutouts(_volume(), _layers(), WINDOW, (0, 1))
    assert set(made) == {0, 1}
    colour = _decode(made[1].uri)
    pink = (colour[..., 0] - colour[..., 1] > 60).mean()
    assert 0.01 < pink < 0.2
    assert not layer_cutouts(_volume(), {"name": np.array(["a"])}, WINDOW, (0,))


def test_the_spectrum_has_a_wave_at_its_own_frequency():
    """A wave along (kx, kz) = (cos 30, sin 30) of period 8 px peaks there; n / 8 lines from the middle."""
    n = 96
    z, x = np.mgrid[:n, :n]
    kx, kz = np.cos(np.pi / 6) / 8, np.sin(np.pi / 6) / 8
    data = np.cos(2 * np.pi * (kx * x + kz * z)).astype(np.float32)[:, None, :].repeat(4, axis=1)
    power = power_xz(data)
    row, column = np.unravel_index(power.argmax(), power.shape)
    found = np.array([row, column]) - n // 2
    found = found * np.sign(found[1])
    np.testing.assert_allclose(found, [kz * n, kx * n], atol=1)


def test_the_spectrum_of_odd_empty_and_large_volumes():
    assert power_xz(np.zeros((1, 1, 1), np.float32)).shape == (1, 1)
    assert power_xz(np.full((3, 2, 5), np.nan, np.float32)).shape == (5, 5)
    assert np.isfinite(power_xz(np.random.default_rng(0).random((3, 2, 5)))).all()
    assert binning((30, 4, 1025)) == 3
    assert power_xz(np.ones((30, 2, 1025), np.float32)).shape == (341, 341)


def test_the_shown_table_keeps_what_a_person_reads():
    table = {
        "label": np.array([1, 2]), "voxels": np.array([3, 9]), "volume_nm3": np.array([3.0, 9.0]),
        "sigma_volume_nm3": np.array([0.5, 1.0]), "z_nm": np.array([1.0, 2.0]),
        "z_px": np.array([1.0, 2.0]), "z0": np.array([0, 1]), "axis1_z": np.array([1.0, 0.0]),
        "touches_border": np.array([True, False]),
    }  # fmt: skip
    shown = show(table)
    assert shown.columns == ("volume_nm3", "z_nm", "touches_border")
    assert shown.indices == (1, 0)
    assert [c.text for c in shown.rows[0]] == ["9.0 ± 1.0", "2", "no"]
    assert shown.rows[0][0].value == "9.0"
    assert show(table, largest_first=False).indices == (0, 1)
    assert show({}).total == 0
