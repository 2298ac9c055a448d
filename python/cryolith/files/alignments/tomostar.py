# SPDX-License-Identifier: BSD-3-Clause
"""Warp's ``.tomostar``: one row per tilt, the conventions of its XML (warp.py) without its levels and grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...datamodel import Alignment
from ..angles import read_text
from ..findings import Notes, fail
from .common import Rows, assemble, pose_of, series_name, tell_lost
from .known import Known, missing, pixel_of
from .star import numbers, parse_star, render_block
from .warp import HALF_PIXEL, image_names

__all__ = ["read_tomostar", "render_tomostar"]

_OFFSETS = ("wrpAxisOffsetY", "wrpAxisOffsetX")


def read_tomostar(path: str, known: Known, notes: Notes) -> Alignment:
    """Read ``.tomostar``."""
    blocks = [b for b in parse_star(read_text(path, "a .tomostar file"), path).values() if b]
    if len(blocks) != 1:
        fail(path, "tables", len(blocks), "one", "check that this is a .tomostar file")
    block = blocks[0]
    angles = -numbers(path, block, "wrpAngleTilt")
    n = len(angles)
    if known.n_tilts not in (None, n):
        fail(path, "rows", n, f"{known.n_tilts}, one per image", "give the file of these images")
    if known.pixel_size is None:
        missing(path, "pixel size", "it, for shifts are in angstrom", "--pixel, pixel_size=")
    shifts = np.full((n, 2), HALF_PIXEL)
    if all(c in block for c in _OFFSETS):
        shifts += np.stack([numbers(path, block, c) for c in _OFFSETS], axis=1) / known.pixel_size
    else:
        found = "none: the series is not aligned yet"
        notes.warn(
            "wrpAxisOffsetX and Y", found, "shifts", "they are taken as 0; an XML may hold them"
        )
    if "wrpAxisAngle" in block:
        psi = numbers(path, block, "wrpAxisAngle")
    elif known.tilt_axis_deg is not None:
        psi = np.full(n, known.tilt_axis_deg)
    else:
        missing(path, "wrpAxisAngle", "the angle of the axis", "--tilt-axis, tilt_axis_deg=")
    notes.facts.update(tilt_axis="wrpAxisAngle", angles="-wrpAngleTilt")
    rows = Rows(
        angles_deg=angles,
        psi_deg=psi,
        shifts_px=shifts,
        index=np.arange(n),
        names=tuple(block.get("wrpMovieName", ())),
    )
    return assemble(rows, notes, n=n, method="Warp", known=known)


def render_tomostar(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of ``.tomostar``."""
    pose = pose_of(alignment, path)
    tell_lost(alignment, pose, notes, "rotation", "Warp's .tomostar")
    pixel = pixel_of(path, alignment, known)
    if known.pre_exposure is None:
        expected = "the dose before each tilt"
        notes.warn("wrpDose", "none", expected, "0 is written; give --series with its .mdoc")
    n = len(pose.angles_deg)
    dose = np.zeros(n) if known.pre_exposure is None else known.pre_exposure
    offset = (pose.shifts_px - HALF_PIXEL) * pixel
    values = {
        "wrpAngleTilt": -pose.angles_deg,
        "wrpAxisAngle": pose.psi_deg,
        "wrpAxisOffsetX": offset[:, 1],
        "wrpAxisOffsetY": offset[:, 0],
        "wrpDose": dose,
    }
    names = image_names(alignment, series_name(alignment, known, path), notes, "wrpMovieName")
    columns = {"wrpMovieName": names}
    columns |= {name: [f"{v:.6f}" for v in column] for name, column in values.items()}
    return {Path(path): "\n" + render_block("", columns)}
