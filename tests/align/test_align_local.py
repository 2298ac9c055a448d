# SPDX-License-Identifier: BSD-3-Clause
"""Local shifts: patches, bends as unknowns of the joint solve, and whether they are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import ellipsoids, projections

from cryolith import Alignment, TiltSeries
from cryolith.align import AlignSettings, align_tilt_series, score_alignments
from cryolith.align.bends import Bends, _tangent, bent, free_bends, monomials, powers
from cryolith.align.joint import Model, Pose, drifts
from cryolith.align.local import evidence, localised
from cryolith.align.patches import track_patches
from cryolith.align.pose_covariance import PoseCovariance
from cryolith.align.refinement import judged
from cryolith.align.specimen import prepare
from cryolith.align.steps import Job
from cryolith.datamodel import LocalShifts
from cryolith.errors import InputError
from cryolith.projection.local import local_nodes

EDGE, AXIS, DOSE = 64, 12.0, 2e4
ANGLES = np.linspace(-60, 60, 25)
SIZE_PX = 1.5  # of the deformation at a corner


def deformation(i, places):
    """Handed: rows and columns move by other functions of the place, and tilts of both signs by other sizes."""
    r, c = (2 * places / EDGE).T
    growth = SIZE_PX * (np.cos(3 * np.deg2rad(ANGLES[i])) + 0.4 * np.sin(4 * np.deg2rad(ANGLES[i])))
    return growth * np.c_[0.6 * r * c, 0.5 * c * c - 0.4 * r * r]


def series(bend, seed=5):
    rng = np.random.default_rng(seed)
    shifts = rng.normal(0, 1.5, (len(ANGLES), 2))
    specimen = ellipsoids("slab", EDGE, rng)
    thick = projections(specimen, (EDGE, EDGE), ANGLES, AXIS, shifts, bend)
    expected = DOSE / len(ANGLES) * np.exp(-0.35 * thick / thick[len(ANGLES) // 2].mean())
    return TiltSeries(images=rng.poisson(expected).astype("f4"), angles_deg=ANGLES), shifts


def found(bend, local, threads=1):
    """Local shifts on top of the true pose."""
    data, shifts = series(bend)
    ready = prepare(data.images, ANGLES, 1, "slab", threads, None)
    job = Job(
        keep=np.arange(len(ANGLES)),
        angles_deg=ANGLES,
        nominal=None,
        settings=AlignSettings(local=local),
        threads=threads,
        cancel=None,
        progress=None,
    )
    known = PoseCovariance(matrix=np.eye(2 * len(ANGLES)), n=len(ANGLES), axis=False)
    fit = judged(job, ready, Pose.of_shifts(shifts, AXIS), 1, known)
    return data, shifts, localised(job, ready, fit)


def free_part(moves, inside):
    """Less what an image's places have in common and what another specimen explains, as (along, across)."""
    psi, t = np.deg2rad(AXIS), np.deg2rad(ANGLES)
    along = moves[..., 0] * np.cos(psi) - moves[..., 1] * np.sin(psi)
    across = moves[..., 1] * np.cos(psi) + moves[..., 0] * np.sin(psi)
    out = []
    for values, basis in ((along, np.ones((len(t), 1))), (across, np.c_[np.cos(t), np.sin(t)])):
        count = inside.sum(axis=1, keepdims=True)
        values = values - np.where(inside, values, 0).sum(axis=1, keepdims=True) / count
        for k in range(values.shape[1]):
            seen = inside[:, k]
            fit = np.linalg.lstsq(basis[seen], values[seen, k], rcond=None)[0]
            out.append(values[seen, k] - basis[seen] @ fit)
    return np.concatenate(out)


def places():
    """Where each image shows points of the specimen's middle plane before its shift, and whether it does."""
    grid = np.linspace(-0.4, 0.4, 5) * EDGE
    y, x = (a.ravel() for a in np.meshgrid(grid, grid, indexing="ij"))
    psi, c = np.deg2rad(AXIS), np.cos(np.deg2rad(ANGLES))[:, None]
    rows, columns = (x * c * np.sin(psi) + y * np.cos(psi), x * c * np.cos(psi) - y * np.sin(psi))
    at = np.stack([rows, columns], -1)
    return at, (np.abs(at) < 0.45 * EDGE).all(axis=-1)


