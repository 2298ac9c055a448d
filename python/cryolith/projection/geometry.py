# SPDX-License-Identifier: BSD-3-Clause
"""How the images of one or more tilt series look at the specimen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles, as_core
from ..datamodel import Alignment, LocalShifts
from ..errors import InputError
from .rotations import angles_of, as_rotation, cos_sin, rotation_matrix, split_poses
from .views import Float64, Views

__all__ = ["Geometry"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry(Views):
    """Parallel rays, a pose for each image, and the volume that is looked at.

    Make it with :meth:`single_axis`, :meth:`from_alignment`, :meth:`conical` or :meth:`from_poses`; combine with
    :meth:`oriented` and :meth:`joined`; choose the volume with :meth:`for_volume`. Image ``i`` sees the specimen
    point (x, y, z) [px from the origin of the specimen frame] at

        y' = y cos(alpha_i) - z sin(alpha_i),    z' = y sin(alpha_i) + z cos(alpha_i)
        u = x cos(angle_i) + z' sin(angle_i) + axis_offset_px,    v = y'
        column = (width - 1)/2 + m_i (u cos(psi_i) - v sin(psi_i)) + shifts_px[i, 1]
        row    = (height - 1)/2 + m_i (u sin(psi_i) + v cos(psi_i)) + shifts_px[i, 0]

    with psi_i = tilt_axis_deg + rotations_deg[i], alpha_i = x_tilts_deg[i], m_i = magnifications[i]
    (docs/conventions.md). Every rigid pose has such angles, so this one form holds them all. Voxel (k, j, i) of a
    volume (nz, ny, nx) lies at ``centre_px + sampling ((k, j, i) - (n - 1)/2)``.

    Attributes
    ----------
    angles_deg : (n_tilts,) [deg]
        Tilts, any order and any value; duplicates are allowed.
    tilt_axis_deg : float [deg]
        In-plane angle of the tilt axis, counter-clockwise from the image's +y.
    shifts_px : (n_tilts, 2) [px]
        (row, column) shift of each raw image.
    rotations_deg : (n_tilts,) [deg]
        In-plane rotation of each image against ``tilt_axis_deg``.
    x_tilts_deg : (n_tilts,) [deg]
        Rotation of the specimen about +x before the tilt.
    magnifications : (n_tilts,)
        Detector pixels per pixel of the specimen frame.
    axis_offset_px : float [px]
        Constant offset of the axis across itself.
    centre_px : (3,) [px]
        (z, y, x) of the volume's centre in the specimen frame.
    sampling : float [px]
        Edge of a voxel.
    local : LocalShifts or None
        Shifts that depend on the place in the image: image ``i`` shows what the above puts at (row, column) further on,
        by what the table gives there (:func:`.local.local_nodes`).
    """

    @classmethod
    def single_axis(
        cls,
        angles_deg: npt.ArrayLike,
        *,
        tilt_axis_deg: float = 0.0,
        shifts_px: npt.ArrayLike | None = None,
        rotations_deg: npt.ArrayLike | None = None,
        axis_offset_px: float = 0.0,
        x_tilts_deg: npt.ArrayLike = 0.0,
        magnifications: npt.ArrayLike = 1.0,
        local: LocalShifts | None = None,
    ) -> Geometry:
        """Return the geometry of images tilted about one axis; what is not given is zero.

        ``x_tilts_deg`` and ``magnifications`` are (n_tilts,), or one number for all.

        Raises
        ------
        InputError
            A wrong shape or a number that is not finite, by name.
        """
        angles = as_angles(angles_deg, "angles_deg")
        n = len(angles)
        shifts = np.zeros((n, 2)) if shifts_px is None else shifts_px
        rotations = np.zeros(n) if rotations_deg is None else rotations_deg
        return cls(
            angles_deg=angles.copy(),
            tilt_axis_deg=float(tilt_axis_deg),
            shifts_px=as_core(shifts, "shifts_px", ("n_tilts", "2"), np.float64).copy(),
            rotations_deg=as_angles(rotations, "rotations_deg", n).copy(),
            x_tilts_deg=_for_each(x_tilts_deg, "x_tilts_deg", n),
            magnifications=_for_each(magnifications, "magnifications", n),
            axis_offset_px=float(axis_offset_px),
            centre_px=np.zeros(3),
            sampling=1.0,
            local=local,
        )

    @classmethod
    def from_alignment(cls, alignment: Alignment, *, keep: bool = True) -> Geometry:
        """Return the geometry that an alignment describes.

        Parameters
        ----------
        alignment : Alignment
        keep : bool, default True
            Leave out flagged tilts (``images[alignment.kept]`` are the images that belong to the
            result); False keeps all.
        """
        x_tilts, magnifications = alignment.x_tilts_deg, alignment.magnifications
        geometry = cls.single_axis(
            alignment.angles_deg,
            tilt_axis_deg=alignment.tilt_axis_deg,
            shifts_px=alignment.shifts_px,
            rotations_deg=alignment.rotations_deg,
            axis_offset_px=alignment.axis_offset_px,
            x_tilts_deg=0.0 if x_tilts is None else x_tilts,
            magnifications=1.0 if magnifications is None else magnifications,
            local=alignment.local,
        )
        return geometry.subset(alignment.kept) if keep and alignment.flags else geometry

    @classmethod
    def from_poses(
        cls, poses: npt.ArrayLike, *, shifts_px: npt.ArrayLike | None = None
    ) -> Geometry:
        """Return the geometry of free poses.

        Parameters
        ----------
        poses : (n_views, 3, 3) or (n_views, 2, 3)
            Magnification times rotation, in array order: (beam, row, column) = pose (z, y, x), or its last two rows
            alone. A matrix that acts on (x, y, z) is turned into this order by ``m[:, ::-1, ::-1]``.
        shifts_px : (n_views, 2) [px], optional
            Where each image sees the specimen's origin: (row, column) from the image's centre.

        Raises
        ------
        InputError
            A wrong shape, a singular pose, one that mirrors, shears or scales unequally, or one whose ray lies in the
            detector's plane, by index.
        """
        rotations, magnifications = split_poses(poses)
        x, y, z = np.array([angles_of(r) for r in rotations]).T
        return cls.single_axis(
            y, rotations_deg=z, x_tilts_deg=x, magnifications=magnifications, shifts_px=shifts_px
        )

    @classmethod
    def conical(
        cls,
        azimuths_deg: npt.ArrayLike,
        cone_deg: float,
        *,
        tilt_axis_deg: float = 0.0,
        shifts_px: npt.ArrayLike | None = None,
    ) -> Geometry:
        """Return the geometry of a specimen turned about its own z and then tilted by a fixed angle.

        Conical tilting, and laminography: there ``cone_deg`` is the angle between the rotation axis and the beam.

        Parameters
        ----------
        azimuths_deg : (n_views,) [deg]
            Rotation of the specimen about +z.
        cone_deg : float [deg]
            Tilt about +y that follows it: the angle between the specimen's z and the beam.
        tilt_axis_deg, shifts_px
            As in :meth:`single_axis`.
        """
        azimuths = as_angles(azimuths_deg, "azimuths_deg")
        if not math.isfinite(cone_deg):
            raise InputError(f"cone_deg: found {cone_deg}, expected finite degrees")
        tilt = rotation_matrix(y_deg=cone_deg, z_deg=tilt_axis_deg)
        poses = [tilt @ rotation_matrix(z_deg=float(a)) for a in azimuths]
        return replace(cls.from_poses(np.array(poses), shifts_px=shifts_px))._about(
            float(tilt_axis_deg)
        )

    @classmethod
    def joined(cls, *series: Geometry) -> Geometry:
        """Return the geometry of several series of one specimen, to be solved together: views in the order given.

        Their images are stacked in the same order and have one shape. A series whose specimen lay differently is
        brought to the common frame by :meth:`oriented` first, so dual axis is

            Geometry.joined(a, b.oriented(rotation_matrix(z_deg=90.3), displacement_px=(2, 0, -5)))

        Raises
        ------
        InputError
            No series, or series that were made for different volumes.
        """
        if not series:
            raise InputError("series: found none, expected at least one geometry")
        first = series[0]
        for i, other in enumerate(series):
            if other.sampling != first.sampling or (other.centre_px != first.centre_px).any():
                raise InputError(
                    f"series: found another centre_px or sampling at index {i}, expected one volume; "
                    "join first, then choose it with for_volume"
                )
        parts = [other._about(first.tilt_axis_deg) for other in series]
        names = ("angles_deg", "shifts_px", "rotations_deg", "x_tilts_deg", "magnifications")
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(p, name) for p in parts]) for name in names
        }
        if any(p.local is not None for p in parts):
            arrays["local"] = LocalShifts.joined(
                *(p.local or LocalShifts.none(len(p)) for p in parts)
            )
        return replace(parts[0], **arrays)

    def oriented(
        self, rotation: npt.ArrayLike, *, displacement_px: npt.ArrayLike = (0.0, 0.0, 0.0)
    ) -> Geometry:
        """Return the same images as views of a specimen that lay otherwise when they were taken.

        Parameters
        ----------
        rotation : (3, 3)
            Rotation in array order (:func:`rotation_matrix`): the specimen point p (z, y, x) of the new frame was at
            ``rotation p + displacement_px`` in the frame of this geometry.
        displacement_px : (3,) [px]
            (z, y, x).
        """
        turn = as_rotation(rotation, "rotation")
        move = as_core(displacement_px, "displacement_px", ("3",), np.float64)
        if move.shape != (3,) or not np.isfinite(move).all():
            raise InputError(f"displacement_px: found {move}, expected three finite numbers")
        shifts = self._origins() + self.magnifications[:, None] * (self.rotations()[:, 1:] @ move)
        poses = self.magnifications[:, None, None] * (self.rotations() @ turn)
        free = Geometry.from_poses(poses, shifts_px=shifts)
        seen = free.for_volume(centre_px=self.centre_px, sampling=self.sampling)
        local = None if self.local is None else self.local.counted_from(shifts - self.shifts_px)
        return replace(seen, local=local)

    def for_volume(
        self, *, centre_px: npt.ArrayLike = (0.0, 0.0, 0.0), sampling: float = 1.0
    ) -> Geometry:
        """Return the same images of a volume elsewhere, or with other voxels.

        Parameters
        ----------
        centre_px : (3,) [px]
            (z, y, x) of the volume's centre in the specimen frame.
        sampling : float [px]
            Edge of a voxel in pixels of the specimen frame: 2 for a volume binned twofold from unbinned images.
        """
        centre = as_core(centre_px, "centre_px", ("3",), np.float64).copy()
        return replace(self, centre_px=centre, sampling=float(sampling))

    def region(
        self, shape: tuple[int, int, int], box: tuple[slice, slice, slice]
    ) -> tuple[Geometry, tuple[int, int, int]]:
        """Return the geometry and the shape of a part of the volume.

        Parameters
        ----------
        shape : (int, int, int)
            (nz, ny, nx) of the whole volume.
        box : (slice, slice, slice)
            Along (z, y, x), as in ``volume[box]``; a step is refused.
        """
        ends = [part.indices(n) for part, n in zip(box, shape, strict=True)]
        if any(step != 1 or stop <= start for start, stop, step in ends):
            raise InputError(f"box: found {box}, expected slices of at least one voxel, no step")
        middle = np.array(
            [(start + stop - n) / 2 for (start, stop, _), n in zip(ends, shape, strict=True)]
        )
        centre = self.centre_px + self.sampling * middle
        nz, ny, nx = (stop - start for start, stop, _ in ends)
        return replace(self, centre_px=centre), (nz, ny, nx)

    def scaled(self, binning: float, image_shape: tuple[int, int] | None = None) -> Geometry:
        """Return the geometry of the same images binned by ``binning``.

        The specimen frame is counted in the new pixels; a voxel keeps its edge in pixels (``sampling``).

        Parameters
        ----------
        binning : float
            Old pixels per new pixel along each edge.
        image_shape : (int, int), optional
            (height, width) before binning. Needed when it is not a multiple of ``binning`` and the
            remainder was dropped at the end: the centre of the binned image then lies elsewhere.
        """
        if not (math.isfinite(binning) and binning > 0):
            raise InputError(f"binning: found {binning}, expected a positive number")
        shifts = self.shifts_px / binning
        if image_shape is not None:
            full = np.array(image_shape, float) / binning
            shifts = shifts + (full - np.floor(full)) / 2
        return replace(
            self,
            shifts_px=shifts,
            axis_offset_px=self.axis_offset_px / binning,
            centre_px=self.centre_px / binning,
            local=None if self.local is None else self.local.scaled(1 / binning),
        )

    def volume_shape(self, image_shape: tuple[int, int], thickness: int) -> tuple[int, int, int]:
        """Return (nz, ny, nx) of the volume that the images look at: y along the tilt axis.

        With the axis nearer to the horizontal, ny spans the images' width and nx their height. ``thickness`` is nz,
        in voxels.
        """
        height, width = (max(1, math.ceil(n / self.sampling - 1e-9)) for n in image_shape)
        c, s = cos_sin(self.tilt_axis_deg)
        ny, nx = (height, width) if abs(c) >= abs(s) else (width, height)
        return (int(thickness), int(ny), int(nx))

    def _about(self, tilt_axis_deg: float) -> Geometry:
        """Return the same geometry counted from another tilt axis, its offset put into the shifts."""
        shifts = self._origins()
        local = None if self.local is None else self.local.counted_from(shifts - self.shifts_px)
        return replace(
            self,
            tilt_axis_deg=tilt_axis_deg,
            rotations_deg=self.rotations_deg + (self.tilt_axis_deg - tilt_axis_deg),
            shifts_px=shifts,
            axis_offset_px=0.0,
            local=local,
        )


def _for_each(value: npt.ArrayLike, name: str, n: int) -> Float64:
    """Return (n,) float64 from n numbers or one for all."""
    numbers = np.full(n, value, np.float64) if np.ndim(value) == 0 else value
    return as_angles(numbers, name, n).copy()
