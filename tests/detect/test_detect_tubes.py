# SPDX-License-Identifier: BSD-3-Clause
"""Tubes and sheets planted in noise: found, measured, and not found where there are none."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pytest

from cryolith import _core
from cryolith.detect import ridges, sheets, tubes
from cryolith.detect._imaging import Plain, gaussian_blobs
from cryolith.detect._oriented_bank import OrientedBank, bessel
from cryolith.detect._oriented_null import expected_extrema
from cryolith.detect._oriented_peaks import find_peaks
from cryolith.detect._spectrum import Spectra
from cryolith.errors import Cancelled, InputError
from cryolith.files import read_surface, write_surface
from cryolith.projection import Geometry, project
from cryolith.reconstruct import wbp

N, WIDTH, LENGTH = 56, 1.5, 5.0
HOW = {"widths": WIDTH, "length": LENGTH, "margin": 6, "threads": 1}
AXIS = np.array([0.36, 0.48, 0.8])
MIDDLE = np.array([27.3, 28.1, 27.6])


def white(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, N, N), dtype=np.float32)


def rod(half: float) -> np.ndarray:
    """A tube of peak 1: a row of beads."""
    t = np.arange(-half + 0.05, half, 0.1)
    heights = np.full(len(t), 0.1 / (math.sqrt(2 * math.pi) * WIDTH))
    return gaussian_blobs((N, N, N), MIDDLE + t[:, None] * AXIS, np.full(len(t), WIDTH), heights)


def disc(radius: float) -> np.ndarray:
    """A sheet of peak 1 with the normal AXIS."""
    z, y, x = (np.arange(N) - c for c in MIDDLE)
    t = AXIS[0] * z[:, None, None] + AXIS[1] * y[:, None] + AXIS[2] * x
    across = np.sqrt(np.maximum(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 - t * t, 0))
    soft = 1 / (1 + np.exp(np.clip((across - radius) / 0.3, -50, 50)))
    return np.asarray(np.exp(-0.5 * (t / WIDTH) ** 2) * soft, np.float32)


def test_a_tube_in_white_noise_is_found_and_measured(rng: np.random.Generator) -> None:
    found = tubes(1.5 * rod(16.0) + white(rng), noise=1.0, **HOW)  # type: ignore[arg-type]
    table = found.table
    assert len(table["z_px"]) == 1
    assert abs(table["length_px"][0] - 32) < 3 * table["sigma_length_px"][0] < 6
    direction = np.array([table[f"direction_{a}"][0] for a in "zyx"])
    angle = math.degrees(math.acos(min(abs(float(direction @ AXIS)), 1.0)))
    assert angle < 4 * table["sigma_direction_deg"][0] < 16
    assert abs(table["amplitude"][0] - 1.5) < 4 * table["sigma_amplitude"][0] < 0.6
    assert table["significance"][0] > 10
    assert table["q_value"][0] < 1e-6
    np.testing.assert_allclose(table["coverage"], 1.0, atol=1e-5)
    # The centre line is 0.2 px off where the filter sees it, more where it is drawn on straight.
    line = found.lines[0] - MIDDLE
    along = line @ AXIS
    off = np.linalg.norm(line - along[:, None] * AXIS, axis=1)
    assert math.sqrt((off**2).mean()) < 0.6
    assert np.ptp(along) == pytest.approx(table["length_px"][0], abs=2.0)
    assert found.null.passed
    assert found.null.spread[0] == pytest.approx(1.0, abs=0.05)


def test_a_dark_sheet_in_white_noise_is_found_and_measured(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    found = sheets(white(rng) - disc(12.0), noise=1.0, **HOW)  # type: ignore[arg-type]
    table = found.table
    assert len(table["z_px"]) == 1
    assert table["sign"][0] == -1
    assert abs(table["area_px2"][0] - math.pi * 144) < 3 * table["sigma_area_px2"][0] < 250
    normal = np.array([table[f"normal_{a}"][0] for a in "zyx"])
    assert math.degrees(math.acos(min(abs(float(normal @ AXIS)), 1.0))) < 6
    assert abs(table["amplitude"][0] + 1) < 0.3
    off = (found.surfaces[0] - MIDDLE) @ AXIS
    assert np.sqrt((off**2).mean()) < 0.5
    assert np.abs(found.normals[0] @ AXIS).mean() > 0.95
    # The mesh: the same points from the centre, facing along their normals, and the area but for its rim.
    mesh = found.mesh
    np.testing.assert_allclose(mesh.vertices, found.surfaces[0] - (N - 1) / 2)
    first, second, third = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    turn = -np.cross(second - first, third - first) / 2
    assert ((turn * found.normals[0][mesh.faces[:, 0]]).sum(axis=1) > 0).all()
    area = np.linalg.norm(turn, axis=1).sum()
    assert 0.7 * math.pi * 144 < area < 1.1 * math.pi * 144
    assert mesh.fields["sheet"].max() == 0
    path = tmp_path / "sheets.vtp"
    write_surface(path, mesh)
    np.testing.assert_array_equal(read_surface(path).faces, mesh.faces)


@pytest.mark.parametrize("kind", ["tubes", "sheets"])
def test_noise_alone_makes_as_many_extrema_as_expected(kind: str) -> None:
    # Poisson counts: their sum has a standard deviation of 7 % (tubes) and 13 % (sheets).
    spectra = Spectra((N, N, N), 1, None)
    power, width = np.ones(spectra.terms, np.float32), np.array([1.8])
    bank = OrientedBank(spectra, Plain(spectra, None), kind, width, 5.4, power, None)  # type: ignore[arg-type]
    observed, level, count = 0, 4.0, 4
    for seed in range(count):
        base = bank.filtered(white(np.random.default_rng(seed)))
        field = spectra.inverse(base)
        observed += len(find_peaks(bank, bank.respond(base), field, 6, level))
    expected = count * float(
        expected_extrema(bank.null, width, np.array([level]), (N - 12) ** 3)[0]
    )
    assert 0.7 < observed / expected < 1.3


def test_noise_alone_is_an_empty_table_and_unknown_noise_gives_no_q_values(
    rng: np.random.Generator,
) -> None:
    volume = white(rng)
    assert len(tubes(volume, noise=1.0, **HOW).table["z_px"]) == 0  # type: ignore[arg-type]
    wrong = tubes(volume, noise=0.8, **HOW)  # type: ignore[arg-type]
    assert not wrong.null.passed
    assert np.isnan(wrong.table["q_value"]).all()
    assert any("no q-values" in note for note in wrong.notes)


def test_halves_of_a_tilt_series_give_noise_decoys_and_a_map_of_directions(
    rng: np.random.Generator,
) -> None:
    geometry = Geometry.single_axis(np.arange(-60.0, 61.0, 4.0))
    solve = functools.partial(wbp, filter="ramp")
    images = project(2 * rod(16.0), geometry, (N, 84))
    images += 3 * rng.standard_normal(images.shape, dtype=np.float32)
    halves = solve(images, geometry, shape=(N, N, N), halves="tilts")
    found = tubes(None, halves=halves, geometry=geometry, image_shape=(N, 84), solve=solve, **HOW)  # type: ignore[arg-type]
    assert found.null.source == "decoys"
    assert found.null.passed
    assert (
        np.linalg.norm([found.table[f"{a}_px"][0] - m for a, m in zip("zyx", MIDDLE, strict=True)])
        < 16
    )
    # A line along x is seen at one tilt's worth of its plane of terms, one along z by two thirds.
    seen = found.detectability
    along_z, along_x = (int(np.abs(seen.axes[:, i]).argmax()) for i in (0, 2))
    assert seen.coverage[0, along_z] > 0.6 > 0.35 > seen.coverage[0, along_x]
    unit = seen.unit_significance(32.0)
    assert unit[along_z] > 1.3 * unit[along_x]
    chance = seen.recall(seen.level / unit[along_x], 32.0)
    assert chance.shape == (len(seen.axes),)
    assert 0.4 < chance[along_x] < chance[along_z]
    assert 0.02 < found.table["coverage"][0] < 0.9


def test_the_predicted_significance_is_that_without_noise() -> None:
    spectra = Spectra((N, N, N), 1, None)
    power = np.ones(spectra.terms, np.float32)
    for kind, volume, extent in (
        ("tubes", rod(12.0), 24.0),
        ("sheets", disc(10.0), math.pi * 100),
    ):
        bank = OrientedBank(
            spectra,
            Plain(spectra, None),
            kind,
            np.array([WIDTH]),
            LENGTH,
            power,
            None,  # type: ignore[arg-type]
        )
        field = spectra.inverse(bank.filtered(volume))
        here = bank.sample(field, MIDDLE[None], AXIS[None], np.array([WIDTH]))
        predicted = bank.at(bank.response(extent), AXIS[None], np.array([WIDTH]))
        np.testing.assert_allclose(here, predicted, rtol=0.03)


def test_a_wide_sheet_that_the_wedge_hides_has_a_finite_amplitude() -> None:
    spectra = Spectra((N, N, N), 1, None)
    kz, _, kx = spectra.axes()
    held = np.broadcast_to(np.abs(kz) <= np.tan(np.deg2rad(30)) * kx, spectra.terms)
    imaging = Plain(spectra, held.astype(np.float32))
    bank = OrientedBank(
        spectra, imaging, "sheets", np.array([WIDTH]), 5.0, np.ones(spectra.terms, np.float32), 21
    )
    # What noise and rounding do to a response near 0 must not reach amplitudes: it may be less than 0.
    assert bank.response(np.pi * 20.0**2).min() < 0.04 * bank.wide_response.max()
    assert bank.wide_response.min() == pytest.approx(0.05 * bank.wide_response.max())


def test_widths_are_measured_where_three_are_looked_for(rng: np.random.Generator) -> None:
    volume = 2 * rod(16.0) + white(rng)
    found = tubes(volume, widths=[1.0, 1.4, 2.0], length=5.0, noise=1.0, margin=6, pixel_size=5.0)
    table = found.table
    assert table["width_nm"][0] == pytest.approx(0.5 * WIDTH, abs=4 * table["sigma_width_nm"][0])
    assert table["sigma_width_nm"][0] < 0.1
    np.testing.assert_allclose(table["diameter_nm"], 2.3548 * table["width_nm"], rtol=1e-4)
    np.testing.assert_allclose(table["z_nm"], 0.5 * (table["z_px"] - (N - 1) / 2))


def test_the_same_table_for_any_threads_and_the_input_as_it_was(rng: np.random.Generator) -> None:
    volume = 1.5 * rod(14.0) + white(rng)
    before = volume.copy()
    one, three = (tubes(volume, noise=1.0, **(HOW | {"threads": t})) for t in (1, 3))  # type: ignore[arg-type]
    for name, column in one.table.items():
        assert column.tobytes() == three.table[name].tobytes(), name
    assert one.lines[0].tobytes() == three.lines[0].tobytes()
    np.testing.assert_array_equal(volume, before)


def test_ridges_see_tubes_and_sheets_of_either_sign() -> None:
    volume = rod(16.0)
    at = tuple(np.rint(MIDDLE).astype(int))
    line, plane = ridges(volume, 1.5), ridges(volume, 1.5, "sheets")
    assert line[at] == pytest.approx(line.max(), rel=0.15)
    assert plane[at] > 0.9 * line[at] > 0
    assert ridges(volume, 1.5, bright=False)[at] == 0
    np.testing.assert_array_equal(ridges(-volume, 1.5, bright=False), line)
    # The second derivative across a Gaussian of 1.5 px that a Gaussian of 1.5 px smoothed, times 1.5^2: a quarter.
    assert line.max() == pytest.approx(0.25, abs=0.02)
    sheet = ridges(disc(12.0), 1.5, "sheets")
    assert sheet[at] > 3 * ridges(disc(12.0), 1.5)[at]


def test_bessel_functions_are_those_of_the_tables() -> None:
    # Abramowitz & Stegun, table 9.1.
    np.testing.assert_allclose(
        bessel(0, np.array([0.0, 2.0, 10.0])), [1, 0.2238907791, -0.2459357645]
    )
    np.testing.assert_allclose(bessel(1, np.array([1.0, 5.0])), [0.4400505857, -0.3275791376])


@pytest.mark.parametrize("find", [tubes, sheets])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [2.0, 1.5]}, "widths: found"),
        ({"widths": 0.5}, "widths: found"),
        ({"length": 2.0}, "length: found 2.0"),
        ({"fdr": 1.0}, "fdr: found 1.0"),
        ({"directions": 3}, "directions: found 3"),
        ({"margin": 40}, "margin: found 40"),
        ({"noise": -1.0}, "noise: found -1.0"),
        ({"image_shape": (64, 64)}, "geometry: found None"),
    ],
)
def test_bad_input_is_refused_by_name(find, options: dict[str, object], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        find(np.ones((N, N, N), np.float32), **options)


def test_ridges_refuse_bad_input_and_a_search_can_be_cancelled() -> None:
    volume = np.zeros((8, 8, 8), np.float32)
    with pytest.raises(InputError, match=r"scale: found 0\.1"):
        ridges(volume, 0.1)
    with pytest.raises(InputError, match="kind: found 'blobs'"):
        ridges(volume, 1.0, "blobs")  # type: ignore[arg-type]
    token = _core.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        tubes(np.ones((N, N, N), np.float32), noise=1.0, cancel=token)


def plate(middle: tuple[float, ...], normal: tuple[float, ...], edge: float) -> np.ndarray:
    """A plate of 4 x edge x edge px that holds the beam's direction z, without blur but that of a voxel."""
    sub = (np.arange(3) + 0.5) / 3 - 0.5
    z, y, x = (np.add.outer(np.arange(N) - m, sub).ravel() for m in middle)
    frame = np.array([normal, (1.0, 0.0, 0.0), np.cross(normal, (1.0, 0.0, 0.0))])
    inside = np.ones((3 * N,) * 3, bool)
    for (a, b, c), width in zip(frame, (4.0, edge, edge), strict=True):
        inside &= np.abs(a * z[:, None, None] + b * y[:, None] + c * x) <= width / 2
    return np.asarray(inside.reshape(N, 3, N, 3, N, 3).mean(axis=(1, 3, 5)))


