# SPDX-License-Identifier: BSD-3-Clause
"""Triangle meshes and lines: PLY (binary, little endian) and VTP (VTK's XML PolyData), with fields on the vertices.

Inside the package points are (z, y, x); in these files they are x y z, the same right-handed system.
"""

from __future__ import annotations

import base64
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..defects import SurfaceLike
from ..errors import InputError
from .atomic import write_bytes, write_text
from .findings import fail
from .opening import look, suffix_of

__all__ = ["Mesh", "read_lines", "read_surface", "write_lines", "write_surface"]

Array = npt.NDArray[Any]
Fields = Mapping[str, npt.ArrayLike]
T = TypeVar("T")

_PLY = {
    "i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float",
    "f8": "double",
}  # fmt: skip
_PLY_TYPES = {word: kind for kind, word in _PLY.items()} | {
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
_VTK = {
    "i1": "Int8", "u1": "UInt8", "i2": "Int16", "u2": "UInt16", "i4": "Int32", "u4": "UInt32", "i8": "Int64",
    "u8": "UInt64", "f4": "Float32", "f8": "Float64",
}  # fmt: skip
_VTK_TYPES = {word: kind for kind, word in _VTK.items()}
_SUFFIXES = (".ply", ".vtp")


@dataclass(frozen=True, kw_only=True, eq=False)
class Mesh:
    """A triangle mesh with values on its vertices.

    Attributes
    ----------
    vertices : (n, 3) float
        (z, y, x) from the centre of the volume, in nm (px without a pixel size).
    faces : (m, 3) integer
        Indices of vertices.
    fields : mapping of str to (n,) array
        The unit belongs into the name.
    """

    vertices: Array
    faces: Array
    fields: Mapping[str, Array] = field(default_factory=dict)


def write_surface(
    path: str | os.PathLike[str],
    surface: SurfaceLike | None = None,
    *,
    vertices: npt.ArrayLike | None = None,
    faces: npt.ArrayLike | None = None,
    fields: Fields | None = None,
) -> None:
    """Write a triangle mesh to ``.ply`` or ``.vtp``, whole or not at all.

    Parameters
    ----------
    path : path
    surface : object with ``vertices``, ``faces`` and ``fields``, optional
        In place of the three below.
    vertices : (n, 3) real
        (z, y, x), in nm (px without a pixel size); written as x y z.
    faces : (m, 3) integer
        Indices of vertices, counter-clockwise as seen from outside where x, y, z are right-handed.
    fields : mapping of str to (n,) array_like of real numbers, optional
        Values on the vertices. PLY has no 64-bit integers; they are written as 32-bit ones where they fit.

    Raises
    ------
    InputError
        Another suffix, shapes that do not fit, faces that name no vertex, fields that are no real numbers of length n.
    FileFormatError
        The folder is missing or not writable, or the disk is too full.

    References
    ----------
    G. Turk, The PLY polygon file format (1994); VTK file formats, XML PolyData (VTK 9).
    """
    if (surface is None) == (vertices is None):
        raise InputError("surface: expected a surface, or vertices= and faces=")
    if surface is not None:
        vertices, faces, fields = surface.vertices, surface.faces, surface.fields
    mesh = Mesh(
        vertices=_points(vertices, "vertices"), faces=_faces(faces), fields=_fields(fields or {})
    )
    _check(mesh)
    if suffix_of(path, _SUFFIXES) == ".ply":
        write_bytes(path, _ply(mesh))
        return
    offsets = np.arange(3, 3 * len(mesh.faces) + 1, 3)
    write_text(path, _vtp(mesh.vertices, mesh.fields, "Polys", mesh.faces.ravel(), offsets))


def write_lines(
    path: str | os.PathLike[str],
    lines: Sequence[npt.ArrayLike],
    fields: Mapping[str, Sequence[npt.ArrayLike]] | None = None,
) -> None:
    """Write open lines, such as traced tubes, to ``.vtp``, whole or not at all.

    Parameters
    ----------
    path : path
    lines : sequence of (n_i, 3) real
        Points (z, y, x) in nm (px without a pixel size); written as x y z.
    fields : mapping of str to sequence, optional
        One entry for each line: a number, or one for each of its points. ``line``, the index of the line, is added.

    Raises
    ------
    InputError
        Another suffix, shapes that do not fit.
    FileFormatError
        The folder is missing or not writable, or the disk is too full.
    """
    suffix_of(path, (".vtp",))
    points = [_points(line, f"lines[{i}]") for i, line in enumerate(lines)]
    counts = [len(p) for p in points]
    columns: dict[str, Array] = {"line": np.repeat(np.arange(len(points)), counts)}
    for name, values in (fields or {}).items():
        if len(values) != len(points):
            raise InputError(
                f"fields: found {len(values)} entries of {name!r}, expected {len(points)}, one a line"
            )
        try:
            spread = [np.broadcast_to(v, n) for v, n in zip(values, counts, strict=True)]
        except ValueError:
            raise InputError(
                f"fields: found entries of {name!r} of another length than their lines, expected a number or one "
                "for each point"
            ) from None
        columns[name] = np.concatenate(spread) if spread else np.zeros(0)
    whole = np.concatenate(points) if points else np.zeros((0, 3))
    text = _vtp(whole, _fields(columns), "Lines", np.arange(len(whole)), np.cumsum(counts))
    write_text(path, text)


def _points(points: Any, name: str) -> Array:
    found = np.asarray(points)
    if found.dtype.kind not in "iuf" or found.ndim != 2 or found.shape[1] != 3:
        raise InputError(
            f"{name}: found {found.dtype} {found.shape}, expected real numbers (n, 3), z y x"
        )
    return found.astype("<f4" if found.dtype.itemsize <= 4 and found.dtype.kind == "f" else "<f8")


def _fields(fields: Fields) -> dict[str, Array]:
    out = {}
    for name, values in fields.items():
        column = np.asarray(values)
        if column.dtype.kind not in "biuf" or column.ndim != 1:
            raise InputError(
                f"fields: found {name!r} of {column.dtype} {column.shape}, expected real numbers with one axis"
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in ("x", "y", "z"):
            raise InputError(
                f"fields: found the name {name!r}, expected letters, digits and _, and not x, y or z"
            )
        kind = {"b1": "u1", "f2": "f4", "f16": "f8"}.get(column.dtype.str[1:], column.dtype.str[1:])
        out[name] = column.astype(f"<{kind}")
    return out


def _faces(faces: Any) -> Array:
    found = np.zeros((0, 3), np.int64) if faces is None else np.asarray(faces)
    if not found.size:
        return np.zeros((0, 3), np.int64)
    if found.dtype.kind not in "iu" or found.ndim != 2 or found.shape[1] != 3:
        raise InputError(f"faces: found {found.dtype} {found.shape}, expected integers (m, 3)")
    return found.astype(np.int64)


def _check(mesh: Mesh) -> None:
    n, faces = len(mesh.vertices), mesh.faces
    if faces.size and not (faces.min() >= 0 and faces.max() < n):
        raise InputError(
            f"faces: found indices from {faces.min()} to {faces.max()}, expected 0 to {n - 1}"
        )
    if max(n, len(faces)) >= 2**31:
        raise InputError(f"vertices: found {n}, expected fewer than 2^31")
    for name, column in mesh.fields.items():
        if len(column) != n:
            raise InputError(
                f"fields: found {len(column)} values of {name!r}, expected {n}, one a vertex"
            )


def _ply(mesh: Mesh) -> bytes:
    columns = {axis: mesh.vertices[:, 2 - i] for i, axis in enumerate("xyz")}
    columns |= {name: _ply_column(name, column) for name, column in mesh.fields.items()}
    vertices = np.empty(len(mesh.vertices), [(name, c.dtype) for name, c in columns.items()])
    for name, column in columns.items():
        vertices[name] = column
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("index", "<i4", 3)])
    faces["count"], faces["index"] = 3, mesh.faces
    head = ["ply", "format binary_little_endian 1.0", f"comment cryolith {__version__}"]
    head += [f"element vertex {len(vertices)}"]
    head += [f"property {_PLY[c.dtype.str[1:]]} {name}" for name, c in columns.items()]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    return ("\n".join(head) + "\n").encode() + vertices.tobytes() + faces.tobytes()


