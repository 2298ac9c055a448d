# SPDX-License-Identifier: BSD-3-Clause
"""What blobs are looked for as, how strong the noise is beside them, and how rare an extremum is at its size."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from cryolith.datamodel import Alignment, TiltSeries
from cryolith.detect import DetectSettings, blobs, detect
from cryolith.detect._blob_fit import BlobFit
from cryolith.detect._blob_search import Search
from cryolith.detect._filter_bank import blob_reference, make_bank
from cryolith.detect._gaussian_blobs import Blobs, gaussian_blobs
from cryolith.detect._imaging import Plain, Projected
from cryolith.detect._rarity import Rarity
from cryolith.detect._search_inputs import imaging_of
from cryolith.detect._sections import rows_alike
from cryolith.detect._spectrum import Spectra, measured_noise, own_share
from cryolith.errors import InputError
from cryolith.projection import Geometry, project
from cryolith.reconstruct import ReconstructSettings, reconstruct, sirt, wbp
from cryolith.reconstruct.halves import Split

N, MARGIN = 64, 6
SIZES = np.array([1.6, 2.0, 2.5, 3.1, 3.9])
ANGLES = np.arange(-60.0, 61.0, 4.0)


def tilted(spectra: Spectra) -> Projected:
    solve = functools.partial(wbp, filter="ramp")
    return Projected(spectra, Geometry.single_axis(ANGLES), (N, 96), solve, "tilts")


def test_a_template_is_as_strong_as_what_is_shown_of_a_blob_anywhere() -> None:
    spectra = Spectra((N, N, N), 1, None)
    imaging = tilted(spectra)
    reference = blob_reference(spectra, imaging, SIZES, "matched")
    power = measured_noise(spectra, imaging.planned_noise((N, N, N), 3))
    fit = BlobFit(
        make_bank(spectra, reference, SIZES, power, "matched"),
        imaging,
        np.zeros((N, N, N), np.float32),
    )
    rng = np.random.default_rng(6)
    ratio = []
    for size in (1.6, 2.5, 3.9):
        for _ in range(8):
            one = Blobs(
                places=rng.uniform(MARGIN, N - MARGIN, (1, 3)),
                sizes=np.array([size]),
                heights=np.ones(1),
            )
            # z of the blob with itself taken out of nothing: what its template holds less what was shown of it.
            missing = fit.step(one, fit.without(fit.base, one)).z[0]
            ratio.append(1 - missing / fit.unit_significance(np.array([size]))[0])
    # The template of the middle voxel was 2 % too strong: 1.10 times the extrema that noise makes beyond 4.
    assert abs(np.mean(ratio) - 1) < 0.01
    assert np.std(ratio) < 0.03


@pytest.mark.parametrize(
    ("solve", "split"),
    [
        (functools.partial(wbp, filter="ramp"), "tilts"),
        (functools.partial(sirt, n_iter=4, lower=-np.inf), "tilts"),
        (functools.partial(sirt, n_iter=4, lower=-np.inf), "frames"),
    ],
)
def test_one_row_for_each_blob_draws_what_all_rows_would(
    solve: functools.partial[np.ndarray], split: Split, rng: np.random.Generator
) -> None:
    spectra = Spectra((40, 30, 36), 1, None)
    some = Blobs(
        places=rng.uniform(-2, 38, (9, 3)),  # some beyond the faces
        sizes=rng.uniform(1.2, 4, 9),
        heights=rng.normal(size=9),
    )
    volume = gaussian_blobs(spectra.shape, some.places, some.sizes, some.heights, 1)
    # With a row more in the images, rows of volume and images no longer go together: all of them are drawn.
    for height in (30, 31):
        imaging = Projected(spectra, Geometry.single_axis(ANGLES), (height, 60), solve, split)
        out = spectra.padded()
        imaging.draw(some, out)
        whole, apart = imaging.show(volume), imaging.difference(some)
        scale = np.abs(whole.both).max()
        assert_near(out[..., :36], whole.both, scale)
        assert (apart is None) == (whole.difference is None)
        if apart is not None and whole.difference is not None:
            assert_near(apart, whole.difference, scale)


def assert_near(found: np.ndarray, wanted: np.ndarray, scale: float) -> None:
    # Sums over 31 views, five times with iterations, in float32.
    bound = 5 * len(ANGLES) * np.finfo("f4").eps * scale
    assert np.abs(found - wanted).max() < bound


@pytest.mark.parametrize("count", [6, 9])
def test_halves_by_dose_are_shown_as_they_were_divided(
    count: int, rng: np.random.Generator
) -> None:
    geometry = Geometry.single_axis(rng.permutation(ANGLES)[:count])
    dose = rng.permutation(count).astype(float)
    volume = rng.standard_normal((32, 12, 32), dtype=np.float32)
    images = project(volume, geometry, (12, 48))
    halves = wbp(images, geometry, shape=volume.shape, halves="dose", dose=dose)
    imaging = imaging_of(Spectra(volume.shape, 1, None), geometry, (12, 48), None, None, halves)
    shown = imaging.show(volume)
    np.testing.assert_array_equal(shown.difference, halves.first - halves.second)
    found = blobs(
        None,
        sizes=[1.5, 2.0],
        halves=halves,
        geometry=geometry,
        image_shape=(12, 48),
        margin=3,
        injections=0,
    )
    assert found.null.source == "decoys"  # and nothing asked for the dose
    other = Geometry.single_axis(ANGLES[: count + 1])
    with pytest.raises(
        InputError, match=rf"halves: found index.*expected a division of the {count + 1} views"
    ):
        blobs(None, sizes=[1.5, 2.0], halves=halves, geometry=other, margin=3)


def test_rows_are_not_alike_where_geometry_or_options_differ_by_row() -> None:
    straight = Geometry.single_axis(ANGLES)
    shifts = np.zeros((len(ANGLES), 2))
    assert rows_alike(straight, wbp)
    assert rows_alike(Geometry.single_axis(ANGLES, shifts_px=shifts + np.array([0, 3.5])), sirt)
    assert not rows_alike(Geometry.single_axis(ANGLES, shifts_px=shifts + np.array([0.5, 0])), sirt)
    assert not rows_alike(Geometry.single_axis(ANGLES, tilt_axis_deg=1.0), sirt)
    assert not rows_alike(straight, functools.partial(sirt, mask=np.ones((4, 4, 4))))
    assert not rows_alike(straight, lambda *_, **__: None)


def test_noise_makes_as_many_extrema_at_each_size_as_expected() -> None:
    spectra = Spectra((N, N, N), 1, None)
    power = np.ones(spectra.terms, np.float32)
    sizes = np.geomspace(1.4, 3.4, 5)
    reference = blob_reference(spectra, Plain(spectra, None), sizes, "matched")
    bank = make_bank(spectra, reference, sizes, power, "matched")
    voxels = (N - 2 * MARGIN) ** 3
    levels = np.array([3.8, 4.2])
    by_size = np.exp(bank.log_expected_by_size(levels, voxels))
    np.testing.assert_allclose(by_size.sum(axis=1), bank.expected_maxima(levels, voxels))
    count = np.zeros(len(sizes))
    volumes = 40
    for seed in range(volumes):
        noise = np.random.default_rng(seed).standard_normal((N, N, N), dtype=np.float32)
        peaks, _ = bank.extrema(spectra.forward(noise) * bank.weight, (MARGIN,) * 3)
        near = np.abs(np.subtract.outer(peaks[:, 1], bank.log_sizes)).argmin(axis=1)
        count += np.bincount(near[np.abs(peaks[:, 0]) > levels[0]], minlength=len(sizes))
    expected = volumes * by_size[0]
    assert expected[0] > 3 * expected[1:].sum()  # nearly all are of the smallest size
    # Three standard deviations of a count, and a tenth for the lattice, on which the finest extrema are counted.
    np.testing.assert_array_less(np.abs(count - expected), 3 * np.sqrt(expected) + 0.1 * expected)


def test_rarity_is_the_expected_number_at_the_same_size() -> None:
    spectra = Spectra((N, N, N), 1, None)
    power = np.ones(spectra.terms, np.float32)
    reference = blob_reference(spectra, Plain(spectra, None), SIZES, "matched")
    bank = make_bank(spectra, reference, SIZES, power, "matched")
    rarity = Rarity(bank, N**3)
    at = rarity.of(np.array([-4.5, 4.5, 60.0]), bank.log_sizes[[1, 1, 2]])
    assert at[0] == at[1] == bank.log_expected_by_size(np.array(4.5), N**3)[1]
    assert at[2] < -1700  # and no underflow
    assert rarity.expected(np.array(0.0)) == pytest.approx(
        np.minimum(np.exp(bank.log_expected_by_size(np.array(3.7), N**3)), 1).sum()
    )
    chosen = rarity.for_expected(2.0)
    assert rarity.expected(np.array(chosen)) == pytest.approx(2.0, rel=1e-3)
    levels = rarity.levels(chosen)
    assert (np.diff(levels) <= 0).all()  # large blobs need not be as high
    np.testing.assert_allclose(rarity.of(levels[:1], bank.log_sizes[:1]), chosen, atol=0.01)


def test_a_jump_from_face_to_face_is_no_noise() -> None:
    spectra = Spectra((N, N, N), 1, None)
    noise = np.random.default_rng(2).standard_normal((N, N, N), dtype=np.float32)
    slope = np.linspace(-4, 4, N, dtype=np.float32)[:, None, None]
    along_z = (slice(4, 12), 0, 0)
    flat, jump, faded = (
        measured_noise(spectra, *given)[along_z].mean()
        for given in ((noise,), (noise + slope**3 / 16,), (noise + slope**3 / 16, 16))
    )
    assert jump > 4 * flat
    assert faded < flat + 0.3 * (jump - flat)


def test_detect_looks_for_what_the_job_shows_of_a_blob() -> None:
    rng = np.random.default_rng(5)
    geometry = Geometry.single_axis(ANGLES)
    volume = gaussian_blobs(
        (40, N, N),
        np.array([[14.0, 20.0, 22.0], [24.0, 44.0, 40.0]]),
        np.array([2.4, 3.0]),
        np.array([2.0, 1.5]),
        1,
    )
    images = project(volume, geometry, (N, N), threads=1)
    images += rng.standard_normal(images.shape, dtype=np.float32)
    series = TiltSeries(images=images, angles_deg=ANGLES, pixel_size=10.0)
    alignment = Alignment(
        angles_deg=ANGLES, tilt_axis_deg=0.0, shifts_px=np.zeros((len(ANGLES), 2))
    )
    how = ReconstructSettings(
        method="wbp", filter="ramp", thickness=400.0, halves="tilts", background="none"
    )
    found = reconstruct(series, alignment, how, threads=1)
    known = {"geometry": geometry, "image_shape": (N, N)}
    asked = DetectSettings(
        blobs=True, smallest_blob=2.0, largest_blob=3.9, layers=False, particles=False, voids=False
    )
    table = detect(
        found, asked, halves=found.halves, **known, reconstruction=how, threads=1
    ).tables["blobs"]
    assert len(table["sign"]) == 2
    assert (np.abs(table["coverage"] - 0.63) < 0.05).all()  # 2/3 less what the faces cut
    round_ones = detect(found, asked, halves=found.halves, threads=1).tables["blobs"]
    assert round_ones["coverage"].min() > 0.95
    solve = functools.partial(wbp, filter="ramp")
    halves = solve(images, geometry, shape=(40, N, N), halves="tilts", threads=1)
    direct = blobs(
        found, sizes=np.geomspace(2.0, 3.9, 4), halves=halves, **known, solve=solve, threads=1
    )
    np.testing.assert_array_equal(direct.table["size_nm"], table["size_nm"])
    # Bounds are left out; what is not linear has round templates.
    for method, said in (
        ("sirt", "what the"),
        ("sart", "what the"),
        ("tv", "round"),
        ("cgls", "round"),
    ):
        other = ReconstructSettings(method=method, n_iter=1, halves="tilts")
        notes = detect(
            found, asked, halves=found.halves, **known, reconstruction=other, threads=1
        ).notes
        assert any(note.startswith(f"blobs: templates are {said}") for note in notes)


def test_smoothing_a_spectrum_does_not_fill_its_hollows() -> None:
    spectra = Spectra((N, N, N), 1, None)
    kz, _, kx = spectra.axes()
    ramp = (np.abs(kx) * (np.abs(kz) < 1.7 * np.abs(kx)) + 1e-3).astype(
        np.float32
    )  # of a WBP, with a wedge
    low = np.exp(-8.0 * spectra.squared_frequency())  # what a blob of 2.8 px is looked for with
    ratio = []
    for seed in range(6):
        white = np.random.default_rng(seed).standard_normal((N, N, N), dtype=np.float32)
        noise = spectra.inverse(spectra.forward(white) * np.sqrt(ramp))
        ratio.append(float((measured_noise(spectra, noise) * low).sum() / (ramp * low).sum()))
    # The mean over neighbours alone is 8 % too strong.
    assert abs(np.mean(ratio) - 1) < 0.03


def test_noise_is_weaker_behind_a_filter_made_of_its_own_spectrum() -> None:
    spectra = Spectra((N, N, N), 1, None)
    ratio = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mine, other = (rng.standard_normal((N, N, N), dtype=np.float32) for _ in range(2))
        power = measured_noise(spectra, mine)
        behind, beside = (np.linalg.norm(spectra.forward(v) / power) for v in (mine, other))
        ratio.append(behind / beside)
    # Each is known to 0.3 %, from 131072 terms.
    assert np.mean(ratio) == pytest.approx(1 - own_share(spectra.shape), abs=0.004)
    assert own_share(spectra.shape) == pytest.approx(0.01, abs=0.001)


def test_differences_of_blobs_are_those_of_templates() -> None:
    spectra = Spectra((N, N, N), 1, None)
    imaging = tilted(spectra)
    reference = blob_reference(spectra, imaging, SIZES, "matched")
    power = measured_noise(spectra, imaging.planned_noise((N, N, N), 3))
    bank = make_bank(spectra, reference, SIZES, power, "matched")
    fit = BlobFit(bank, imaging, np.zeros((N, N, N), np.float32))
    truth = Blobs(places=np.array([[25.0, 30.0, 38.0]]), sizes=np.array([2.5]), heights=np.ones(1))
    moved = Blobs(places=truth.places + 0.4, sizes=truth.sizes * 1.1, heights=truth.heights * 0.9)
    both = moved.joined(truth.negative())
    exact = fit.without(fit.base, both).copy()
    quick = fit.by_templates().without(fit.base, both)
    assert np.linalg.norm(quick - exact) < 0.1 * np.linalg.norm(exact)
    plain = BlobFit(bank, Plain(spectra, None), np.zeros((N, N, N), np.float32))
    assert plain.by_templates() is plain


def test_two_that_may_be_noise_do_not_lift_each_other() -> None:
    spectra = Spectra((N, N, N), 1, None)
    power = np.ones(spectra.terms, np.float32)
    reference = blob_reference(spectra, Plain(spectra, None), SIZES, "matched")
    bank = make_bank(spectra, reference, SIZES, power, "matched")
    sizes = np.full(4, 2.5)
    unit = 1 / bank.response(bank.sizes, sizes[:1]).max()
    # Bright and dark side by side, one alone, and one beyond doubt beside a weak one.
    blobs_ = Blobs(
        places=np.array([[20.0, 20, 20], [20, 20, 24], [40, 40, 40], [24, 46, 20]]),
        sizes=sizes,
        heights=np.array([6.0, -5.5, 5.0, 12.0]) * unit,
    )
    fit_volume = gaussian_blobs((N, N, N), blobs_.places, blobs_.sizes, blobs_.heights, 1)
    search = Search(bank, Plain(spectra, None), fit_volume, None, (MARGIN,) * 3)
    z = search.fit.step(blobs_, search.fit.without(search.fit.base, blobs_)).z
    np.testing.assert_allclose(z, [6.0, -5.5, 5.0, 12.0], rtol=0.02)
    overlap = np.exp(-(4.0**2) / (4 * 2.5**2))  # of two equal Gaussians 4 px apart
    expected = [6.0 - 5.5 * overlap, -(5.5 - 6.0 * overlap), 5.0, 12.0]
    # Slow waves, which the filter leaves out, are 2 % of the overlap.
    np.testing.assert_allclose(
        search._unlifted(blobs_, z), expected, atol=0.03 * 6.0 * overlap + 0.05
    )


def test_the_bias_is_that_of_blobs_which_are_surely_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryolith.detect import _injection

    rng = np.random.default_rng(3)
    z = np.concatenate([np.full(60, 5.0), np.full(60, 9.0)])
    sigma = 1 / z[:, None] * np.ones(5)
    error = rng.normal(0, 0.01, (120, 5)) * sigma
    error[:60, 3] += 0.2  # weak ones wander
    error[60:, 3] -= 2.0 * sigma[60:, 3] ** 2
    rows = np.column_stack([error, sigma, z])
    one = Blobs(places=np.zeros((1, 3)), sizes=np.ones(1), heights=np.ones(1))
    monkeypatch.setattr(_injection, "_measured", lambda *_: rows)
    monkeypatch.setattr(_injection, "_placed", lambda *_: one)
    search = SimpleNamespace(
        fit=SimpleNamespace(without=lambda *_: np.zeros(1), base=None),
        bank=SimpleNamespace(scratch=lambda: np.empty(1)),
        stand_out=None,
    )
    outcome = SimpleNamespace(blobs=one)
    found = _injection.calibrate(search, outcome, 120, 0)  # type: ignore[arg-type]
    assert found is not None
    assert found.bias[0] == pytest.approx(-2.0, abs=0.05)
    assert found.count == 120
