# SPDX-License-Identifier: BSD-3-Clause
"""The shift between two images, with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from ..errors import InputError

__all__ = ["Registration", "reach", "register", "register_pairs"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """The shift of one image against another.

    Attributes
    ----------
    shift_px : (2,) float64 [px]
        (row, column): ``b(p) = a(p - shift_px)``; what ``a`` shows at p, ``b`` shows at p + shift_px.
    sigma_px : (2,) float64 [px]
        Standard deviation of each component, from the Fisher information of the images; infinite where they have
        nothing in common.
    covariance_px2 : (2, 2) float64 [px^2]
    peak : float
        Normalised correlation of the overlap, each frequency weighted as for the shift, -1 to 1.
    runner_up : float
        Height of the next maximum of the search's correlation over the highest's: near 1 the shift is ambiguous.
    candidates_px : (k, 2) float64 [px]
        Where the next maxima are, at most three, to a few pixels: on a crystal they are a unit cell away.
    candidate_heights : (k,) float64
        Their heights over the highest's.
    """

    shift_px: Float64
    sigma_px: Float64
    covariance_px2: Float64
    peak: float
    runner_up: float
    candidates_px: Float64
    candidate_heights: Float64


def register_pairs(
    a: Float32,
    b: Float32,
    *,
    max_shift: float = 0.0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float64:
    """Register ``b[i]`` against ``a[i]``: (n, 17), the columns of ``RegisterColumn`` in register.hpp."""
    out = np.empty((len(a), 17))
    _core.register_pairs(a, b, out, max_shift, threads, cancel)
    return out


def register(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    mask_a: npt.ArrayLike | None = None,
    mask_b: npt.ArrayLike | None = None,
    max_shift: float | None = None,
    threads: int = 0,
) -> Registration:
    """Find the shift of image ``b`` against image ``a``, with its error; there is no filter to set.

    Parameters
    ----------
    a, b : (ny, nx) array_like of real numbers
        Two images of one scene, of one shape. NaN and infinity are missing pixels. Raw counts (whole numbers from 0)
        are best: they tell their own noise.
    mask_a, mask_b : (ny, nx) array_like of bool, optional
        True where a pixel may be used.
    max_shift : float, optional [px]
        Half of the shorter edge when not given.
    threads : int, default 0

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        Different shapes, fewer than 4 x 4 pixels, a mask of another shape or type, no pixel to use, or a negative
        ``max_shift``.

    Notes
    -----
    A search on binned images; then the windows of both are put on what they have in common, to a part of a pixel, as
    windows that stay in place pull the shift towards zero. The correlation is weighted by signal and noise of each
    ring of frequencies: C. H. Knapp and G. C. Carter, IEEE Trans. ASSP 24 (1976) 320, eq. 25 (Hannan and Thomson's
    processor). Counts k are transformed to sqrt(k + 1), whose noise does not depend on their mean (F. J. Anscombe,
    Biometrika 35 (1948) 246). The maximum is found by Newton steps, where M. Guizar-Sicairos et al., Opt. Lett. 33
    (2008) 156, sample it. The error is the Cramer-Rao bound for Poisson images, design/012-registration.md, eq. 6.
    """
    images = [_image(v, m, name) for v, m, name in ((a, mask_a, "a"), (b, mask_b, "b"))]
    if images[0].shape != images[1].shape:
        raise InputError(
            f"b: found shape {images[1].shape}, expected {images[0].shape}, the shape of a; "
            "crop or pad one of them"
        )
    row = register_pairs(
        images[0][None], images[1][None], max_shift=reach(max_shift), threads=threads
    )[0]
    if not np.isfinite(row[2]):  # rare: only then is it worth a look at every pixel
        for name, image in zip(("a", "b"), images, strict=True):
            if not np.isfinite(image).any():
                raise InputError(
                    f"{name}: found no pixel to use, expected some that are finite and not masked"
                )
    covariance = np.array([[row[2], row[4]], [row[4], row[3]]])
    others = row[8:].reshape(3, 3)
    others = others[others[:, 0] > 0]
    return Registration(
        shift_px=row[:2].copy(),
        sigma_px=np.sqrt(row[2:4]),
        covariance_px2=covariance,
        peak=float(row[5]),
        runner_up=float(row[8]),
        candidates_px=others[:, 1:].copy(),
        candidate_heights=others[:, 0].copy(),
    )


def reach(max_shift: float | None) -> float:
    """Return what the core takes for ``max_shift``: 0 for half of the shorter edge."""
    if max_shift is None:
        return 0.0
    if not (np.isfinite(max_shift) and max_shift > 0):
        raise InputError(
            f"max_shift: found {max_shift}, expected px above 0, or None for half an edge"
        )
    return float(max_shift)


def _image(values: npt.ArrayLike, mask: npt.ArrayLike | None, name: str) -> Float32:
    """Return an image as the core takes it: NaN where there is no pixel to use."""
    image: Float32 = as_core(values, name, ("ny", "nx"))
    if mask is not None:
        use = np.asarray(mask)
        if use.dtype != np.bool_ or use.shape != image.shape:
            raise InputError(
                f"mask_{name}: found {use.dtype} {use.shape}, expected bool {image.shape}, True for pixels to use"
            )
        image = np.where(use, image, np.float32(np.nan))
    return image
