# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of whole runs share."""

import sys

from cryolith.config import job_from_mapping

# An alignment that takes no longer than the other stages; what it finds is as good as anything to be written.
QUICK = {
    "refine_axis": False,
    "refine_magnification": False,
    "refine_rotation": False,
    "iterations": 1,
    "beads": "no",
}


def command(*args):
    return [sys.executable, "-m", "cryolith", *map(str, args)]


def tree(folder):
    """Every file of a folder and its bytes; the lock is empty and only ever held."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def job_for(path, out, **tables):
    return job_from_mapping({"series": {"path": str(path)}, "output": str(out), **tables})
