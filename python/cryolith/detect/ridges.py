# SPDX-License-Identifier: BSD-3-Clause
"""The quick look for lines and surfaces: eigenvalues of the Hessian, without statistics."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ._inputs import Float32, as_volume
from ._spectrum import Spectra

__all__ = ["ridges"]

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def ridges(
    volume: Volume | npt.ArrayLike,
    scale: float,
    kind: Literal["tubes", "sheets"] = "tubes",
    *,
    bright: bool = True,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Return how much each voxel looks like a tube or a sheet. No statistics: for a look, not for a count.

    Knows no noise, no missing wedge and no significance, and sums up nothing along the object. What it finds and how
    often it is wrong depends on the threshold that is set by eye; :func:`tubes` and :func:`sheets` need none.

    Parameters
    ----------
    volume : (nz, ny, nx) real, or Volume
        NaN is refused.
    scale : float [px]
        Standard deviation of the Gaussian that smooths: about that of the tube or sheet across.
    kind : {"tubes", "sheets"}
    bright : bool, default True
        Bright objects; else dark ones.
    threads, cancel
        As for :func:`particles`.

    Returns
    -------
    (nz, ny, nx) float32
        scale^2 times the second-lowest (tubes) or lowest (sheets) eigenvalue of the Hessian with its sign turned, 0
        where that is negative; for dark objects of the negative volume. The volume repeats beyond its faces.

    Raises
    ------
    InputError
        NaN, a scale below 0.5 px, another kind.
    Cancelled
        ``cancel`` was set.

    References
    ----------
    Sato et al., Med. Image Anal. 2 (1998) 143, eq. 5 with both weights 0; Frangi et al., MICCAI (1998) 130.
    """
    if kind not in ("tubes", "sheets"):
        raise InputError(f"kind: found {kind!r}, expected 'tubes' or 'sheets'")
    if not (math.isfinite(scale) and scale >= 0.5):
        raise InputError(f"scale: found {scale}, expected 0.5 px or more")
    data, _ = as_volume(volume, None)
    spectra = Spectra(data.shape, threads, cancel)
    smooth = spectra.forward(data) * spectra.gaussian(scale**2)
    k = spectra.axes()
    sign = scale**2 if bright else -(scale**2)
    # Frequencies n / 2 are as much negative as positive: their products with other axes are 0.
    odd = [np.where(np.isclose(np.abs(f), np.pi), 0.0, f) for f in k]
    hessian = np.empty((*data.shape, 3, 3), np.float32)
    for i, j in _PAIRS:
        factor = k[i] ** 2 if i == j else odd[i] * odd[j]
        hessian[..., i, j] = hessian[..., j, i] = spectra.inverse(
            smooth * (-sign * factor).astype(np.float32)
        )
    rank = 1 if kind == "tubes" else 0
    out = np.empty(data.shape, np.float32)
    for z in range(len(out)):
        out[z] = -np.linalg.eigvalsh(hessian[z])[..., rank]
    return np.maximum(out, np.float32(0.0))
