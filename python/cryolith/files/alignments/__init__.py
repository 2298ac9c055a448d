# SPDX-License-Identifier: BSD-3-Clause
"""Alignments in the files of other programs, one module per program, and the one table of them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...datamodel import Alignment
from ...errors import ConfigError
from ..atomic import write_bytes, write_text
from ..findings import Notes, fail
from .aretomo import read_aln, render_aln2, render_aln3
from .imod import read_pre, read_xf, render_angles, render_pre, render_xf
from .imod_com import read_com, render_com
from .known import Known
from .relion import read_relion, render_relion
from .shifts import read_etspy, read_hyperspy, render_etspy, render_hyperspy
from .tomostar import read_tomostar, render_tomostar
from .warp import read_warp, render_warp

__all__ = ["FORMATS", "Format", "Known", "find_format", "publish_files", "read_foreign"]

Read = Callable[[str, Known, Notes], Alignment]
Render = Callable[[str, Alignment, Known, Notes], Mapping[Path, str | bytes]]


@dataclass(frozen=True)
class Format:
    """One form of alignment file.

    Attributes
    ----------
    name : str
        As ``format=`` and the command line take it.
    title : str
    suffixes : tuple of str
        Endings of a file's name that mean this form; empty where it has to be named.
    read, render : callable or None
        None where it cannot be read.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    read: Read | None
    render: Render


FORMATS: tuple[Format, ...] = (
    Format("imod", "IMOD .xf with .tlt and .xtilt", (".xf",), read_xf, render_xf),
    Format("imod-com", "IMOD tilt.com with its .xf, .tlt, .xtilt", (".com",), read_com, render_com),
    Format("imod-pre", "IMOD .prexf or .prexg", (".prexf", ".prexg"), read_pre, render_pre),
    Format("angles", "tilts alone", (".tlt", ".rawtlt", ".xtilt"), None, render_angles),
    Format("aretomo3", "AreTomo3 .aln", (".aln",), read_aln, render_aln3),
    Format("aretomo2", "AreTomo2 .aln", (), read_aln, render_aln2),
    Format("relion5", "RELION 5 star", (".star",), read_relion, render_relion),
    Format("warp", "Warp or M XML", (".xml",), read_warp, render_warp),
    Format("tomostar", "Warp .tomostar", (".tomostar",), read_tomostar, render_tomostar),
    Format("etspy", "shifts that ETSpy applies", (), read_etspy, render_etspy),
    Format("hyperspy", "shifts that HyperSpy estimates", (), read_hyperspy, render_hyperspy),
)


def find_format(path: str | os.PathLike[str], name: str | None = None) -> Format | None:
    """Return the form of a file, by its name where ``name`` is not given; None for our own JSON.

    Raises
    ------
    ConfigError
        No form of this name.
    FileFormatError
        The file's name does not say which form it is.
    """
    if name is not None:
        if name == "json":
            return None
        for form in FORMATS:
            if form.name == name:
                return form
        known = ", ".join(["json", *(f.name for f in FORMATS)])
        raise ConfigError(f"format: found {name!r}, expected one of {known}")
    suffix = Path(path).suffix.lower()
    for form in FORMATS:
        if suffix in form.suffixes:
            return form
    if suffix not in (".json", ""):
        ends = " ".join(s for f in FORMATS for s in f.suffixes)
        expected = f"one of .json {ends}"
        do = "name the format (shifts of ETSpy or HyperSpy have no ending of their own)"
        fail(path, "ending", repr(suffix), expected, do)
    return None


def read_foreign(path: str | os.PathLike[str], form: Format, known: Known) -> Alignment:
    """Read an alignment of another program, telling its warnings."""
    if form.read is None:
        expected = "a file that holds shifts too"
        fail(path, "format", form.title, expected, "give the .xf, the angles are found beside it")
    notes = Notes(os.fspath(path))
    found = form.read(os.fspath(path), known, notes)
    notes.tell(stacklevel=4)
    return found


def publish_files(files: Mapping[Path, str | bytes], *, overwrite: bool = True) -> None:
    """Write the files of one alignment, each whole or not at all, the one that was named last.

    Raises
    ------
    FileFormatError
        A file is there and may not be replaced, or cannot be written; nothing is written then.
    """
    folder = list(files)[-1].parent
    if not folder.is_dir():
        fail(folder, "folder", "no such folder", "an existing folder", "make it first")
    for path in files:
        if not overwrite and path.exists():
            fail(path, "file", "one of this name", "none", "give another name, or --overwrite")
    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)  # RELION's table lies in a folder of its own
        if isinstance(content, bytes):
            write_bytes(path, content)
        else:
            write_text(path, content)