def _ply_column(name: str, column: Array) -> Array:
    if column.dtype.itemsize < 8 or column.dtype.kind == "f":
        return column
    small = column.astype("<i4")
    if not np.array_equal(small, column):
        raise InputError(
            f"fields: found integers beyond 32 bits in {name!r}, which PLY cannot hold; write .vtp"
        )
    return small


def _vtp(points: Array, fields: Mapping[str, Array], kind: str, index: Array, ends: Array) -> str:
    """Return a piece of PolyData: ``index`` lists the points of each cell, ``ends`` where each cell stops in it."""
    counts = {"Verts": 0, "Lines": 0, "Strips": 0, "Polys": 0} | {kind: len(ends)}
    numbers = " ".join(f'NumberOf{name}="{n}"' for name, n in counts.items())
    lines = [
        '<?xml version="1.0"?>',
        f"<!-- cryolith {__version__} -->",
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<PolyData><Piece NumberOfPoints="{len(points)}" {numbers}>',
        "<PointData>",
        *(_data_array(name, column) for name, column in fields.items()),
        "</PointData><Points>",
        _data_array("Points", points[:, ::-1]),
        f"</Points><{kind}>",
        _data_array("connectivity", index.astype("<i8")),
        _data_array("offsets", ends.astype("<i8")),
        f"</{kind}></Piece></PolyData></VTKFile>",
    ]
    return "\n".join(lines) + "\n"


