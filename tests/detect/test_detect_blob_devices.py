# SPDX-License-Identifier: BSD-3-Clause
"""What is found on a device is what the CPU finds."""

from __future__ import annotations

import numpy as np
import pytest
from on_devices import on_devices

import cryolith
from cryolith.detect import blobs


@on_devices
def test_blobs_are_those_of_the_cpu(device):
    rng = np.random.default_rng(4)
    volume = rng.normal(size=(24, 26, 30)).astype(np.float32)
    z, y, x = np.indices(volume.shape)
    for centre in ((9, 8, 9), (14, 17, 20)):
        square = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        volume += 5 * np.exp(-square / (2 * 2.0**2)).astype(np.float32)
    sizes = [1.5, 2.0, 2.7]
    wanted = blobs(volume, sizes=sizes, noise=1.0, injections=0)
    found = blobs(volume, sizes=sizes, noise=1.0, injections=0, device=device)
    assert len(wanted.table["z_px"]) == 2
    for name in wanted.table:
        # Transforms differ by roundings, 1e-6 of a height; the fit ends within 1e-4 of a step of its own.
        np.testing.assert_allclose(
            np.asarray(found.table[name], float),
            np.asarray(wanted.table[name], float),
            rtol=2e-4,
            atol=1e-5,
            err_msg=name,
        )


def test_a_device_that_is_not_there_is_refused():
    volume = np.random.default_rng(1).normal(size=(16, 16, 16))
    with pytest.raises(cryolith.InputError, match="device: found 'gpu'"):
        blobs(volume, sizes=[1.5, 2.0], noise=1.0, injections=0, device="gpu")
