# SPDX-License-Identifier: BSD-3-Clause
"""Bundle adjustment: places of points in the specimen and the geometry of all images, from where they are seen.

The model is that of :class:`cryolith.datamodel.Alignment`. Unknown are the points, the shift of each image and the
angle of the tilt axis; optionally rotations, magnifications and x-tilts of the images (polynomials of the tilt or
free) and the scale of the tilts. What images cannot tell is fixed by construction: the points' mean is the
origin, and rotations, magnifications less one and x-tilts have mean zero. A constant tilt offset or x-tilt only
turns the specimen: neither is an unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from .pose_covariance import PoseCovariance, block_diagonal

__all__ = ["Bundle", "Extras", "View", "adjust", "project_points"]

Float64 = npt.NDArray[np.float64]
Change = Literal["none", "smooth", "free"]

_DEGREE = 3  # of the polynomials of "smooth"
_ROUNDS = 25
_TUKEY = 6.0  # residual, in standard deviations, from which on a measurement counts nothing
_HUBER = 2.0
_MEDIAN_RADIUS = 1.1774  # of a two-dimensional normal distribution of standard deviation 1
_LEAST_SCALE = (
    0.1  # of the stated sigmas: places that agree better than that are not outliers of each other
)
_SMALL_STEP = 1e-7
_DAMPING = 1e-6
_HUBER_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What else is unknown besides shifts, axis and points."""

    rotations: Change = "none"
    magnifications: Change = "none"
    x_tilts: Change = "none"
    tilt_scale: bool = False


@dataclass(frozen=True, kw_only=True)
class View:
    """Geometry of every image, as in ``Alignment``; ``tilt_scale`` multiplies the tilts."""

    angles_deg: Float64
    tilt_axis_deg: float
    shifts_px: Float64
    rotations_deg: Float64
    magnifications: Float64
    x_tilts_deg: Float64
    tilt_scale: float = 1.0

    @classmethod
    def simple(cls, angles_deg: Float64, tilt_axis_deg: float, shifts_px: Float64) -> View:
        """A view without any extra."""
        zero = np.zeros(len(angles_deg))
        return cls(
            angles_deg=angles_deg,
            tilt_axis_deg=tilt_axis_deg,
            shifts_px=shifts_px,
            rotations_deg=zero,
            magnifications=zero + 1,
            x_tilts_deg=zero,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """What a bundle adjustment found.

    Attributes
    ----------
    view : View
    points_px : (m, 3) [px]
        (z, y, x) of each point from the mean of all.
    covariance : (k, k)
        Of the parameters ``names``, in their units (px, deg, 1), residuals' scale included.
    names : tuple of str
        ``z0, y0, x0, z1, ...``, ``row0, column0, row1, ...``, ``tilt_axis_deg`` and the coefficients of the extras.
    residuals_px : (n, m, 2) [px]
        Measured less predicted; NaN where not measured.
    left_out_px : (n, m, 2) [px]
        The same, predicted without that measurement (in closed form).
    weights : (n, m)
        Robust weight of each measurement, 0 to 1.
    scale : float
        Residuals over what the measurements' own sigmas say.
    of_tilts : PoseCovariance
        The same for the shifts, the axis, and the rotation, magnification and tilt of each image where they were free;
        against the mean of the points.
    sigma_shifts_px : (n, 2) [px]
    sigma_tilt_axis_deg : float
    """

    view: View
    points_px: Float64
    covariance: Float64
    names: tuple[str, ...]
    residuals_px: Float64
    left_out_px: Float64
    weights: Float64
    scale: float
    of_tilts: PoseCovariance
    sigma_shifts_px: Float64
    sigma_tilt_axis_deg: float

    def left_out_rms(self) -> float:
        """Root mean square of the left-out residuals, each with its robust weight [px]."""
        return _rms(self.left_out_px, self.weights)

    def residual_rms(self) -> float:
        """Root mean square of the residuals, each with its robust weight [px]."""
        return _rms(self.residuals_px, self.weights)


def _rms(residuals: Float64, weights: Float64) -> float:
    square = np.nan_to_num((residuals**2).sum(axis=-1))
    return float(np.sqrt((weights * square).sum() / max(weights.sum(), 1e-30)))


def _turns(view: View) -> tuple[Float64, Float64, Float64]:
    """Tilts and x-tilts (n, 1) [rad], and the matrices (n, 2, 2) from (v, u) to (row, column)."""
    t = np.deg2rad(view.angles_deg * view.tilt_scale)[:, None]
    a = np.deg2rad(view.x_tilts_deg)[:, None]
    psi = np.deg2rad(view.tilt_axis_deg + view.rotations_deg)
    c, s = np.cos(psi), np.sin(psi)
    return t, a, np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], axis=1)


