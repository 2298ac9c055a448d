# SPDX-License-Identifier: BSD-3-Clause
"""``import cryolith`` inside somebody else's program: quiet, quick, without side effects."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, logging, signal, sys, threading, time
import numpy
handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
start = time.process_time()
import cryolith
cryolith.TiltSeries, cryolith.Volume, cryolith.CancelToken
seconds = time.process_time() - start
found = {
    "seconds": seconds,
    "modules": sorted({m.split(".")[0] for m in sys.modules}),
    "handlers": len(logging.getLogger().handlers) + len(logging.getLogger("cryolith").handlers),
    "threads": threading.active_count(),
    "signals": handlers == {s: signal.getsignal(s) for s in handlers},
}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, object]]:
    """What the process printed, and what it found out about itself."""
    found = tmp_path_factory.mktemp("import") / "found.json"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, str(found)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return run.stdout + run.stderr, json.loads(found.read_text())


def test_import_prints_nothing(imported: tuple[str, dict[str, object]]) -> None:
    assert imported[0] == ""


def test_import_takes_under_half_a_second_of_cpu(imported: tuple[str, dict[str, object]]) -> None:
    assert float(str(imported[1]["seconds"])) < 0.5


def test_import_loads_no_heavy_module(imported: tuple[str, dict[str, object]]) -> None:
    heavy = {
        "matplotlib",
        "zarr",
        "typer",
        "rich",
        "jinja2",
        "mrcfile",
        "tifffile",
        "pandas",
        "scipy",
    }
    assert not heavy & set(imported[1]["modules"])  # type: ignore[call-overload]


def test_import_has_no_side_effects(imported: tuple[str, dict[str, object]]) -> None:
    found = imported[1]
    assert found["handlers"] == 0, "a library must not add logging handlers"
    assert found["threads"] == 1
    assert found["signals"] is True, "a library must not take signals over"


def test_every_public_name_can_be_imported() -> None:
    import cryolith

    for name in cryolith.__all__:
        assert getattr(cryolith, name) is not None
    assert set(cryolith.__all__) <= set(dir(cryolith))
    with pytest.raises(AttributeError, match="no attribute 'wpb'"):
        _ = cryolith.wpb
