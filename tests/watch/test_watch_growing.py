# SPDX-License-Identifier: BSD-3-Clause
"""Files that are being written: what of them is whole, what their names and neighbours say."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from microscope import Clock, header, mdoc_text, seri

from cryolith.errors import FileFormatError
from cryolith.watch import WatchSettings
from cryolith.watch.folder import Folder
from cryolith.watch.growing import look_at
from cryolith.watch.names import tilt_name
from cryolith.watch.sources import Sources

NX, NY = 20, 18


def images(n):
    rng = np.random.default_rng(4)
    return rng.integers(1, 3000, (n, NY, NX)).astype("<i2")


def test_every_prefix_of_a_stack_gives_the_images_that_are_whole(tmp_path):
    stack, path = images(4), tmp_path / "a.mrc"
    whole = header(NX, NY, 4, extended=seri([0, 3, -3, 6], 4), words=(2, 1)) + stack.tobytes()
    offset, size = len(whole) - stack.nbytes, stack[0].nbytes
    for length in range(0, len(whole) + 1, 97):
        path.write_bytes(whole[:length])
        if length < 1024:
            with pytest.raises(FileFormatError):
                look_at(path)
            continue
        file = look_at(path)
        assert file.whole == max(0, length - offset) // size
        assert file.promised == 4
        for i in range(file.whole):
            assert (file.image(i) == stack[i]).all()


def test_room_that_is_not_written_yet_is_no_image(tmp_path):
    stack, path = images(5), tmp_path / "a.mrc"
    stack[2:] = 0
    path.write_bytes(header(NX, NY, 5) + stack.tobytes())
    file = look_at(path)
    assert (file.whole, file.unwritten) == (2, 3)
    # A single one of zeros may be a blanked beam, unless the file is known to have such room.
    path.write_bytes(header(NX, NY, 3) + stack[:3].tobytes())
    assert look_at(path).whole == 3
    assert look_at(path, preallocated=True).whole == 2


def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_no_crash(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(header(NX, NY, 2) + images(2).tobytes())
    file = look_at(path)
    os.truncate(path, 1100)
    with pytest.raises(FileFormatError, match="cut short"):
        file.image(1)
    path.unlink()
    with pytest.raises(FileFormatError, match="No such file"):
        file.image(0)


def test_tiff_plain_and_compressed(tmp_path):
    stack = images(3).astype(np.uint16)
    for name, how in (("a.tif", {}), ("b.tif", {"compression": "zlib"})):
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack", **how)
        file = look_at(tmp_path / name)
        assert file.whole == 3
        assert all((file.image(i) == stack[i]).all() for i in range(3))
    cut = (tmp_path / "a.tif").read_bytes()[:-40]
    (tmp_path / "a.tif").write_bytes(cut)
    with pytest.raises(FileFormatError):
        look_at(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("TS_01_000_-60.0.mrc", ("TS_01", 0, -60.0)),
        ("TS_01_002_3.0.mrc", ("TS_01", 2, 3.0)),
        ("ts01_001[12.00].tif", ("ts01", 1, 12.0)),
        ("Position_1_001_-3.00_20230101_123456_fractions.tiff", ("Position_1", 1, -3.0)),
        ("s_mmm_01013_33.0_Oct08_07.46.46.tif", ("s_mmm", 1013, 33.0)),
        ("lam-3_012_+57.mrc", ("lam-3", 12, 57.0)),
        ("a_001-57.0.tif", ("a", 1, -57.0)),
        ("ts_001.mrc", None),
        ("sample_2024_11.mrc", None),
        ("grid1_02_15.st", None),
        ("HAADF.mrc", None),
        ("v1.2_map.mrc", None),
        ("a_001_-190.0.mrc", None),
    ],
)
def test_names_of_tilts(name, found):
    assert tilt_name(name) == found


def sources(folder, clock, **settings):
    return Sources(Folder(folder, 1.0, clock), WatchSettings(patience_s=5.0, **settings))


def looked(found, clock, n=2):
    made = {}
    for _ in range(n):
        clock.now += 2.0
        made = found.look()
    return made


def test_a_file_is_taken_when_it_has_stood_still(tmp_path):
    clock, path = Clock(), tmp_path / "a.mrc"
    found = sources(tmp_path, clock)
    stack = images(6)
    path.write_bytes(header(NX, NY, 2) + stack[:2].tobytes())
    assert looked(found, clock, 1) == {}
    assert len(looked(found, clock)["a"].tilts) == 2
    # While it grows, the images that were whole at the look before are surely whole.
    path.write_bytes(header(NX, NY, 4) + stack[:4].tobytes())
    assert len(looked(found, clock, 1)["a"].tilts) == 2
    path.write_bytes(header(NX, NY, 6) + stack.tobytes())
    assert len(looked(found, clock, 1)["a"].tilts) == 4
    assert len(looked(found, clock, 1)["a"].tilts) == 6


@pytest.mark.parametrize("told", ["header", "rawtlt", "mdoc", "nothing"])
def test_where_the_angles_of_a_stack_come_from(tmp_path, told):
    angles, clock = [0.0, 3.0, -3.0], Clock()
    extended = seri(angles, 5) if told == "header" else b""
    words = (2, 1) if told == "header" else (0, 0)
    head = header(NX, NY, 3, extended=extended, words=words)
    (tmp_path / "a.st").write_bytes(head + images(3).tobytes())
    if told == "rawtlt":
        (tmp_path / "a.rawtlt").write_text("0\n3\n-3\n6\n")
    if told == "mdoc":  # one section behind
        (tmp_path / "a.st.mdoc").write_text(mdoc_text(angles[:2]))
    source = looked(sources(tmp_path, clock), clock, 3)["a"]
    got = [t.angle_deg for t in source.tilts]
    assert got == {"nothing": [None] * 3, "mdoc": [0.0, 3.0, None]}.get(told, angles)


def test_a_header_of_zeros_tells_no_angle_and_is_never_believed(tmp_path):
    clock = Clock()
    for n in (1, 2):
        head = header(NX, NY, n, extended=seri([0.0] * n, 5), words=(2, 1))
        (tmp_path / "a.mrc").write_bytes(head + images(n).tobytes())
        source = looked(sources(tmp_path, clock), clock, 3)["a"]
        assert [t.angle_deg for t in source.tilts] == [None] * n


def test_files_of_an_mdoc_are_a_series_and_frames_of_a_stack_are_not(tmp_path):
    clock = Clock()
    names = ["f_a.tif", "f_b.tif", "f_c.tif"]
    for name, image in zip(names, images(3), strict=True):
        tifffile.imwrite(tmp_path / name, image.astype(np.uint16))
    (tmp_path / "ts.mdoc").write_text(mdoc_text([0.0, 3.0, -3.0], frames=names))
    found = looked(sources(tmp_path, clock), clock, 3)
    assert list(found) == ["ts"]
    assert [(t.key, t.angle_deg) for t in found["ts"].tilts] == [
        ("f_a.tif", 0.0),
        ("f_b.tif", 3.0),
        ("f_c.tif", -3.0),
    ]
    assert found["ts"].tilt_axis_deg == 4.0
    # With a stack of that name the files are its frames.
    (tmp_path / "ts.mrc").write_bytes(header(NX, NY, 3) + images(3).tobytes())
    found = looked(sources(tmp_path, clock), clock, 3)
    assert list(found) == ["ts"]
    assert found["ts"].path == tmp_path / "ts.mrc"


def test_frames_in_one_file_are_summed(tmp_path):
    clock, frames = Clock(), images(4).astype(np.uint16)
    tifffile.imwrite(tmp_path / "ts_000_0.0.tif", frames, photometric="minisblack")
    (tilt,) = looked(sources(tmp_path, clock), clock, 3)["ts"].tilts
    assert (tilt.image() == frames.sum(axis=0)).all()


def test_foreign_files_are_said_once_after_a_while_and_others_not_looked_at(tmp_path):
    clock = Clock()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "page.mrc").write_text("<html>" + "x" * 2000)
    (tmp_path / "empty.mrc").write_bytes(b"")
    (tmp_path / "noise.mrc").write_bytes(np.random.default_rng(1).bytes(5000))
    (tmp_path / "folder.mrc").mkdir()
    os.mkfifo(tmp_path / "pipe.mrc")
    os.symlink(tmp_path / "nowhere", tmp_path / "link.mrc")
    found = sources(tmp_path, clock)
    assert looked(found, clock) == {}
    assert found.refused == {}
    looked(found, clock, 4)
    assert sorted(found.refused) == ["empty.mrc", "noise.mrc", "page.mrc"]
    # Written anew it is taken.
    (tmp_path / "empty.mrc").write_bytes(header(NX, NY, 2) + images(2).tobytes())
    assert list(looked(found, clock, 3)) == ["empty"]
    assert sorted(found.refused) == ["noise.mrc", "page.mrc"]
