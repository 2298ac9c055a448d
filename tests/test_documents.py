# SPDX-License-Identifier: BSD-3-Clause
"""What README and docs tell a reader to type or to open exists and works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from cryolith import simulate
from cryolith.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "design").glob("*.md")])


def blocks(page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_setting_up_and_testing_are_one_line_each():
    lines = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    one_liners = [line for line in lines if line.startswith("python3 -m venv")]
    assert len(one_liners) == 2
    assert one_liners[0].endswith("/cryolith demo")
    assert one_liners[1].endswith("-m pytest -n auto")


def commands_in_documents():
    """Commands in code blocks and in the first column of tables."""
    for page in ("README.md", "docs/command-line.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        lines = [
            line
            for block in re.findall(r"```.*?```", text, re.DOTALL)
            for line in block.splitlines()
        ]
        lines += re.findall(r"^\| `([^`]*)`", text, flags=re.MULTILINE)
        for line in lines:
            command = line.split("#")[0].strip()
            if command.startswith("cryolith "):
                yield pytest.param(command, id=command)


@pytest.mark.parametrize("line", list(commands_in_documents()))
def test_commands_and_options_exist(line):
    import typer

    known = typer.main.get_command(app).commands
    _, name, *words = shlex.split(line)
    assert name in known
    options = {o for p in known[name].params for o in (*p.opts, *p.secondary_opts)}
    for word in words:
        assert not word.startswith("-") or word in options


@pytest.mark.parametrize("page", ["docs/simulate.md"])
def test_python_in_documents_runs(page):
    found = blocks(page, "python")
    assert found
    for block in found:
        exec(compile(block, page, "exec"), {})


def test_the_forms_of_docs_files_are_written_as_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = [b for b in blocks("docs/files.md", "python") if "write_particles" in b]
    names = {}
    exec(compile(block, "docs/files.md", "exec"), names)
    listed = names["files"].read_particles("particles.star")[0]["diameter_nm"]
    labels = names["files"].read_labels("volume.zarr/labels/particles")
    assert listed.tolist() == names["table"]["diameter_nm"].tolist()
    assert [labels.properties[i]["diameter_nm"] for i in (1, 2)] == listed.tolist()
    assert len(np.unique(labels.volume.data)) == 3


def test_the_notebook_of_the_readme_runs(tmp_path, monkeypatch):
    import mrcfile

    phantom = simulate.needle((24, 64, 24), layers=[(24, 0.3), (16, 1.0), (24, 0.3)], seed=1)
    angles = np.arange(-70.0, 71.0, 7.0)
    series, _ = simulate.tilt_series(
        phantom, angles, image_shape=(64, 48), dose_per_pixel=200.0, background=1.0
    )
    with mrcfile.new(tmp_path / "HAADF.mrc") as mrc:
        mrc.set_data(series.images)
        mrc.set_image_stack()
        mrc.voxel_size = 30.0
    np.savetxt(tmp_path / "HAADF.rawtlt", angles, fmt="%.2f")
    monkeypatch.chdir(tmp_path)
    names = {"stack": series.images - 1.0, "angles_deg": angles}
    for block in blocks("README.md", "python"):
        exec(compile(block, "README.md", "exec"), names)
    assert np.isfinite(names["found"].layers["thickness_nm"]).any()
    assert names["series"].images.shape == (71, 96, 64)
