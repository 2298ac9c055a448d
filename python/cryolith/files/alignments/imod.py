# SPDX-License-Identifier: BSD-3-Clause
"""IMOD: ``.xf`` (or ``.prexf``, ``.prexg``) with one transform per view, ``.tlt`` and ``.xtilt`` with its angles.

A line ``A11 A12 A21 A22 DX DY`` maps raw to aligned coordinates about the image centres (n - 1) / 2,
``x' = A (x - centre) + d + centre``, the tilt axis vertical in the result, d in unbinned pixels applied after A
(manual pages of newstack and tiltalign). An Alignment maps the specimen to the raw image; with m its magnification,
R its in-plane rotation and t the shift as (column, row)

    raw = m R (u, v) + t    and so    A = R^T / m,    d = -A t

``.tlt`` holds theta as it is, ``.xtilt`` the x-tilt of ``tilt`` (its source, tilt.f90: xproj = x cos b + (y sin a +
z cos a) sin b, yproj = y cos a - z sin a after trimvol -rx): alpha as it is.

``.prexg`` maps raw images to a common frame in which the axis still lies as it was recorded; ``.prexf`` maps each
section to the one before it, so that g_0 = f_0 and g_i = g_(i-1) f_i (xftoxg without its fits).
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment
from ..angles import parse_number, read_angle_file, read_text, split_lines
from ..findings import Notes, fail
from .common import Rows, assemble, pose_of, similarity, tell_lost
from .known import Known, missing

__all__ = ["read_pre", "read_xf", "render_angles", "render_pre", "render_xf"]

Float64 = npt.NDArray[np.float64]


def read_xf(
    path: str, known: Known, notes: Notes, tlt: str | os.PathLike[str] | None = None
) -> Alignment:
    """Read ``.xf`` with ``.tlt`` and, where there is one, ``.xtilt`` beside it."""
    matrices, d, digits = read_rows(path)
    angles = _angles(path, known, notes, len(d), (".tlt",), tlt)
    x_tilts = None
    beside = Path(path).with_suffix(".xtilt")
    if beside.exists():
        x_tilts = _per_view(path, read_angle_file(beside), len(d), beside.name)
        notes.facts["x_tilts"] = beside.name
    notes.facts["tilt_axis"] = "IMOD transforms"
    return _from_transforms(matrices, d, digits, angles, x_tilts, 0.0, known, notes)


def read_pre(path: str, known: Known, notes: Notes) -> Alignment:
    """Read ``.prexg`` or ``.prexf`` with ``.rawtlt`` or ``.tlt`` beside it; the caller knows the tilt axis."""
    matrices, d, digits = read_rows(path)
    if known.tilt_axis_deg is None:
        why = "the angle of the axis in the images, which transforms before alignment do not hold"
        missing(path, "tilt axis", why, "--tilt-axis, tilt_axis_deg=")
    angles = _angles(path, known, notes, len(d), (".rawtlt", ".tlt"))
    if path.lower().endswith(".prexf"):
        matrices, d = _chained(matrices, d)
        reference = int(np.argmin(np.abs(angles)))
        base = np.linalg.inv(matrices[reference])
        matrices, d = base @ matrices, (d - d[reference]) @ base.T
        notes.facts["reference"] = f"section {reference + 1}, the least tilted, stays where it is"
    notes.facts["tilt_axis"] = "given"
    return _from_transforms(matrices, d, digits, angles, None, known.tilt_axis_deg, known, notes)


def _from_transforms(
    matrices: Float64,
    d: Float64,
    digits: int,
    angles: Float64,
    x_tilts: Float64 | None,
    axis: float,
    known: Known,
    notes: Notes,
) -> Alignment:
    inverse = np.asarray(np.linalg.inv(matrices), np.float64)
    turn, m = similarity(inverse, notes, "transforms")
    # AreTomo writes three digits of a cosine: what they leave is no magnification.
    if np.abs(m - 1).max() <= 0.8 * 10.0**-digits:
        m, inverse = np.ones_like(m), transforms(-turn, np.ones_like(m), d)[0]
    shifts = -np.einsum("nij,nj->ni", inverse, d)[:, ::-1]  # (x, y) to (row, column)
    n = len(d)
    rows = Rows(
        angles_deg=angles,
        psi_deg=turn + axis,
        shifts_px=np.ascontiguousarray(shifts),
        index=np.arange(n),
        x_tilts_deg=x_tilts,
        magnifications=m,
    )
    return assemble(rows, notes, n=n, method="IMOD", known=known)


def _angles(
    path: str,
    known: Known,
    notes: Notes,
    n: int,
    suffixes: tuple[str, ...],
    tlt: str | os.PathLike[str] | None = None,
) -> Float64:
    if tlt is None and known.angles_deg is not None:
        notes.facts["angles"] = "given"
        return _per_view(path, known.angles_deg, n, "those given")
    candidates = [Path(tlt)] if tlt is not None else [Path(path).with_suffix(s) for s in suffixes]
    file = next((c for c in candidates if c.exists()), candidates[0])
    notes.facts["angles"] = file.name
    return _per_view(path, read_angle_file(file), n, file.name)


def _per_view(path: str, values: Float64, n: int, name: str) -> Float64:
    if len(values) != n:
        fail(
            path,
            "views",
            f"{n} transforms and {len(values)} angles in {name}",
            "one of each per view",
            "give the two files of one alignment",
        )
    return values


def read_rows(path: str) -> tuple[Float64, Float64, int]:
    """Read an .xf file: matrices (n, 2, 2) and shifts (n, 2), acting on (x, y), and the decimals of the matrices."""
    rows = []
    digits = 0
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
        digits = max(digits, *(len(w.partition(".")[2]) for w in words[:4]))
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
    table = np.array(rows, np.float64)
    return table[:, :4].reshape(-1, 2, 2), table[:, 4:], digits


def _chained(matrices: Float64, d: Float64) -> tuple[Float64, Float64]:
    a, b = matrices.copy(), d.copy()
    for i in range(1, len(a)):
        b[i] = a[i - 1] @ d[i] + b[i - 1]
        a[i] = a[i - 1] @ matrices[i]
    return a, b


def _unchained(matrices: Float64, d: Float64) -> tuple[Float64, Float64]:
    a, b = matrices.copy(), d.copy()
    a[0], b[0] = np.eye(2), 0.0
    for i in range(1, len(a)):
        back = np.linalg.inv(matrices[i - 1])
        a[i], b[i] = back @ matrices[i], back @ (d[i] - d[i - 1])
    return a, b


def transforms(
    psi_deg: Float64, magnifications: Float64, shifts_px: Float64
) -> tuple[Float64, Float64]:
    """Return IMOD's A (n, 2, 2) and d (n, 2), both acting on (x, y), of poses."""
    c, s = np.cos(np.radians(psi_deg)), np.sin(np.radians(psi_deg))
    a = np.stack([np.stack([c, s], axis=1), np.stack([-s, c], axis=1)], axis=1)
    a /= magnifications[:, None, None]
    return a, -np.einsum("nij,nj->ni", a, shifts_px[:, ::-1])


