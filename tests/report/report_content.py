# SPDX-License-Identifier: BSD-3-Clause
"""Content of a report with every part in it, small, made of numbers that are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from cryolith import metrics
from cryolith.datamodel import Alignment, Defects, Source, TiltSeries, Volume
from cryolith.report import ReportContent

ANGLES = np.arange(-60.0, 61.0, 6.0)
PIXEL = 20.0  # angstrom


def make_series(ny: int = 40, nx: int = 48) -> TiltSeries:
    rng = np.random.default_rng(5)
    row, column = np.mgrid[:ny, :nx]
    blob = 900 * np.exp(-((row - ny / 2) ** 2 + (column - nx / 2) ** 2) / (0.02 * nx * ny))
    images = rng.poisson(blob + 20, (len(ANGLES), ny, nx)).astype(np.uint16)
    images.flags.writeable = False
    return TiltSeries(
        images=images,
        angles_deg=ANGLES,
        pixel_size=PIXEL,
        source=Source(
            path="/somewhere/else/needle.mrc",
            facts={"angles": "needle.rawtlt", "pixel_size": "extended header; header said 1.0 A"},
            warnings=("needle.mrc: voxel size: found 1.0 A, expected 20.0 A; check the header",),
        ),
    )


def make_alignment() -> Alignment:
    rng = np.random.default_rng(6)
    n = len(ANGLES)
    return Alignment(
        angles_deg=ANGLES,
        tilt_axis_deg=92.5,
        sigma_tilt_axis_deg=0.12,
        shifts_px=rng.normal(0, 2, (n, 2)),
        sigma_shifts_px=np.full((n, 2), 0.1),
        residuals=rng.uniform(0.05, 0.07, n),
        flags={3: "shift 9.1 px from its neighbours"},
        holdout_residual=0.0625,
        method=("isolated specimen: no cosine stretch",),
    )


def make_volume() -> Volume:
    rng = np.random.default_rng(7)
    return Volume(data=rng.normal(1, 0.1, (24, 40, 32)).astype(np.float32), pixel_size=PIXEL)


def make_defects(shape: tuple[int, int, int] = (24, 40, 32)) -> Defects:
    labels = np.zeros(shape, np.int32)
    labels[4:9, 5:11, 6:10] = 1
    labels[12:14, 20:24, 20:25] = 2
    labels[10:16, 28:34, 8:14] = -1
    return Defects(
        particles={
            "label": np.array([1, 2]),
            "voxels": np.array([120, 40]),
            "volume_nm3": np.array([960.0, 320.0]),
            "sigma_volume_nm3": np.array([90.0, 41.5]),
            "diameter_nm": np.array([12.24, 8.486]),
            "sigma_diameter_nm": np.array([0.4, 0.37]),
            "sphericity": np.array([0.81, np.nan]),
            "touches_border": np.array([False, True]),
        },
        voids={
            "label": np.array([1]),
            "volume_nm3": np.array([1728.0]),
            "sigma_volume_nm3": np.array([130.0]),
        },
        layers={
            "name": np.array(["bright 1", "dark 1"]),
            "thickness_nm": np.array([41.234, 18.5]),
            "sigma_thickness_nm": np.array([0.61, 0.149]),
            "roughness_nm": np.array([1.25, np.nan]),
            "sigma_roughness_nm": np.array([0.3, np.nan]),
        },
        labels=labels,
        tables={"blobs": make_blobs()},
        thresholds={"particles": 1.31},
        notes=("Voids below 27 voxels are not counted.",),
    )


def make_blobs() -> dict[str, Any]:
    """As of ``detect.blobs``: places from the centre of the volume, errors, q-values."""
    rng = np.random.default_rng(9)
    n = 20
    table: dict[str, Any] = {f"{a}_nm": rng.uniform(-20, 20, n) for a in "zyx"}
    table |= {f"sigma_{a}_nm": rng.uniform(0.1, 0.5, n) for a in "zyx"}
    table |= {
        "sign": np.where(np.arange(n) < 15, 1, -1),
        "diameter_nm": rng.uniform(4, 12, n),
        "sigma_diameter_nm": rng.uniform(0.2, 1.0, n),
        "significance": np.sort(rng.uniform(4, 12, n)),
        "q_value": np.sort(rng.uniform(0, 0.05, n))[::-1],
    }
    return table


def make_correlation() -> metrics.Fsc:
    """Halves that share a smooth specimen; lengths in nm."""
    rng = np.random.default_rng(8)
    z, y, x = np.indices((24, 40, 32))
    shared = np.exp(-((z - 12) ** 2 + (y - 20) ** 2 + (x - 16) ** 2) / 18)
    first, second = (shared + rng.normal(0, 0.1, shared.shape) for _ in range(2))
    return metrics.fsc(first, second, pixel_size=PIXEL / 10)


def build_content(**parts: Any) -> ReportContent:
    """A full report's content; name a part to replace it."""
    whole: dict[str, Any] = {
        "series": make_series(),
        "alignment": make_alignment(),
        "volume": make_volume(),
        "defects": make_defects(),
        "convergence": (0.5, 0.2, 0.1, 0.07),
        "halves": make_correlation(),
        "parameters": {"reconstruct": {"method": "sirt", "iterations": 4}, "align": {"a": None}},
        "inputs": (("needle.mrc", "ab" * 32, 123456),),
        "command": "cryolith run needle.mrc -o NEW_FOLDER",
        "plan": {"align": (3.5, 2e8), "report": (2.0, 1e8)},
    }
    return ReportContent(**{**whole, **parts})
