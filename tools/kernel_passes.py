# SPDX-License-Identifier: BSD-3-Clause
"""What the kernels around the projector's sum move, and the least time that takes: ``python tools/kernel_passes.py``.

Bytes and loads are counted in cpp/projection/strips_cuda.cuh by hand, rates are data sheets'; nothing is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys

from kernel_bound import CARDS, STEEP, WARP, Card

TAPS = 8  # kTaps of cpp/projection/sampling.hpp


@dataclasses.dataclass(frozen=True)
class Pass:
    """A kernel: floats that it writes; for one of them bytes of memory, and loads of any kind, weights included."""

    name: str
    outputs: float
    memory: float
    loads: float

    def least_ms(self, card: Card) -> tuple[float, str]:
        """Return the larger of the times that memory and loads (one of a warp a clock) take, and which it is."""
        memory = self.outputs * self.memory / card.memory
        loads = self.outputs * self.loads / WARP / (card.processors * card.clock * 1e9)
        return 1e3 * max(memory, loads), "memory" if memory > loads else "loads"


def passes(tilts: int, degrees: float, side: int, thickness: int) -> list[Pass]:
    """Return the passes of images (tilts, side, side) and a volume (thickness, side, side)."""
    angles = [math.radians(-degrees + 2 * degrees * t / (tilts - 1)) for t in range(tilts)]
    rows, samples = 0.0, 0.0  # stretched, of all tilts; that a pixel has weights in
    for tangent, a in ((abs(math.tan(a)), a) for a in angles):
        steep = tangent > STEEP
        rows += thickness + side / tangent if steep else side + thickness * tangent
        samples += TAPS / (abs(math.sin(a)) if steep else math.cos(a)) / tilts
    pixels, voxels = float(tilts * side * side), float(thickness * side * side)
    of_rows = rows * side / pixels
    # Each sample costs a value and two rows of the table of weights.
    return [
        Pass("LoadStrips", pixels, 8, 3 * TAPS + 1),
        Pass("StretchRows", rows * side, 4 + 4 / of_rows, 3 * TAPS),
        Pass("UnpackVolume", voxels, 12, 3),
        Pass("PackVolume", voxels, 12, 2),
        Pass("CollectRows", pixels, 4 + 4 * of_rows, 3 * samples),
        Pass("SpreadStrips", pixels, 12, 3 * TAPS + 1),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tilts", type=int, default=41)
    parser.add_argument("--degrees", type=float, default=60.0)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--thickness", type=int, default=512)
    o = parser.parse_args()
    for p in passes(o.tilts, o.degrees, o.side, o.thickness):
        times = ", ".join("{} {:.2f} ms ({})".format(n, *p.least_ms(c)) for n, c in CARDS.items())
        sys.stdout.write(f"{p.name}: {p.memory:.1f} bytes, {p.loads:.0f} loads; {times}\n")
    updates = o.tilts * o.thickness * o.side * o.side
    times = ", ".join(f"{n} {updates / c.wanted / 1e6:.2f} ms" for n, c in CARDS.items())
    sys.stdout.write(f"ShearSum at the rate it has to allow: {times}\n")


if __name__ == "__main__":
    main()