def table_at(local, shifts, at):
    nodes, spacing = local_nodes(local, shifts, (EDGE, EDGE))
    out = np.empty_like(at)
    for i, where in enumerate((at + shifts[:, None] + (EDGE - 1) / 2) / spacing):
        low = np.clip(np.floor(where).astype(int), 0, np.array(nodes.shape[2:]) - 2)
        f = where - low
        out[i] = sum(
            nodes[i, :, low[:, 0] + a, low[:, 1] + b]
            * (np.abs(1 - a - f[:, 0]) * np.abs(1 - b - f[:, 1]))[:, None]
            for a in (0, 1)
            for b in (0, 1)
        )
    return out


@pytest.fixture(scope="module")
def deformed():
    return found(deformation, "auto")


def test_a_deformation_is_found_and_its_sign_is_right(deformed):
    _, shifts, fit = deformed
    assert fit.pose.local is not None, fit.notes
    at, inside = places()
    true = np.array([deformation(i, p) for i, p in enumerate(at)])
    got = table_at(fit.pose.local, fit.pose.shifts_px, at)
    got += (fit.pose.shifts_px - shifts)[:, None]
    before, after = free_part(true, inside), free_part(got - true, inside)
    assert np.sqrt(np.mean(after**2)) < 0.6 * np.sqrt(np.mean(before**2))
    # The other sign or hand would leave more than nothing does.
    assert (free_part(got, inside) * before).sum() > 0.5 * (before**2).sum()


def test_a_series_without_deformation_gets_none():
    fit = found(None, "auto")[2]
    assert fit.pose.local is None
    assert fit.notes[-1].startswith("local shifts: none (")


def test_left_out_patches_decide_even_where_local_shifts_are_asked_for():
    fit = found(None, "yes")[2]
    assert fit.pose.local is None
    assert fit.notes[-1].startswith("local shifts: dropped (left-out patches")


def test_the_score_applies_local_shifts():
    data, shifts = series(deformation)
    edge = np.linspace(-0.5, 0.5, 7) * (EDGE - 1)
    grid = np.stack(np.meshgrid(edge, edge, indexing="ij"), -1).reshape(-1, 2)
    points = grid - shifts[:, None]
    moves = np.array([deformation(i, p) for i, p in enumerate(points)])
    good = np.ones(points.shape[:2], bool)
    table = LocalShifts(points_px=points, shifts_px=moves, good=good)
    straight = Alignment(angles_deg=ANGLES, tilt_axis_deg=AXIS, shifts_px=shifts)
    scores = score_alignments(
        data,
        {
            "true": replace(straight, local=table),
            "none": straight,
            "opposite": replace(straight, local=replace(table, shifts_px=-moves)),
        },
    )
    means = [score.mean_holdout() for score in scores.values()]
    assert means == sorted(means)


def test_threads_do_not_change_a_byte(deformed):
    fit = found(deformation, "auto", threads=2)[2]
    assert np.array_equal(fit.pose.local.shifts_px, deformed[2].pose.local.shifts_px)
    assert np.array_equal(fit.pose.shifts_px, deformed[2].pose.shifts_px)


def test_no_local_shifts_are_sought_where_the_settings_say_so():
    fit = found(deformation, "no")[2]
    assert fit.pose.local is None
    assert not any("local" in note for note in fit.notes)


def test_short_series_say_why_there_are_none():
    data, _ = series(None)
    few = slice(None, None, 4)
    alignment = align_tilt_series(
        data.images[few],
        ANGLES[few],
        settings=AlignSettings(
            tilt_axis=AXIS,
            refine_axis=False,
            iterations=0,
            specimen="slab",
            beads="no",
            level="no",
            local="auto",
        ),
    )
    assert alignment.local is None
    assert any(note.startswith("local shifts: not sought (7 tilts") for note in alignment.method)


