# SPDX-License-Identifier: BSD-3-Clause
"""Rotations in array order: they act on (z, y, x). The order of docs/conventions.md: about x, then y, then z."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..errors import InputError

__all__ = ["angles_of", "as_rotation", "cos_sin", "rotation_matrix", "split_poses"]

Float64 = npt.NDArray[np.float64]
# Deviation from a rotation that counts as rounding: matrices from text files keep six digits.
ROUNDING = 1e-5
# Magnifications as near to 1 as this are products of rotations.
UNIT = 1e-9


def cos_sin(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact at multiples of 90 degrees (where nothing needs interpolation)."""
    quarter = round(degrees / 90.0)
    rest = math.radians(degrees - 90.0 * quarter)
    c, s = math.cos(rest), math.sin(rest)
    return ((c, s), (-s, c), (-c, -s), (s, -c))[quarter % 4]


def rotation_matrix(*, x_deg: float = 0.0, y_deg: float = 0.0, z_deg: float = 0.0) -> Float64:
    """Return the rotation about +x, then +y, then +z, in the right-handed sense, acting on (z, y, x).

    Parameters
    ----------
    x_deg, y_deg, z_deg : float [deg]
        x-tilt, tilt and in-plane rotation of docs/conventions.md.

    Returns
    -------
    (3, 3) float64
    """
    (cx, sx), (cy, sy), (cz, sz) = (cos_sin(float(a)) for a in (x_deg, y_deg, z_deg))
    about_x = np.array([[cx, sx, 0.0], [-sx, cx, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]])
    about_z = np.array([[1.0, 0.0, 0.0], [0.0, cz, sz], [0.0, -sz, cz]])
    return np.asarray(about_z @ (about_y @ about_x))


def angles_of(rotation: Float64) -> tuple[float, float, float]:
    """Return (x_deg, y_deg, z_deg) of a rotation, with |x_deg| at most 90.

    The inverse of :func:`rotation_matrix`; where the tilt is +-90 and only a difference counts, x_deg is 0.
    """
    beam_z, beam_y = rotation[0, 0], rotation[0, 1]
    x = 0.0
    if math.hypot(beam_z, beam_y) > 1e-12:
        x = math.degrees(math.atan2(beam_y, beam_z))
        if abs(x) > 90.0:
            x -= math.copysign(180.0, x)
    rest = rotation @ rotation_matrix(x_deg=x).T  # about y, then z
    y = math.degrees(math.atan2(-rest[0, 2], rest[0, 0]))
    z = math.degrees(math.atan2(-rest[2, 1], rest[1, 1]))
    return x, y, z


def as_rotation(matrix: npt.ArrayLike, name: str) -> Float64:
    """Return a (3, 3) rotation free of rounding; refuse what is none, by name."""
    m: Float64 = as_core(matrix, name, ("3", "3"), np.float64)
    if m.shape != (3, 3):
        raise InputError(f"{name}: found shape {m.shape}, expected (3, 3)")
    if not np.isfinite(m).all():
        raise InputError(f"{name}: found NaN or infinity, expected finite numbers")
    if np.abs(m @ m.T - np.eye(3)).max() > ROUNDING:
        raise InputError(f"{name}: found no rotation, expected orthogonal rows of length 1")
    if np.linalg.det(m) < 0:
        raise InputError(f"{name}: found a mirror image, expected a rotation")
    return _nearest_rotation(m)


def split_poses(poses: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Return the rotations (n, 3, 3) and the magnifications (n,) of poses (n, 3, 3) or (n, 2, 3)."""
    given: Float64 = as_core(poses, "poses", ("n_views", "2 or 3", "3"), np.float64)
    if given.shape[1] not in (2, 3) or given.shape[2] != 3:
        raise InputError(f"poses: found shape {given.shape}, expected (n_views, 3 or 2, 3)")
    if not np.isfinite(given).all():
        raise InputError("poses: found NaN or infinity, expected finite numbers")
    rotations, magnifications = np.empty((len(given), 3, 3)), np.empty(len(given))
    for i, pose in enumerate(given):
        lengths = np.linalg.norm(pose, axis=1)
        if lengths.min() <= ROUNDING * max(float(lengths.max()), 1e-300):
            raise InputError(f"poses: found a singular matrix at index {i}, expected a rotation")
        m = math.sqrt(float(np.mean(lengths[-2:] ** 2)))
        magnifications[i] = 1.0 if abs(m - 1.0) < UNIT else m
        rotations[i] = _rotation_of(pose / magnifications[i], i)
    return rotations, magnifications


def _rotation_of(pose: Float64, i: int) -> Float64:
    """Return the rotation of one pose whose magnification was divided out."""
    plane = pose[-2:]
    error = plane @ plane.T - np.eye(2)
    if np.abs(error).max() > ROUNDING:
        raise InputError(
            f"poses: found a pose at index {i} that shears or scales unequally (row lengths "
            f"{math.sqrt(1 + error[0, 0]):.6g} and {math.sqrt(1 + error[1, 1]):.6g}, product {error[0, 1]:.3g}), "
            "expected a rotation times one magnification; correct the images first"
        )
    beam = np.cross(plane[0], plane[1])[None]  # of a right-handed (z, y, x): row x column
    if len(pose) == 3:
        given = float(pose[0] @ beam[0])
        if abs(given) <= ROUNDING:
            raise InputError(
                f"poses: found a ray in the detector's plane at index {i}, expected one across it"
            )
        if given < 0:
            raise InputError(
                f"poses: found a pose at index {i} that mirrors the specimen, expected a rotation"
            )
        if np.abs(pose[0] - beam[0]).max() > ROUNDING:
            raise InputError(
                f"poses: found a beam at index {i} that is not perpendicular to the detector or not as long as its "
                "rows, expected a rotation times one magnification"
            )
    return _nearest_rotation(np.concatenate([beam, plane]))


def _nearest_rotation(m: Float64) -> Float64:
    """The nearest orthogonal matrix (polar decomposition); exact rotations stay as they are."""
    if np.array_equal(m @ m.T, np.eye(3)):
        return m
    left, _, right = np.linalg.svd(m)
    return np.asarray(left @ right)
