# SPDX-License-Identifier: BSD-3-Clause
"""Surfaces and lines as PLY and VTP."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cryolith.errors import FileFormatError, InputError
from cryolith.files import read_lines, read_surface, write_lines, write_surface

# A tetrahedron whose faces are counter-clockwise as seen from outside, written as x y z and turned to z y x.
XYZ = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
VERTICES = XYZ[:, ::-1].copy()
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
FIELDS = {
    "curvature": np.array([0.1, np.nan, -np.inf, 1e-300]),
    "thickness_nm": np.array([0.1, 2, 3, 4], "f4"),
    "label": np.array([1, 2, 3, 40000]),
    "seen": np.array([True, False, True, True]),
    "small": np.array([-3, 0, 1, 2], "i2"),
}
SUFFIXES = (".ply", ".vtp")


def volume_of(vertices: Any, faces: Any) -> float:
    """Signed volume of a closed mesh in x, y, z: positive where faces are counter-clockwise from outside."""
    a, b, c = (vertices[faces[:, i]][:, ::-1] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_round_trip(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"s{suffix}"
    surface = SimpleNamespace(vertices=VERTICES.astype(kind), faces=FACES, fields=FIELDS)
    write_surface(path, surface)
    got = read_surface(path)
    assert got.vertices.dtype == kind
    assert np.array_equal(got.vertices, VERTICES.astype(kind))
    assert np.array_equal(got.faces, FACES)
    assert list(got.fields) == list(FIELDS)
    for name, column in FIELDS.items():
        assert np.array_equal(got.fields[name], column, equal_nan=column.dtype.kind == "f")
        assert got.fields[name].dtype.itemsize in (column.dtype.itemsize, 4)
    assert volume_of(got.vertices, got.faces) == 1.0
    first = path.read_bytes()
    write_surface(path, vertices=VERTICES.astype(kind), faces=FACES, fields=FIELDS)
    assert path.read_bytes() == first


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_a_mesh_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s{suffix}"
    write_surface(path, vertices=np.zeros((0, 3)), faces=[], fields={"a": []})
    got = read_surface(path)
    assert got.vertices.shape == (0, 3)
    assert got.faces.shape == (0, 3)
    assert got.fields["a"].shape == (0,)


def test_the_bytes_of_a_ply(tmp_path: Path) -> None:
    """Worked out by hand from the form's description."""
    write_surface(
        tmp_path / "s.ply",
        vertices=np.array([[3, 2, 1], [6, 5, 4], [9, 8, 7]], "f4"),
        faces=[[0, 1, 2]],
    )
    head, _, body = (tmp_path / "s.ply").read_bytes().partition(b"end_header\n")
    lines = head.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert lines[3:] == [
        "element vertex 3",
        *(f"property float {axis}" for axis in "xyz"),
        "element face 1",
        "property list uchar int vertex_indices",
    ]
    numbers = np.arange(1, 10).astype("<f4").tobytes()
    assert body == numbers + b"\3" + np.arange(3).astype("<i4").tobytes()


BAD: list[tuple[str, str, dict[str, Any], str]] = [
    ("suffix", "s.obj", {}, "suffix '.obj'"),
    ("vertices", "s.ply", {"vertices": np.zeros((4, 2))}, "vertices: found float64 (4, 2)"),
    ("no vertex", "s.ply", {"faces": [[0, 1, 4]]}, "faces: found indices from 0 to 4"),
    ("negative", "s.vtp", {"faces": [[0, 1, -1]]}, "faces: found indices from -1 to 1"),
    ("quads", "s.vtp", {"faces": [[0, 1, 2, 3]]}, "expected integers (m, 3)"),
    ("length", "s.vtp", {"fields": {"a": [1.0]}}, "found 1 values of 'a', expected 4"),
    ("words", "s.vtp", {"fields": {"a": ["b"] * 4}}, "fields: found 'a' of <U1"),
    ("name", "s.ply", {"fields": {"a b": [1.0] * 4}}, "found the name 'a b'"),
    ("twice", "s.ply", {"fields": {"x": [1.0] * 4}}, "not x, y or z"),
    ("64 bits", "s.ply", {"fields": {"a": [1 << 40] * 4}}, "beyond 32 bits in 'a'"),
    ("no folder", "none/s.ply", {}, "no such folder"),
]


