# SPDX-License-Identifier: BSD-3-Clause
"""What bounds the sum of the projector pair, counted in its machine code: ``python tools/kernel_bound.py``.

Compiles the kernels, finds the loop over inputs in what nvdisasm prints, follows every path through it and prints the
updates per second that issue slots, multiply-adds and shared memory allow on each card. Ends with 1 where a card's
bound is below what docs/gpu.md promises. Needs nvcc and nvdisasm, no GPU; nothing here is a measurement.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
KERNEL = re.compile(r"ShearSumINS0_\d+ShearShapeI((?:Li\d+E)+)Lb[01]EEELb([01])E")


@dataclasses.dataclass(frozen=True)
class Card:
    """Rates from data sheets: processors, GHz, float32 lanes of a processor, bytes/s of memory, GUPS promised."""

    arch: str
    processors: int
    clock: float
    lanes: int
    memory: float
    wanted: float


CARDS = {
    "A100": Card("sm_80", 108, 1.41, 64, 2.04e12, 4800),
    "H100": Card("sm_90", 132, 1.83, 128, 3.35e12, 9500),
    "H200": Card("sm_90", 132, 1.83, 128, 4.8e12, 9500),
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

    @property
    def columns(self) -> int:
        return WARP * self.floats

    @property
    def warps(self) -> int:
        return self.along * self.across

    @property
    def updates(self) -> int:
        """Of a warp for one input."""
        return self.rows * 2 * self.floats * WARP


# ---- what real tables ask for -----------------------------------------------------------------------------------
STEEP = 1.3  # ProjectionPlan::kSteepTangent
CHUNK = 32  # ProjectionPlan::kChunk


@dataclasses.dataclass
class Mix:
    """How often neighbouring outputs are so many rows apart, rows of windows, share of a block's outputs in use."""

    apart: Counter[int]
    rows: list[int]
    used: list[float]

    def shares(self) -> dict[int, float]:
        return {d: n / self.apart.total() for d, n in sorted(self.apart.items())}


def add_group(mix: Mix, starts: list[int], shape: Shape) -> None:
    """Count one group of outputs of one input, whose first rows are given."""
    outputs = 2 * shape.across
    for first in range(0, len(starts), outputs):
        group = starts[first : first + outputs]
        pairs = [(a, group[min(2 * i + 1, len(group) - 1)]) for i, a in enumerate(group[::2])]
        mix.apart.update(abs(b - a) for a, b in pairs)
        mix.rows.append(max(group) - min(group) + shape.rows * shape.along + 1)
        # A block takes as long as its busiest scheduler; warps without outputs wait.
        rounds = math.ceil(len(pairs) / SCHEDULERS) * SCHEDULERS
        mix.used.append(len(group) / (2 * rounds))


def table_mix(direction: str, shape: Shape, tilts: int, degrees: float, lines: int) -> Mix:
    """Return the mix of tilts at equal steps; what shear_tables.cpp makes of them (test_shear_cuda.cpp compares)."""
    mix = Mix(Counter(), [], [])
    angles = [math.radians(-degrees + 2 * degrees * t / (tilts - 1)) for t in range(tilts)]
    shallow = [math.tan(a) for a in angles if abs(math.tan(a)) <= STEEP]
    steep = [1 / math.tan(a) for a in angles if abs(math.tan(a)) > STEEP]
    for slopes in (shallow, sorted(steep)):
        whole = [[math.floor((z - (lines - 1) / 2) * s) for z in range(lines)] for s in slopes]
        if direction == "backproject":
            for of_tilt in whole:
                add_group(mix, of_tilt, shape)
            continue
        for begin in range(0, lines, CHUNK):
            middle = (begin + min(lines, begin + CHUNK) - 1) // 2
            for line in range(begin, min(lines, begin + CHUNK)):
                add_group(mix, [of[middle] - of[line] for of in whole], shape)
    return mix


# ---- machine code -----------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Block:
    """Instructions without a branch between them, and where they may go on."""

    code: list[str] = dataclasses.field(default_factory=list)
    next: list[str] = dataclasses.field(default_factory=list)


def opcode(instruction: str) -> str:
    return re.sub(r"^@!?U?P\w+\s+", "", instruction).split()[0]


