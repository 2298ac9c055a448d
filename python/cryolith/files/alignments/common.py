# SPDX-License-Identifier: BSD-3-Clause
"""What the converters of all programs share: poses, places of tilts in the stack, and what a format cannot hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment, Source
from ..findings import Notes, fail
from .known import Known

__all__ = [
    "Pose",
    "Rows",
    "assemble",
    "mean_angle",
    "pose_of",
    "series_name",
    "similarity",
    "tell_lost",
]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_FARTHEST = 1e6  # px; Geometry refuses more
_SAME = 1e-9  # degrees and factors: differences that are rounding
# IMOD's own solutions stretch by up to 1 %; below this a matrix is a rotation with a magnification.
_SIMILAR = 2e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """An alignment with everything per tilt, the axis offset folded into the shifts.

    Attributes
    ----------
    angles_deg, psi_deg, x_tilts_deg, magnifications : (n,)
    shifts_px : (n, 2)
        (row, column) at which each image sees the specimen's origin, from the image's centre (n - 1) / 2.
    """

    angles_deg: Float64
    psi_deg: Float64
    x_tilts_deg: Float64
    magnifications: Float64
    shifts_px: Float64


def pose_of(alignment: Alignment, path: str | os.PathLike[str]) -> Pose:
    """Return the pose of each tilt, refusing what no file can hold."""
    n = len(alignment.angles_deg)

    def each(values: Float64 | None, neutral: float) -> Float64:
        return np.full(n, neutral) if values is None else values

    psi = alignment.tilt_axis_deg + each(alignment.rotations_deg, 0.0)
    m = each(alignment.magnifications, 1.0)
    across = np.stack([np.sin(np.radians(psi)), np.cos(np.radians(psi))], axis=1)
    shifts = alignment.shifts_px + alignment.axis_offset_px * m[:, None] * across
    x_tilts = each(alignment.x_tilts_deg, 0.0)
    for name, values in (
        ("angles_deg", alignment.angles_deg),
        ("rotations_deg", psi),
        ("shifts_px", shifts),
        ("x_tilts_deg", x_tilts),
        ("magnifications", m),
    ):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            fail(path, name, f"not finite at tilt {bad[0, 0]}", "finite numbers", "align again")
    return Pose(
        angles_deg=alignment.angles_deg,
        psi_deg=psi,
        x_tilts_deg=x_tilts,
        magnifications=m,
        shifts_px=shifts,
    )


def similarity(matrices: Float64, notes: Notes, names: str) -> tuple[Float64, Float64]:
    """Split (n, 2, 2) matrices that act on (x, y) into rotation [deg] and magnification.

    Raises
    ------
    FileFormatError
        A matrix mirrors.

    Warns
    -----
    CryolithWarning
        A matrix stretches or shears: what is left over is not kept.
    """
    c = (matrices[:, 0, 0] + matrices[:, 1, 1]) / 2
    s = (matrices[:, 1, 0] - matrices[:, 0, 1]) / 2
    mirrored = np.flatnonzero(np.linalg.det(matrices) <= 0)
    if len(mirrored):
        expected = "a rotation with a magnification"
        fail(notes.path, names, f"a mirror at view {mirrored[0]}", expected, "align again")
    m = np.hypot(c, s)
    model = np.stack([np.stack([c, -s], axis=1), np.stack([s, c], axis=1)], axis=1)
    left = np.abs(matrices - model).max(axis=(1, 2)) / m
    worst = int(np.argmax(left))
    if left[worst] > _SIMILAR:
        notes.warn(
            names,
            f"stretch or shear ({left[worst]:.4f} at view {worst})",
            "rotation and magnification",
            "only those and the shift are kept",
        )
    return np.degrees(np.arctan2(s, c)), m


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Tilts as a file lists them, before they are put in their places in the raw stack.

    Attributes
    ----------
    angles_deg, psi_deg : (k,)
    shifts_px : (k, 2)
        As in :class:`Pose`.
    index : (k,)
        Place in the raw stack of each, from 0.
    x_tilts_deg, magnifications : (k,), optional
    names : tuple of str
    """

    angles_deg: Float64
    psi_deg: Float64
    shifts_px: Float64
    index: Int64
    x_tilts_deg: Float64 | None = None
    magnifications: Float64 | None = None
    names: tuple[str, ...] = ()