def _data_array(name: str, values: Array) -> str:
    raw = np.ascontiguousarray(values).tobytes()
    text = base64.b64encode(len(raw).to_bytes(8, "little") + raw).decode("ascii")
    parts = f' NumberOfComponents="{values.shape[1]}"' if values.ndim > 1 else ""
    kind = _VTK[values.dtype.str[1:]]
    return f'<DataArray type="{kind}" Name="{name}"{parts} format="binary">{text}</DataArray>'


def read_surface(path: str | os.PathLike[str]) -> Mesh:
    """Read a triangle mesh as :func:`write_surface` writes it, with its fields.

    Raises
    ------
    InputError
        Another suffix than ``.ply`` and ``.vtp``.
    FileFormatError
        The file is missing, damaged, or in a variant that this package does not write (text, compressed, polygons).
    """
    read = _read_ply if suffix_of(path, _SUFFIXES) == ".ply" else _read_vtp
    look(path, "a PLY file" if read is _read_ply else "an XML file of VTK")

    def checked(raw: bytes) -> Mesh:
        mesh = read(raw)
        _check(mesh)
        return mesh

    return _whole(path, checked, "triangles in binary PLY (little endian) or inline base64 VTP")


def read_lines(
    path: str | os.PathLike[str],
) -> tuple[list[Array], dict[str, list[Array]]]:
    """Read lines as :func:`write_lines` writes them.

    Returns
    -------
    lines : list of (n_i, 3) array
        Points (z, y, x).
    fields : dict of str to list of (n_i,) array
        Values at the points of each line; ``line`` among them.

    Raises
    ------
    InputError
        Another suffix than ``.vtp``.
    FileFormatError
        The file is missing, damaged, or in a variant that this package does not write.
    """
    suffix_of(path, (".vtp",))
    look(path, "an XML file of VTK")

    def read(raw: bytes) -> tuple[list[Array], dict[str, list[Array]]]:
        piece = _piece(raw)
        order = _arrays(piece, "Lines")
        points = _arrays(piece, "Points")["Points"].reshape(-1, 3)[:, ::-1]
        cuts, at = order["offsets"][:-1], order["connectivity"]
        return _cut(points[at], cuts), {
            name: _cut(values[at], cuts) for name, values in _arrays(piece, "PointData").items()
        }

    return _whole(path, read, "lines in inline base64 VTP")


