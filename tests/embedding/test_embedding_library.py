# SPDX-License-Identifier: BSD-3-Clause
"""The library on arrays as other programs hold them: same result for every layout, inputs untouched, many threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from layouts import LAYOUTS

from cryolith.detect import label
from cryolith.projection import Geometry, backproject, project
from cryolith.reconstruct import filter_projections, sirt, wbp

Array = npt.NDArray[Any]
ANGLES = np.linspace(-60, 60, 9)
GEOMETRY = Geometry.single_axis(ANGLES, tilt_axis_deg=87.0)

CALLS: dict[str, Callable[[Array, int], Array]] = {
    "project": lambda a, t: project(a, GEOMETRY, (20, 24), threads=t),
    "backproject": lambda a, t: backproject(a, GEOMETRY, (11, 20, 24), threads=t),
    "filter_projections": lambda a, t: filter_projections(a, ANGLES, threads=t),
    "wbp": lambda a, t: wbp(a, ANGLES, thickness=12, threads=t),
    "sirt": lambda a, t: sirt(a, ANGLES, thickness=12, n_iter=3, threads=t),
    "label": lambda a, t: label(np.asarray(a) > 50, threads=t)[0],
}


def stack(dtype: str) -> Array:
    """9 x 20 x 24 whole numbers, which every dtype below holds without rounding."""
    return np.random.default_rng(7).integers(0, 100, (9, 20, 24)).astype(dtype)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_every_layout_gives_the_same_bits_and_stays_as_it_was(name: str, dtype: str) -> None:
    for layout, arrange in LAYOUTS.items():
        a = arrange(stack(dtype))
        before, writeable = a.tobytes(), a.flags.writeable
        expected = CALLS[name](np.array(a.tolist(), np.float32), 1)
        assert np.array_equal(CALLS[name](a, 2), expected), layout
        assert a.tobytes() == before, layout
        assert a.flags.writeable == writeable, layout


@pytest.mark.parametrize("name", CALLS)
def test_python_threads_get_the_same_bits(name: str) -> None:
    a = stack("f4")
    with ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(lambda threads: CALLS[name](a, threads).tobytes(), [1, 2, 3, 0] * 3)
        )
    assert set(results) == {CALLS[name](a, 1).tobytes()}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("bad", ["complex64", "object"])
def test_what_cannot_be_used_is_refused(name: str, bad: str) -> None:
    if name == "label":
        bad = {"complex64": "M8[s]", "object": "U2"}[bad]  # label is given a comparison above
        with pytest.raises(ValueError, match="image: found"):
            label(np.zeros((9, 20, 24), bad))
        return
    with pytest.raises(ValueError, match="found dtype"):
        CALLS[name](stack("f4").astype(bad), 1)
