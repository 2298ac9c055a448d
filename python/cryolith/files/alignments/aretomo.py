# SPDX-License-Identifier: BSD-3-Clause
"""AreTomo2 and AreTomo3: ``.aln``.

A row ``SEC ROT GMAG TX TY SMEAN SFIT SCALE BASE TILT`` is a tilt: ROT the direction of the axis from the image's
+y, TX and TY [px] where the raw image shows the specimen's origin, from its centre. The programs turn about (n - 1)
/ 2 (pixel i lies at i + 0.5 - n / 2, GCorrPatchShift.cu of AreTomo3) and their own .xf is that of these numbers,
without half a pixel. TILT holds AlphaOffset already. GMAG is written 1 and never used.

SEC is the image's place in the raw stack, from 1 (AreTomo3) or 0 (AreTomo2); or it counts the tilts that were kept,
dark ones left out. ``# DarkFrame = i sec tilt`` names a tilt without a row: i its rank by angle from 0, sec as SEC.

A row ``tilt patch x y dx dy good`` is a local shift: tilt the number of the row above, from 0; (x, y) [px] from the
centre of the image before TX and TY are added; (dx, dy) is added to them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment, LocalShifts
from ..angles import parse_number, read_text, split_lines
from ..findings import Notes, fail
from .common import Pose, Rows, assemble, pose_of, tell_lost
from .known import Known, missing

__all__ = ["read_aln", "render_aln2", "render_aln3"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_COLUMNS = "SEC ROT GMAG TX TY SMEAN SFIT SCALE BASE TILT"
_HEADER = re.compile(r"#\s*(\w+)\s*=\s*(.*)")


@dataclass
class _Aln:
    """The numbers of an .aln file."""

    path: str
    size: tuple[int, ...] = ()
    patches: int = 0
    alpha: float = 0.0
    beta: float = 0.0
    darks: list[tuple[float, ...]] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    local: list[list[float]] = field(default_factory=list)


def read_aln(path: str, known: Known, notes: Notes) -> Alignment:
    """Read ``.aln``, global and local."""
    aln = _parse(path)
    table = np.array(aln.rows)
    n = aln.size[2] if aln.size else len(aln.rows) + len(aln.darks)
    if len(aln.rows) + len(aln.darks) != n:
        fail(
            path,
            "tilts",
            f"{len(aln.rows)} rows and {len(aln.darks)} dark frames",
            f"{n} together, as RawSize says",
            "the file is cut; align again",
        )
    if aln.beta:
        notes.warn("BetaOffset", aln.beta, "0", "AreTomo does not apply it; it is not kept")
    if (table[:, 2] <= 0).any():
        fail(path, "GMAG", table[:, 2].min(), "a positive factor", "align again")
    notes.facts["tilt_axis"] = "ROT"
    notes.facts["angles"] = f"TILT, with AlphaOffset {aln.alpha:g} deg"
    index, dark = _places(aln, table[:, 0].astype(np.int64), n, known, table[:, 9], notes)
    if aln.size:
        known = replace(known, image_shape=(aln.size[1], aln.size[0]))
    rows = Rows(
        angles_deg=table[:, 9],
        psi_deg=table[:, 1],
        shifts_px=table[:, [4, 3]],
        index=index,
        magnifications=table[:, 2],
    )
    tilts = _dark_angles(aln, table[:, 9], notes)
    left_out = {int(i): ("dark frame of AreTomo", t) for i, t in zip(dark, tilts, strict=True)}
    alignment = assemble(rows, notes, n=n, method="AreTomo", known=known, left_out=left_out)
    return replace(alignment, local=_local(aln, index, n)) if aln.local else alignment


def _parse(path: str) -> _Aln:
    aln = _Aln(path)
    for number, line in enumerate(split_lines(read_text(path, "an AreTomo .aln file")), 1):
        if line.lstrip().startswith("#"):
            _header(aln, line.strip(), number)
        elif line.strip():
            values = [parse_number(w) for w in line.split()]
            good = [v for v in values if v is not None and np.isfinite(v)]
            where = aln.local if len(values) == 7 and aln.rows else aln.rows
            sound = len(good) == len(values) == (7 if where is aln.local else 10)
            if not sound or not _whole(good[: 2 if where is aln.local else 1]):
                fail(
                    path,
                    f"line {number}",
                    repr(line.strip()[:60]),
                    f"ten numbers {_COLUMNS}, or seven of a local shift",
                    "check that this is an .aln file",
                )
            where.append(good)
    if not aln.rows:
        fail(path, "tilts", "none", f"rows {_COLUMNS}", "check that this is an .aln file")
    return aln


def _whole(values: Sequence[float]) -> bool:
    """Whether all are numbers of images, patches or pixels."""
    return all(v == int(v) and abs(v) < 1e9 for v in values)


def _header(aln: _Aln, line: str, number: int) -> None:
    match = _HEADER.match(line)
    if not match:
        return
    name, words = match.group(1), match.group(2).split()
    count = {"RawSize": 3, "DarkFrame": 3, "NumPatches": 1, "AlphaOffset": 1, "BetaOffset": 1}
    values = [parse_number(w) for w in words]
    good = tuple(v for v in values if v is not None and np.isfinite(v))
    whole = {"RawSize": 3, "DarkFrame": 2, "NumPatches": 1}.get(name, 0)
    if name in count and (
        len(good) != len(values) or len(good) != count[name] or not _whole(good[:whole])
    ):
        expected = f"{count[name]} numbers" + (f", {whole} of them whole" if whole else "")
        fail(aln.path, f"{name}, line {number}", repr(line), expected, "repair the file")
    if name == "RawSize":
        aln.size = tuple(int(v) for v in good)
        if min(aln.size) < 1:
            fail(aln.path, name, repr(line), "positive width, height and number", "repair the file")
    elif name == "DarkFrame":
        aln.darks.append(good)
    elif name == "NumPatches":
        aln.patches = int(good[0])
    elif name in ("AlphaOffset", "BetaOffset"):
        setattr(aln, name[:-6].lower(), good[0])


def _places(
    aln: _Aln, sec: Int64, n: int, known: Known, angles: Float64, notes: Notes
) -> tuple[Int64, Int64]:
    """Place in the raw stack of each row and of each dark frame.

    The numbers say themselves what they count: all images of the stack, from 0 or from 1, or the kept ones. Some
    AreTomo3 leave the sections of dark frames 0; its own reader then goes by their ranks.
    """
    rank, dark = (np.array([d[k] for d in aln.darks], np.int64) for k in (0, 1))
    unfilled = bool(rank.any() and not dark.any())
    for base in (1, 0):
        if set(sec.tolist()) | set(dark.tolist()) == set(range(base, n + base)):
            if unfilled and not _first_is_dark(aln, sec, rank, known, angles):
                break
            notes.facts["sections"] = f"SEC counts the images of the stack from {base}"
            return sec - base, dark - base
    kept, base = len(sec), int(sec.min())
    if base not in (0, 1) or set(sec.tolist()) != set(range(base, kept + base)):
        fail(
            aln.path,
            "SEC",
            f"{sec.min()} to {sec.max()} for {kept} tilts, dark frames {dark.tolist()}",
            f"each of the {n} images once, or the {kept} kept ones counted through",
            "the file is damaged; align again",
        )
    _check_ranks(aln, rank, n)
    # Counted without the dark ones: their ranks tell where the gaps are, if the stack is in order of angle.
    if len(rank):
        notes.warn(
            "SEC",
            "a count of the kept tilts, dark frames left out",
            "places in the raw stack",
            "the stack is taken to be in order of angle; check with the angles of all images",
        )
    places = np.setdiff1d(np.arange(n), rank)
    notes.facts["sections"] = f"SEC counts the kept images from {base}"
    return places[sec - base], rank


def _check_ranks(aln: _Aln, rank: Int64, n: int) -> None:
    if len(set(rank.tolist())) != len(rank) or (rank < 0).any() or (rank >= n).any():
        expected = f"ranks 0 to {n - 1}, each once"
        fail(aln.path, "DarkFrame", rank.tolist(), expected, "the file is damaged; align again")


def _first_is_dark(aln: _Aln, sec: Int64, rank: Int64, known: Known, angles: Float64) -> bool:
    """Whether one dark frame of section 0 is the first image, or its section was never filled in."""
    n = len(sec) + 1
    _check_ranks(aln, rank, n)
    if known.angles_deg is None or len(known.angles_deg) != n:
        fail(
            aln.path,
            "DarkFrame",
            f"section 0 at rank {rank[0]} by angle",
            "one that tells whether the first image is dark or the section was not filled in",
            "give the angles of all images: --angles or --series",
        )
    counted = np.setdiff1d(np.arange(n), rank)[sec - 1]
    readings = (known.angles_deg[places] - angles for places in (sec, counted))
    first, second = (float(np.ptp(difference)) for difference in readings)
    return first < second


def _dark_angles(aln: _Aln, angles: Float64, notes: Notes) -> list[float]:
    """Angles of the dark frames: written with AlphaOffset or without, whichever carries on the others' steps."""
    tilts = np.array([d[2] for d in aln.darks])
    if not len(tilts) or not aln.alpha:
        return [float(t) for t in tilts]

    def unevenness(extra: Float64) -> float:
        return float(np.abs(np.diff(np.sort(np.concatenate([angles, extra])), 2)).sum())

    added = unevenness(tilts + aln.alpha) < unevenness(tilts)
    notes.facts["dark frames"] = f"tilts {'without' if added else 'with'} AlphaOffset"
    return [float(t) for t in (tilts + aln.alpha if added else tilts)]


