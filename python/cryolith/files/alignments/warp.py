# SPDX-License-Identifier: BSD-3-Clause
"""Warp and M: the XML file of a tilt series.

A specimen point p [angstrom] is seen at (WarpLib, TiltSeries.GetPositionsInOneTilt; warpylib positions.py)

    Euler(0, Angle + LevelAngleY, -AxisAngle) RotateX(LevelAngleX) (p - volume / 2)
        + AxisOffset + image / 2 - GridMovement

which is x cos - z' sin of the tilt: theta is -(Angle + LevelAngleY), psi AxisAngle, alpha LevelAngleX. Warp stores
the microscope's angles negated unless told otherwise, so that theta is the microscope's again. Pixel i lies at i,
the centre at n / 2: its shifts are ours less half a pixel. GridMovement is a spline through its nodes, which span
the image; where there is one node per tilt it is a shift, else a local one.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ...datamodel import Alignment
from ..angles import parse_number, read_text, split_lines
from ..findings import Notes, fail
from .common import Pose, Rows, assemble, pose_of, series_name, tell_lost
from .known import Known, missing, pixel_of
from .warp_grid import grid_nodes, local_of, nodes_of, render_grid

__all__ = ["HALF_PIXEL", "image_names", "read_warp", "render_warp"]

Float64 = npt.NDArray[np.float64]

HALF_PIXEL = 0.5  # from (n - 1) / 2 to n / 2
_LARGEST = 256 << 20  # bytes; M adds a grid for each parameter and spectra for each tilt
_WARPS = tuple(f"GridVolumeWarp{c}" for c in "XYZ") + tuple(f"GridAngle{c}" for c in "XYZ")


def read_warp(path: str, known: Known, notes: Notes) -> Alignment:
    """Read Warp's or M's XML of a tilt series."""
    if known.pixel_size is None:
        missing(path, "pixel size", "it, for shifts are in angstrom", "--pixel, pixel_size=")
    root = _root(path)
    angles = _list(path, root, "Angles")
    n = len(angles)
    if known.n_tilts not in (None, n):
        fail(path, "Angles", n, f"{known.n_tilts}, one per image", "give the file of these images")
    _tell_not_held(root, notes)
    offset = np.stack([_list(path, root, f"AxisOffset{c}", n) for c in "YX"], axis=1)
    shape = known.image_shape or _image_shape(path, root, known.pixel_size)
    nodes = grid_nodes(path, root, n, notes)
    per_tilt = np.zeros((n, 2)) if nodes is None or nodes.points else nodes.values[:, 0]
    shifts = (offset - per_tilt) / known.pixel_size + HALF_PIXEL
    level_x, level_y = (_attribute(path, root, f"LevelAngle{c}") for c in "XY")
    notes.facts.update(tilt_axis="AxisAngle", angles="-(Angles + LevelAngleY)")
    rows = Rows(
        angles_deg=-(angles + level_y),
        psi_deg=_list(path, root, "AxisAngle", n),
        shifts_px=shifts,
        index=np.arange(n),
        x_tilts_deg=np.full(n, level_x),
        names=tuple(_lines(root, "MoviePath")) if len(_lines(root, "MoviePath")) == n else (),
    )
    known = dataclasses.replace(known, image_shape=shape)
    found = assemble(rows, notes, n=n, method="Warp", known=known)
    local = None
    if nodes is not None and nodes.points:
        if shape is None:
            missing(path, "image size", "width and height, which its grids span", "--image-size")
        local = local_of(nodes, shape, known.pixel_size or 1.0, offset)
    unused = _unused(path, root, n)
    return dataclasses.replace(
        found, flags=dict.fromkeys(unused, "UseTilt False in Warp"), local=local
    )


def _root(path: str) -> ElementTree.Element:
    text = read_text(path, "Warp's XML of a tilt series", _LARGEST)
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        fail(
            path,
            "XML",
            error,
            "Warp's XML of a tilt series",
            "the file is damaged; export it again",
        )
    if root.tag != "TiltSeries":
        expected = "<TiltSeries>"
        fail(
            path, "XML", f"<{root.tag}>", expected, "give the file of a tilt series, not of a movie"
        )
    return root


def _lines(root: ElementTree.Element, name: str) -> list[str]:
    text = root.findtext(name) or ""
    return [line.strip() for line in split_lines(text) if line.strip()]


def _list(path: str, root: ElementTree.Element, name: str, n: int | None = None) -> Float64:
    lines = _lines(root, name)
    if not lines and n is not None:
        return np.zeros(n)
    values = [parse_number(line) for line in lines]
    for row, (value, line) in enumerate(zip(values, lines, strict=True), 1):
        if value is None or not np.isfinite(value):
            fail(path, f"{name}, line {row}", repr(line[:40]), "a finite number", "repair the file")
    if not lines or len(lines) != (n or len(lines)):
        expected = f"{n} values, one per tilt" if n else "one value per tilt"
        fail(path, name, f"{len(lines)} values", expected, "the file is damaged; export it again")
    return np.array(values, np.float64)


def _attribute(path: str, root: ElementTree.Element, name: str) -> float:
    value = parse_number(root.get(name, "0"))
    if value is None or not np.isfinite(value):
        fail(path, name, repr(root.get(name)), "a finite number", "repair the file")
    return value


def _unused(path: str, root: ElementTree.Element, n: int) -> list[int]:
    words = [line.lower() for line in _lines(root, "UseTilt")] or ["true"] * n
    if len(words) != n or not set(words) <= {"true", "false"}:
        found = f"{len(words)} values, {', '.join(sorted(set(words))[:4])}"
        fail(path, "UseTilt", found, f"True or False for each of {n} tilts", "repair the file")
    return [i for i, word in enumerate(words) if word == "false"]


def _image_shape(path: str, root: ElementTree.Element, pixel: float) -> tuple[int, int] | None:
    words = root.get("ImageDimensionsAngstrom", "").split(",")
    sizes = [parse_number(w) for w in words]
    pixels = [round(s / pixel) for s in sizes if s is not None and np.isfinite(s) and s > 0]
    return (pixels[1], pixels[0]) if len(pixels) == 2 and min(pixels) > 0 else None


def _tell_not_held(root: ElementTree.Element, notes: Notes) -> None:
    for name in _WARPS:
        nodes = [parse_number(e.get("Value", "0")) for e in root.iterfind(f"{name}/Node")]
        if any(nodes):
            notes.warn(name, "values that are not 0", "none", "it is not kept")
    matrix = [parse_number(w) for w in root.get("MagnificationCorrection", "1,0,0,1").split(",")]
    if matrix != [1.0, 0.0, 0.0, 1.0]:
        text = root.get("MagnificationCorrection")
        notes.warn(
            "MagnificationCorrection",
            text,
            "1, 0, 0, 1",
            "it is not kept: Warp undoes it in the images",
        )


def image_names(alignment: Alignment, name: str, notes: Notes, field: str) -> list[str]:
    """Names of all images; where the alignment has none, ``<name>_<section>.mrc``, told to the user."""
    given = list(alignment.image_names) or [""] * len(alignment.angles_deg)
    if not all(given):
        notes.warn(field, "no names of images", "one movie for each tilt",
                   f"{name}_001.mrc and so on are written; put the movies' names there")  # fmt: skip
    return [g or f"{name}_{i:03d}.mrc" for i, g in enumerate(given, 1)]


def render_warp(path: str, alignment: Alignment, known: Known, notes: Notes) -> dict[Path, str]:
    """The text of Warp's XML."""
    pose = pose_of(alignment, path)
    pixel = pixel_of(path, alignment, known)
    shape = alignment.image_shape or known.image_shape
    nodes = nodes_of(alignment, pose, shape)
    holds = "rotation x-tilt excluded" + (" local" if nodes is not None else "")
    tell_lost(alignment, pose, notes, holds, "Warp's XML")
    root = ElementTree.Element("TiltSeries")
    root.set("AreAnglesInverted", "False")
    root.set("LevelAngleX", f"{_level(pose, notes):.9g}")
    root.set("LevelAngleY", "0")
    root.set("MagnificationCorrection", "1, 0, 0, 1")
    if shape is not None:
        root.set("ImageDimensionsAngstrom", f"{shape[1] * pixel:.9g}, {shape[0] * pixel:.9g}")
    name = series_name(alignment, known, path)
    for field, values in _fields(alignment, pose, pixel, known, name, notes).items():
        ElementTree.SubElement(root, field).text = "\n".join(values)
    if nodes is not None:
        render_grid(root, nodes, pixel)
    ElementTree.indent(root, "\t")
    text = ElementTree.tostring(root, encoding="unicode")
    return {Path(os.fspath(path)): f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'}


def _fields(
    alignment: Alignment, pose: Pose, pixel: float, known: Known, name: str, notes: Notes
) -> dict[str, list[str]]:
    """The lists with one entry per tilt."""
    offset = (pose.shifts_px - HALF_PIXEL) * pixel
    dose = known.pre_exposure
    if dose is None:
        expected = "the dose before each tilt"
        notes.warn("Dose", "none", expected, "0 is written; give --series with its .mdoc")
        dose = np.zeros(len(offset))
    numbers = {
        "Angles": -pose.angles_deg,
        "Dose": dose,
        "AxisAngle": pose.psi_deg,
        "AxisOffsetX": offset[:, 1],
        "AxisOffsetY": offset[:, 0],
    }
    fields = {field: [f"{v:.9g}" for v in values] for field, values in numbers.items()}
    fields["UseTilt"] = [str(bool(v)) for v in alignment.kept]
    fields["MoviePath"] = image_names(alignment, name, notes, "MoviePath")
    return fields


def _level(pose: Pose, notes: Notes) -> float:
    """The one x-tilt that Warp holds: their mean."""
    level = float(pose.x_tilts_deg.mean())
    if np.abs(pose.x_tilts_deg - level).max() > 1e-6:
        found = f"{pose.x_tilts_deg.min():.6g} to {pose.x_tilts_deg.max():.6g} deg"
        notes.warn(
            "x-tilt",
            found,
            "the same for all tilts: LevelAngleX",
            f"the mean, {level:.6g}, is written",
        )
    return level