def blocks_of(text: str) -> dict[str, Block]:
    """Return the blocks of one function by label, from the text of nvdisasm -c."""
    blocks = {"entry": Block()}
    here: str | None = "entry"
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L\w+):", line):
            if here is not None:
                blocks[here].next.append(label[1])
            here = label[1]
            blocks[here] = Block()
            continue
        found = re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?)\s*;?\s*(?:\(\*\"(.*)\"\*\))?\s*;?\s*$", line)
        if found is None or here is None:
            continue
        instruction, note = found[1], found[2] or ""
        block = blocks[here]
        block.code.append(instruction)
        code = opcode(instruction)
        if not code.startswith(("BRA", "BRX", "EXIT", "RET")):
            continue
        targets = re.findall(r"\.L\w+", instruction + note)
        # A warp whose lanes part takes BRA.DIV: here all lanes agree.
        if not code.startswith("BRA.DIV"):
            block.next += targets
        always = not instruction.startswith("@") and re.fullmatch(r"\w+\s+`\(\.L\w+\)", instruction)
        if always or code == "BRX" or (code == "EXIT" and not instruction.startswith("@")):
            here = None
        else:
            after = f"{here}+"
            block.next.append(after)
            here = after
            blocks[here] = Block()
    return blocks


def reachable(blocks: dict[str, Block], start: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for label in blocks[todo.pop()].next:
            if label not in seen and label in blocks:
                seen.add(label)
                todo.append(label)
    return seen


def main_loop(blocks: dict[str, Block]) -> tuple[str, set[str]]:
    """Return the head and the labels of the loop that holds the multiply-adds."""
    after = {label: reachable(blocks, label) for label in blocks}
    work = max(blocks, key=lambda label: sum(opcode(i) == "FFMA" for i in blocks[label].code))
    loop = {label for label in after[work] if work in after[label]}
    # A wait that has to be repeated is not counted.
    loop -= {
        label
        for label in loop
        if label in blocks[label].next and any("PHASECHK" in i for i in blocks[label].code)
    }
    heads = [
        label
        for label in loop
        if any(label in blocks[b].next for b in blocks if b not in loop and b not in after[work])
    ]
    if len(heads) != 1:
        sys.exit(f"ShearSum: found {len(heads)} heads of its loop, expected 1")
    return heads[0], loop


def paths(blocks: dict[str, Block], head: str, loop: set[str]) -> Iterator[list[str]]:
    """Yield every way once through the loop, inner loops at most once."""
    stack = [[head]]
    while stack:
        path = stack.pop()
        for label in blocks[path[-1]].next:
            if label == head:
                yield path
            elif label in loop and label not in path:
                stack.append([*path, label])


@dataclasses.dataclass(frozen=True)
class Path:
    """Counts of one way through the loop."""

    instructions: float
    multiply_adds: int  # all that this pipe executes
    rows: int  # row reads
    shared_cycles: int
    copies: int


def counted(blocks: dict[str, Block], path: list[str], copy_trips: float) -> Path:
    codes = [opcode(i) for label in path for i in blocks[label].code]
    # The loop that copies in pieces runs more than once.
    again = [
        label
        for label in path
        if label in blocks[label].next and any("LDGSTS" in i for i in blocks[label].code)
    ]
    more = sum(len(blocks[label].code) for label in again) * (copy_trips - 1)
    loads = Counter(c for c in codes if c.startswith("LDS"))
    work = [b for b in (blocks[label].code for label in path) if any("FFMA" in i for i in b)]
    rows = sum(opcode(i) == "LDS.64" for code in work for i in code)
    return Path(
        instructions=len(codes) + more,
        multiply_adds=sum(c.startswith(("FFMA", "FADD", "FMUL", "IMAD")) for c in codes),
        rows=rows,
        shared_cycles=2 * rows + loads.total() - rows,  # others: what all lanes read alike
        copies=sum(c.startswith(("UBLKCP", "LDGSTS")) for c in codes),
    )


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one warp and input."""

    least: Path
    most: Path

    # A block waits for the scheduler whose warp has most to do.
    def mean(self, field: str) -> float:
        least, most = float(getattr(self.least, field)), float(getattr(self.most, field))
        return least + (most - least) / SCHEDULERS


def costs(text: str, shape: Shape, copy_trips: float) -> dict[int, Cost]:
    """Return costs by how many rows two outputs are apart; 3: more, each from a stream of its own."""
    blocks = blocks_of(text)
    head, loop = main_loop(blocks)
    by_rows: dict[int, list[Path]] = {}
    for path in paths(blocks, head, loop):
        found = counted(blocks, path, copy_trips)
        by_rows.setdefault(found.rows, []).append(found)
    apart = {shape.rows + 1 + d: d for d in range(3)} | {2 * (shape.rows + 1): 3}
    out = {}
    for rows, d in apart.items():
        if rows not in by_rows:
            sys.exit(f"ShearSum: found no path that reads {rows} rows, expected one")
        ways = by_rows[rows]
        in_pieces = any(w.copies > 0 for w in ways) and "LDGSTS" in text
        least = min(
            (w for w in ways if w.copies > 0 or not in_pieces), key=lambda w: w.instructions
        )
        out[d] = Cost(least, max(ways, key=lambda w: w.instructions))
    return out


# ---- bounds -----------------------------------------------------------------------------------------------------
def bounds(card: Card, shape: Shape, cost: Cost, window_rows: float) -> dict[str, float]:
    """Return GUPS that each resource allows."""
    block_bytes = 4 * shape.columns * window_rows + 32 * shape.across + 16
    cycles = {
        "issue": cost.mean("instructions") / SCHEDULERS,
        "multiply-add": cost.mean("multiply_adds") * WARP / card.lanes,
        "shared memory": cost.mean("shared_cycles") + block_bytes / SHARED_BYTES / shape.warps,
    }
    return {
        name: card.processors * card.clock * shape.updates / count for name, count in cycles.items()
    }


def weighted(shares: dict[int, float], rates: dict[int, float]) -> float:
    """Return the rate of a mix: times add, not rates."""
    return 1 / sum(share / rates[min(d, 3)] for d, share in shares.items())


def nvdisasm() -> str:
    """Return the path of nvdisasm: on PATH, beside nvcc, or of the package index's wheel."""
    folders = [pathlib.Path(p).resolve().parent for p in [shutil.which("nvcc")] if p]
    spec = importlib.util.find_spec("nvidia")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folders += [p.parent for p in pathlib.Path(place).glob("*/bin/nvdisasm")]
    found = shutil.which("nvdisasm") or next(
        (str(f / "nvdisasm") for f in folders if (f / "nvdisasm").is_file()), None
    )
    if found is None:
        sys.exit(
            "nvdisasm: found none, expected it on PATH, beside nvcc or in this environment; "
            "pip install nvidia-cuda-nvdisasm"
        )
    return found


def machine_code(arch: str) -> dict[str, str]:
    """Return the text of each function of the pair."""
    if shutil.which("nvcc") is None:
        sys.exit("nvcc: found none, expected it on PATH; install a CUDA toolkit")
    with tempfile.TemporaryDirectory() as folder:
        cubin = pathlib.Path(folder) / "pair.cubin"
        source = ROOT / "cpp/projection/device_pair_cuda.cu"
        options = ["-std=c++20", "-O3", f"-I{ROOT / 'cpp'}", f"-arch={arch}", "-diag-suppress=554"]
        for command in (["nvcc", *options, "-cubin", str(source), "-o", str(cubin)],):
            subprocess.run(command, check=True)
        said = subprocess.run(
            [nvdisasm(), "-c", str(cubin)], capture_output=True, text=True, check=True
        ).stdout
    parts = re.split(r"^\.text\.(\S+):$", said, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def shear_sums(arch: str) -> dict[str, tuple[Shape, str]]:
    """Return shape and text of the sum, by direction."""
    out = {}
    for name, text in machine_code(arch).items():
        if found := KERNEL.search(name):
            numbers = [int(n) for n in re.findall(r"Li(\d+)E", found[1])]
            out["project" if found[2] == "1" else "backproject"] = (Shape(*numbers[:4]), text)
    if set(out) != {"project", "backproject"}:
        sys.exit(f"ShearSum: found {sorted(out)} in the code for {arch}, expected both directions")
    return out


def memory_bytes(direction: str, tilts: int) -> float:
    """Return bytes of memory for one update where every array passes through it once a launch."""
    return 4 / tilts if direction == "backproject" else 8 / CHUNK + 4 / tilts


def report(options: argparse.Namespace) -> list[str]:
    """Print the table; return what falls short."""
    short = []
    sums = {arch: shear_sums(arch) for arch in sorted({c.arch for c in CARDS.values()})}
    print(
        f"Tables of {options.tilts} tilts to +-{options.degrees:g} degrees, {options.lines} lines:"
    )
    for direction in ("backproject", "project"):
        shape = sums["sm_90"][direction][0]
        mix = table_mix(direction, shape, options.tilts, options.degrees, options.lines)
        rows = sum(mix.rows) / len(mix.rows)
        bytes_of_window = 4 * shape.columns * rows + 32 * shape.across + 16
        l2 = bytes_of_window / (shape.updates * shape.warps)
        memory = memory_bytes(direction, options.tilts)
        apart = ", ".join(f"{d}: {100 * s:.1f} %" for d, s in mix.shares().items())
        print(f"\n{direction}: outputs of a pair apart by rows {apart}")
        print(
            f"  windows of {rows:.1f} rows, most {max(mix.rows)}; outputs of blocks in use", end=" "
        )
        print(
            f"{100 * sum(mix.used) / len(mix.used):.0f} %; bytes/update: L2 {l2:.2f}, memory {memory:.2f}"
        )
        print("  card  apart  instructions  issue  multiply-add  shared memory  GUPS")
        for name, card in CARDS.items():
            rates = {}
            for d, cost in costs(sums[card.arch][direction][1], shape, rows / 32).items():
                each = bounds(card, shape, cost, rows)
                rates[d] = min(each.values())
                numbers = "  ".join(f"{v:8.0f}" for v in each.values())
                label = "more" if d == 3 else f"{d}"
                print(
                    f"  {name}  {label:>5}  {cost.mean('instructions'):12.1f}  {numbers}  {rates[d]:8.0f}"
                )
            total = weighted(mix.shares(), rates)
            print(
                f"  {name}    mix  {total:.0f} GUPS; memory would allow {card.memory / memory / 1e9:.0f}"
            )
            if total < card.wanted:
                short.append(f"{direction} on {name}: {total:.0f} GUPS, wanted {card.wanted:.0f}")
    return short


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tilts", type=int, default=41)
    parser.add_argument("--degrees", type=float, default=60.0)
    parser.add_argument("--lines", type=int, default=1024)
    if short := report(parser.parse_args()):
        sys.exit("\n".join(short))


if __name__ == "__main__":
    main()
