# SPDX-License-Identifier: BSD-3-Clause
"""What is said of one new tilt: its numbers, blanks, jumps, and where the specimen is in it."""

from __future__ import annotations

import numpy as np
import pytest

from cryolith.align.images import resample_images
from cryolith.errors import ConfigError
from cryolith.watch import Alert, WatchSettings
from cryolith.watch.alerts import Ledger
from cryolith.watch.checks import Steps, intensity_step, is_blank, levels
from cryolith.watch.measures import Look, measure
from cryolith.watch.placing import place_against
from cryolith.watch.records import Kept, Record, read_kept, write_kept


def scene(rng, shape=(96, 96), width=3.0):
    f = np.fft.rfft2(rng.normal(0, 1, shape))
    q = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.rfftfreq(shape[1]) ** 2
    made = np.fft.irfft2(f * np.exp(-2 * (np.pi * width) ** 2 * q), shape)
    return made / made.std()


def look(variance=1.0, sigma=0.01, mean=100.0, vacuum=0.0, has_vacuum=False):
    return Look(
        variance=variance, sigma_variance=sigma, mean=mean, vacuum=vacuum, has_vacuum=has_vacuum
    )


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_the_variance_of_a_scene_does_not_grow_with_its_noise(rng, noise):
    found = []
    for _ in range(40):
        image = 100 + scene(rng, (128, 128), 4.0) + noise * rng.normal(0, 1, (128, 128))
        made = measure(image.astype(np.float32), 2).look
        found.append(made.variance)
    assert abs(np.mean(found) - 1) < 0.15
    assert np.std(found) < 0.3
    blank = [
        measure(rng.normal(100, noise or 1, (128, 128)).astype(np.float32), 2).look
        for _ in range(40)
    ]
    scores = [b.variance / b.sigma_variance for b in blank]
    assert abs(np.mean(scores)) < 0.5
    assert 0.7 < np.std(scores) < 1.4


def test_blank_is_what_has_less_contrast_beyond_chance_or_no_light():
    others = [look() for _ in range(6)]
    assert is_blank(look(variance=0.05), others, 0.3)
    assert not is_blank(look(variance=0.2), others, 0.3)
    assert not is_blank(look(variance=0.05, sigma=0.1), others, 0.3)
    # Images that show nothing but noise are blank only without light.
    faint = [look(variance=0.001 * (-1) ** i, sigma=1.0) for i in range(6)]
    assert not is_blank(look(variance=-0.001, sigma=1.0), faint, 0.3)
    assert "intensity" in is_blank(look(variance=0.0, sigma=0.1, mean=1.0), faint, 0.3)
    # With nothing to compare with, only one value everywhere is.
    assert not is_blank(look(variance=0.0, sigma=0.1), others[:2], 0.3)
    assert is_blank(look(variance=0.0, sigma=0.0), [], 0.3)


def test_levels_count_from_the_vacuum_where_most_have_one_and_take_offsets_off():
    assert levels([look(mean=110, vacuum=100, has_vacuum=True)] * 3).tolist() == [10.0] * 3
    assert levels([look(mean=-900, vacuum=-1000)] * 2).tolist() == [100.0] * 2


def path(angles, thickness):
    return thickness / np.cos(np.deg2rad(angles))


@pytest.mark.parametrize("order", ["ends", "dose-symmetric", "outward"])
@pytest.mark.parametrize("thickness", [0.2, 0.7, 1.5])
@pytest.mark.parametrize("field", ["bright", "dark"])
@pytest.mark.parametrize("inclined", [0.0, 8.0])
def test_the_trend_of_a_slab_is_no_jump_and_a_jump_is_one(order, thickness, field, inclined):
    angles = np.arange(-60.0, 61.0, 3.0)
    if order == "dose-symmetric":
        angles = angles[np.lexsort((-angles, np.abs(angles)))]
    if order == "outward":
        angles = np.concatenate([angles[20::-1], angles[21:]])
    through = path(angles + inclined, thickness)
    light = 1000 * (np.exp(-through) if field == "bright" else through)

    def alerts(light):
        steps, jumps, found = Steps(), [], []
        for i, level in enumerate(light):
            step, off, logs = 0.0, 0.0, np.log(light[:i]) - np.array(jumps)
            if i:
                step, off = intensity_step(angles[i], level, angles[:i], logs, steps)
            alert = step > np.log1p(0.25)
            jumps.append(off if alert else (steps.nearer([off]) or (0.0,))[0])
            steps = steps.after([jumps[-1]], alert=alert)
            found += [i] if alert else []
        return found

    assert alerts(light) == []
    for factor in (0.5, 1.8):
        single, lasting = light.copy(), light.copy()
        single[14] *= factor
        lasting[14:] *= factor
        assert alerts(single) == [14]
        assert alerts(lasting) == [14]


@pytest.mark.parametrize("kind", ["needle", "slab"])
@pytest.mark.parametrize("axis", [0.0, 35.0])
def test_the_place_of_a_specimen_that_shrinks_or_does_not(rng, kind, axis):
    image = scene(rng, (128, 128)).astype(np.float32)
    at, moved = np.array([2.0, -3.0]), np.array([6.0, 5.0])
    psi = np.deg2rad(axis)
    turn = np.array([[np.cos(psi), np.sin(psi)], [-np.sin(psi), np.cos(psi)]])
    ratio = np.cos(np.deg2rad(60)) / np.cos(np.deg2rad(57)) if kind == "slab" else 1.0
    back = turn @ np.diag([1.0, 1 / ratio]) @ turn.T
    first = resample_images(image[None], np.eye(2)[None], -at[None], (96, 96))[0]
    then = resample_images(image[None], back[None], -(back @ (at + moved))[None], (96, 96))[0]
    found, sigma = place_against(first, at, 57.0, then, 60.0, axis, 1)
    assert np.isfinite(sigma)
    assert np.abs(found - (at + moved)).max() < 0.5


def test_images_that_have_nothing_in_common_have_no_sure_place(rng):
    a, b = (rng.normal(0, 1, (96, 96)).astype(np.float32) for _ in range(2))
    _, sigma = place_against(a, np.zeros(2), 0.0, b, 3.0, 0.0, 1)
    assert sigma == np.inf


def test_the_ledger_keeps_each_alert_once_and_survives_what_it_cannot_read(tmp_path):
    path = tmp_path / "alerts.json"
    first = Alert(series="a", kind="blank", text="x", tilt=3, angle_deg=-9.0, about="3:1")
    ledger = Ledger(path)
    assert ledger.raise_new([first, first]) == [first]
    assert Ledger(path).raise_new([first]) == []
    assert Ledger(path).alerts == [first]
    assert first.line == "blank: tilt 3 (-9°): x"
    path.write_text("{")
    assert Ledger(path).alerts == []


def test_records_read_back_as_they_were_and_damage_is_no_record(tmp_path):
    path = tmp_path / "tilts.json"
    record = Record(
        key="0", tilt=0, angle_deg=0.1 + 0.2, check=7, look=look(), position_px=(0.1, -3.3),
        placed=False, jump=-0.7, alerts={"drift": "far"},
    )  # fmt: skip
    write_kept(path, Kept(records=(record,), settled=4))
    assert read_kept(path) == Kept(records=(record,), settled=4)
    path.write_text(path.read_text().replace('"placed"', '"plaaced"'))
    assert read_kept(path) == Kept()


def test_settings_refuse_by_name():
    with pytest.raises(ConfigError, match="did you mean 'drift'"):
        WatchSettings(drfit=3)
    assert WatchSettings(drift="20 nm").drift == 200.0