@dataclass
class _Places:
    """Spreads rows over the whole stack."""

    rows: Rows
    n: int
    all_angles: Float64

    def spread(self, values: Float64) -> Float64:
        """Tilts that are not listed take the value between their neighbours in angle."""
        out = np.empty((self.n, *values.shape[1:]))
        order = np.argsort(self.rows.angles_deg, kind="stable")
        flat = values.reshape(len(values), -1)
        for k in range(flat.shape[1]):
            known = self.rows.angles_deg[order], flat[order, k]
            out.reshape(self.n, -1)[:, k] = np.interp(self.all_angles, *known)
        out[self.rows.index] = values
        return out


def assemble(
    rows: Rows,
    notes: Notes,
    *,
    n: int,
    method: str,
    known: Known,
    left_out: Mapping[int, tuple[str, float | None]] | None = None,
) -> Alignment:
    """Make the alignment of all ``n`` images from the tilts that a file lists.

    Parameters
    ----------
    left_out : mapping of int to (str, float or None)
        For tilts that are not listed the reason and, where known, the angle [deg]. Their shifts are interpolated
        and they are flagged.
    """
    _check_rows(rows, notes)
    _check_places(rows, notes, n)
    absent = sorted(set(range(n)) - set(rows.index.tolist()))
    why = {i: (left_out or {}).get(i, (f"not in the file of {method}", None)) for i in absent}
    angles = _all_angles(rows, notes, n, known, {i: why[i][1] for i in absent})
    places = _Places(rows, n, angles)
    axis = mean_angle(rows.psi_deg)
    turn = places.spread((rows.psi_deg - axis + 180.0) % 360.0 - 180.0)
    turn[absent] = 0.0
    turn[np.abs(turn) <= _SAME] = 0.0
    facts = dict(notes.facts)
    facts["tilt_axis"] = facts.get("tilt_axis", method)
    names = [""] * n
    for i, name in zip(rows.index, rows.names, strict=False):
        names[int(i)] = name
    return Alignment(
        angles_deg=angles,
        tilt_axis_deg=axis,
        shifts_px=places.spread(rows.shifts_px),
        rotations_deg=turn,
        x_tilts_deg=_unless(places, rows.x_tilts_deg, 0.0),
        magnifications=_unless(places, rows.magnifications, 1.0),
        image_shape=known.image_shape,
        pixel_size=known.pixel_size,
        image_names=tuple(names) if rows.names else (),
        flags={i: why[i][0] for i in absent},
        method=(f"read from {method}",),
        source=Source(path=notes.path, facts=facts, warnings=notes.warning_lines),
    )


def _unless(places: _Places, values: Float64 | None, neutral: float) -> Float64 | None:
    """The values for all tilts, None where there is nothing to say."""
    if values is None or np.abs(values - neutral).max() <= _SAME:
        return None
    return places.spread(values)


def _check_rows(rows: Rows, notes: Notes) -> None:
    """Refuse what can be no alignment: nothing, or numbers that no image and no stage has."""
    if not len(rows.angles_deg):
        fail(notes.path, "tilts", "none", "at least one", "check that this is the right file")
    limits: tuple[tuple[str, Float64 | None, float, str], ...] = (
        ("tilts", rows.angles_deg, 360.0, "at most 360 degrees"),
        ("in-plane rotations", rows.psi_deg, 1e4, "degrees"),
        ("x-tilts", rows.x_tilts_deg, 360.0, "at most 360 degrees"),
        ("shifts", rows.shifts_px, _FARTHEST, f"at most {_FARTHEST:g} px"),
        ("magnifications", rows.magnifications, 1e3, "a factor near 1"),
    )
    for name, values, most, expected in limits:
        if values is None:
            continue
        wrong = np.argwhere(~(np.abs(values) <= most))
        if name == "magnifications":
            wrong = np.argwhere(~((values > 1 / most) & (values < most)))
        if len(wrong):
            value = float(values[tuple(wrong[0])])
            found = f"{value:g} at row {int(wrong[0, 0]) + 1}"
            fail(notes.path, name, found, expected, "repair the file or align again")