def _cut(values: Array, cuts: Array) -> list[Array]:
    return [part.copy() for part in np.split(values, cuts)] if len(values) else []


def _whole(path: str | os.PathLike[str], read: Callable[[bytes], T], expected: str) -> T:
    """Return what is in a file, or raise one error that says why not."""
    try:
        return read(Path(path).read_bytes())
    except OSError as error:
        fail(path, "file", error.strerror or error, "a readable file", "check its permissions")
    except (ValueError, KeyError, TypeError, IndexError, ET.ParseError) as error:
        found = " ".join(str(error).split())[:200] or type(error).__name__
        fail(path, "content", found, expected, "write it again")


def _read_ply(raw: bytes) -> Mesh:
    head, mark, body = raw.partition(b"end_header\n")
    lines = [line.split() for line in head.decode("ascii").splitlines()]
    if not mark or lines[:2] != [["ply"], ["format", "binary_little_endian", "1.0"]]:
        raise ValueError("another head")
    counts: dict[str, int] = {}
    columns: list[tuple[str, str]] = []
    for words in lines[2:]:
        if words[0] == "element":
            counts[words[1]] = int(words[2])
        elif words[0] == "property" and list(counts) == ["vertex"]:
            columns.append((words[2], "<" + _PLY_TYPES[words[1]]))
        elif words[0] == "property" and words[1:4] != ["list", "uchar", "int"]:
            raise ValueError(f"property {' '.join(words[1:])}")
    kind = np.dtype(columns)
    vertices = np.frombuffer(body, kind, counts["vertex"])
    face = np.dtype([("count", "u1"), ("index", "<i4", 3)])
    faces = np.frombuffer(body, face, counts["face"], vertices.nbytes)
    if (faces["count"] != 3).any():
        raise ValueError("polygons")
    return Mesh(
        vertices=np.stack([vertices[axis] for axis in "zyx"], axis=1),
        faces=faces["index"].astype(np.int64),
        fields={name: vertices[name].copy() for name, _ in columns if name not in "xyz"},
    )


def _piece(raw: bytes) -> ET.Element:
    root = ET.fromstring(raw)
    wanted = {"type": "PolyData", "byte_order": "LittleEndian", "header_type": "UInt64"}
    if any(root.get(key) != value for key, value in wanted.items()) or root.get("compressor"):
        raise ValueError("another kind of VTK file")
    piece = root.find("PolyData/Piece")
    if piece is None:
        raise ValueError("no piece")
    return piece


def _read_vtp(raw: bytes) -> Mesh:
    piece = _piece(raw)
    points = _arrays(piece, "Points")["Points"].reshape(-1, 3)
    polygons = _arrays(piece, "Polys")
    ends = polygons["offsets"]
    if (np.diff(ends, prepend=0) != 3).any():
        raise ValueError("polygons")
    faces = polygons["connectivity"].reshape(-1, 3).astype(np.int64)
    fields = _arrays(piece, "PointData")
    return Mesh(vertices=points[:, ::-1].copy(), faces=faces, fields=fields)


def _arrays(piece: ET.Element, name: str) -> dict[str, Array]:
    out = {}
    for item in piece.iterfind(f"{name}/DataArray"):
        if item.get("format") != "binary":
            raise ValueError(f"format {item.get('format')}")
        raw = base64.b64decode(item.text or "", validate=True)
        values = np.frombuffer(raw, "<" + _VTK_TYPES[item.attrib["type"]], offset=8)
        if int.from_bytes(raw[:8], "little") != values.nbytes:
            raise ValueError("an array of another length than it says")
        out[item.attrib["Name"]] = values.copy()
    return out
