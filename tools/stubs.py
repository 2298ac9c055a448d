# SPDX-License-Identifier: BSD-3-Clause
"""Write python/cryolith/_core.pyi from the compiled module, or check that it is fresh.

    python tools/stubs.py            # writes
    python tools/stubs.py --check    # exit code 1 and a diff when the committed file is stale

The module is the one that ``import cryolith`` finds.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).resolve().parent.parent / "python" / "cryolith" / "_core.pyi"
HEAD = "# SPDX-License-Identifier: BSD-3-Clause\n# Written by tools/stubs.py; do not edit.\n"


def generated() -> str:
    """Return the stub of the module as it is now."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "cryolith._core", "-o", folder]
        done = subprocess.run([*command, "--exit-code"], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"pybind11-stubgen failed:\n{done.stdout}{done.stderr}")
        text = (Path(folder) / "cryolith" / "_core.pyi").read_text()
    # A pointer takes None, which pybind11 does not write into its signatures.
    return HEAD + re.sub(r"\bcancel: CancelToken\b(?! \|)", "cancel: CancelToken | None", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    new = generated()
    if not parser.parse_args().check:
        STUB.write_text(new)
        return 0
    old = STUB.read_text() if STUB.exists() else ""
    name = STUB.name
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, "the module")
    sys.stderr.writelines(lines)
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
