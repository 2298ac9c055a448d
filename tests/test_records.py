# SPDX-License-Identifier: BSD-3-Clause
"""Resume trusts records, never the mere existence of a file."""

import json
import multiprocessing
import os
import signal
import time

import pytest

from cryolith import InputError, records
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


def _hold(folder, ready):
    with records.lock(folder):
        ready.set()
        time.sleep(60)


def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, ready))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(InputError, match="another cryolith run"), records.lock(tmp_path):
            pass
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    with records.lock(tmp_path):
        pass