def test_sheets_that_nearly_touch_are_two_and_as_large_as_they_are_through_a_wedge(
    rng: np.random.Generator,
) -> None:
    """Linked into one before: filters turn from one to the other, and a wedge draws out rims."""
    root = math.sqrt(0.5)
    kz, kx = np.fft.fftfreq(N)[:, None, None], np.fft.rfftfreq(N)
    held = np.abs(kz) <= np.tan(np.deg2rad(60)) * kx + np.zeros((1, N, 1)) + 1e-9
    matter = plate((18, 27, 27), (0, 1, 0), 16.0) + plate((37, 27, 27), (0, root, root), 16.0)
    terms = np.fft.rfftn(white(rng) - matter) * held
    volume = np.fft.irfftn(terms, matter.shape, axes=(0, 1, 2)).astype(np.float32)
    how = {**HOW, "widths": 1.2}
    found = sheets(volume, noise=held.astype(np.float32), transfer=held, **how)  # type: ignore[arg-type]
    strong = found.table["significance"] > 10
    table = {name: column[strong] for name, column in found.table.items()}
    assert len(table["sign"]) == 2
    for along in ((0, 1, 0), (0, root, root)):
        normals = np.stack([table[f"normal_{a}"] for a in "zyx"], axis=1)
        i = int(np.abs(normals @ along).argmax())
        assert abs(normals[i] @ along) > math.cos(math.radians(10))
        # Areas of such plates scatter by 8 %; drawn at half the response they were one sheet of 905.
        assert abs(table["area_px2"][i] - 256) < 0.2 * 256
