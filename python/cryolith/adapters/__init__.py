# SPDX-License-Identifier: BSD-3-Clause
"""For people who come from other programs: their geometries and array orders, both ways (docs/embedding.md).

One module a program, with the same names in each: ``from_geometry``, ``from_stack``, ``from_volume`` and their
inverses ``to_...``. None imports the program; arrays are views of the caller's, wherever a view can say it.
"""

from . import astra, etspy, skimage, tomopy

__all__ = ["astra", "etspy", "skimage", "tomopy"]
