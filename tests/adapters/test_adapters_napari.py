# SPDX-License-Identifier: BSD-3-Clause
"""Layers for napari: without it as (data, options, type), and given to its own classes where it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cryolith import Defects, InputError, Volume
from cryolith.adapters.napari import Frame
from cryolith.detect import Components, FoundBlobs, track

SHAPE = (5, 6, 8)
EDGE = 2.0  # nm


def found(pixel_size: float | None = 10 * EDGE) -> Defects:
    labels = np.zeros(SHAPE, np.int32)
    labels[1:3, 2, 3] = 1
    labels[4, 4, 4] = -1
    unit = "px" if pixel_size is None else "nm"
    # Both say voxel (1, 2, 3).
    place = (1.0, 2.0, 3.0) if pixel_size is None else (-2.0, -1.0, -1.0)
    blobs = {f"{a}_{unit}": np.array([v]) for a, v in zip("zyx", place, strict=True)}
    blobs |= {f"sigma_{a}": np.array([0.5]) for a in tuple(blobs)}
    mesh = SimpleNamespace(
        vertices=np.array([[0.0, 0, 0], [0, 0, 2], [0, 2, 0]]),
        faces=np.array([[0, 1, 2]]),
        fields={"curvature": np.array([1.0, 2, 3]), "b": np.zeros(3)},
    )
    return Defects(
        particles={"label": np.array([1]), "diameter_nm": np.array([3.0])},
        voids={"label": np.array([1]), "depth": np.array([0.5])},
        labels=labels,
        tables={"blobs": blobs | {f"diameter_{unit}": np.array([40.0])}, "empty": {}},
        surfaces={"shell": mesh},
        lines={"tubes": [np.zeros((2, 3)), np.ones((3, 3))]},
        pixel_size=pixel_size,
    )


def world(layer: Any, index: Any) -> list[float]:
    """Where napari shows a data coordinate: data * scale + translate."""
    _, options, _ = layer
    point = np.asarray(index, float) * options.get("scale", 1.0)
    return (point + options.get("translate", 0.0)).tolist()


@pytest.mark.parametrize("pixel_size", [10 * EDGE, None])
def test_layers_of_defects_lie_on_each_other(pixel_size: float | None) -> None:
    volume = Volume(data=np.zeros(SHAPE, np.float32), pixel_size=pixel_size)
    layers = found(pixel_size).to_napari(volume)
    assert [kind for _, _, kind in layers] == ["image", "labels", "points", "surface", "shapes"]
    names = [options["name"] for _, options, _ in layers]
    assert names == ["volume", "found", "blobs", "shell", "tubes"]
    image, labels, points, surface, lines = layers
    place = world(image, (1, 2, 3))
    assert world(labels, (1, 2, 3)) == place
    assert world(points, points[0][0]) == place
    centre = world(image, (np.array(SHAPE) - 1) / 2)
    assert world(surface, (0, 0, 0)) == centre
    assert world(lines, lines[0][0][0]) == centre
    unit = "pixel" if pixel_size is None else "nm"
    for _, options, _ in layers:
        assert options["units"] == (unit,) * 3
        assert options["axis_labels"] == ("z", "y", "x")
    assert points[1]["size"].tolist() == [40.0]
    assert np.array_equal(points[1]["metadata"]["position_covariance"], [0.25 * np.eye(3)])


def test_rows_are_features() -> None:
    labels, points, surface, lines = found().to_napari()
    rows = labels[1]["features"]
    assert rows["index"].tolist() == [0, -1, 1]
    assert rows["kind"].tolist() == ["", "void", "particle"]
    assert np.array_equal(rows["depth"], [np.nan, 0.5, np.nan], equal_nan=True)
    assert list(points[1]["features"]) == list(found().tables["blobs"])
    assert surface[0][2].tolist() == [1.0, 2.0, 3.0]
    assert surface[1]["metadata"]["shown"] == "curvature"
    assert lines[1]["features"]["line"].tolist() == [0, 1]


def test_a_viewer_gets_them() -> None:
    asked: list[tuple[str, Any]] = []

    class Viewer:
        def __getattr__(self, name: str) -> Any:
            return lambda data, **options: asked.append((name, options["name"]))

    found().to_napari(viewer=Viewer())
    assert asked == [
        ("add_labels", "found"), ("add_points", "blobs"), ("add_surface", "shell"), ("add_shapes", "tubes"),
    ]  # fmt: skip


def test_components() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[0, 0, 0] = mask[4, 4, 4] = True
    parts = Components(SHAPE)
    parts.add(mask)
    ((labels, options, kind),) = parts.to_napari(parts.regions(20.0), pixel_size=20.0)
    assert kind == "labels"
    assert labels[4, 4, 4] == 2
    assert options["features"]["index"].tolist() == [0, 1, 2]
    assert options["features"]["volume_nm3"].tolist()[1:] == [8.0, 8.0]


def test_blobs_lie_on_their_volume():
    volume = Volume(data=np.zeros(SHAPE, np.float32), pixel_size=10 * EDGE)
    nothing: Any = None
    for unit, place in (("nm", (-2.0, -1.0, -1.0)), ("px", (1.0, 2.0, 3.0))):
        table = {f"{a}_{unit}": np.array([v]) for a, v in zip("zyx", place, strict=True)}
        blobs = FoundBlobs(table=table, null=nothing, detectability=nothing, notes=())
        image, points = blobs.to_napari(volume)
        assert world(points, points[0][0]) == world(image, (1, 2, 3))
        (alone,) = blobs.to_napari()
        assert alone[1]["units"] == ({"nm": "nm", "px": "pixel"}[unit],) * 3


def tracks() -> dict[str, Any]:
    rows = {"track": [2, 1, 1], "time": [0, 1, 0], "z_nm": [0.0, 1, 2], "y_nm": [0.0, 0, 0]}
    return {k: np.array(v) for k, v in {**rows, "x_nm": [3.0, 4, 5]}.items()}


def test_tracks() -> None:
    data, options, kind = Frame(20.0).tracks(tracks(), graph={2: [1]})
    assert kind == "tracks"
    assert data.tolist() == [[1, 0, 2, 0, 5], [1, 1, 1, 0, 4], [2, 0, 0, 0, 3]]
    assert options["graph"] == {2: [1]}
    assert options["axis_labels"] == ("t", "z", "y", "x")
    with pytest.raises(InputError, match="no column 'time'"):
        Frame(20.0).tracks({"track": np.zeros(1)})


def test_tracks_of_a_time_series():
    """Two objects that meet in the third frame: places come from the frames, the merger from the tracks."""

    def frame(*rows: tuple[float, float, float, float]) -> dict[str, Any]:
        z, y, x, v = np.array(rows).T
        table = {"z_nm": z, "y_nm": y, "x_nm": x, "volume_nm3": v}
        table |= {f"sigma_{a}_nm": np.full(len(rows), 0.1) for a in "zyx"}
        return table | {"sigma_volume_nm3": np.full(len(rows), 1.0)}

    far = [(40.0, 40.0 * i, -30.0, 90.0) for i in range(4)]
    apart = frame((0, 0, 0, 50), (0, 0, 3, 50), *far)
    frames = [apart, apart, frame((0, 0, 1.5, 100), *far)]
    followed = track(frames, motion=0.3, drift=False)
    assert (followed.tracks["birth"] == "merge").sum() == 1
    ((data, options, kind),) = followed.to_napari(frames)
    assert kind == "tracks"
    merged = int(followed.tracks["track"][followed.tracks["birth"] == "merge"][0])
    assert data[data[:, 0] == merged].tolist() == [[merged, 2, 0, 0, 1.5]]
    parents = options["graph"][merged]
    assert len(parents) == 2
    assert len(data) == 6 + 6 + 5
    assert sorted(data[np.isin(data[:, 0], parents) & (data[:, 1] == 0)][:, 4]) == [0.0, 3.0]


def test_tables_that_have_no_place() -> None:
    with pytest.raises(InputError, match="expected places"):
        Frame(20.0).points({"a": np.zeros(1)}, "a")
    pixels = {f"{a}_px": np.zeros(1) for a in "zyx"}
    with pytest.raises(InputError, match="pass the volume"):
        Frame(20.0).points(pixels, "a")
    placed = Frame(20.0, SHAPE).points(pixels, "a")
    assert world(placed, placed[0][0]) == [-4.0, -5.0, -7.0]


@pytest.mark.peers
def test_napari_takes_every_layer(tmp_path: Path) -> None:
    """In a process of its own: napari's dependencies warn when they are imported, and warnings are errors here."""
    script = tmp_path / "layers.py"
    script.write_text(
        "import json, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
        "try:\n    import napari.layers\nexcept ImportError:\n    print('null'); raise SystemExit\n"
        "from test_adapters_napari import SHAPE, Frame, Volume, found, np, tracks\n"
        "layers = []\n"
        "for pixel in (20.0, None):\n"
        "    volume = Volume(data=np.zeros(SHAPE, np.float32), pixel_size=pixel)\n"
        "    layers += found(pixel).to_napari(volume)\n"
        "layers.append(Frame(20.0).tracks(tracks(), graph={2: [1]}))\n"
        "made = [napari.layers.Layer.create(*layer) for layer in layers]\n"
        "print(json.dumps([[m._type_string, m.name, len(m.features) if hasattr(m, 'features') else 0,\n"
        "    [str(u) for u in m.units], m.world_to_data((0.0,) * m.ndim)[-1]] for m in made]))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    made = json.loads(done.stdout.splitlines()[-1])
    if made is None:
        pytest.skip("napari is not installed")
    kinds = ["image", "labels", "points", "surface", "shapes"]
    assert [m[0] for m in made] == [*kinds, *kinds, "tracks"]
    assert [made[i][2] for i in (1, 2, 4)] == [3, 1, 2]  # rows of features: labels, blobs, lines
    assert made[0][3] == ["nanometer"] * 3
    assert made[1][4] == (SHAPE[2] - 1) / 2
