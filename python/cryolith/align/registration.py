# SPDX-License-Identifier: BSD-3-Clause
"""How two images lie against each other, with errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core
from .._device_arrays import DeviceArray
from ..errors import InputError
from .displacement import Found
from .transforms import (
    Model,
    check_model,
    described,
    described_errors,
    register_images,
    transform_covariance,
)
from .turns import Candidate

__all__ = [
    "Registration",
    "images_on",
    "reach",
    "register",
    "register_pairs",
    "registration",
    "require_pixels",
    "usable",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """How one image lies against another, or one volume (d = 2 or 3 axes).

    What ``a`` shows at p, ``b`` shows at ``matrix @ p + shift_px``; p counts from the centre of the array, (n - 1) / 2.

    Attributes
    ----------
    shift_px : (d,) float64 [px]
        In array order, (row, column) or (z, y, x).
    sigma_px : (d,) float64 [px]
        Standard deviation of each component, from the Fisher information of the images; infinite where they have
        nothing in common.
    covariance_px2 : (d, d) float64 [px^2]
    matrix : (d, d) float64
        In array order; unity for ``model="shift"``.
    rotation_deg, sigma_rotation_deg : float or (3,) float64 [deg]
        Of an image the turn from +x towards +y; of a volume the angles about x, y and z of
        :func:`cryolith.projection.rotation_matrix`. Of an affine matrix the nearest rotation.
    magnification, sigma_magnification : float
        The root of the determinant.
    covariance : (d (1 + d), d (1 + d)) float64
        Of (shift_px, matrix) side by side, row by row; 0 for what the model leaves out.
    peak : float
        Normalised correlation of the overlap, each frequency weighted as for the shift, -1 to 1.
    runner_up : float
        Height of the next maximum of the search's correlation over the chosen one's: near 1 the result is ambiguous.
    candidates_px : (k, d) float64 [px]
        Where the next maxima are, at most three, to a few pixels: on a crystal they are a unit cell away.
    candidate_matrices : (k, d, d) float64
    candidate_heights : (k,) float64
        Their heights over the chosen one's.
    """

    shift_px: Float64
    sigma_px: Float64
    covariance_px2: Float64
    matrix: Float64
    rotation_deg: float | Float64
    sigma_rotation_deg: float | Float64
    magnification: float
    sigma_magnification: float
    covariance: Float64
    peak: float
    runner_up: float
    candidates_px: Float64
    candidate_matrices: Float64
    candidate_heights: Float64


_MOST_CANDIDATES = 3
_LEAST_EDGE = 16  # px: fewer tell no rotation


def registration(found: Found, others: list[Candidate]) -> Registration:
    """Say what a refinement found in the words of :class:`Registration`."""
    d = len(found.transform.matrix)
    covariance = transform_covariance(found.transform, found.covariance)
    of_shift = covariance[:: 1 + d, :: 1 + d]
    values = described(found.transform.matrix)
    errors = described_errors(found.transform, found.covariance)
    others = others[:_MOST_CANDIDATES]
    turn, sigma = values[:-1], errors[:-1]
    return Registration(
        shift_px=found.transform.shift,
        sigma_px=np.sqrt(np.diag(of_shift)),
        covariance_px2=of_shift.copy(),
        matrix=found.transform.matrix,
        rotation_deg=float(turn[0]) if d == 2 else turn,
        sigma_rotation_deg=float(sigma[0]) if d == 2 else sigma,
        magnification=float(values[-1]),
        sigma_magnification=float(errors[-1]),
        covariance=covariance,
        peak=found.peak,
        runner_up=others[0].height if others else 0.0,
        candidates_px=np.array([c.transform.shift for c in others]).reshape(-1, d),
        candidate_matrices=np.array([c.transform.matrix for c in others]).reshape(-1, d, d),
        candidate_heights=np.array([c.height for c in others]),
    )


def register_pairs(
    a: Float32 | _core.DeviceTensor,
    b: Float32 | _core.DeviceTensor,
    *,
    max_shift: float = 0.0,
    device: str = "cpu",
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float64:
    """Register ``b[i]`` against ``a[i]``: (n, 17), the columns of ``RegisterColumn`` in register.hpp."""
    n = a.shape[0] if len(a.shape) == 3 else 1
    out = np.empty((n, 17))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and device == "cpu":
        _core.register_pairs(a, b, out, max_shift, threads, cancel)
    else:
        _core.register_pairs_there(device, a, b, out, max_shift)
    return out


def register(
    a: npt.ArrayLike | DeviceArray,
    b: npt.ArrayLike | DeviceArray,
    *,
    model: Model = "shift",
    mask_a: npt.ArrayLike | None = None,
    mask_b: npt.ArrayLike | None = None,
    max_shift: float | None = None,
    device: str | None = None,
    threads: int = 0,
) -> Registration:
    """Find how image ``b`` lies against image ``a``, with its error; there is no filter to set.

    Parameters
    ----------
    a, b : (ny, nx) array_like of real numbers, or DeviceArray of float32
        Two images of one scene, of one shape. NaN and infinity are missing pixels. Raw counts (whole numbers from 0)
        are best: they tell their own noise.
    model : {"shift", "rigid", "similarity", "affine"}, default "shift"
        What may differ beside the shift: nothing; a rotation, any; that and a magnification of 0.7 to 1.4; those and
        a stretch of a few per cent. Each more makes the others less exact.
    mask_a, mask_b : (ny, nx) array_like of bool, optional
        True where a pixel may be used.
    max_shift : float, optional [px]
        Half of the shorter edge when not given.
    device : str, optional
        Where the images are compared (:func:`cryolith.devices`), for ``model="shift"``: by default where they lie. The
        result is the CPU's but for the rounding of transforms, some 5e-7 of the error.
    threads : int, default 0

    Returns
    -------
    Registration

    Raises
    ------
    InputError
        Different shapes, fewer than 4 x 4 pixels (16 x 16 for a model other than a shift), an unknown model, a mask of
        another shape or type, no pixel to use, or a negative ``max_shift``; another model or a mask of images that lie
        on a device; an unknown device, or another than the one they lie on.
    DeviceError
        There is no such device, it has too little memory, or failed its self-test.

    Notes
    -----
    A search on binned images; then the windows of both are put on what they have in common, to a part of a pixel, as
    windows that stay in place pull the shift towards zero. The correlation is weighted by signal and noise of each
    ring of frequencies: C. H. Knapp and G. C. Carter, IEEE Trans. ASSP 24 (1976) 320, eq. 25 (Hannan and Thomson's
    processor). Counts k are transformed to sqrt(k + 1), whose noise does not depend on their mean (F. J. Anscombe,
    Biometrika 35 (1948) 246). The maximum of a shift is found by Newton steps, where M. Guizar-Sicairos et al., Opt.
    Lett. 33 (2008) 156, sample it. The error is the Cramer-Rao bound for Poisson images, design/012-registration.md,
    eq. 6.

    Rotation and scale are first those of log-polar spectra (B. S. Reddy and B. N. Chatterji, IEEE Trans. Image
    Process. 5 (1996) 1266) that fit best when turned back; then all parameters follow Gauss-Newton steps on the same
    weighted correlation, whose error is that of design/016-transforms.md, eqs. 5 and 6.
    """
    check_model(model)
    if isinstance(a, DeviceArray) or isinstance(b, DeviceArray) or device not in (None, "cpu"):
        return _registered_there(device, a, b, model, (mask_a, mask_b), reach(max_shift))
    images: list[Float32] = [
        usable(as_core(v, name, ("ny", "nx")), m, name)
        for v, m, name in ((a, mask_a, "a"), (b, mask_b, "b"))
    ]
    _require_alike(images)
    if model != "shift":
        return _transformed(images, model, max_shift, threads)
    row = register_pairs(
        images[0][None], images[1][None], max_shift=reach(max_shift), threads=threads
    )[0]
    if not np.isfinite(row[2]):  # rare: only then is it worth a look at every pixel
        require_pixels(images)
    return _shifted(row)


def images_on(
    device: str | None, arrays: Sequence[Any], names: Sequence[str], axes: tuple[str, ...]
) -> tuple[list[Any], str]:
    """Return images as the core takes them, and the device: the one asked for, or the one that they lie on."""
    lie_on = {v.device for v in arrays if isinstance(v, DeviceArray)}
    where = device or (sorted(lie_on)[0] if lie_on else "cpu")
    if lie_on and (where == "cpu" or {_core.device_name(where)} != lie_on):
        raise InputError(
            f"device: found {where!r} for images on {', '.join(sorted(lie_on))}, expected the one that they all lie on"
        )
    out: list[Any] = []
    for v, name in zip(arrays, names, strict=True):
        if isinstance(v, DeviceArray):
            if v.dtype != np.float32 or v.ndim != len(axes):
                raise InputError(
                    f"{name}: found {v.dtype} {v.shape}, expected float32 ({', '.join(axes)}) of a DeviceArray"
                )
            out.append(v.tensor)
        else:
            out.append(as_core(v, name, axes))
    return out, where


def _registered_there(
    device: str | None,
    a: Any,
    b: Any,
    model: Model,
    masks: Sequence[npt.ArrayLike | None],
    max_shift: float,
) -> Registration:
    """Register two images on a device."""
    images, where = images_on(device, [a, b], ["a", "b"], ("ny", "nx"))
    if model != "shift":
        raise InputError(
            f"device: found {where!r} for model={model!r}, expected 'cpu': other devices find shifts only"
        )
    for i, (mask, name) in enumerate(zip(masks, "ab", strict=True)):
        if mask is not None and isinstance(images[i], _core.DeviceTensor):
            raise InputError(
                f"mask_{name}: found one for an image that lies on {where}, expected None; set its pixels to NaN"
            )
        if isinstance(images[i], np.ndarray):
            images[i] = usable(images[i], mask, name)
    _require_alike(images)
    # Of a tensor one image is a stack of one.
    stacks = [v[None] if isinstance(v, np.ndarray) else v for v in images]
    row = register_pairs(stacks[0], stacks[1], max_shift=max_shift, device=where)[0]
    if not np.isfinite(row[2]):
        require_pixels([v if isinstance(v, np.ndarray) else v.numpy() for v in images])
    return _shifted(row)


def _require_alike(images: Sequence[Any]) -> None:
    shapes = [tuple(v.shape) for v in images]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"b: found shape {shapes[1]}, expected {shapes[0]}, the shape of a; crop or pad one of them"
        )


def _shifted(row: Float64) -> Registration:
    """Say what a row of :func:`register_pairs` holds."""
    covariance = np.array([[row[2], row[4]], [row[4], row[3]]])
    others = row[8:].reshape(3, 3)
    others = others[others[:, 0] > 0]
    whole = np.zeros((6, 6))
    whole[::3, ::3] = covariance
    return Registration(
        shift_px=row[:2].copy(),
        sigma_px=np.sqrt(row[2:4]),
        covariance_px2=covariance,
        matrix=np.eye(2),
        rotation_deg=0.0,
        sigma_rotation_deg=0.0,
        magnification=1.0,
        sigma_magnification=0.0,
        covariance=whole,
        peak=float(row[5]),
        runner_up=float(row[8]),
        candidates_px=others[:, 1:].copy(),
        candidate_matrices=np.broadcast_to(np.eye(2), (len(others), 2, 2)).copy(),
        candidate_heights=others[:, 0].copy(),
    )


def _transformed(
    images: list[Float32], model: Model, max_shift: float | None, threads: int
) -> Registration:
    require_pixels(images)
    shape = images[0].shape
    if min(shape) < _LEAST_EDGE:
        raise InputError(
            f"a: found {shape[0]} x {shape[1]} pixels, expected at least {_LEAST_EDGE} x {_LEAST_EDGE} for "
            f"model={model!r}; use model='shift'"
        )
    furthest = reach(max_shift) or min(shape) / 2
    return registration(*register_images(images[0], images[1], model, furthest, threads))


def reach(max_shift: float | None) -> float:
    """Return what the core takes for ``max_shift``: 0 for half of the shorter edge."""
    if max_shift is None:
        return 0.0
    if not (np.isfinite(max_shift) and max_shift > 0):
        raise InputError(
            f"max_shift: found {max_shift}, expected px above 0, or None for half an edge"
        )
    return float(max_shift)


def usable(image: Float32, mask: npt.ArrayLike | None, name: str) -> Float32:
    """Return an array as the core takes it: NaN where there is no pixel to use."""
    if mask is not None:
        use = np.asarray(mask)
        if use.dtype != np.bool_ or use.shape != image.shape:
            raise InputError(
                f"mask_{name}: found {use.dtype} {use.shape}, expected bool {image.shape}, True for pixels to use"
            )
        image = np.where(use, image, np.float32(np.nan))
    return image


def require_pixels(images: Sequence[Float32]) -> None:
    """Refuse one of a pair, a and b, that has no pixel to use."""
    for name, image in zip("ab", images, strict=True):
        if not np.isfinite(image).any():
            raise InputError(
                f"{name}: found no pixel to use, expected some that are finite and not masked"
            )