def project_points(view: View, points_px: Float64) -> Float64:
    """Return where points (m, 3), (z, y, x) from the origin [px], are seen: (n, m, 2), from the image's centre."""
    t, a, turn = _turns(view)
    z, y, x = points_px.T[:, None]
    v = y * np.cos(a) - z * np.sin(a)
    u = x * np.cos(t) + (y * np.sin(a) + z * np.cos(a)) * np.sin(t)
    seen = np.stack([v, u], axis=-1) @ (turn * view.magnifications[:, None, None]).swapaxes(1, 2)
    return np.asarray(seen + view.shifts_px[:, None])


def _slopes(view: View, points: Float64) -> dict[str, Float64]:
    """Derivatives of the places (n, m, 2) for every kind of parameter."""
    t, a, turn = _turns(view)
    m = view.magnifications[:, None]
    c, s = turn[:, 0, 0], turn[:, 0, 1]
    slope = np.stack([np.stack([-s, c], -1), np.stack([-c, -s], -1)], axis=1)
    z, y, x = points.T[:, None]
    ones = np.ones_like(z * t)
    v = y * np.cos(a) - z * np.sin(a)
    depth = y * np.sin(a) + z * np.cos(a)
    u = x * np.cos(t) + depth * np.sin(t)

    def image(along: Float64, across: Float64, matrix: Float64 = turn) -> Float64:
        both = np.stack(np.broadcast_arrays(m * along, m * across), axis=-1)
        return np.asarray(np.einsum("nij,nmj->nmi", matrix, both))

    by_point = [
        image(-np.sin(a) * ones, np.cos(a) * np.sin(t) * ones),
        image(np.cos(a) * ones, np.sin(a) * np.sin(t) * ones),
        image(0 * ones, np.cos(t) * ones),
    ]
    by_tilt = image(0 * ones, -x * np.sin(t) + depth * np.cos(t))
    unit = np.pi / 180
    return {
        "points": np.stack(by_point, axis=-1),
        "turn": unit * image(v, u, slope),
        "size": image(v, u) / m[..., None],
        "x_tilt": unit * image(-depth, v * np.sin(t)),
        "tilt_scale": by_tilt * np.deg2rad(view.angles_deg)[:, None, None],
    }


def _basis(angles_deg: Float64, kind: Change) -> Float64:
    """Columns (n, k) of mean zero: polynomials of the tilt, or one for each image but one."""
    n = len(angles_deg)
    if kind == "none":
        return np.zeros((n, 0))
    if kind == "free":
        return np.asarray(np.linalg.qr(np.eye(n) - 1 / n)[0][:, : n - 1])
    middle = angles_deg - angles_deg.mean()
    x = middle / max(float(np.abs(middle).max()), 1e-30)
    columns = np.stack([x ** (k + 1) for k in range(min(_DEGREE, n - 1))], axis=1)
    return np.asarray(columns - columns.mean(axis=0))


