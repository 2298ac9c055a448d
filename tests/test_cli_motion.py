# SPDX-License-Identifier: BSD-3-Clause
"""``cryolith motion`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from cryolith import Volume, files


def motion(*args):
    command = [sys.executable, "-m", "cryolith", "motion", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """A movie whose scene moves by a pixel in each frame."""
    folder = tmp_path_factory.mktemp("movie")
    rng = np.random.default_rng(41)
    scene = np.kron(rng.uniform(5, 30, (20, 20)), np.ones((5, 5)))
    frames = np.stack([rng.poisson(scene[i : i + 64, 6 : 6 + 64]) for i in range(6)])
    files.write_volume(folder / "a.mrc", Volume(data=frames.astype(np.int16), pixel_size=2.0))
    (folder / "two.tlt").write_text("1\n2\n")
    return folder / "a.mrc"


def test_a_movie_in_one_line(movie, tmp_path):
    done = motion(movie, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "a: 6 frames moved 5.0" in done.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.name != ".cryolith") == [
        "a.mrc", "a_motion.csv", "a_spectra.png", "a_track.svg", "motion.toml", "report.html", "report.json"
    ]  # fmt: skip
    again = motion(movie, "-o", tmp_path / "out")
    assert again.stderr.count("skipped, its record holds") == 2


def test_its_job_file_repeats_it_to_the_byte(movie, tmp_path):
    one = tmp_path / "one"
    how = ("--frame-range", 1, 5, "--dose-per-frame", 1.5, "--halves", "--pixel", "0.3 nm", "-q")
    done = motion(movie, "-o", one, *how)
    assert (done.returncode, done.stdout) == (0, "")
    two = tmp_path / "new" / "two"
    done = motion("-c", one / "motion.toml", "-o", two, "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1] == {"event": "done", "report": str(two / "report.html")}
    names = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert len(names) > 7
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_dry_run_tells_and_does_nothing(movie, tmp_path):
    done = motion(movie, "-o", tmp_path / "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "1 movies, 6 frames of 64 x 64: 150 MB memory" in done.stdout
    assert not (tmp_path / "out").exists()
    facts = json.loads(motion(movie, "-o", tmp_path / "out", "--dry-run", "--json").stdout)
    assert facts["frame_shape"] == [64, 64]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["-o", "{tmp}/o"], 2, "MOVIE: found none"),
        (["{movie}"], 2, "out"),
        (["{tmp}/none.mrc", "-o", "{tmp}/o"], 1, "none.mrc"),
        (["{movie}", "-o", "{tmp}/o", "--gain", "{movie}"], 1, "expected one gain reference"),
        (["{movie}", "-o", "{tmp}/o", "--gain-rotate", "45"], 2, "gain_rotate"),
        (["{movie}", "-o", "{tmp}/o", "--gain-flip", "up"], 2, "up-down"),
        (["{movie}", "-o", "{tmp}/o", "--frame-range", "4", "9"], 1, "found frame 9"),
        (["{movie}", "-o", "{tmp}/o", "--dose-per-frame", "-1"], 2, "dose_per_frame"),
        (["{movie}", "-o", "{tmp}/o", "--pixel", "3"], 2, "unit"),
        (["{movie}", "-o", "{tmp}/o", "--angles", "{data}/two.tlt"], 1, "expected 1, one for each"),
        (["{movie}", "-o", "{tmp}/o", "--max-memory", "1 MB"], 1, "allowed are 1 MB"),
        (["-c", "{data}/two.tlt", "-o", "{tmp}/o"], 2, "expected TOML"),
    ],
)
def test_bad_use_and_bad_files_have_one_clear_error(args, code, words, movie, tmp_path):
    named = {"{tmp}": tmp_path, "{movie}": movie, "{data}": movie.parent}
    for name, value in named.items():
        args = [a.replace(name, str(value)) for a in args]
    done = motion(*args)
    assert done.returncode == code, done.stderr
    assert words.lower() in (done.stdout + done.stderr).lower()
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
