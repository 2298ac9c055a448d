# SPDX-License-Identifier: BSD-3-Clause
"""What the stages hand to each other: arrays with their pixel size, meaning and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .covariance import Covariance
from .defects import Defects, Provenance
from .errors import InputError

__all__ = [
    "Alignment",
    "Beads",
    "Covariance",
    "Defects",
    "LocalShifts",
    "Provenance",
    "Slab",
    "Source",
    "TiltSeries",
    "Volume",
]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where data came from: file, and for each fact the place it was read from.

    Attributes
    ----------
    path : str
        File as the user named it; empty for arrays made in memory.
    facts : mapping of str to str
        For each of ``angles``, ``pixel_size``, ``tilt_axis``, ``dose`` ... the origin and, where sources
        disagreed, which was taken and why ("FEI extended header; header says 1.0 A, a default").
    warnings : tuple of str
        Everything that deserves a look, one line each, in the form of :func:`errors.report_line`.
    """

    path: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class TiltSeries:
    """Images of one specimen at several tilts.

    Attributes
    ----------
    images : (n_tilts, ny, nx), any real dtype
        As recorded; may be a read-only memory map or another lazily read array. NaN is a missing pixel.
    angles_deg : (n_tilts,) float64 [deg]
        Stage tilt of each image; positive tilt as in docs/conventions.md.
    pixel_size : float or None [angstrom]
        None when no source tells it.
    tilt_axis_deg : float or None [deg]
        Nominal in-plane angle of the tilt axis, counter-clockwise from the image's +y, from the metadata.
    dose : (n_tilts,) float64 or None [e/angstrom^2]
        Dose of each image.
    order : (n_tilts,) int64 or None
        Rank of each image in time, from 0.
    """

    images: npt.NDArray[Any]
    angles_deg: Float64
    pixel_size: float | None = None
    tilt_axis_deg: float | None = None
    dose: Float64 | None = None
    order: npt.NDArray[np.int64] | None = None
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        if self.images.ndim != 3:
            raise InputError(f"images: found shape {self.images.shape}, expected (n_tilts, ny, nx)")
        for name in ("angles_deg", "dose", "order"):
            value = getattr(self, name)
            if value is not None and value.shape != (len(self.images),):
                raise InputError(
                    f"{name}: found shape {value.shape}, expected ({len(self.images)},), one per image"
                )

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """A reconstructed volume (tomogram) or a label volume.

    Attributes
    ----------
    data : (nz, ny, nx)
        float32 density, or an integer type for labels; y runs along the tilt axis.
    pixel_size : float or None [angstrom]
        Edge of a voxel.
    origin : (3,) float64 [angstrom]
        Position (z, y, x) of the centre of the array in the specimen frame of the alignment.
    halves : ((nz, ny, nx), (nz, ny, nx)) float32 or None
        Volumes of two halves of the data, each of half the density.
    """

    data: npt.NDArray[Any]
    pixel_size: float | None = None
    origin: Float64 = field(default_factory=lambda: np.zeros(3))
    source: Source = field(default_factory=Source)
    halves: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise InputError(f"data: found shape {self.data.shape}, expected (nz, ny, nx)")
        for half in self.halves or ():
            if half.shape != self.data.shape:
                raise InputError(
                    f"halves: found shape {half.shape}, expected that of data, {self.data.shape}"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalShifts:
    """Shifts that depend on the place in the image, on top of an alignment's own.

    What :class:`Alignment` puts at ``centre + p + shifts_px[i]`` image ``i`` shows ``shifts_px[i, k]`` of this
    table further, at ``p = points_px[i, k]``; between the points a program interpolates in its own way.

    Attributes
    ----------
    points_px : (n_tilts, n_points, 2) [px]
        (row, column) from the centre of the image, before the shift of the image is added.
    shifts_px : (n_tilts, n_points, 2) [px]
        (row, column). NaN, as the points, for a tilt that has none.
    good : (n_tilts, n_points) bool
        Points that are to be used.
    """

    points_px: Float64
    shifts_px: Float64
    good: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = self.good.shape
        if len(shape) != 2:
            raise InputError(f"good: found shape {shape}, expected (n_tilts, n_points)")
        for name in ("points_px", "shifts_px"):
            found = getattr(self, name).shape
            if found != (*shape, 2):
                raise InputError(f"{name}: found shape {found}, expected {(*shape, 2)}")

    def subset(self, index: slice | npt.NDArray[Any]) -> LocalShifts:
        """Return those of some images."""
        return LocalShifts(
            points_px=self.points_px[index], shifts_px=self.shifts_px[index], good=self.good[index]
        )

    def counted_from(self, move_px: Float64) -> LocalShifts:
        """Return them for images whose own shifts grow by ``move_px`` (n_tilts, 2), at the same places."""
        return replace(self, points_px=self.points_px - move_px[:, None])

    def scaled(self, factor: float) -> LocalShifts:
        """Return them in pixels ``1 / factor`` times as wide."""
        return replace(self, points_px=self.points_px * factor, shifts_px=self.shifts_px * factor)

    def spread(self, index: npt.NDArray[np.int64], n_tilts: int) -> LocalShifts:
        """Return them as those of the images ``index`` among ``n_tilts``; the others have none."""
        m = self.good.shape[1]
        points, shifts = np.full((2, n_tilts, m, 2), np.nan)
        good = np.zeros((n_tilts, m), bool)
        points[index], shifts[index], good[index] = self.points_px, self.shifts_px, self.good
        return LocalShifts(points_px=points, shifts_px=shifts, good=good)

    @classmethod
    def joined(cls, *series: LocalShifts) -> LocalShifts:
        """Return those of the images of all ``series``, one after the other."""
        most = max(s.good.shape[1] for s in series)

        def padded(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            width = [(0, 0), (0, most - values.shape[1])] + [(0, 0)] * (values.ndim - 2)
            return np.pad(values, width)

        return cls(
            points_px=np.concatenate([padded(s.points_px) for s in series]),
            shifts_px=np.concatenate([padded(s.shifts_px) for s in series]),
            good=np.concatenate([padded(s.good) for s in series]),
        )

    @classmethod
    def none(cls, n_tilts: int) -> LocalShifts:
        """Return those of images that have none."""
        return cls(
            points_px=np.zeros((n_tilts, 0, 2)),
            shifts_px=np.zeros((n_tilts, 0, 2)),
            good=np.zeros((n_tilts, 0), bool),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Beads:
    """Beads that an alignment was made on.

    Attributes
    ----------
    points_px : (n_beads, 3) [px]
        (z, y, x) of each from the centre of the volume.
    residuals_px : (n_tilts, n_beads, 2) [px]
        (row, column) measured less predicted; NaN where a bead was not measured.
    left_out_px : (n_tilts, n_beads, 2) [px]
        The same with the prediction from all other measurements.
    weights : (n_tilts, n_beads)
        Robust weight of each measurement, 0 to 1.
    diameter_px : float [px]
        At half of the brightness of the middle.
    """

    points_px: Float64
    residuals_px: Float64
    left_out_px: Float64
    weights: Float64
    diameter_px: float

    def __post_init__(self) -> None:
        n, m = len(self.weights), len(self.points_px)
        shapes: dict[str, tuple[int, ...]] = {
            "points_px": (m, 3),
            "residuals_px": (n, m, 2),
            "left_out_px": (n, m, 2),
            "weights": (n, m),
        }
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise InputError(f"{name}: found shape {found}, expected {shape}")


@dataclass(frozen=True)
class Slab:
    """How a slab lies, as found; an alignment lays it level where that is plainly more than the error.

    Attributes
    ----------
    tilt_offset_deg, sigma_tilt_offset_deg : float [deg]
        Tilt about the tilt axis where the stage is at zero.
    x_tilt_deg, sigma_x_tilt_deg : float [deg]
        Tilt about +x, before that.
    thickness_px, sigma_thickness_px : float [px]
        Distance between its faces.
    """

    tilt_offset_deg: float
    sigma_tilt_offset_deg: float
    x_tilt_deg: float
    sigma_x_tilt_deg: float
    thickness_px: float
    sigma_thickness_px: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """How the specimen maps to each raw image (docs/conventions.md), with errors.

    Image ``i`` sees the specimen point (x, y, z) [px from the volume's centre] at

        y' = y cos(alpha_i) - z sin(alpha_i),    z' = y sin(alpha_i) + z cos(alpha_i)
        u = x cos(angle_i) + z' sin(angle_i) + axis_offset_px,    v = y'
        (row, column) = centre + m_i R(tilt_axis_deg + rotations_deg[i]) (v, u) + shifts_px[i]

    with R counter-clockwise: column = u cos(psi) - v sin(psi), row = u sin(psi) + v cos(psi), alpha the x-tilt
    and m the magnification (0 and 1 where None).

    Attributes
    ----------
    angles_deg : (n_tilts,) [deg]
        Tilt used for each image.
    tilt_axis_deg, sigma_tilt_axis_deg : float [deg]
        In-plane angle of the tilt axis, counter-clockwise from the image's +y.
    axis_offset_px, sigma_axis_offset_px : float [px]
        Constant offset of the axis across itself; 0 where it is folded into the shifts.
    shifts_px, sigma_shifts_px : (n_tilts, 2) [px]
        (row, column) shift of each raw image.
    covariance : Covariance or None
        Of all that was found together, by name; the sigmas are the roots of its diagonal. None from other programs.
    rotations_deg, sigma_rotations_deg : (n_tilts,) [deg]
        In-plane rotation of each image against ``tilt_axis_deg``.
    x_tilts_deg : (n_tilts,) or None [deg]
        Rotation of the specimen about +x before the tilt.
    magnifications : (n_tilts,) or None
        Pixels of the image per pixel of the specimen.
    local : LocalShifts or None
        Shifts that depend on the place in the image; the projector applies them.
    beads : Beads or None
        What it was aligned on, if it was on beads.
    slab : Slab or None
        How the specimen lies, if it is a slab and its faces were found.
    image_shape : (int, int) or None [px]
        (height, width) of the raw images, for formats that turn about another point than the centre.
    pixel_size : float or None [angstrom]
        Of the raw images, for formats that count in angstrom.
    image_names : tuple of str
        What another program calls each image; empty if there was none.
    residuals : (n_tilts,)
        |measured - reprojected| / |measured| of each image; NaN where it was not compared.
    flags : mapping of int to str
        Tilts that do not fit (index to reason); they are left out of reconstructions.
    holdout_residual : float
        Mean residual of tilts predicted from a reconstruction that has not seen them; NaN if not computed.
    method : str
        What was decided and why (specimen type, cosine stretch, source of the axis and its direction).
    """

    angles_deg: Float64
    tilt_axis_deg: float
    shifts_px: npt.NDArray[np.float64]
    sigma_tilt_axis_deg: float = float("nan")
    axis_offset_px: float = 0.0
    sigma_axis_offset_px: float = float("nan")
    sigma_shifts_px: npt.NDArray[np.float64] | None = None
    covariance: Covariance | None = None
    rotations_deg: Float64 | None = None
    sigma_rotations_deg: Float64 | None = None
    x_tilts_deg: Float64 | None = None
    magnifications: Float64 | None = None
    local: LocalShifts | None = None
    beads: Beads | None = None
    slab: Slab | None = None
    image_shape: tuple[int, int] | None = None
    pixel_size: float | None = None
    image_names: tuple[str, ...] = ()
    residuals: Float64 | None = None
    flags: Mapping[int, str] = field(default_factory=dict)
    holdout_residual: float = float("nan")
    method: tuple[str, ...] = ()
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        n = len(self.angles_deg)
        shapes = {
            "shifts_px": (n, 2),
            "sigma_shifts_px": (n, 2),
            "rotations_deg": (n,),
            "sigma_rotations_deg": (n,),
            "x_tilts_deg": (n,),
            "magnifications": (n,),
            "residuals": (n,),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise InputError(f"{name}: found shape {value.shape}, expected {shape}")
        counts = {"image_names": len(self.image_names) or n, "local": self._tables}
        counts["beads"] = n if self.beads is None else len(self.beads.weights)
        for name, count in counts.items():
            if count != n:
                raise InputError(f"{name}: found {count} entries, expected {n}, one per tilt")
        if self.covariance is not None:
            tilts = [i for i in map(Covariance.tilt_of, self.covariance.names) if i is not None]
            if max(tilts, default=0) >= max(n, 1):
                raise InputError(
                    f"covariance: found tilt {max(tilts)}, expected 0 to {n - 1}, as many as angles_deg"
                )

    @property
    def _tables(self) -> int:
        return len(self.angles_deg if self.local is None else self.local.good)

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """(n_tilts,) bool: the tilts that fit."""
        keep = np.ones(len(self.angles_deg), bool)
        keep[list(self.flags)] = False
        return keep
