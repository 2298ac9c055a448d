# SPDX-License-Identifier: BSD-3-Clause
"""Make the sample that ships with the package from the full series; the same bytes on every run.

    python tools/make_sample.py ../shared/data python/cryolith/data

The series is the HAADF-STEM series of a multilayer needle from ETSpy's data, binned 2 x 2 by the mean. Its
licence notice goes along.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mrcfile
import numpy as np

STEM = "haadf_needle_bin2"
N_TILTS, SIZE, BIN = 77, 256, 2
# The original is an FEI file of 2003: its true pixel of 33.6 A stands in the extended header only.
HEADER_BYTES, EXTENDED_BYTES = 1024, 131072
PIXEL_SIZE = 33.6


def main(shared_data: Path, out: Path) -> None:
    raw = np.fromfile(
        shared_data / "haadf_needle" / "HAADF.mrc",
        "<i2",
        count=N_TILTS * SIZE * SIZE,
        offset=HEADER_BYTES + EXTENDED_BYTES,
    ).reshape(N_TILTS, SIZE // BIN, BIN, SIZE // BIN, BIN)
    counts = raw.astype(np.int64) + 32768  # recorded as uint16 minus 32768
    binned = (counts.sum(axis=(2, 4)) + BIN * BIN // 2) // (BIN * BIN)
    with mrcfile.new(out / f"{STEM}.mrc", overwrite=True) as mrc:
        mrc.set_data(binned.astype(np.uint16))
        mrc.set_image_stack()
        mrc.voxel_size = PIXEL_SIZE * BIN
        mrc.header.label[:] = b""  # mrcfile's own label holds the time
        mrc.header.label[0] = (
            b"haadf_needle of ETSpy (NIST), binned by 2 for cryolith; see the LICENSE.txt"
        )
        mrc.header.nlabl = 1
    shutil.copyfile(shared_data / "haadf_needle" / "HAADF.rawtlt", out / f"{STEM}.rawtlt")
    shutil.copyfile(shared_data / "LICENSE.nist-etspy", out / f"{STEM}.LICENSE.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