@dataclass(frozen=True)
class _Unknowns:
    """Where each kind of parameter stands in the vector, and how steps change a view."""

    n: int
    m: int
    bases: dict[str, Float64]

    @classmethod
    def of(cls, view: View, m: int, extras: Extras) -> _Unknowns:
        t = view.angles_deg
        bases = {
            "rotation": _basis(t, extras.rotations),
            "magnification": _basis(t, extras.magnifications),
            "x_tilt": _basis(t, extras.x_tilts),
        }
        if extras.tilt_scale:
            bases["tilt_scale"] = np.ones((len(t), 1))
        return cls(len(t), m, bases)

    @property
    def names(self) -> tuple[str, ...]:
        points = [f"{axis}{j}" for j in range(self.m) for axis in "zyx"]
        shifts = [f"{axis}{i}" for i in range(self.n) for axis in ("row", "column")]
        extra = [f"{name}_{k}" for name, b in self.bases.items() for k in range(b.shape[1])]
        return (*points, *shifts, "tilt_axis_deg", *extra)

    def jacobian(self, slopes: dict[str, Float64]) -> Float64:
        """Derivatives (n, m, 2, k) of every place for every parameter."""
        n, m = self.n, self.m
        points = np.zeros((n, m, 2, m, 3))
        points[:, np.arange(m), :, np.arange(m)] = slopes["points"].transpose(1, 0, 2, 3)
        shifts = np.zeros((n, m, 2, n, 2))
        shifts[np.arange(n), :, :, np.arange(n)] = np.eye(2)[None]
        of = {"rotation": "turn", "magnification": "size"}
        extra = [
            slopes[of.get(name, name)][..., None] * basis[:, None, None]
            for name, basis in self.bases.items()
        ]
        blocks = [points.reshape(n, m, 2, -1), shifts.reshape(n, m, 2, -1)]
        return np.concatenate([*blocks, slopes["turn"][..., None], *extra], axis=-1)

    def of_tilts(self, angles_deg: Float64, covariance: Float64) -> PoseCovariance:
        """Return the covariance of what each tilt has, from that of all parameters."""
        kinds = {"rotation": "rotations_deg", "magnification": "magnifications"}
        bases = dict(self.bases)
        if "tilt_scale" in bases:
            kinds["tilt_scale"], bases["tilt_scale"] = "angles_deg", angles_deg[:, None]
        kept = {kinds[name]: b for name, b in bases.items() if name in kinds and b.shape[1]}
        blocks = [np.zeros((0, 3 * self.m)), np.eye(2 * self.n + 1)]
        blocks += [b if name in kinds and b.shape[1] else b[:0] for name, b in bases.items()]
        out = block_diagonal(*blocks)
        matrix = out @ covariance @ out.T
        return PoseCovariance(matrix=matrix, n=self.n, axis=True, others=tuple(kept))

    def moved(self, view: View, points: Float64, step: Float64) -> tuple[View, Float64]:
        """Add a step of the parameters, and put the points' mean back into the origin."""
        m, n = self.m, self.n
        points = points + step[: 3 * m].reshape(m, 3)
        at = 3 * m + 2 * n
        change = {"rotation": np.zeros(n), "magnification": np.zeros(n), "x_tilt": np.zeros(n)}
        change["tilt_scale"] = np.zeros(1)
        axis, at = view.tilt_axis_deg + step[at], at + 1
        for name, basis in self.bases.items():
            change[name] = basis @ step[at : at + basis.shape[1]]
            at += basis.shape[1]
        view = replace(
            view,
            shifts_px=view.shifts_px + step[3 * m : 3 * m + 2 * n].reshape(n, 2),
            tilt_axis_deg=float(axis),
            rotations_deg=view.rotations_deg + change["rotation"],
            magnifications=view.magnifications + change["magnification"],
            x_tilts_deg=view.x_tilts_deg + change["x_tilt"],
            tilt_scale=view.tilt_scale + float(change["tilt_scale"][0]),
        )
        return recentred(view, points, points.mean(axis=0))


def recentred(view: View, points_px: Float64, origin: Float64) -> tuple[View, Float64]:
    """Make ``origin`` (z, y, x) the new origin of the specimen: points and shifts change, what is seen does not."""
    still = replace(view, shifts_px=np.zeros_like(view.shifts_px))
    moved = project_points(still, origin[None])[:, 0]
    return replace(view, shifts_px=view.shifts_px + moved), points_px - origin


def adjust(
    places_px: Float64,
    sigma_px: Float64,
    view: View,
    points_px: Float64,
    extras: Extras | None = None,
) -> Bundle:
    """Fit points and geometry to where the points are seen, robustly.

    Parameters
    ----------
    places_px : (n_tilts, m, 2) [px]
        (row, column) of each point in each image, from the image's centre; NaN where it was not measured.
    sigma_px : (n_tilts, m) [px]
        Standard deviation of each coordinate.
    view : View
        To start from: the axis to about 30 deg.
    points_px : (m, 3) [px]
        (z, y, x), to start from; each is measured in two images at least.
    extras : Extras, optional

    Returns
    -------
    Bundle

    Notes
    -----
    Gauss-Newton with damping on weights w(r): Huber's for the first rounds, which has one minimum, then Tukey's
    biweight, r in robust standard deviations (at least the stated ones are kept in proportion). The leave-one-out
    residual is (1 - H)^-1 r with the 2 x 2 block H of the hat matrix.

    References
    ----------
    B. Triggs et al., Bundle adjustment - a modern synthesis, LNCS 1883 (2000), sections 3, 4 and 9 (gauge).
    D. N. Mastronarde and S. R. Held, J. Struct. Biol. 197 (2017) 102 (the parameters of a tilt series).
    """
    unknowns = _Unknowns.of(view, len(points_px), extras or Extras())
    measured = np.asarray(np.isfinite(places_px).all(axis=-1))
    sigma = np.where(measured, sigma_px, 1.0)
    view, points = recentred(view, points_px, points_px.mean(axis=0))
    weights = measured.astype(np.float64)
    for k in range(_ROUNDS):
        slopes = _slopes(view, points)
        residual = np.where(measured[..., None], places_px - project_points(view, points), 0.0)
        weights, _ = _robust(residual, sigma, measured, tukey=k >= _HUBER_ROUNDS)
        step = _solve(unknowns.jacobian(slopes), residual, weights / sigma**2)[0]
        view, points = unknowns.moved(view, points, step)
        if k >= _HUBER_ROUNDS and np.abs(step).max() < _SMALL_STEP:
            break
    return _described(unknowns, view, points, places_px, sigma, measured)