def test_bends_are_their_polynomial_and_the_table_is_theirs():
    rng = np.random.default_rng(1)
    bends = replace(Bends.none(2, 2, (60, 80), 25.0), coefficients=rng.normal(size=(2, 5, 2)))
    at = rng.uniform(-30, 30, (2, 3, 2))
    psi = np.deg2rad(25.0)
    for i in range(2):
        for place, got in zip(at[i], bends.at(at)[i], strict=True):
            v = (place[0] * np.cos(psi) - place[1] * np.sin(psi)) / 40
            u = (place[0] * np.sin(psi) + place[1] * np.cos(psi)) / 40
            along, across = np.array([v, u, v * v, v * u, u * u]) @ bends.coefficients[i]
            row = along * np.cos(psi) + across * np.sin(psi)
            column = across * np.cos(psi) - along * np.sin(psi)
            assert got == pytest.approx([row, column], abs=1e-12)
    shifts = rng.normal(0, 5, (2, 2))
    table = bends.table(shifts, (60, 80))
    nodes, spacing = local_nodes(table, shifts, (60, 80))
    inner = spacing * np.array([[3, 4], [5, 2]]) - np.array([59, 79]) / 2
    want = bends.at(inner - shifts[:, None])
    got = np.stack([nodes[:, :, 3, 4], nodes[:, :, 5, 2]], axis=1)
    assert np.abs(got - want).max() < 0.01 * np.abs(bends.coefficients).max()


def test_free_bends_hold_nothing_that_another_specimen_explains():
    basis = free_bends(ANGLES, 2, np.c_[np.ones(len(ANGLES)), drifts(len(ANGLES), 4)])
    t = np.deg2rad(ANGLES)
    for k, (_, b) in enumerate(powers(2)):
        along, across = np.cos(t) ** -b, [np.cos(t) ** (1 - b), np.sin(t) * np.cos(t) ** -b]
        assert np.abs(along @ basis[:, k, 0]).max() < 1e-10
        assert np.abs(across @ basis[:, k, 1]).max() < 1e-10


def small_model(rng):
    shape = (6, 104, 112)
    x = np.zeros(shape, np.float32)
    x[1:5, 8:96, 8:104] = rng.uniform(0, 1, (4, 88, 96))
    for axis in range(3):
        x = (np.roll(x, 1, axis) + 2 * x + np.roll(x, -1, axis)) / 4
    angles = np.linspace(-40, 40, 7)
    model = Model(
        images=np.zeros((7, 96, 104), np.float32),
        angles_deg=angles,
        shape=shape,
        support=np.ones((6, 1, 112), np.float32),
        weights=np.ones((7, 1, 1), np.float32),
        ridge=0.01,
    )
    return model, x, Pose.of_shifts(rng.normal(0, 1, (7, 2)), 20.0)


def test_the_tangent_is_the_derivative_and_its_adjoint_the_transpose():
    rng = np.random.default_rng(2)
    model, x, pose = small_model(rng)
    bends = Bends.none(7, 2, (96, 104), 20.0)
    basis = free_bends(model.angles_deg, 2, np.c_[np.ones(7), drifts(7, 2)])
    tangent = _tangent(model, pose, x, bends, basis)
    p = rng.normal(size=tangent.zeros().shape)
    r = rng.normal(size=model.images.shape).astype("f4")
    left, right = float((tangent.apply(p) * r).sum()), float(tangent.adjoint(r) @ p)
    assert left == pytest.approx(right, rel=1e-4)
    p *= 0.1 / np.abs(tangent.moves(p)).max()
    moves = tangent.moves(p)
    psi = np.deg2rad(20.0)
    turn = np.array([[np.cos(psi), np.sin(psi)], [-np.sin(psi), np.cos(psi)]])
    moved = pose.moved("shifts_px", moves[:, 0] @ turn.T)
    bent_pose = bent(moved, replace(bends, coefficients=moves[:, 1:]), model)
    seen = model.operator(pose).project(x)
    change = model.operator(bent_pose).project(x) - seen
    # The pair's bent image keeps its sum; the tangent leaves brighter and darker out.
    pixels = np.moveaxis(np.mgrid[:96, :104], 0, -1).reshape(-1, 2) - np.array([95, 103]) / 2
    at = pixels - pose.shifts_px[:, None]
    some = replace(bends, coefficients=moves[:, 1:])
    spread = sum((some.at(at + h) - some.at(at - h))[..., a] / 2 for a, h in enumerate(np.eye(2)))
    change += seen * spread.reshape(seen.shape)
    inner = np.s_[:, 6:-6, 6:-6]
    error = (tangent.apply(p) - change)[inner]
    assert np.linalg.norm(error) < 0.1 * np.linalg.norm(change[inner])
    assert monomials(np.array([2.0, 3.0]), 2).tolist() == [2, 3, 4, 6, 9]


