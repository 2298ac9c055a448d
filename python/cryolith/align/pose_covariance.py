# SPDX-License-Identifier: BSD-3-Clause
"""Covariance of a pose, in the gauge of a specimen that does not move."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..covariance import Covariance
from .coarse import frame
from .joint import Pose

__all__ = ["PoseCovariance", "blind_to", "block_diagonal", "translations", "turns_of"]

Float64 = npt.NDArray[np.float64]

_NAMES = {
    "rotations_deg": "rotation_deg",
    "magnifications": "magnification",
    "angles_deg": "angle_deg",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseCovariance:
    """Covariance of the pose of n tilts.

    ``matrix`` is in the order row and column shift of each tilt [px], the angle of the axis [deg] if ``axis``, then
    for each of ``others`` (``rotations_deg``, ``magnifications``, ``angles_deg``) its n values.
    """

    matrix: Float64
    n: int
    axis: bool
    others: tuple[str, ...] = ()

    @property
    def sigma_shifts_px(self) -> Float64:
        """(n, 2) standard deviations of the (row, column) shifts."""
        return np.sqrt(np.diag(self.matrix)[: 2 * self.n]).reshape(self.n, 2)

    @property
    def sigma_axis_deg(self) -> float:
        """Standard deviation of the axis, NaN if it was not free."""
        return float(np.sqrt(self.matrix[2 * self.n, 2 * self.n])) if self.axis else float("nan")

    def _of(self, k: int) -> slice:
        """Where the ``k``-th of ``others`` stands."""
        first = 2 * self.n + self.axis + k * self.n
        return slice(first, first + self.n)

    def scaled(self, factor: float) -> PoseCovariance:
        """Return it for images with ``factor`` times as many pixels along each edge."""
        unit = np.ones(len(self.matrix))
        unit[: 2 * self.n] = factor
        return replace(self, matrix=self.matrix * np.outer(unit, unit))

    def subset(self, part: npt.NDArray[np.bool_]) -> PoseCovariance:
        """Return that of some tilts, in the same gauge."""
        keep = np.concatenate(
            [part.repeat(2), np.ones(int(self.axis), bool), *([part] * len(self.others))]
        )
        return replace(self, matrix=self.matrix[np.ix_(keep, keep)], n=int(part.sum()))

    def recentred(self, pose: Pose, angles_deg: Float64, moves_px: Float64) -> PoseCovariance:
        """Return it blind to moves of the specimen, for shifts that have grown by ``moves_px`` (n, 2).

        The moves are those of another point of the specimen taken for its origin: they turn with the axis of
        ``pose``, so that the error of the axis enters the shifts in another way.
        """
        n, jacobian = self.n, np.eye(len(self.matrix))
        seen = translations(pose, angles_deg)
        y, x, z = np.linalg.lstsq(seen, moves_px.reshape(-1), rcond=None)[0]
        t, m = np.deg2rad(angles_deg), pose.magnifications[:, None]
        v, u = np.full(n, y), x * np.cos(t) + z * np.sin(t)
        turns, unit = turns_of(pose), np.pi / 180

        def image(along: Float64, across: Float64) -> Float64:
            return np.asarray(np.einsum("nij,nj->ni", turns, np.c_[along, across]))

        turned = unit * m * image(u, -v)
        by = {
            "rotations_deg": turned,
            "magnifications": image(v, u),
            "angles_deg": unit * m * image(0 * v, z * np.cos(t) - x * np.sin(t)),
        }
        if self.axis:
            jacobian[: 2 * n, 2 * n] = turned.ravel()
        own = np.arange(n)
        for k, name in enumerate(self.others):
            for part in range(2):
                jacobian[2 * own + part, own + self._of(k).start] = by[name][:, part]
        jacobian = blind_to(seen, len(self.matrix)) @ jacobian
        return replace(self, matrix=_symmetric(jacobian @ self.matrix @ jacobian.T))

    def named(self, tilts: npt.NDArray[np.int64]) -> Covariance:
        """Return it with the names of its parameters; ``tilts`` are the indices of its tilts in their series."""
        names = [f"shift_{part}_px[{i}]" for i in tilts for part in ("row", "column")]
        names += ["tilt_axis_deg"] * self.axis
        names += [f"{_NAMES[name]}[{i}]" for name in self.others for i in tilts]
        return Covariance(names=tuple(names), matrix=self.matrix)


def turns_of(pose: Pose) -> Float64:
    """Return the matrices (n, 2, 2) from (v, u), along and across the axis, to (row, column)."""
    return np.stack([frame(pose.tilt_axis_deg + r) for r in pose.rotations_deg])


def translations(pose: Pose, angles_deg: Float64) -> Float64:
    """Return what moves of the specimen along y, x and z do to the shifts (row, column) of each tilt: (2 n, 3)."""
    t = np.deg2rad(angles_deg)
    moves = np.zeros((len(t), 2, 3))
    moves[:, 0, 0], moves[:, 1, 1], moves[:, 1, 2] = 1, np.cos(t), np.sin(t)
    seen = pose.magnifications[:, None, None] * (turns_of(pose) @ moves)
    return np.asarray(seen.reshape(-1, 3))


def blind_to(gauge: Float64, size: int) -> Float64:
    """Return the projection (size, size) that takes ``gauge`` off the first parameters and leaves the others."""
    q = np.linalg.qr(gauge)[0]
    out = np.eye(size)
    out[: len(q), : len(q)] -= q @ q.T
    return out


def block_diagonal(*blocks: Float64) -> Float64:
    """Return the matrix with ``blocks`` along its diagonal; one of no rows leaves its columns empty."""
    rows, columns = (np.cumsum([0, *(b.shape[k] for b in blocks)]) for k in range(2))
    out = np.zeros((rows[-1], columns[-1]))
    for block, row, column in zip(blocks, rows[:-1], columns[:-1], strict=True):
        out[row : row + block.shape[0], column : column + block.shape[1]] = block
    return out


def _symmetric(matrix: Float64) -> Float64:
    return np.asarray((matrix + matrix.T) / 2)
