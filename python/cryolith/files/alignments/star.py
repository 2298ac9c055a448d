# SPDX-License-Identifier: BSD-3-Clause
"""STAR files as RELION and Warp write them: named blocks of one loop, or of single values, one row a line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from ..angles import parse_number, split_lines
from ..findings import fail

__all__ = ["Block", "numbers", "parse_star", "render_block"]

Float64 = npt.NDArray[np.float64]
Block = dict[str, list[str]]

_TOKEN = re.compile(r"""'([^']*)'(?=\s|$)|"([^"]*)"(?=\s|$)|(\S+)""")


def parse_star(text: str, path: str) -> dict[str, Block]:
    """Parse the blocks of a STAR file: name without ``data_`` to columns without ``_``.

    Raises
    ------
    FileFormatError
        By line: a row with another number of values than columns, a column twice, text over several lines.
    """
    blocks: dict[str, Block] = {}
    block: Block | None = None
    columns: list[str] | None = None  # of the loop that is open
    rows = 0
    for number, line in enumerate(split_lines(text), 1):
        words = _words(line)
        if not words:
            columns = None if rows else columns
            continue
        if words[0].lower().startswith("data_"):
            name = words[0][5:]
            if name in blocks:
                _bad(path, number, f"block {words[0]!r} twice", "each name once")
            block, columns, rows = blocks.setdefault(name, {}), None, 0
        elif block is None:
            _bad(path, number, repr(line.strip()[:60]), "data_ and the name of a block first")
        elif words[0].lower() == "loop_":
            columns, rows = [], 0
        elif words[0].startswith("_"):
            name = words[0][1:]
            if name in block:
                _bad(path, number, f"column {name} twice", "each once in a block")
            if columns is None or rows:
                block[name] = words[1:2]
                columns = None
            else:
                columns.append(name)
                block[name] = []
        else:
            if not columns or len(words) != len(columns):
                expected = f"{len(columns or ())} values, one a column"
                _bad(path, number, f"{len(words)} values", expected)
            rows += 1
            for name, word in zip(columns, words, strict=True):
                block[name].append(word)
    return blocks


def _words(line: str) -> list[str]:
    words = []
    for match in _TOKEN.finditer(line):
        if match.group(0).startswith("#"):
            break
        words.append(next(g for g in match.groups() if g is not None))
    return words


def _bad(path: str, number: int, found: str, expected: str) -> NoReturn:
    fail(path, f"STAR, line {number}", found, expected, "check that this is a STAR file")


def numbers(path: str, block: Block, name: str) -> Float64:
    """Return a column as finite numbers.

    Raises
    ------
    FileFormatError
        No such column, or a value that is none, by row.
    """
    if name not in block:
        listed = ", ".join(sorted(block)[:12]) or "none"
        fail(
            path,
            name,
            f"the columns {listed}",
            "this column",
            "give a file that holds an alignment",
        )
    values = [parse_number(v) for v in block[name]]
    for row, (value, text) in enumerate(zip(values, block[name], strict=True), 1):
        if value is None or not np.isfinite(value):
            fail(path, f"{name}, row {row}", repr(text), "a finite number", "repair the file")
    return np.array(values, np.float64)


def render_block(name: str, columns: Mapping[str, Sequence[str]]) -> str:
    """Write one loop, its columns aligned."""
    table = {
        c: [f'"{v}"' if " " in v or not v or v[0] == "#" else v for v in columns[c]]
        for c in columns
    }
    names = list(table)
    widths = [max((len(v) for v in table[c]), default=0) for c in names]
    lines = [f"data_{name}", "", "loop_"]
    lines += [f"_{c} #{i}" for i, c in enumerate(names, 1)]
    for row in zip(*table.values(), strict=True):
        lines.append(" ".join(f"{v:>{w}}" for v, w in zip(row, widths, strict=True)))
    return "\n".join(lines) + "\n\n"
