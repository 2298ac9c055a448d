# SPDX-License-Identifier: BSD-3-Clause
"""The settings of the reconstruction stage."""

from __future__ import annotations

from typing import Literal

from ..settings import setting, settings

__all__ = ["FIRST", "INNER", "ITERATIONS", "Method", "ReconstructSettings"]

Method = Literal["wbp", "sirt", "sart", "cgls", "lsqr", "tv", "mlem", "dart"]

ITERATIONS: dict[Method, int] = {
    "wbp": 10,  # what its sirt-like filter imitates
    "sirt": 30,
    "sart": 5,
    "cgls": 15,
    "lsqr": 30,
    "tv": 150,
    "mlem": 30,
    "dart": 20,
}
FIRST, INNER = (
    50,
    10,
)  # iterations of sirt within dart: before the first segmentation, and in each round


@settings
class ReconstructSettings:
    """How to reconstruct; also the ``[reconstruct]`` table of a job file."""

    method: Method = setting(
        "sirt",
        "sirt: iterative, good with a missing wedge; wbp: weighted back-projection, fast; tv: flat regions with sharp "
        "borders, fills the wedge best; dart: few grey levels; mlem: counts; sart, cgls, lsqr: quick least squares",
    )
    n_iter: int | None = setting(
        None,
        "iterations, default of the method: sirt, lsqr and mlem 30, sart 5, cgls 15, tv 150, dart 20; wbp: 10, what "
        "the sirt-like filter imitates",
        minimum=1,
        maximum=10000,
    )
    filter: Literal[
        "ramp",
        "ramp-aperture",
        "shepp-logan",
        "cosine",
        "hann",
        "hamming",
        "butterworth",
        "sirt-like",
    ] = setting("hamming", "filter of wbp; ramp-aperture: sharpest, and noisiest")
    cutoff: float = setting(
        0.25, "wbp, butterworth: cycles per pixel where it falls to 0.7", minimum=1e-3, maximum=0.5
    )
    order: int = setting(4, "wbp, butterworth: how fast it falls", minimum=1, maximum=100)
    thickness: float | None = setting(
        None, "thickness of the volume; default: estimated", unit="angstrom", minimum=1e-3
    )
    lower: float | None = setting(
        None, "least density, -inf for none; default: 0, none for cgls and lsqr"
    )
    upper: float | None = setting(None, "largest density; default: none")
    noise: float | None = setting(
        None,
        "stop when the residual has fallen to this standard deviation of a pixel; default: never",
        minimum=0.0,
    )
    subsets: int | None = setting(
        None, "sart, mlem: ordered subsets of the tilts; default: one a tilt, mlem 1", minimum=1
    )
    damp: float = setting(1.0, "lsqr: weight of the Tikhonov penalty", minimum=0.0)
    strength: float = setting(
        0.06, "tv: strength of the regularisation, larger for noisier images", minimum=1e-9
    )
    levels: int | tuple[float, ...] = setting(
        2, "dart: how many grey levels, empty space included, or the levels themselves"
    )
    binning: int = setting(1, "bin the images before reconstruction", minimum=1, maximum=64)
    halves: Literal["tilts", "frames", "dose"] | None = setting(
        None,
        "also reconstruct two halves of the data, for the resolution: every other tilt; sums of odd and even frames; "
        "neighbours in angle with equal dose before. Takes twice the time, frames three times",
    )
    device: str = setting(
        "cpu",
        "where to reconstruct: cpu; cuda, cuda:1; several that share the work: cuda:0,cuda:1; auto: a card where there "
        "is one that takes the series",
    )
    background: Literal["auto", "none"] = setting(
        "auto",
        "auto: subtract the level of each image's empty area; none: images are as they should be",
    )

    @property
    def iterations(self) -> int:
        """The iterations asked for, or the method's default."""
        return ITERATIONS[self.method] if self.n_iter is None else self.n_iter