def _lines(matrices: Float64, d: Float64) -> str:
    # Nine decimals of a cosine keep 0.01 px at the edge of the largest camera; IMOD reads them freely.
    table = np.concatenate([matrices.reshape(-1, 4), d], axis=1)
    return "".join(
        " ".join([*(f"{v:13.9f}" for v in row[:4]), *(f"{v:14.6f}" for v in row[4:])]) + "\n"
        for row in table
    )


def _column(values: Float64) -> str:
    return "".join(f"{float(v)!r}\n" for v in values)


def render_xf(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of ``.xf``, of ``.tlt`` and, where there is x-tilt or such a file already, of ``.xtilt``."""
    pose = pose_of(alignment, path)
    tell_lost(alignment, pose, notes, "x-tilt magnification rotation", "IMOD's .xf")
    beside = Path(path).with_suffix(".xtilt")
    out = {Path(path).with_suffix(".tlt"): _column(pose.angles_deg)}
    if pose.x_tilts_deg.any() or beside.exists():
        out[beside] = _column(pose.x_tilts_deg)
    out[Path(path)] = _lines(*transforms(pose.psi_deg, pose.magnifications, pose.shifts_px))
    return out


def render_pre(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of ``.prexg`` or ``.prexf``, and of ``.rawtlt``."""
    pose = pose_of(alignment, path)
    tell_lost(
        alignment, pose, notes, "magnification rotation", "IMOD's transforms before alignment"
    )
    axis = alignment.tilt_axis_deg
    notes.warn(
        "tilt axis",
        f"{axis:.6g} deg",
        "none: IMOD's transforms before alignment do not turn it",
        f"note it; reading needs --tilt-axis {axis:.6g}",
    )
    a, d = transforms(pose.psi_deg - axis, pose.magnifications, pose.shifts_px)
    if path.lower().endswith(".prexf"):
        a, d = _unchained(a, d)
        notes.warn(
            "shift, rotation and magnification common to all sections",
            "the alignment's",
            "none: .prexf relates neighbours",
            "they are left out; .prexg holds them",
        )
    return {Path(path).with_suffix(".rawtlt"): _column(pose.angles_deg), Path(path): _lines(a, d)}


def render_angles(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of ``.tlt`` or ``.rawtlt``, or of ``.xtilt``, alone."""
    pose = pose_of(alignment, path)
    x_tilt = path.lower().endswith(".xtilt")
    notes.warn(
        "shifts",
        f"of {len(pose.angles_deg)} tilts",
        "none: a file of angles",
        "they are left out; write an .xf to keep them",
    )
    return {Path(path): _column(pose.x_tilts_deg if x_tilt else pose.angles_deg)}
