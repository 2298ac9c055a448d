# SPDX-License-Identifier: BSD-3-Clause
"""Labels and distances on other devices are the CPU's, to the byte."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import CARDS, on_devices

import cryolith
from cryolith import detect


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(1).random((19, 22, 71)).astype(np.float32)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@on_devices
def test_labels_equal_those_of_the_cpu(volume, device, connectivity):
    volume = volume.copy()
    volume[3, 4, 5:50] = np.nan
    for options in ({"above": 0.7}, {"below": 0.5}, {"above": 0.2, "below": 0.4}):
        wanted, count = detect.label(volume, connectivity, **options)
        labels, found = detect.label(volume, connectivity, device=device, **options)
        assert found == count
        assert labels.dtype == wanted.dtype
        np.testing.assert_array_equal(labels, wanted)
    mask = volume > 0.9
    out = np.full(mask.shape, -1, np.int32)
    labels, _ = detect.label(mask, connectivity, device=device, out=out)
    assert labels is out
    np.testing.assert_array_equal(out, detect.label(mask, connectivity)[0])


@pytest.mark.parametrize("spacing", [None, (2, 1, 1), (1.3, 0.7, 0.45)])
@on_devices
def test_distances_equal_those_of_the_cpu(volume, device, spacing):
    for values in (volume > 0.02, (volume[:, :, ::2] * 1.4 + 0.5).astype(np.int64)):
        for options in ({}, {"signed": True}, {"border": True}):
            wanted = detect.distance(values, spacing=spacing, **options)
            found = detect.distance(values, spacing=spacing, device=device, **options)
            assert found.tobytes() == wanted.tobytes()


def test_a_second_device_is_as_good(volume):
    mask = volume[:9] > 0.8
    labels, _ = detect.label(mask, device="emulated:1")
    np.testing.assert_array_equal(labels, detect.label(mask)[0])
    away = detect.distance(mask, device="emulated:1")
    np.testing.assert_array_equal(away, detect.distance(mask))


def test_what_a_device_does_not_take_is_refused(volume):
    token = cryolith.CancelToken()
    token.cancel()
    with pytest.raises(cryolith.InputError, match="other devices take masks"):
        detect.label(volume, delta=0.1, device="emulated")
    with pytest.raises(cryolith.InputError, match="other devices take masks"):
        detect.label(volume > 0.5, same_value=True, device="emulated")
    with pytest.raises(cryolith.InputError, match="connectivity: found 8"):
        detect.label(volume > 0.5, 8, device="emulated")
    with pytest.raises(cryolith.InputError, match="dtype: found uint8"):
        detect.label(volume > 0.8, 6, device="emulated", dtype=np.uint8)
    for call in (detect.label, detect.distance):
        with pytest.raises(cryolith.InputError, match="device: found 'gpu'"):
            call(volume > 0.5, device="gpu")
        with pytest.raises(cryolith.Cancelled):
            call(volume > 0.5, device="emulated", cancel=token)


@pytest.mark.skipif(bool(CARDS), reason="there is a card")
def test_a_card_that_is_not_there_is_refused_with_the_reason(volume):
    (cuda,) = [d for d in cryolith.devices() if d.name == "cuda"]
    reason = cuda.description.split(";")[0]
    for call in (detect.label, detect.distance):
        with pytest.raises(cryolith.errors.DeviceError) as error:
            call(volume > 0.5, device="cuda")
        assert reason in str(error.value)