def _local(aln: _Aln, index: Int64, n: int) -> LocalShifts:
    table = np.array(aln.local)
    tilt, patch = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    k = aln.patches or int(patch.max()) + 1
    cells = sorted(zip(tilt.tolist(), patch.tolist(), strict=True))
    if cells != [(t, p) for t in range(len(index)) for p in range(k)]:
        fail(
            aln.path,
            "local shifts",
            f"{len(cells)} rows for tilts {tilt.min()} to {tilt.max()}, patches {patch.min()} to {patch.max()}",
            f"one for each of {len(index)} tilts and {k} patches",
            "the file is cut; align again",
        )
    points, shifts = np.full((2, n, k, 2), np.nan)
    good = np.zeros((n, k), bool)
    where = index[tilt], patch
    points[where], shifts[where] = table[:, [3, 2]], table[:, [5, 4]]
    good[where] = table[:, 6] > 0.5
    return LocalShifts(points_px=points, shifts_px=shifts, good=good)


def render_aln3(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of ``.aln`` as AreTomo3 writes it: sections from 1."""
    return {Path(path): _render(path, alignment, known, notes, 1)}


def render_aln2(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of ``.aln`` as AreTomo2 writes it: sections from 0."""
    return {Path(path): _render(path, alignment, known, notes, 0)}


def _render(path: str, alignment: Alignment, known: Known, notes: Notes, base: int) -> str:
    pose = pose_of(alignment, path)
    shape = alignment.image_shape or known.image_shape
    if shape is None:
        missing(path, "image size", "width and height for RawSize", "--image-size, image_shape=")
    tell_lost(alignment, pose, notes, "magnification rotation local excluded", "AreTomo's .aln")
    if (pose.magnifications != 1).any():
        m = pose.magnifications
        notes.warn(
            "GMAG", f"{m.min():.6g} to {m.max():.6g}", "1", "written; AreTomo does not use it"
        )
    n = len(pose.angles_deg)
    # The stack's order where angles are equal: a stable sort.
    order = np.argsort(pose.angles_deg, kind="stable")
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    kept = [int(i) for i in order if int(i) not in alignment.flags]
    if not kept:
        fail(path, "tilts", "all excluded", "at least one tilt", "keep a tilt")
    lines = [
        "# AreTomo Alignment / Priims bprmMn",
        f"# RawSize = {shape[1]} {shape[0]} {n}",
        f"# NumPatches = {0 if alignment.local is None else alignment.local.good.shape[1]}",
    ]
    lines += [
        f"# DarkFrame =  {rank[i]:4d} {i + base:4d} {pose.angles_deg[i]:12.6f}"
        for i in sorted(alignment.flags, key=lambda i: rank[i])
    ]
    lines += ["# AlphaOffset =     0.00", "# BetaOffset =     0.00"]
    if base == 1 and alignment.slab is not None:
        lines.append(f"# Thickness = {round(alignment.slab.thickness_px)}")
    lines.append(f"# {_COLUMNS}")
    lines += [_row(pose, i, base) for i in kept]
    if alignment.local is not None:
        lines.append("# Local Alignment")
        lines += _local_rows(alignment.local, kept)
    return "\n".join(lines) + "\n"


def _row(pose: Pose, i: int, base: int) -> str:
    row, column = pose.shifts_px[i]
    psi = (pose.psi_deg[i] + 180.0) % 360.0 - 180.0
    return (
        f"{i + base:5d}  {psi:12.6f}  {pose.magnifications[i]:11.7f}  {column:12.5f}  {row:12.5f}  "
        f"{1:7.2f}  {1:7.2f}  {1:7.2f}  {0:7.2f}  {pose.angles_deg[i]:12.6f}"
    )


def _local_rows(local: LocalShifts, kept: list[int]) -> list[str]:
    lines = []
    for t, i in enumerate(kept):
        for p, good in enumerate(local.good[i]):
            (y, x), (dy, dx) = local.points_px[i, p], local.shifts_px[i, p]
            known = np.isfinite([x, y, dx, dy]).all()
            values = (x, y, dx, dy) if known else (0.0,) * 4
            numbers = "  ".join(f"{v:10.4f}" for v in values)
            lines.append(f"{t:4d} {p:3d} {numbers}  {float(good and known):4.1f}")
    return lines