def _check_places(rows: Rows, notes: Notes, n: int) -> None:
    index = rows.index
    beyond = index[(index < 0) | (index >= n)]
    if len(beyond):
        fail(
            notes.path,
            "sections",
            f"section {int(beyond[0]) + 1}",
            f"1 to {n}, the images of the stack",
            "give the file and the series of one data set",
        )
    places, counts = np.unique(index, return_counts=True)
    if (counts > 1).any():
        twice = int(places[counts > 1][0]) + 1
        fail(notes.path, "sections", f"section {twice} twice", "each once", "repair the file")


def _all_angles(
    rows: Rows, notes: Notes, n: int, known: Known, given: Mapping[int, float | None]
) -> Float64:
    angles = np.full(n, np.nan)
    angles[rows.index] = rows.angles_deg
    for i, value in given.items():
        if value is not None:
            angles[i] = value
        elif known.angles_deg is not None and len(known.angles_deg) == n:
            angles[i] = known.angles_deg[i]
    gaps = np.flatnonzero(np.isnan(angles))
    if len(gaps):
        there = np.flatnonzero(~np.isnan(angles))
        angles[gaps] = np.interp(gaps, there, angles[there])
        listed = ", ".join(str(i + 1) for i in gaps[:8]) + (", ..." if len(gaps) > 8 else "")
        notes.warn(
            "angles",
            f"none for sections {listed}",
            "one for each image",
            "taken between their neighbours (they are excluded); give the angles of all images",
        )
    return angles


def mean_angle(degrees: Float64) -> float:
    """Mean on the circle, so that 179 and -179 give 180 and not 0."""
    radians = np.radians(degrees)
    return float(np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean())))


def _range(values: Float64, unit: str = "") -> str:
    return f"{values.min():.6g} to {values.max():.6g}{unit}"


def tell_lost(alignment: Alignment, pose: Pose, notes: Notes, holds: str, title: str) -> None:
    """Warn of each thing that the alignment has and the format has no place for.

    Parameters
    ----------
    holds : str
        Words of ``x-tilt magnification rotation local excluded``.
    title : str
        The format, for the message.
    """
    n = len(alignment.angles_deg)
    turn = (pose.psi_deg - mean_angle(pose.psi_deg) + 180.0) % 360.0 - 180.0
    has = {
        "x-tilt": np.abs(pose.x_tilts_deg).max() > _SAME and _range(pose.x_tilts_deg, " deg"),
        "magnification": np.abs(pose.magnifications - 1).max() > _SAME
        and _range(pose.magnifications),
        "rotation": np.abs(turn).max() > _SAME and _range(turn, " deg from tilt to tilt"),
        "local": alignment.local is not None and f"{alignment.local.good.shape[1]} points a tilt",
        "excluded": bool(alignment.flags) and f"{len(alignment.flags)} of {n} tilts",
    }
    words = {
        "rotation": "rotation of each tilt",
        "local": "local shifts",
        "excluded": "excluded tilts",
    }
    for name, found in has.items():
        if found and name not in holds.split():
            notes.warn(
                words.get(name, name),
                found,
                f"none: {title} has no place for it",
                "it is left out",
            )


def series_name(alignment: Alignment, known: Known, path: str | os.PathLike[str]) -> str:
    """The name of the data set: given, that of the source, or that of the file to be written."""
    source = alignment.source.path
    name = known.name or Path(source).stem or Path(path).stem
    return "".join(c if c.isalnum() or c in "._-+" else "_" for c in name)
