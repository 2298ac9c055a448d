# SPDX-License-Identifier: BSD-3-Clause
"""``python -m cryolith`` is the command ``cryolith``."""

from .cli import main

if __name__ == "__main__":
    main()
