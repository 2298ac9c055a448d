# SPDX-License-Identifier: BSD-3-Clause
"""Alignments in IMOD's form: ``.xf`` with one transform per view, ``.tlt`` with its angles.

A line ``A11 A12 A21 A22 DX DY`` maps raw to aligned coordinates about the image centres,
``x' = A (x - centre) + d + centre``, the tilt axis vertical in the result, d in unbinned pixels applied after
A (newstack's and tiltalign's manual pages). An Alignment maps the specimen to the raw image; with R its
in-plane rotation and t the shift as (column, row)

    raw = R (u, v) + t    and so    A = R^T,    d = -A t - (axis_offset, 0)
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..datamodel import Alignment, Source
from .angles import parse_number, read_angle_file, read_text, split_lines, write_angle_file
from .atomic import write_text
from .findings import Notes, fail

__all__ = ["read_imod", "write_imod"]

Float64 = npt.NDArray[np.float64]

_RIGID = 2e-3  # IMOD's own solutions change magnification by up to 1 %; below this it is rounding


def read_imod(xf: str | os.PathLike[str], tlt: str | os.PathLike[str] | None = None) -> Alignment:
    """Read an IMOD alignment.

    Parameters
    ----------
    xf : path
        Transforms of the unbinned raw stack, one line per view.
    tlt : path, optional
        Solved angles [deg], one line per view; without it ``<stem>.tlt`` beside ``xf``.

    Returns
    -------
    Alignment
        ``tilt_axis_deg`` is the mean of the views' rotations, IMOD's RotationAngle.

    Raises
    ------
    FileFormatError
        A file is missing or damaged, or the two have different numbers of lines.

    Warns
    -----
    CryolithWarning
        The transforms change magnification or stretch, which an Alignment does not hold.
    """
    path = os.fspath(xf)
    notes = Notes(path)
    angle_file = os.fspath(tlt) if tlt is not None else str(Path(path).with_suffix(".tlt"))
    rows, angles = _read_rows(path), read_angle_file(angle_file)
    if len(rows) != len(angles):
        fail(
            path,
            "views",
            f"{len(rows)} transforms and {len(angles)} angles in {os.path.basename(angle_file)}",
            "one of each per view",
            "give the two files of one alignment",
        )
    matrices, d = rows[:, :4].reshape(-1, 2, 2), rows[:, 4:]
    _check_rigid(matrices, notes)
    psi = np.degrees(
        np.arctan2(matrices[:, 0, 1] - matrices[:, 1, 0], matrices[:, 0, 0] + matrices[:, 1, 1])
    )
    axis = _mean_angle(psi)
    shifts = -np.linalg.solve(matrices, d[:, :, None])[:, ::-1, 0]  # (x, y) to (row, column)
    facts = {"tilt_axis": "IMOD transforms", "angles": os.path.basename(angle_file)}
    notes.tell()
    return Alignment(
        angles_deg=angles,
        tilt_axis_deg=axis,
        shifts_px=np.ascontiguousarray(shifts),
        rotations_deg=(psi - axis + 180) % 360 - 180,
        method=("read from IMOD",),
        source=Source(path=path, facts=facts, warnings=notes.warning_lines),
    )


def _read_rows(path: str) -> Float64:
    rows = []
    for number, line in enumerate(split_lines(read_text(path, "an IMOD .xf file")), 1):
        words = line.split()
        if not words:
            continue
        values = [parse_number(w) for w in words]
        if len(values) != 6 or not all(v is not None and math.isfinite(v) for v in values):
            fail(
                path,
                f"transform, line {number}",
                repr(line.strip()[:60]),
                "six finite numbers A11 A12 A21 A22 DX DY",
                "check that this is an .xf file",
            )
        rows.append([v for v in values if v is not None])
        if abs(rows[-1][0] * rows[-1][3] - rows[-1][1] * rows[-1][2]) < 1e-6:
            fail(
                path,
                f"transform, line {number}",
                "a matrix without inverse",
                "a rotation",
                "leave that view out or align again",
            )
    if not rows:
        fail(path, "transforms", "none", "one line per view", "check that this is an .xf file")
    return np.array(rows, np.float64)


def _check_rigid(matrices: Float64, notes: Notes) -> None:
    away = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(2)).max(axis=(1, 2))
    worst = int(np.argmax(away))
    if away[worst] > 2 * _RIGID or (np.linalg.det(matrices) < 0).any():
        size = math.sqrt(abs(np.linalg.det(matrices[worst])))
        notes.warn(
            "transforms",
            f"magnification or stretch ({size:.4f} at view {worst})",
            "rotations",
            "only rotation and shift are kept",
        )


def _mean_angle(degrees: Float64) -> float:
    """Mean on the circle, so that 179 and -179 give 180 and not 0."""
    radians = np.radians(degrees)
    return float(np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean())))


def write_imod(xf: str | os.PathLike[str], alignment: Alignment) -> None:
    """Write ``xf`` and, beside it, ``<stem>.tlt``; each whole or not at all, the angles first.

    Flagged tilts are written as well: name them to IMOD's tilt with EXCLUDELIST.

    Raises
    ------
    FileFormatError
        The folder is missing or not writable, or a shift is not finite.
    """
    n = len(alignment.angles_deg)
    rotations = alignment.rotations_deg if alignment.rotations_deg is not None else np.zeros(n)
    psi = np.radians(alignment.tilt_axis_deg + rotations)
    c, s = np.cos(psi), np.sin(psi)
    row, column = alignment.shifts_px.T
    dx = -(c * column + s * row) - alignment.axis_offset_px
    dy = -(-s * column + c * row)
    table = np.stack([c, s, -s, c, dx, dy], axis=1)
    if not np.isfinite(table).all():
        view = int(np.argwhere(~np.isfinite(table))[0, 0])
        fail(xf, "shifts_px", f"not finite at tilt {view}", "finite shifts", "align again")
    # Nine decimals of a cosine keep 0.01 px at the edge of the largest camera; IMOD reads them freely.
    lines = [
        " ".join([*(f"{v:13.9f}" for v in values[:4]), *(f"{v:14.6f}" for v in values[4:])])
        for values in table
    ]
    write_angle_file(Path(xf).with_suffix(".tlt"), alignment.angles_deg)
    write_text(xf, "\n".join(lines) + "\n")
