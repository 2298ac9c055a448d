# SPDX-License-Identifier: BSD-3-Clause
"""Print the folder of the CUDA toolkit that the package index's wheels brought into this environment, if any."""

import importlib.util
import pathlib
import sys

spec = importlib.util.find_spec("nvidia")
for place in (spec.submodule_search_locations if spec else None) or []:
    for root in sorted(pathlib.Path(place).glob("cu1[2-9]"), reverse=True):
        if (root / "bin" / "nvcc").is_file():
            sys.stdout.write(str(root))
            raise SystemExit