@pytest.mark.parametrize(("name", "file", "more", "words"), BAD, ids=[b[0] for b in BAD])
def test_bad_meshes(tmp_path: Path, name: str, file: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        write_surface(tmp_path / file, **({"vertices": VERTICES, "faces": FACES} | more))
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_meshes_are_one_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s{suffix}"
    write_surface(path, vertices=VERTICES, faces=FACES, fields=FIELDS)
    raw = path.read_bytes()
    for change in (
        lambda: raw[: len(raw) // 2],
        lambda: raw[:-40],
        lambda: raw.replace(b"binary_little_endian", b"ascii").replace(b'"binary"', b'"ascii"'),
        lambda: raw.replace(b"double", b"quad").replace(b"Float64", b"Float65"),
        lambda: raw.replace(b"element face 4", b"element face 5").replace(b"</Polys>", b"</Lines>"),
    ):
        path.write_bytes(change())
        with pytest.raises(FileFormatError, match="content"):
            read_surface(path)


LINES = [np.array([[0.0, 0, 0], [1, 2, 3]]), np.array([[4.0, 5, 6], [7, 8, 9], [1, 1, 1]])]


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "l.vtp"
    radius = [np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])]
    write_lines(path, LINES, {"length_nm": [3.7, 9.1], "radius_nm": radius})
    text = path.read_text()
    assert 'NumberOfPoints="5" NumberOfVerts="0" NumberOfLines="2"' in text
    lines, fields = read_lines(path)
    for got, line in zip(lines, LINES, strict=True):
        np.testing.assert_array_equal(got, line)
    assert sorted(fields) == ["length_nm", "line", "radius_nm"]
    assert [v.tolist() for v in fields["line"]] == [[0, 0], [1, 1, 1]]
    assert [v.tolist() for v in fields["radius_nm"]] == [[1, 2], [3, 4, 5]]
    assert [v.tolist() for v in fields["length_nm"]] == [[3.7] * 2, [9.1] * 3]
    write_lines(tmp_path / "none.vtp", [])
    assert 'NumberOfLines="0"' in (tmp_path / "none.vtp").read_text()
    assert read_lines(tmp_path / "none.vtp")[0] == []


def test_damaged_lines_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "l.vtp"
    write_lines(path, LINES)
    raw = path.read_bytes()
    surface = tmp_path / "s.vtp"
    write_surface(surface, vertices=VERTICES, faces=FACES)
    for bad in (raw[:-40], raw.replace(b'"binary"', b'"ascii"'), surface.read_bytes()):
        path.write_bytes(bad)
        with pytest.raises(FileFormatError, match="content"):
            read_lines(path)
    with pytest.raises(InputError, match="found suffix"):
        read_lines(tmp_path / "l.ply")


@pytest.mark.parametrize(
    ("file", "fields", "words"),
    [
        ("l.ply", {}, "found suffix '.ply'"),
        ("l.vtp", {"a": [1.0]}, "found 1 entries of 'a', expected 2"),
        ("l.vtp", {"a": [[1.0], [1.0, 2.0]]}, "another length than their lines"),
    ],
)
def test_bad_lines(tmp_path: Path, file: str, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        write_lines(tmp_path / file, LINES, fields)


@pytest.mark.peers
def test_vtk_reads_surfaces_and_lines(tmp_path: Path) -> None:
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    for suffix, reader in ((".ply", vtk.vtkPLYReader()), (".vtp", vtk.vtkXMLPolyDataReader())):
        path = tmp_path / f"s{suffix}"
        write_surface(path, vertices=VERTICES, faces=FACES, fields=FIELDS)
        reader.SetFileName(str(path))
        reader.Update()
        data = reader.GetOutput()
        assert np.array_equal(vtk_to_numpy(data.GetPoints().GetData()), XYZ)
        assert np.array_equal(vtk_to_numpy(data.GetPolys().GetConnectivityArray()), FACES.ravel())
        mass = vtk.vtkMassProperties()
        mass.SetInputData(data)
        assert mass.GetVolume() == pytest.approx(1.0, rel=1e-6)
        if suffix == ".vtp":  # VTK's PLY reader reads no fields
            for name, column in FIELDS.items():
                got = vtk_to_numpy(data.GetPointData().GetArray(name))
                assert np.array_equal(got, column, equal_nan=column.dtype.kind == "f")
    write_lines(tmp_path / "l.vtp", LINES, {"length_nm": [3.7, 9.1]})
    reader.SetFileName(str(tmp_path / "l.vtp"))
    reader.Update()
    data = reader.GetOutput()
    assert data.GetNumberOfLines() == 2
    assert np.array_equal(vtk_to_numpy(data.GetPoints().GetData()), np.concatenate(LINES)[:, ::-1])
    assert vtk_to_numpy(data.GetPointData().GetArray("length_nm")).tolist() == [3.7] * 2 + [9.1] * 3


@pytest.mark.peers
def test_meshio_reads_the_fields_of_a_ply(tmp_path: Path) -> None:
    meshio = pytest.importorskip("meshio")
    fields = {k: v for k, v in FIELDS.items() if k != "small"}  # it knows no property of type short
    write_surface(tmp_path / "s.ply", vertices=VERTICES, faces=FACES, fields=fields)
    got = meshio.read(tmp_path / "s.ply")
    assert np.array_equal(got.points, XYZ)
    assert np.array_equal(got.cells_dict["triangle"], FACES)
    for name, column in fields.items():
        assert np.array_equal(got.point_data[name], column, equal_nan=column.dtype.kind == "f")
