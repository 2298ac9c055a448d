# SPDX-License-Identifier: BSD-3-Clause
"""What bounds the sum of the projector pair, counted in its machine code: ``python tools/kernel_bound.py``.

Compiles the kernels, finds the loop over inputs in what nvdisasm prints, follows every path through it and prints the
updates per second that issue slots, multiply-adds, shared memory and memory allow on each card. Ends with 1 where a
card's bound is below what docs/gpu.md promises. Needs nvcc and nvdisasm, no GPU; nothing here is a measurement.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import sys
from collections import Counter

from machine_code import ROOT, Block, blocks_of, machine_code, main_loop, opcode, paths

PAIR = ROOT / "cpp/projection/device_pair_cuda.cu"
KERNEL = re.compile(r"ShearSumINS0_\d+ShearShapeI((?:Li\d+E)+)Lb[01]EEELb([01])E")


@dataclasses.dataclass(frozen=True)
class Card:
    """From data sheets: processors, GHz, float32 lanes, KiB of shared memory, bytes/s of memory; GUPS promised."""

    arch: str
    processors: int
    clock: float
    lanes: int
    shared: int
    memory: float
    wanted: float


CARDS = {
    "A100": Card("sm_80", 108, 1.41, 64, 164, 2.04e12, 4800),
    "H100": Card("sm_90", 132, 1.83, 128, 228, 3.35e12, 9500),
    "H200": Card("sm_90", 132, 1.83, 128, 228, 4.8e12, 9500),
}
WARP, SCHEDULERS, SHARED_BYTES = (
    32,
    4,
    128,
)  # lanes; a processor's instructions, bytes of shared memory a clock


@dataclasses.dataclass(frozen=True)
class Shape:
    """ShearShape of cpp/projection/shear_sum_cuda.cuh."""

    rows: int
    floats: int
    along: int
    across: int
    stages: int
    blocks: int  # on one processor

    @property
    def columns(self) -> int:
        return WARP * self.floats

    @property
    def warps(self) -> int:
        return self.along * self.across

    @property
    def copy_rows(self) -> int:
        """Rows that all threads together copy in pieces of 16 bytes at a time."""
        return WARP * self.warps * 16 // (4 * self.columns)

    @property
    def outputs(self) -> int:
        """Of a block."""
        return 2 * self.across

    def window_bytes(self, rows: float) -> float:
        """Return bytes that a block copies for one input: rows, taps, the window after."""
        return 4 * self.columns * rows + 32 * self.across + 16

    def most_window_rows(self, card: Card) -> int:
        """Return rows of the largest window for which the shared memory suffices; 1 KiB a block is the system's."""
        of_stage = (card.shared // self.blocks - 1) * 1024 // self.stages
        return (of_stage - 32 - 32 * self.across) // (4 * self.columns)

    @property
    def updates(self) -> int:
        """Of a warp for one input."""
        return self.rows * 2 * self.floats * WARP


# ---- what real tables ask for -----------------------------------------------------------------------------------
STEEP = 1.3  # ProjectionPlan::kSteepTangent
LINES = 128  # kProjectLines of cpp/projection/shear_tables.hpp: the most in one chunk
TOGETHER = 5  # kMostTogether there
MORE = TOGETHER + 1  # stands for all that are further apart, each summed from a stream of its own


@dataclasses.dataclass
class Mix:
    """How often neighbouring outputs are so many rows apart, rows of windows, how much of blocks is in use."""

    apart: Counter[int] = dataclasses.field(default_factory=Counter)
    rows: list[int] = dataclasses.field(default_factory=list)
    outputs: int = 0
    places: int = 0  # for outputs in the time that blocks take

    def shares(self) -> dict[int, float]:
        return {d: self.apart[d] / self.apart.total() for d in range(MORE + 1)}


def add_group(mix: Mix, starts: list[int], shape: Shape, unused: frozenset[int]) -> None:
    """Count the groups of outputs of one input, whose first rows are given; those of some places are nobody's."""
    for first in range(0, len(starts), shape.outputs):
        group = starts[first : first + shape.outputs]
        pairs = [(a, group[min(2 * i + 1, len(group) - 1)]) for i, a in enumerate(group[::2])]
        mix.apart.update(min(abs(b - a), MORE) for a, b in pairs)
        mix.rows.append(max(group) - min(group) + shape.rows * shape.along + 1)
        # A block takes as long as its busiest scheduler; warps without outputs wait.
        rounds = math.ceil(len(pairs) / SCHEDULERS) * SCHEDULERS
        mix.outputs += sum(first + i not in unused for i in range(len(group)))
        mix.places += 2 * rounds


def with_places(
    whole: list[list[int]], most_apart: float, outputs: int
) -> tuple[list[list[int]], frozenset[int]]:
    """Return tilts in order of their shear, with places of nobody between some pairs, as by_shear() has them."""
    out: list[list[int]] = []
    unused: set[int] = set()
    left = -len(whole) % outputs
    for tilt, after in zip(whole, [*whole[1:], None], strict=True):
        out.append(tilt)
        if len(out) % 2 == 0 or after is None or left == 0:
            continue
        if (after[-1] - after[0]) - (tilt[-1] - tilt[0]) > most_apart:
            unused.add(len(out))
            out.append(tilt)
            left -= 1
    return out, frozenset(unused)


def table_mix(
    direction: str, shape: Shape, tilts: int, degrees: float, lines: int, chunk: int
) -> Mix:
    """Return the mix of tilts at equal steps; what shear_tables.cpp makes of them (test_shear_tables.cpp compares)."""
    mix = Mix()
    angles = [math.radians(-degrees + 2 * degrees * t / (tilts - 1)) for t in range(tilts)]
    shallow = [math.tan(a) for a in angles if abs(math.tan(a)) <= STEEP]
    steep = sorted(1 / math.tan(a) for a in angles if abs(math.tan(a)) > STEEP)
    for slopes in (shallow, steep):
        whole = [[math.floor((z - (lines - 1) / 2) * s) for z in range(lines)] for s in slopes]
        if direction == "backproject":
            for of_tilt in whole:
                add_group(mix, of_tilt, shape, frozenset())
            continue
        for begin in range(0, lines, chunk):
            count = min(chunk, lines - begin)
            middle = (begin + begin + count - 1) // 2
            places, unused = with_places(whole, 4 * TOGETHER * lines / count, shape.outputs)
            for line in range(begin, begin + count):
                add_group(mix, [of[middle] - of[line] for of in places], shape, unused)
    return mix


# ---- what the code costs ----------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Path:
    """Counts of one way through the loop."""

    instructions: float
    multiply_adds: int  # all that this pipe executes
    rows: int  # row reads
    shared_cycles: int
    copies: int


def works(block: Block) -> bool:
    return any(opcode(i) == "FFMA" for i in block.code)


def counted(blocks: dict[str, Block], path: list[str], copy_trips: float) -> Path:
    codes = [opcode(i) for label in path for i in blocks[label].code]
    # The loop that copies in pieces runs more than once.
    again = [b for label in path if label in (b := blocks[label]).next]
    more = sum(len(b.code) for b in again if any("LDGSTS" in i for i in b.code)) * (copy_trips - 1)
    loads = sum(c.startswith("LDS.") for c in codes)
    work = [blocks[label] for label in path if works(blocks[label])]
    rows = sum(opcode(i) == "LDS.64" for block in work for i in block.code)
    return Path(
        instructions=len(codes) + more,
        multiply_adds=sum(c.startswith(("FFMA", "FADD", "FMUL", "IMAD")) for c in codes),
        rows=rows,
        shared_cycles=2 * rows + loads - rows,  # others: what all lanes read alike
        copies=sum(c.startswith(("UBLKCP", "LDGSTS")) for c in codes),
    )


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one warp and input: of most warps, and of the one that copies most."""

    least: Path
    most: Path

    # A block waits for the scheduler whose warp has most to do.
    def mean(self, field: str) -> float:
        least, most = float(getattr(self.least, field)), float(getattr(self.most, field))
        return least + (most - least) / SCHEDULERS


def costs(text: str, shape: Shape, copy_trips: float) -> dict[int, Cost]:
    """Return costs by how many rows two outputs are apart."""
    blocks = blocks_of(text)
    by_work: dict[tuple[str, ...], list[Path]] = {}
    for path in paths(blocks, *main_loop(blocks)):
        work = tuple(label for label in path if works(blocks[label]))
        by_work.setdefault(work, []).append(counted(blocks, path, copy_trips))
    apart = {shape.rows + 1 + d: d for d in range(MORE)} | {2 * (shape.rows + 1): MORE}
    out: dict[int, Cost] = {}
    for ways in by_work.values():
        # In pieces, all warps copy.
        copying = [w for w in ways if w.copies > 0] if "LDGSTS" in text else ways
        least, most = (of(w.instructions for w in copying) for of in (min, max))
        cost = Cost(
            next(w for w in copying if w.instructions == least),
            next(w for w in copying if w.instructions == most),
        )
        d = apart.get(cost.least.rows)
        if d is not None and (
            d not in out or cost.mean("instructions") > out[d].mean("instructions")
        ):
            out[d] = cost
    if sorted(out) != list(range(MORE + 1)):
        sys.exit(f"ShearSum: found the cases {sorted(out)} in its code, expected 0 to {MORE}")
    return out


def bounds(card: Card, shape: Shape, cost: Cost, window_rows: float) -> dict[str, float]:
    """Return GUPS that each resource allows."""
    copied = shape.window_bytes(window_rows) / SHARED_BYTES / shape.warps
    cycles = {
        "issue": cost.mean("instructions") / SCHEDULERS,
        "multiply-add": cost.mean("multiply_adds") * WARP / card.lanes,
        "shared memory": cost.mean("shared_cycles") + copied,
    }
    return {
        name: card.processors * card.clock * shape.updates / count for name, count in cycles.items()
    }


def weighted(shares: dict[int, float], rates: dict[int, float]) -> float:
    """Return the rate of a mix: times add, not rates."""
    return 1 / sum(share / rates[d] for d, share in shares.items())


def shear_sums(arch: str) -> dict[str, tuple[Shape, str]]:
    """Return shape and text of the sum, by direction."""
    out = {}
    for name, text in machine_code(PAIR, arch).items():
        if found := KERNEL.search(name):
            numbers = [int(n) for n in re.findall(r"Li(\d+)E", found[1])]
            out["project" if found[2] == "1" else "backproject"] = (Shape(*numbers[:6]), text)
    if set(out) != {"project", "backproject"}:
        sys.exit(f"ShearSum: found {sorted(out)} in the code for {arch}, expected both directions")
    return out


def memory_bytes(direction: str, tilts: int, chunk: int) -> float:
    """Return bytes of memory for one update: lines of both banks once, projected rows read and written each chunk."""
    return 8 / tilts + (8 / chunk if direction == "project" else 0)


def chunk_of(card: Card, direction: str, shape: Shape, options: argparse.Namespace) -> int:
    """Return the lines of a chunk, which are halved until their windows fit, as project_chunks() does."""
    chunk = LINES
    while chunk > 1:
        mix = table_mix(direction, shape, options.tilts, options.degrees, options.lines, chunk)
        if max(mix.rows) <= shape.most_window_rows(card):
            break
        chunk //= 2
    return chunk


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")


def report_direction(
    direction: str, codes: dict[str, tuple[Shape, str]], options: argparse.Namespace
) -> list[str]:
    """Print one direction's table; return what falls short. `codes`: shape and text by architecture."""
    shape = codes["sm_90"][0]
    short = []
    for name, card in CARDS.items():
        chunk = chunk_of(card, direction, shape, options)
        mix = table_mix(direction, shape, options.tilts, options.degrees, options.lines, chunk)
        rows, used = sum(mix.rows) / len(mix.rows), mix.outputs / mix.places
        l2 = shape.window_bytes(rows) / (shape.updates * shape.warps)
        memory = memory_bytes(direction, options.tilts, chunk)
        apart = ", ".join(f"{d}: {s:.1%}" for d, s in mix.shares().items())
        of_lines = f" in chunks of {chunk} lines" if direction == "project" else ""
        say(
            f"\n{direction} on {name}{of_lines}: rows that two outputs are apart {apart} ({MORE}: and more)"
        )
        say(f"windows of {rows:.1f} rows, at most {max(mix.rows)}; outputs in use {used:.0%}")
        say(f"bytes of an update: {l2:.3f} from L2, {memory:.3f} of memory")
        rates = {}
        for d, cost in sorted(costs(codes[card.arch][1], shape, rows / shape.copy_rows).items()):
            each = bounds(card, shape, cost, rows)
            rates[d] = min(each.values())
            numbers = ", ".join(f"{what} {v:.0f}" for what, v in each.items())
            say(f"  {d} apart: {cost.mean('instructions'):.1f} instructions; {numbers}")
        mixed, by_memory = weighted(mix.shares(), rates), card.memory / memory / 1e9
        say(f"  the mix {mixed:.0f}, memory {by_memory:.0f} GUPS")
        if min(mixed, by_memory) < card.wanted:
            short.append(
                f"{direction} on {name}: found {min(mixed, by_memory):.0f} GUPS, expected {card.wanted:.0f}"
            )
    return short


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tilts", type=int, default=41)
    parser.add_argument("--degrees", type=float, default=60.0)
    parser.add_argument("--lines", type=int, default=1024)
    options = parser.parse_args()
    say(f"{options.tilts} tilts to +-{options.degrees:g} degrees, {options.lines} lines each way")
    sums = {arch: shear_sums(arch) for arch in sorted({c.arch for c in CARDS.values()})}
    short = []
    for direction in ("backproject", "project"):
        short += report_direction(direction, {a: of[direction] for a, of in sums.items()}, options)
    if short:
        sys.exit("\n".join(short))


if __name__ == "__main__":
    main()
