# SPDX-License-Identifier: BSD-3-Clause
"""A report of a volume and labels that are read from their files plane by plane has the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_content import build_content

from cryolith._stored import StoredArray
from cryolith.datamodel import Volume
from cryolith.files import open_volume, read_volume, write_labels, write_volume
from cryolith.report import write_report
from cryolith.report.pictures import Window


def tree(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_planes_read_from_files_make_the_same_report(tmp_path: Path) -> None:
    content = build_content()
    assert content.defects.labels is not None
    write_volume(tmp_path / "volume.mrc", content.volume)
    write_labels(tmp_path / "labels.mrc", Volume(data=content.defects.labels, pixel_size=20.0))
    for name, read in (("mapped", read_volume), ("stored", open_volume)):
        labels = read(tmp_path / "labels.mrc").data
        made = replace(
            content,
            volume=read(tmp_path / "volume.mrc"),
            defects=replace(content.defects, labels=labels),
        )
        assert isinstance(labels, StoredArray) == (name == "stored")
        (tmp_path / name).mkdir()
        write_report(made, tmp_path / name)
    mapped, stored = tree(tmp_path / "mapped"), tree(tmp_path / "stored")
    assert len(mapped) > 5
    assert mapped == stored


@pytest.mark.parametrize("shape", [(5, 700, 701), (3, 1100, 1301), (2, 3, 4)])
def test_grey_values_are_chosen_from_the_same_voxels(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    data = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    write_volume(tmp_path / "v.mrc", Volume(data=data))
    assert Window.of(open_volume(tmp_path / "v.mrc").data) == Window.of(data)
