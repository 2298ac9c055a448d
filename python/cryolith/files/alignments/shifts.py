# SPDX-License-Identifier: BSD-3-Clause
"""Shifts of ETSpy and HyperSpy: a table or a NumPy array with one (y, x) per image, and no more than that.

ETSpy's ``stack.shifts`` move an image to align it: they are the negative of ours. Its tilt axis runs along x, at
-90 degrees, with its angles as they are (``cryolith.adapters.etspy``). HyperSpy's ``estimate_shift2D`` says where
an image lies, ``align2D`` moves it back: they are ours.

Text: an angle and two shifts a line, or the two shifts alone; ``#`` begins a comment, a first line of names is
passed over.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment
from ..angles import parse_number, read_text, split_lines
from ..findings import Notes, fail
from .common import Rows, assemble, pose_of, tell_lost
from .known import Known, missing

__all__ = ["read_etspy", "read_hyperspy", "render_etspy", "render_hyperspy"]

Float64 = npt.NDArray[np.float64]

_ETSPY_AXIS = -90.0


def read_etspy(path: str, known: Known, notes: Notes) -> Alignment:
    """Read the shifts that ETSpy applies."""
    angles, shifts = _table(path, known, notes)
    axis = _ETSPY_AXIS if known.tilt_axis_deg is None else known.tilt_axis_deg
    notes.facts["tilt_axis"] = "ETSpy's: along x" if known.tilt_axis_deg is None else "given"
    return _alignment(angles, -shifts, axis, "ETSpy", known, notes)


def read_hyperspy(path: str, known: Known, notes: Notes) -> Alignment:
    """Read the shifts that HyperSpy has estimated."""
    angles, shifts = _table(path, known, notes)
    if known.tilt_axis_deg is None:
        missing(
            path,
            "tilt axis",
            "its angle, which HyperSpy does not know",
            "--tilt-axis, tilt_axis_deg=",
        )
    notes.facts["tilt_axis"] = "given"
    return _alignment(angles, shifts, known.tilt_axis_deg, "HyperSpy", known, notes)


def _alignment(
    angles: Float64, shifts: Float64, axis: float, method: str, known: Known, notes: Notes
) -> Alignment:
    n = len(angles)
    rows = Rows(angles_deg=angles, psi_deg=np.full(n, axis), shifts_px=shifts, index=np.arange(n))
    return assemble(rows, notes, n=n, method=method, known=known)


def _table(path: str, known: Known, notes: Notes) -> tuple[Float64, Float64]:
    """Angles (n,) and shifts (n, 2)."""
    table = _array(path) if path.lower().endswith(".npy") else _text(path)
    if table.shape[1] == 3:
        notes.facts["angles"] = "first column"
        return table[:, 0], table[:, 1:]
    if known.angles_deg is None:
        missing(
            path, "angles", "one per image, which the shifts do not hold", "--angles or --series"
        )
    if len(known.angles_deg) != len(table):
        found = f"{len(table)} shifts and {len(known.angles_deg)} angles"
        fail(path, "shifts", found, "one of each per image", "give files of one data set")
    notes.facts["angles"] = "given"
    return known.angles_deg, table


def _array(path: str) -> Float64:
    try:
        value = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        fail(
            path,
            "array",
            error,
            "a NumPy .npy file of (n_tilts, 2) numbers",
            "save the shifts again",
        )
    good = isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] in (2, 3)
    if not good or value.dtype.kind not in "iuf" or not len(value) or not np.isfinite(value).all():
        found = f"{getattr(value, 'dtype', '?')} {getattr(value, 'shape', '?')}"
        fail(path, "array", found, "(n_tilts, 2) finite numbers (y, x)", "save stack.shifts.data")
    return np.asarray(value, np.float64)


def _text(path: str) -> Float64:
    rows: list[list[float]] = []
    for number, line in enumerate(split_lines(read_text(path, "a table of shifts")), 1):
        words = line.split("#", 1)[0].replace(",", " ").replace(";", " ").split()
        values = [parse_number(w) for w in words]
        if not words or (not rows and all(v is None for v in values)):
            continue
        good = [v for v in values if v is not None and np.isfinite(v)]
        width = len(rows[0]) if rows else len(good)
        if len(good) != len(values) or len(good) != width or width not in (2, 3):
            expected = "an angle and two shifts (y, x), or two shifts, as in the lines before"
            fail(path, f"line {number}", repr(line.strip()[:60]), expected, "repair the file")
        rows.append(good)
    if not rows:
        fail(path, "shifts", "none", "one (y, x) per image", "check that this is the right file")
    return np.array(rows)


def render_etspy(
    path: str, alignment: Alignment, known: Known, notes: Notes
) -> dict[Path, str | bytes]:
    """The table, or the ``.npy``, of the shifts that ETSpy has to apply."""
    pose = pose_of(alignment, path)
    axis = (alignment.tilt_axis_deg + 180.0) % 360.0 - 180.0
    angles = pose.angles_deg
    if abs(abs(axis) - 90.0) > 45.0:
        fail(
            path,
            "tilt axis",
            f"{axis:.6g} deg",
            "near -90 or 90, along x as ETSpy has it",
            "turn the images by 90 degrees and align again",
        )
    if axis > 0:
        # The other end of the axis: the specimen turned by 180 degrees about z, seen at negated tilts.
        do = "tilts are negated: the specimen is turned by 180 degrees about z"
        notes.warn("tilt axis", f"{axis:.6g} deg", "-90, as ETSpy has it", do)
        angles, axis = -angles, axis - 180.0
    off = axis - _ETSPY_AXIS
    if abs(off) > 1e-6:
        found, expected = f"{off:.6g} deg from ETSpy's", "none: shifts alone"
        notes.warn("tilt axis", found, expected, "turn the shifted images to ETSpy's axis")
    tell_lost(alignment, pose, notes, "", "a table of shifts")
    return _render(path, angles, -pose.shifts_px, "to apply", notes)


def render_hyperspy(
    path: str, alignment: Alignment, known: Known, notes: Notes
) -> dict[Path, str | bytes]:
    """The table, or the ``.npy``, of the shifts as HyperSpy estimates them."""
    pose = pose_of(alignment, path)
    axis = alignment.tilt_axis_deg
    notes.warn(
        "tilt axis",
        f"{axis:.6g} deg",
        "none: shifts alone",
        f"note it; reading needs --tilt-axis {axis:.6g}",
    )
    tell_lost(alignment, pose, notes, "", "a table of shifts")
    sense = "of each image; align2D moves it back"
    return _render(path, pose.angles_deg, pose.shifts_px, sense, notes)


def _render(
    path: str, angles: Float64, shifts: Float64, sense: str, notes: Notes
) -> dict[Path, str | bytes]:
    if path.lower().endswith(".npy"):
        expected = "none: an array of shifts"
        notes.warn("angles", f"of {len(angles)} tilts", expected, "write text (.tsv) to keep them")
        buffer = io.BytesIO()
        np.save(buffer, shifts)
        return {Path(path): buffer.getvalue()}
    lines = [f"# tilt_deg\tshift_y_px\tshift_x_px; shifts {sense}"]
    lines += [f"{a!r}\t{y:.6f}\t{x:.6f}" for a, (y, x) in zip(angles.tolist(), shifts, strict=True)]
    return {Path(path): "\n".join(lines) + "\n"}
