# SPDX-License-Identifier: BSD-3-Clause
"""RELION 5: the star file of a tilt series, and the global one that names it and knows the pixel.

A specimen point is projected by ``S(image centre) S(shift / pixel) Rz(ZRot) Ry(YTilt) Rx(XTilt) S(-volume centre)``
(RELION 5, tomo_backproject_program.cpp), angles in degrees, shifts in angstrom, the image centre at int(n / 2)
counted from pixel 0. So psi, theta and alpha are ours, and a shift is ours less half a pixel along an even edge.
There is no magnification. Tilts that are left out have no row.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment
from ..angles import read_text
from ..findings import Notes, fail
from .common import Pose, Rows, assemble, pose_of, series_name, tell_lost
from .known import Known, missing, pixel_of
from .star import Block, numbers, parse_star, render_block

__all__ = ["read_relion", "render_relion"]

Float64 = npt.NDArray[np.float64]

_GLOBAL = "rlnTomoTiltSeriesStarFile"
_PIXEL = "rlnTomoTiltSeriesPixelSize"
_SECTION = re.compile(r"0*(\d{1,9})@")
_OPTICS = "rlnVoltage, rlnSphericalAberration, rlnAmplitudeContrast, rlnTomoHand"


def half_pixel(shape: tuple[int, int]) -> Float64:
    """(row, column) from the centre of the array, (n - 1) / 2, to RELION's, int(n / 2)."""
    return np.array([n // 2 - (n - 1) / 2 for n in shape])


def read_relion(path: str, known: Known, notes: Notes) -> Alignment:
    """Read the star file of a tilt series, or the global one where it names one (or ``known.name``)."""
    file, block, pixel = _find(path, known, notes)
    pixel = known.pixel_size or pixel
    if pixel is None:
        missing(path, "pixel size", "it, for shifts are in angstrom", "--pixel, pixel_size=")
    if known.image_shape is None:
        why = "width and height, for RELION turns about int(n / 2)"
        missing(path, "image size", why, "--image-size or --series, image_shape=")
    angles = numbers(file, block, "rlnTomoYTilt")
    shift = np.stack([numbers(file, block, f"rlnTomo{c}ShiftAngst") for c in "YX"], axis=1)
    index, n = _sections(file, block, len(angles), known, notes)
    notes.facts.update(tilt_axis="rlnTomoZRot", angles="rlnTomoYTilt")
    rows = Rows(
        angles_deg=angles,
        psi_deg=numbers(file, block, "rlnTomoZRot"),
        shifts_px=shift / pixel + half_pixel(known.image_shape),
        index=index,
        x_tilts_deg=numbers(file, block, "rlnTomoXTilt") if "rlnTomoXTilt" in block else None,
        names=tuple(block.get("rlnMicrographName", ())),
    )
    if "rlnTomoDeformationType" in block or "rlnTomoDeformationCoefficients" in block:
        notes.warn("deformation", "RELION's of the images", "none", "it is not kept")
    return assemble(rows, notes, n=n, method="RELION", known=replace(known, pixel_size=pixel))


def _find(path: str, known: Known, notes: Notes) -> tuple[str, Block, float | None]:
    """The file and the table of one tilt series, and the pixel size where a global table says it."""
    blocks = parse_star(read_text(path, "a RELION star file"), path)
    table = next((b for b in blocks.values() if _GLOBAL in b), None)
    if table is None:
        filled = [b for b in blocks.values() if b]
        if len(filled) != 1:
            expected = "one, or a global table"
            fail(path, "tables", len(filled), expected, "give the star file of one tilt series")
        return path, filled[0], None
    names = table.get("rlnTomoName", [])
    wanted = known.name or (names[0] if len(names) == 1 else "")
    if wanted not in names:
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        found = f"tilt series {listed or 'without names'}"
        fail(
            path,
            "rlnTomoName",
            found,
            repr(wanted) if wanted else "one",
            "choose with --name, name=",
        )
    row = names.index(wanted)
    pixel = float(numbers(path, table, _PIXEL)[row]) if _PIXEL in table else None
    file = _beside(path, table[_GLOBAL][row])
    notes.facts["tilt series"] = f"{wanted} of {os.path.basename(path)}"
    inner = parse_star(read_text(file, "a RELION star file"), file)
    if len(inner) != 1:
        fail(file, "tables", len(inner), "one", "give the star file of one tilt series")
    return file, next(iter(inner.values())), pixel


def _beside(path: str, name: str) -> str:
    """A file that RELION names from its project folder: the folder of the global file, or one above it."""
    folder = Path(path).absolute().parent
    for root in (folder, *folder.parents):
        if (root / name).is_file():
            return os.fspath(root / name)
    return fail(
        path,
        _GLOBAL,
        repr(name),
        "a file below the folder of this one or of one above it",
        "give the star file of the tilt series itself",
    )


def _sections(
    path: str, block: Block, rows: int, known: Known, notes: Notes
) -> tuple[npt.NDArray[np.int64], int]:
    """Places in the stack: the n of ``n@stack`` where images have it, else the order of the rows."""
    matches = [_SECTION.match(name) for name in block.get("rlnMicrographName", ())]
    if matches and all(matches):
        index = np.array([int(m.group(1)) for m in matches if m], np.int64) - 1
        notes.facts["sections"] = "n@stack of rlnMicrographName"
        return index, known.n_tilts or int(index.max()) + 1
    if known.n_tilts not in (None, rows):
        fail(
            path,
            "rows",
            f"{rows} without the number of a section",
            f"{known.n_tilts}, one per image",
            "give the series of these very images",
        )
    notes.facts["sections"] = "the order of the rows"
    return np.arange(rows), rows


def render_relion(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of the global star file, and of ``tilt_series/<name>.star`` beside it."""
    pose = pose_of(alignment, path)
    tell_lost(alignment, pose, notes, "rotation x-tilt excluded", "RELION 5's star file")
    pixel = pixel_of(path, alignment, known)
    if not alignment.kept.any():
        fail(path, "tilts", "all excluded", "at least one tilt", "keep a tilt")
    if alignment.flags:
        n = len(pose.angles_deg)
        expected, do = "rows of used tilts alone", f"reading back needs --series or --tilts {n}"
        notes.warn("excluded tilts", f"{len(alignment.flags)} of {n}, left out", expected, do)
    name = series_name(alignment, known, path)
    columns = _columns(path, alignment, pose, pixel, known, name, notes)
    notes.warn(
        "optics",
        "none" if known.pre_exposure is not None else "none, and no dose",
        _OPTICS + ", rlnMicrographPreExposure",
        "add them before RELION reads the files",
    )
    table = {
        "rlnTomoName": [name],
        _GLOBAL: [f"tilt_series/{name}.star"],
        "rlnMicrographOriginalPixelSize": [f"{pixel!r}"],
        _PIXEL: [f"{pixel!r}"],
        "rlnOpticsGroupName": ["opticsGroup1"],
    }
    head = "\n# version 50001\n\n"
    return {
        Path(path).parent / "tilt_series" / f"{name}.star": head + render_block(name, columns),
        Path(path): head + render_block("global", table),
    }


def _columns(
    path: str,
    alignment: Alignment,
    pose: Pose,
    pixel: float,
    known: Known,
    name: str,
    notes: Notes,
) -> dict[str, list[str]]:
    """The table of one tilt series."""
    shape = alignment.image_shape or known.image_shape
    if shape is None:
        why = "width and height, for RELION turns about int(n / 2)"
        missing(path, "image size", why, "--image-size or --series, image_shape=")
    kept = np.flatnonzero(alignment.kept)
    shifts = (pose.shifts_px - half_pixel(shape)) * pixel
    columns = {
        "rlnMicrographName": _names(alignment, kept, name, notes),
        "rlnTomoNominalStageTiltAngle": _words(pose.angles_deg[kept]),
        "rlnTomoXTilt": _words(pose.x_tilts_deg[kept]),
        "rlnTomoYTilt": _words(pose.angles_deg[kept]),
        "rlnTomoZRot": _words(pose.psi_deg[kept]),
        "rlnTomoXShiftAngst": _words(shifts[kept, 1]),
        "rlnTomoYShiftAngst": _words(shifts[kept, 0]),
    }
    if known.pre_exposure is not None:
        columns["rlnMicrographPreExposure"] = _words(known.pre_exposure[kept])
    return columns


def _words(values: Float64) -> list[str]:
    return [f"{v:.6f}" for v in values]


def _names(alignment: Alignment, kept: npt.NDArray[np.int64], name: str, notes: Notes) -> list[str]:
    """Names of the kept images; where the alignment has none, sections of ``<name>.mrcs``."""
    known = [alignment.image_names[i] for i in kept] if alignment.image_names else []
    if all(known) and known:
        return known
    made = f"sections of {name}.mrcs are written; put the images' names there"
    notes.warn("rlnMicrographName", "no names of images", "one for each tilt", made)
    return [f"{i + 1:06d}@{name}.mrcs" for i in kept]