def _robust(
    residual: Float64, sigma: Float64, measured: npt.NDArray[np.bool_], *, tukey: bool
) -> tuple[Float64, float]:
    """Weights (n, m), and the robust scale of the residuals over their sigmas."""
    r = np.sqrt((residual**2).sum(axis=-1)) / sigma
    scale = max(
        float(np.median(r[measured])) / _MEDIAN_RADIUS if measured.any() else 1.0, _LEAST_SCALE
    )
    r = r / scale
    if tukey:
        weights = np.where(r < _TUKEY, (1 - (r / _TUKEY) ** 2) ** 2, 0.0)
    else:
        weights = np.minimum(1.0, _HUBER / np.maximum(r, 1e-30))
    return np.where(measured, weights, 0.0), scale


def _solve(jacobian: Float64, residual: Float64, weights: Float64) -> tuple[Float64, Float64]:
    """Step of the parameters, and the inverse of the normal matrix in the gauge of the points' mean."""
    k = jacobian.shape[-1]
    root = np.sqrt(weights)[..., None]
    j = (jacobian * root[..., None]).reshape(-1, k)
    normal = j.T @ j
    # Units so that the damping means the same to all; images without a point stay where they are.
    size = np.sqrt(np.maximum(np.diag(normal), _DAMPING * np.diag(normal).max()))
    m = jacobian.shape[1]
    tied = np.zeros((3, k))
    for axis in range(3):
        tied[axis, axis : 3 * m : 3] = size[: 3 * m].mean() / np.sqrt(m)
    normal = (normal + tied.T @ tied) / np.outer(size, size)
    normal[np.diag_indices(k)] += 1e-12
    inverse = np.linalg.inv(normal) / np.outer(size, size)
    return inverse @ (j.T @ (residual * root).reshape(-1)), inverse


def _described(
    unknowns: _Unknowns,
    view: View,
    points: Float64,
    places: Float64,
    sigma: Float64,
    measured: npt.NDArray[np.bool_],
) -> Bundle:
    n, m = unknowns.n, unknowns.m
    residual = np.where(measured[..., None], places - project_points(view, points), 0.0)
    robust, _ = _robust(residual, sigma, measured, tukey=True)
    jacobian = unknowns.jacobian(_slopes(view, points))
    inverse = _solve(jacobian, residual, robust / sigma**2)[1]
    counted = 2 * robust.sum() - jacobian.shape[-1] + 3
    r2 = (residual**2).sum(axis=-1) / sigma**2
    scale = float(np.sqrt((robust * r2).sum() / max(counted, 1.0)))
    hat = np.einsum("nmak,kl,nmbl->nmab", jacobian, inverse, jacobian, optimize=True)
    hat *= (robust / sigma**2)[..., None, None]
    left = np.linalg.solve(np.eye(2) * (1 + 1e-9) - hat, residual[..., None])[..., 0]
    lost = ~measured[..., None]
    covariance = inverse * scale**2
    deviation = np.sqrt(np.diag(covariance))
    sigma_shifts = deviation[3 * m : 3 * m + 2 * n].reshape(n, 2).copy()
    sigma_shifts[robust.sum(axis=1) == 0] = np.nan
    return Bundle(
        view=view,
        points_px=points,
        covariance=covariance,
        names=unknowns.names,
        residuals_px=np.where(lost, np.nan, residual),
        left_out_px=np.where(lost, np.nan, left),
        weights=robust,
        scale=scale,
        of_tilts=unknowns.of_tilts(view.angles_deg, covariance),
        sigma_shifts_px=sigma_shifts,
        sigma_tilt_axis_deg=float(deviation[3 * m + 2 * n]),
    )
