# SPDX-License-Identifier: BSD-3-Clause
"""Resume trusts records, never the mere existence of a file."""

import json
import os

import pytest

from cryolith import records
from cryolith.files.atomic import sha256

INPUTS = {"series.mrc": "aa"}
PARAMETERS = {"n_iter": 3, "angles": [1.0, 2.0]}


@pytest.fixture
def finished(tmp_path):
    """A folder with one finished stage."""
    (tmp_path / records.FOLDER).mkdir()
    (tmp_path / "volume.mrc").write_bytes(b"voxels")
    records.write_record(
        tmp_path,
        records.Record(
            stage="reconstruct",
            inputs=INPUTS,
            parameters=PARAMETERS,
            outputs={"volume.mrc": sha256(tmp_path / "volume.mrc")},
        ),
    )
    return tmp_path


def why(folder, inputs=INPUTS, parameters=PARAMETERS):
    return records.why_stale(folder, "reconstruct", inputs, parameters)


def test_an_untouched_stage_holds(finished):
    assert why(finished) == ""


def test_tuples_and_lists_are_the_same_parameter(finished):
    assert why(finished, parameters={"n_iter": 3, "angles": (1.0, 2.0)}) == ""


@pytest.mark.parametrize(
    ("inputs", "parameters", "words"),
    [
        ({"series.mrc": "bb"}, PARAMETERS, "input series.mrc has changed"),
        ({**INPUTS, "more": "cc"}, PARAMETERS, "input more has changed"),
        ({}, PARAMETERS, "input series.mrc has changed"),
        (INPUTS, {**PARAMETERS, "n_iter": 4}, "parameter n_iter has changed"),
        (INPUTS, {"n_iter": 3}, "parameter angles has changed"),
    ],
)
def test_a_change_is_named(finished, inputs, parameters, words):
    assert words in why(finished, inputs, parameters)


def test_an_output_that_was_touched_is_made_again(finished):
    (finished / "volume.mrc").write_bytes(b"voxelS")
    assert "volume.mrc is not what was written" in why(finished)
    (finished / "volume.mrc").unlink()
    assert "volume.mrc is missing" in why(finished)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "reconstruct"}', '{"nonsense": 1}'])
def test_a_broken_record_is_no_record(finished, text):
    (finished / records.FOLDER / "reconstruct.json").write_text(text)
    assert "not finished" in why(finished)


def test_another_version_does_not_count(finished):
    path = finished / records.FOLDER / "reconstruct.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "0.0.0"}))
    assert "made by cryolith 0.0.0" in why(finished)


def test_partials_are_swept(finished):
    partials = [finished / ".volume.mrc.1-2.partial", finished / records.FOLDER / ".x.1-2.partial"]
    for partial in partials:
        partial.write_bytes(b"half")
    records.sweep_partials(finished)
    assert not any(p.exists() for p in partials)
    assert (finished / "volume.mrc").exists()


def test_a_file_is_read_once_while_it_does_not_change(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(records, "volume_digest", lambda path: read.append(path) or str(len(read)))
    path = tmp_path / "v.mrc"
    path.write_bytes(b"one")
    assert [records.digest_of(path) for _ in range(2)] == ["1", "2"]  # it may still change
    monkeypatch.setattr(records, "_TICK_NS", -1)
    assert [records.digest_of(path) for _ in range(2)] == ["3", "3"]
    os.utime(path, ns=(1, 1))
    assert records.digest_of(path) == "4"
    path.write_bytes(b"two")
    records.know(path, "told")
    assert records.digest_of(path) == "told"


def test_a_file_inside_a_folder_that_changed_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_TICK_NS", -1)
    inner = tmp_path / "v.zarr/0/0"
    inner.mkdir(parents=True)
    (inner / "0").write_bytes(b"one")
    before = records.digest_of(tmp_path / "v.zarr")
    (inner / "0").write_bytes(b"two!")
    assert records.digest_of(tmp_path / "v.zarr") != before
