# SPDX-License-Identifier: BSD-3-Clause
"""Blobs planted in noise: found, measured, and not found where there are none."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from cryolith import _core
from cryolith.datamodel import Volume
from cryolith.detect import DetectSettings, blobs, detect
from cryolith.detect._blob_fit import BlobFit
from cryolith.detect._calls import benjamini_hochberg, decoy_rate
from cryolith.detect._filter_bank import blob_reference, make_bank
from cryolith.detect._gaussian_blobs import Blobs, gaussian_blobs
from cryolith.detect._imaging import Plain, Projected
from cryolith.detect._levels import measured_levels
from cryolith.detect._spectrum import Spectra, fitted_noise, measured_noise
from cryolith.errors import Cancelled, InputError
from cryolith.metrics import NoisePower
from cryolith.projection import Geometry
from cryolith.reconstruct import wbp

N = 64
SIZES = np.array([2.0, 2.5, 3.1, 3.9])
PLACES = np.array([[16.3, 18.1, 45.2], [40.7, 44.4, 20.5], [44.2, 17.9, 41.6], [19.6, 45.3, 17.4]])
WIDTHS = np.array([2.2, 2.6, 3.0, 3.4])
HEIGHTS = np.array([1.5, -1.3, 1.2, -1.1])


def white(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, N, N), dtype=np.float32)


def planted() -> np.ndarray:
    return gaussian_blobs((N, N, N), PLACES, WIDTHS, HEIGHTS)


def matched(table: dict[str, np.ndarray]) -> np.ndarray:
    """Return the row of each planted blob: all are found, and at most one false one (fdr of 5 %)."""
    at = np.stack([table[f"{a}_px"] for a in "zyx"], axis=1)
    gap = np.linalg.norm(at[:, None] - PLACES, axis=2)
    assert len(PLACES) <= len(at) <= len(PLACES) + 1
    assert gap.min(axis=0).max() < 2.0
    return gap.argmin(axis=0)


def test_blobs_in_white_noise_are_found_and_measured_within_their_errors(
    rng: np.random.Generator,
) -> None:
    found = blobs(planted() + white(rng), sizes=SIZES, threads=1)
    table, row = found.table, matched(found.table)
    np.testing.assert_array_equal(table["sign"][row], np.sign(HEIGHTS))
    for name, truth in (("size", WIDTHS), ("z", PLACES[:, 0]), ("y", PLACES[:, 1])):
        error = table[f"{name}_px"][row] - truth
        assert np.abs(error / table[f"sigma_{name}_px"][row]).max() < 3.5
        assert table[f"sigma_{name}_px"][row].max() < 0.8
    error = (table["amplitude"][row] - HEIGHTS) / table["sigma_amplitude"][row]
    assert np.abs(error).max() < 3.5
    assert table["q_value"].max() <= 0.05
    assert (np.diff(table["significance"]) <= 0).all()
    np.testing.assert_allclose(table["coverage"], 1.0, atol=1e-5)
    assert found.null.passed
    assert "white" in found.notes[0]


def test_noise_alone_makes_as_many_extrema_as_expected() -> None:
    # 20 volumes; the counts of extrema beyond 4.0 are Poisson, their sum has a standard deviation of 7 %.
    observed, expected = 0, 0.0
    spectra = Spectra((N, N, N), 1, None)
    power = np.ones(spectra.terms, np.float32)
    reference = blob_reference(spectra, Plain(spectra, None), SIZES * 0.7, "matched")
    bank = make_bank(spectra, reference, SIZES * 0.7, power, "matched")
    for seed in range(20):
        base = spectra.forward(white(np.random.default_rng(seed))) * bank.weight
        peaks, spread = bank.extrema(base, (6, 6, 6))
        observed += np.count_nonzero(np.abs(peaks[:, 0]) > 4.0)
        expected += float(bank.expected_maxima(np.array([4.0]), (N - 12) ** 3)[0])
        assert np.abs(spread - 1).max() < 0.1
    assert 0.8 < observed / expected < 1.2


def test_a_wedge_in_the_templates_beats_none(rng: np.random.Generator) -> None:
    kz, kx = np.abs(np.fft.fftfreq(N))[:, None, None], np.abs(np.fft.rfftfreq(N))[None, None]
    seen = np.broadcast_to(kz <= np.tan(np.deg2rad(60)) * kx + 1e-9, (N, N, N // 2 + 1))
    transfer = seen.astype(np.float32)
    spectrum = np.fft.rfftn(planted() + white(rng)) * transfer
    volume = np.fft.irfftn(spectrum, (N, N, N), axes=(0, 1, 2)).astype(np.float32)
    found = blobs(volume, sizes=SIZES, transfer=transfer, injections=0, threads=1)
    row = matched(found.table)
    assert np.abs(np.log(found.table["size_px"][row] / WIDTHS)).max() < 0.35
    # The data hold 120 of 180 degrees of a blob's terms.
    np.testing.assert_allclose(found.table["coverage"], 2 / 3, atol=0.04)
    # Without it the side lobes of the wedge pass for blobs of the other sign.
    plain = blobs(volume, sizes=SIZES, injections=0, threads=1)
    assert len(plain.table["sign"]) > len(found.table["sign"]) + 2


class Tilted:
    """A small tilt series."""

    geometry = Geometry.single_axis(np.arange(-60.0, 61.0, 4.0))
    pixels = (N, 96)
    solve = staticmethod(functools.partial(wbp, filter="ramp"))

    def halves(self, volume: np.ndarray, sd: float, rng: np.random.Generator) -> object:
        from cryolith.projection import project

        images = project(volume, self.geometry, self.pixels)
        images += sd * rng.standard_normal(images.shape, dtype=np.float32)
        return self.solve(images, self.geometry, shape=(N, N, N), halves="tilts")


def test_the_joint_fit_ends_at_the_truth_without_noise(rng: np.random.Generator) -> None:
    spectra, series = Spectra((N, N, N), 1, None), Tilted()
    imaging = Projected(spectra, series.geometry, series.pixels, series.solve, "tilts")
    noise = imaging.planned_noise((N, N, N), 3)
    reference = blob_reference(spectra, imaging, SIZES, "matched")
    bank = make_bank(spectra, reference, SIZES, measured_noise(spectra, noise), "matched")
    fit = BlobFit(bank, imaging, imaging.show(planted()).both)
    start = Blobs(
        places=PLACES + rng.normal(0, 0.4, PLACES.shape), sizes=WIDTHS * 1.1, heights=HEIGHTS * 0.9
    )
    found = fit.refit(start, 12).blobs
    # Far below the errors of any data: each round leaves a fraction of the one before.
    np.testing.assert_allclose(found.places, PLACES, atol=0.02)
    np.testing.assert_allclose(found.sizes, WIDTHS, rtol=0.01)
    np.testing.assert_allclose(found.heights, HEIGHTS, rtol=0.02)


def test_halves_of_a_tilt_series_give_noise_decoys_and_blobs(rng: np.random.Generator) -> None:
    series = Tilted()
    how = {"geometry": series.geometry, "image_shape": series.pixels, "solve": series.solve}
    halves = series.halves(planted(), 4.0, rng)
    found = blobs(None, sizes=SIZES, halves=halves, injections=60, **how)  # type: ignore[arg-type]
    matched(found.table)
    assert found.null.source == "decoys"
    assert found.null.passed
    empty = series.halves(np.zeros((N, N, N), np.float32), 4.0, rng)
    nothing = blobs(None, sizes=SIZES, halves=empty, injections=0, **how)  # type: ignore[arg-type]
    assert len(nothing.table["z_px"]) == 0
    assert nothing.null.passed


def test_noise_that_is_not_what_was_said_gives_no_q_values(rng: np.random.Generator) -> None:
    volume = planted() + white(rng)
    found = blobs(volume, sizes=SIZES, noise=0.5, injections=0)
    assert not found.null.passed
    assert np.isnan(found.table["q_value"]).all()
    assert any("no q-values" in note for note in found.notes)


def test_detectability_predicts_the_recall(rng: np.random.Generator) -> None:
    # 8 blobs of one contrast in each of 8 volumes: a binomial share of 64, whose standard deviation is 0.06.
    grid = np.stack(np.meshgrid([16.0, 47.0], [16.0, 47.0], [16.0, 47.0]), axis=-1).reshape(-1, 3)
    hits, predicted = 0, []
    for _ in range(8):
        volume = gaussian_blobs((N, N, N), grid, np.full(8, 2.5), np.full(8, 0.6)) + white(rng)
        found = blobs(volume, sizes=SIZES, noise=1.0, injections=0)
        at = np.stack([found.table[f"{a}_px"] for a in "zyx"], axis=1)
        gap = np.linalg.norm(at[:, None] - grid, axis=2)
        hits += int((gap.min(axis=0) < 3).sum()) if len(at) else 0
        size = int(np.abs(found.detectability.sizes - 2.5).argmin())
        predicted.append(found.detectability.recall(0.6)[0, size])
        assert found.detectability.contrast_for(0.5)[size] > 0
    assert 0.2 < np.mean(predicted) < 0.98
    assert abs(hits / 64 - np.mean(predicted)) < 0.2


def test_coloured_noise_is_fitted_from_its_finest_terms(rng: np.random.Generator) -> None:
    spectra = Spectra((N, N, N), 1, None)
    k2 = spectra.squared_frequency()
    colour = np.exp(-0.1 * k2)
    noise = spectra.forward(white(rng)) * np.sqrt(colour)
    fit = fitted_noise(spectra, noise.astype(np.complex64), 2.0, None)
    assert "coloured" in fit.note
    used = (k2 > 1.0) & (k2 < np.pi**2)
    np.testing.assert_allclose(fit.power[used], colour[used], rtol=0.15)


def test_log_is_the_quick_look(rng: np.random.Generator) -> None:
    # The Laplacian answers most at 1.5 times a blob's size in white noise: the ladder goes on beyond them.
    ladder = 1.25 ** np.arange(3, 9)
    found = blobs(planted() + white(rng), sizes=ladder, method="log", noise=1.0, injections=0)
    row = matched(found.table)
    np.testing.assert_allclose(found.table["amplitude"][row], HEIGHTS, rtol=0.5)
    assert "method: Laplacian of Gaussian, a quick look" in found.notes


def test_lengths_are_in_nanometres_when_the_pixel_is_known(rng: np.random.Generator) -> None:
    volume = planted() + white(rng)
    pixels = blobs(volume, sizes=SIZES, injections=0).table
    nanometres = blobs(volume, sizes=SIZES, injections=0, pixel_size=5.0).table
    np.testing.assert_allclose(nanometres["size_nm"], 0.5 * pixels["size_px"])
    np.testing.assert_allclose(
        nanometres["diameter_nm"], 2.3548 * 0.5 * pixels["size_px"], rtol=1e-4
    )
    np.testing.assert_allclose(nanometres["z_nm"], 0.5 * (pixels["z_px"] - 31.5))


def test_the_same_table_for_any_threads_and_the_input_as_it_was(rng: np.random.Generator) -> None:
    volume = planted() + white(rng)
    before = volume.copy()
    one, three = (blobs(volume, sizes=SIZES, injections=60, threads=t).table for t in (1, 3))
    for name, column in one.items():
        assert column.tobytes() == three[name].tobytes(), name
    np.testing.assert_array_equal(volume, before)


def test_q_values_are_those_of_their_definitions() -> None:
    p = np.array([0.01, 0.2, 0.03])
    np.testing.assert_allclose(benjamini_hochberg(p, 6), [0.06, 0.4, 0.09])
    height, decoys = np.array([6.0, 5.0, 4.0]), np.array([4.5, 3.0])
    np.testing.assert_allclose(decoy_rate(height, decoys), [0.5, 0.5, 2 / 3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [2.0]}, "sizes: found"),
        ({"sizes": [3.0, 2.0]}, "sizes: found"),
        ({"fdr": 0.0}, "fdr: found 0.0"),
        ({"method": "dog"}, "method: found 'dog'"),
        ({"injections": -1}, "injections: found -1"),
        ({"margin": 40}, "margin: found 40"),
        ({"noise": -1.0}, "noise: found -1.0"),
        ({"noise": np.ones((3, 3, 3))}, "noise: found an array of shape"),
        ({"transfer": np.ones((2, 2, 2))}, "transfer: found shape"),
        ({"image_shape": (64, 64)}, "geometry: found None"),
        ({"halves": (np.ones((N, N, N)), np.ones((N, N, 8)))}, "halves: found shapes"),
        ({"halves": (np.ones((N, N, N)),)}, "halves: found 1 volumes"),
    ],
)
def test_bad_input_is_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        blobs(white(np.random.default_rng(1)), **{"sizes": SIZES, **options})  # type: ignore[arg-type]


def test_a_volume_without_noise_is_refused() -> None:
    with pytest.raises(InputError, match="volume: found nothing in its finest terms"):
        blobs(np.ones((N, N, N), np.float32), sizes=SIZES)


def test_no_volume_is_refused_and_cancelling_ends_it(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="volume: found None"):
        blobs(None, sizes=SIZES)
    token = _core.CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        blobs(white(rng), sizes=SIZES, cancel=token)


def test_shells_of_noise_are_taken(rng: np.random.Generator) -> None:
    frequency = np.linspace(0, 0.9, 40)
    shells = NoisePower(
        frequency=frequency,
        power=np.ones(40),
        sigma_power=np.zeros(40),
        count=np.ones(40, np.int64),
    )
    matched(blobs(planted() + white(rng), sizes=SIZES, noise=shells, injections=0).table)


def test_levels_of_noise_are_those_of_the_section(rng: np.random.Generator) -> None:
    # White noise, twice as strong at one side of x as at the other: a map smoothed by an eighth of the axis keeps most
    # of it. Of noise that is the same everywhere two halves of the rows agree on nothing.
    spectra = Spectra((N, N, N), 1, None)
    reference = blob_reference(spectra, Plain(spectra, None), SIZES, "matched")
    bank = make_bank(spectra, reference, SIZES, np.ones(spectra.terms, np.float32), "matched")
    ramp = np.linspace(2 / 3, 4 / 3, N, dtype=np.float32)
    levels = measured_levels(bank, white(rng) * ramp, (6, 6, 6))
    assert levels is not None
    inner = levels.section[6:-6, 6:-6].mean(axis=0)
    np.testing.assert_allclose(inner / inner.mean(), ramp[6:-6] / ramp.mean(), atol=0.12)
    assert measured_levels(bank, white(rng), (6, 6, 6)) is None
    np.testing.assert_allclose(
        levels.gain[6:-6, 0, 6:-6] * levels.section[6:-6, 6:-6], 1, rtol=1e-6
    )
    assert levels.gain.min() < 0.2
    places = np.array([[20.2, 5.0, 30.6]])
    assert levels.at(places)[0] == levels.section[20, 31]


def test_amplitudes_are_right_where_noise_differs(rng: np.random.Generator) -> None:
    level = np.linspace(0.6, 1.4, N, dtype=np.float32)
    first, second = (planted() / 2 + white(rng) * level / np.sqrt(2) for _ in range(2))
    found = blobs(None, sizes=SIZES, halves=(first, second), injections=0, threads=1)
    row = matched(found.table)
    error = (found.table["amplitude"][row] - HEIGHTS) / found.table["sigma_amplitude"][row]
    assert np.abs(error).max() < 3.5
    # Where the noise is weaker the error is smaller, for blobs of about one size.
    seen = found.detectability
    assert seen.noise.max() / seen.noise.min() > 1.5
    assert 0 < seen.recall(1.0)[0, 0] < seen.recall(3.0)[0, 0] <= 1


def test_detect_finds_blobs_too(rng: np.random.Generator) -> None:
    volume = Volume(data=planted() + white(rng), pixel_size=5.0)
    settings = DetectSettings(
        blobs=True, fdr=0.02, smallest_blob=2.0, largest_blob=4.0,
        layers=False, particles=False, voids=False,
    )  # fmt: skip
    found = detect(volume, settings, threads=1)
    matched(dict(found.tables["blobs"]))
    assert found.tables["blobs"]["q_value"].max() <= 0.02
    seen = found.tables["blob_detectability"]
    np.testing.assert_allclose(seen["size_nm"][[0, -1]], [1.0, 2.0])
    assert (seen["amplitude_most_found"] > seen["amplitude_half_found"]).all()
    assert (np.diff(seen["amplitude_half_found"]) < 0).all()  # small blobs are harder to find
    assert any(note.startswith("blobs: noise") for note in found.notes)
    with pytest.raises(InputError, match="largest_blob: found 2 px"):
        detect(volume, DetectSettings(blobs=True, smallest_blob=3.0, largest_blob=2.0))
