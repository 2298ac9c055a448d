# SPDX-License-Identifier: BSD-3-Clause
"""The settings of the reconstruction stage."""

from __future__ import annotations

from typing import Literal

from ..settings import setting, settings

__all__ = ["ReconstructSettings"]


@settings
class ReconstructSettings:
    """How to reconstruct; also the ``[reconstruct]`` table of a job file."""

    method: Literal["sirt", "wbp"] = setting(
        "sirt", "sirt: iterative, best with a missing wedge; wbp: weighted back-projection, fast"
    )
    n_iter: int = setting(
        30, "iterations of sirt; what the sirt-like filter imitates", minimum=1, maximum=10000
    )
    filter: Literal["ramp", "shepp-logan", "cosine", "hann", "hamming", "sirt-like"] = setting(
        "hamming", "filter of wbp"
    )
    thickness: float | None = setting(
        None, "thickness of the volume; default: estimated", unit="angstrom", minimum=1e-3
    )
    positivity: bool = setting(True, "sirt: no density below 0")
    binning: int = setting(1, "bin the images before reconstruction", minimum=1, maximum=64)
    background: Literal["auto", "none"] = setting(
        "auto",
        "auto: subtract the level of each image's empty area; none: images are as they should be",
    )
