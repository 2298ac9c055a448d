# SPDX-License-Identifier: BSD-3-Clause
"""Machine code of the CUDA kernels, and every way through a loop of it; for the other tools here."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
# As in cpp/reconstruct/CMakeLists.txt.
OPTIONS_OF = {"device_steps_cuda.cu": ["-fmad=false"]}


def compile_kernels(source: pathlib.Path, arch: str, out: pathlib.Path, *options: str) -> str:
    """Compile a source file's kernels into a cubin; return what the compiler said."""
    if shutil.which("nvcc") is None:
        sys.exit("nvcc: found none, expected it on PATH; install a CUDA toolkit")
    fixed = ["-std=c++20", "-O3", f"-I{ROOT / 'cpp'}", f"-arch={arch}", "-diag-suppress=554"]
    fixed += OPTIONS_OF.get(source.name, [])
    command = ["nvcc", *fixed, *options, "-cubin", str(source), "-o", str(out)]
    said = subprocess.run(command, capture_output=True, text=True)
    if said.returncode:
        sys.exit(said.stderr)
    return said.stderr


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


def machine_code(source: pathlib.Path, arch: str) -> dict[str, str]:
    """Return the text of each function of a source file."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = pathlib.Path(folder) / "kernels.cubin"
        compile_kernels(source, arch, cubin)
        command = [nvdisasm(), "-c", str(cubin)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^\.text\.(\S+):$", said, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


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