def noisy_pair(n, move, seed, counts=300):
    """Images of one scene, its right half moved, and the scene as it was."""
    rng = np.random.default_rng(seed)
    fr, fc = np.fft.fftfreq(160)[:, None], np.fft.rfftfreq(160)[None]
    soft = np.exp(-60 * (fr * fr + fc * fc))
    scene = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(160, 160))) * soft)
    scene = (1 + scene / scene.std() * 0.3).clip(0.1)
    phase = np.exp(-2j * np.pi * (fr * move[0] + fc * move[1]))
    there = np.fft.irfft2(np.fft.rfft2(scene) * phase)
    still = np.stack([scene[32:128, 32:128]] * n)
    moved = still.copy()
    moved[:, :, 48:] = there[32:128, 80:128]
    return rng.poisson(counts * moved).astype("f4"), (counts * still).astype("f4")


def test_patches_find_what_moved_against_the_rest_within_their_sigma():
    move = np.array([0.4, -0.7])
    images, predicted = noisy_pair(12, move, 3, counts=10)
    patches = track_patches(images, predicted)
    w = patches.information()[..., None]
    assert (w > 0).mean() > 0.8
    true = (patches.places_px[:, 1] > 0)[:, None] * move
    true = true - (w * true).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
    off = ((patches.shifts_px - true) / patches.sigma_px[..., None])[w[..., 0] > 0]
    assert 0.5 < np.sqrt(np.mean(off**2)) < 1.3
    for threads in (1, 2):
        again = track_patches(images, predicted, threads=threads)
        assert np.array_equal(again.shifts_px, patches.shifts_px, equal_nan=True)


def test_patches_without_signal_are_left_out_with_the_reason():
    images, predicted = noisy_pair(4, (0.0, 0.0), 4)
    rng = np.random.default_rng(5)
    images[:, :, :48] = rng.poisson(300, (4, 96, 48))
    predicted[:, :, :48] = 300
    patches = track_patches(images, predicted)
    flat = patches.places_px[:, 1] < 0
    assert (patches.information()[:, flat] == 0).all()
    assert sum(patches.left_out.values()) >= flat.sum() * 4
    assert patches.left_out["too little signal"] > 0


def test_bad_predictions_are_refused():
    with pytest.raises(InputError, match=r"predicted: found \(2, 32, 31\)"):
        track_patches(np.zeros((2, 32, 32), "f4"), np.zeros((2, 32, 31), "f4"))
    with pytest.raises(InputError, match="at least 16"):
        track_patches(np.zeros((2, 8, 8), "f4"), np.zeros((2, 8, 8), "f4"))


def test_evidence_is_about_one_for_noise_and_large_for_a_bend():
    images, predicted = noisy_pair(len(ANGLES), (0.0, 0.0), 6)
    patches = track_patches(images, predicted)
    pose = Pose.of_shifts(np.zeros((len(ANGLES), 2)), AXIS)
    bends = Bends.none(len(ANGLES), 2, (96, 96), AXIS)
    basis = free_bends(ANGLES, 2, np.c_[np.ones(len(ANGLES)), drifts(len(ANGLES), 4)])
    rng = np.random.default_rng(7)
    noise = patches.sigma_px[..., None] * rng.normal(size=patches.shifts_px.shape)
    alone = replace(patches, shifts_px=noise)
    assert 0.3 < evidence(alone, pose, bends, basis) < 1.8
    seen = np.array([deformation(i, patches.places_px) for i in range(len(ANGLES))])
    assert evidence(replace(patches, shifts_px=noise + seen), pose, bends, basis) > 5
