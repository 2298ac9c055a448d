# SPDX-License-Identifier: BSD-3-Clause
"""The command line as a user meets it: words, exit codes, streams."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cryolith import Volume
from cryolith.errors import ConfigError
from cryolith.files import (
    read_defects,
    read_labels,
    read_particles,
    read_surface,
    read_table,
    read_volume,
    write_volume,
)


def cryolith(*args):
    return subprocess.run(
        [sys.executable, "-m", "cryolith", *map(str, args)], capture_output=True, text=True
    )


def test_version():
    done = cryolith("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("cryolith 0.")


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "check",
        "info",
        "align",
        "motion",
        "score",
        "convert",
        "reconstruct",
        "detect",
        "report",
        "resume",
        "demo",
    ],
)
def test_every_command_explains_itself(command):
    done = cryolith(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nonsense"], 2, "nonsense"),
        (["run"], 2, "SERIES"),
        (["run", "x.mrc"], 2, "out"),
        (["run", "x.mrc", "-o", "{tmp}/o", "--pixel", "0.34"], 2, "unit"),
        (["run", "x.mrc", "-o", "{tmp}/o", "--method", "srit"], 2, "sirt"),
        (["run", "x.mrc", "-o", "{tmp}/o", "-c", "{tmp}/none.toml"], 2, "none.toml"),
        (["run", "x.mrc", "-o", "{tmp}/o", "--threads", "-1"], 2, "threads"),
        (["run", "x.mrc", "-o", "{tmp}/o", "--threads", "1000000"], 2, "threads"),
        (["run", "x.mrc", "-o", "{tmp}/o", "--halves", "tilt"], 2, "tilts"),
        (["run", "{tmp}/missing.mrc", "-o", "{tmp}/o"], 1, "missing.mrc"),
        (["run", "{tmp}", "-o", "{tmp}/o"], 1, "folder"),
        (["check", "{tmp}/missing.mrc"], 1, "missing.mrc"),
        (["info", "{tmp}/missing.mrc"], 1, "missing.mrc"),
        (["resume", "{tmp}/nowhere"], 1, "cryolith run"),
        (["detect", "{tmp}/missing.mrc", "-o", "{tmp}/d"], 1, "missing.mrc"),
        (["detect", "{tmp}/missing.mrc"], 2, "--table"),
        (["detect", "{tmp}/missing.mrc", "--table", "{tmp}/d.xlsx"], 2, ".parquet"),
        (["detect", "{tmp}/missing.mrc", "--surface", "{tmp}/s.obj"], 2, ".vtp"),
    ],
)
def test_bad_use_and_bad_files_have_one_clear_error(args, code, words, tmp_path):
    done = cryolith(*[str(a).replace("{tmp}", str(tmp_path)) for a in args])
    assert done.returncode == code, done.stderr
    assert words.lower() in (done.stdout + done.stderr).lower()
    assert "Traceback" not in done.stderr


def test_an_interrupt_inside_exec_of_a_text_ends_with_130_too(tmp_path):
    # There CPython, run with -m, ends by the signal although the interrupt was answered: imports make such texts.
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from cryolith import cli, pipeline\n"
        "pipeline.rewrite_report = lambda folder: exec('raise KeyboardInterrupt')\n"
        "sys.argv = ['cryolith', 'report', 'x']\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted")


def test_a_typo_in_the_job_file_names_the_right_word(tiny_series, tmp_path):
    (tmp_path / "job.toml").write_text('[reconstruct]\nfitler = "ramp"\n')
    done = cryolith("run", tiny_series, "-o", tmp_path / "o", "-c", tmp_path / "job.toml")
    assert done.returncode == 2
    assert "did you mean 'filter'" in done.stderr


def test_run_json_is_a_line_of_json_for_each_event(tiny_series, tmp_path):
    done = cryolith(
        "run", tiny_series, "-o", tmp_path / "o", "--json", "--timing", tmp_path / "t.json"
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done"
    assert {e["stage"] for e in events if e["event"] == "finished"} == {
        "align", "reconstruct", "detect", "report"
    }  # fmt: skip
    assert set(json.loads((tmp_path / "t.json").read_text())) == {
        "align", "reconstruct", "detect", "report"
    }  # fmt: skip
    again = cryolith("resume", tmp_path / "o")
    assert again.returncode == 0
    assert again.stderr.count("skipped, its record holds") == 4


def test_quiet_is_quiet(tiny_series, tiny_run, tmp_path):
    out = shutil.copytree(tiny_run, tmp_path / "o")
    (out / "report.html").unlink()
    done = cryolith("run", tiny_series, "-o", out, "--quiet")
    assert (done.returncode, done.stdout) == (0, "")
    assert "starts" not in done.stderr
    assert (out / "report.html").exists()


def test_dry_run_tells_and_does_nothing(tiny_series, tmp_path):
    done = cryolith("run", tiny_series, "-o", tmp_path / "o", "--dry-run")
    assert done.returncode == 0
    for word in ("align", "reconstruct", "detect", "report", "MB", "s"):
        assert word in done.stdout
    assert not (tmp_path / "o").exists()


def test_stage_by_stage(tiny_series, tmp_path):
    alignment, volume = tmp_path / "a.json", tmp_path / "v.mrc"
    assert cryolith("align", tiny_series, "-o", alignment).returncode == 0
    done = cryolith("reconstruct", tiny_series, "-a", alignment, "-o", volume, "--method", "wbp")
    assert done.returncode == 0, done.stderr
    done = cryolith("detect", volume, "-o", tmp_path / "tables")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tables" / "layers.csv").exists()
    job = tmp_path / "job.toml"
    job.write_text('[detect]\nlayers = false\n[reconstruct]\nmethod = "wbp"\n')
    done = cryolith("detect", volume, "-a", alignment, "-c", job, "-o", tmp_path / "freed")
    assert done.returncode == 0, done.stderr
    freed = read_table(tmp_path / "freed" / "particles.csv")
    assert len(freed["coverage"]) > 0
    assert {"true_axis1_nm", "sigma_true_volume_nm3", "elongation_flag"} <= set(freed)


def test_detections_in_every_form(tmp_path):
    """A ball with a hole: tables and labels, by suffix."""
    away = np.indices((40, 40, 40)) - 19.5
    data = (np.hypot(np.hypot(*away[:2]), away[2]) < 16).astype(np.float32)
    data[np.hypot(np.hypot(*(away[:2] - 3)), away[2]) < 5] = 0
    data += np.random.default_rng(1).normal(0, 0.02, data.shape).astype(np.float32)
    folder, volume = tmp_path, tmp_path / "v.mrc"
    write_volume(volume, Volume(data=data, pixel_size=20.0))
    asked = [w for name in ("f.json", "f.csv", "f.star") for w in ("--table", folder / name)]
    done = cryolith("detect", volume, *asked, "--labels", folder / "l.zarr")
    assert done.returncode == 0, done.stderr
    found = read_defects(folder / "f.json")
    assert list(found.provenance.inputs) == [volume.name]
    assert len(found.voids["label"]) > 0
    assert np.array_equal(read_table(folder / "f_voids.csv")["label"], found.voids["label"])
    voids, pixel = read_particles(folder / "f_voids.star")
    assert np.allclose(voids["z_px"], found.voids["z_px"])
    assert pixel == pytest.approx(20.0)
    assert not (folder / "f_layers.star").exists()  # layers have no place
    labels = read_labels(folder / "l.zarr")
    assert labels.volume.data.min() == -len(found.voids["label"])
    assert labels.properties[-1]["kind"] == "void"


@pytest.mark.parametrize("name", ["s.ply", "s.vtp"])
def test_the_surface_of_the_bright_phase_is_written(tmp_path, name):
    pytest.importorskip("skimage")
    away = np.indices((32, 32, 32)) - 15.5
    inside = np.hypot(np.hypot(*away[:2]), away[2]) < 9
    data = inside + np.random.default_rng(2).normal(0, 0.1, inside.shape)
    write_volume(tmp_path / "v.mrc", Volume(data=data.astype(np.float32), pixel_size=20.0))
    done = cryolith("detect", tmp_path / "v.mrc", "--surface", tmp_path / name)
    assert done.returncode == 0, done.stderr
    mesh = read_surface(tmp_path / name)
    away = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(away - 18).max() < 1.0
    assert {"sigma_position_nm", "mean_curvature_per_nm"} <= set(mesh.fields)


def test_blobs_on_request(tmp_path):
    data = np.random.default_rng(4).standard_normal((40, 40, 40), dtype=np.float32)
    z, y, x = np.ogrid[:40, :40, :40]
    data += 3 * np.exp(-((z - 20) ** 2 + (y - 18) ** 2 + (x - 22) ** 2) / 18).astype(np.float32)
    write_volume(tmp_path / "v.mrc", Volume(data=data, pixel_size=10.0))
    done = cryolith("detect", tmp_path / "v.mrc", "-o", tmp_path / "t", "--blobs", "--fdr", "0.01")
    assert done.returncode == 0, done.stderr
    assert "blobs: 1\n" in done.stdout
    header, row = (tmp_path / "t" / "blobs.csv").read_text(encoding="utf-8").splitlines()[:2]
    found = dict(zip(header.split(","), row.split(","), strict=True))
    assert abs(float(found["size_nm"]) - 3.0) < 3 * float(found["sigma_size_nm"])
    assert float(found["q_value"]) < 0.01
    done = cryolith("detect", tmp_path / "v.mrc", "-o", tmp_path / "t", "--fdr", "0.01")
    assert done.returncode != 0
    assert "--blobs" in done.stderr


def test_a_run_looks_for_blobs_as_its_method_shows_them(tiny_series, tiny_run, tmp_path):
    job = tmp_path / "job.toml"
    job.write_text(
        "[detect]\nblobs = true\nlargest_blob = 4.0\nlayers = false\nparticles = false\nvoids = false\n",
        encoding="utf-8",
    )
    out = shutil.copytree(tiny_run, tmp_path / "o")
    wbp = ("--method", "wbp", "--halves", "tilts")
    done = cryolith("run", tiny_series, "-o", out, "-c", job, *wbp, "--quiet")
    assert done.returncode == 0, done.stderr
    notes = json.loads((out / "defects.json").read_text(encoding="utf-8"))["notes"]
    assert "blobs: templates are what the reconstruction shows of a blob" in notes
    alone = ("detect", out / "volume.mrc", "-o", tmp_path / "t", "--blobs")
    halves = ("--halves", out / "volume_half1.mrc", out / "volume_half2.mrc")
    how = ("-c", out / "job.toml", "--alignment", out / "alignment.json")
    done = cryolith(*alone, *halves, *how)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t" / "blobs.csv").read_text() == (out / "blobs.csv").read_text()
    done = cryolith(*alone, "--alignment", out / "alignment.json")
    assert done.returncode == 2
    assert "-c job.toml" in done.stderr


def test_halves_lie_beside_the_volume(tiny_series, tiny_run, tmp_path):
    out, volume = shutil.copytree(tiny_run, tmp_path / "o"), tmp_path / "v.mrc"
    wbp = ("--method", "wbp", "--halves", "tilts")
    assert cryolith("run", tiny_series, "-o", out, *wbp, "--quiet").returncode == 0
    facts = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert facts["reconstruction"]["resolution"]["halves"] == "tilts"
    assert (out / "fsc.csv").exists()
    done = cryolith("reconstruct", tiny_series, "-a", out / "alignment.json", "-o", volume, *wbp)
    assert "Halves of the data agree" in done.stdout
    for end in ("", "_half1", "_half2"):
        alone, with_run = tmp_path / f"v{end}.mrc", out / f"volume{end}.mrc"
        assert np.array_equal(read_volume(alone).data, read_volume(with_run).data)


def test_check_and_info_of_a_sound_file(tiny_series):
    assert cryolith("check", tiny_series).returncode == 0
    facts = json.loads(cryolith("info", tiny_series, "--json").stdout)
    assert facts["shape"] == [15, 48, 40]


def test_a_report_can_be_written_again(tiny_run, tmp_path):
    out = shutil.copytree(tiny_run, tmp_path / "o")
    (out / "report.html").unlink()
    assert cryolith("report", out).returncode == 0
    assert (out / "report.html").read_bytes() == (tiny_run / "report.html").read_bytes()


def test_a_table_of_the_job_file_that_is_no_table_is_named(tiny_series, tmp_path):
    (tmp_path / "job.toml").write_text("reconstruct = 3\n")
    done = cryolith("run", tiny_series, "-o", tmp_path / "o", "-c", tmp_path / "job.toml")
    assert done.returncode == 2
    assert "[reconstruct]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_series_that_cannot_be_read_leaves_the_folder_to_the_right_one(tiny_series, tmp_path):
    out = tmp_path / "o"
    assert cryolith("run", tmp_path / "mistyped.mrc", "-o", out).returncode == 1
    assert not out.exists()


def test_a_reader_that_stops_early_is_no_error(tiny_series):
    command = [sys.executable, "-m", "cryolith", "info", str(tiny_series)]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(write)
    assert done.stderr == ""


def test_resume_from_elsewhere_says_where_the_series_was(tiny_series, tmp_path):
    inside = tmp_path / "o"
    inside.mkdir()
    (inside / "job.toml").write_text('[series]\npath = "there/series.mrc"\n')
    done = cryolith("resume", inside)
    assert done.returncode == 1
    assert "there/series.mrc" in done.stderr
    assert "started" in done.stderr


def test_level_is_a_setting_of_the_alignment():
    from cryolith.cli_options import make_job

    assert make_job(Path("a.mrc"), None, None, level="no").align.level == "no"
    assert make_job(Path("a.mrc"), None, None).align.level == "auto"
    with pytest.raises(ConfigError, match="level"):
        make_job(Path("a.mrc"), None, None, level="flat")
