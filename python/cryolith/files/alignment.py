# SPDX-License-Identifier: BSD-3-Clause
"""Read and write alignments: our own JSON without loss, or the files of another program."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from ..datamodel import Alignment
from .alignments import Known, find_format, publish_files, read_foreign
from .alignments.imod import read_xf
from .alignments.known import check_known
from .alignments.own import alignment_to_dict, load_alignment
from .findings import Notes
from .opening import look

__all__ = ["read_alignment", "read_imod", "write_alignment", "write_imod"]


def write_alignment(
    path: str | os.PathLike[str],
    alignment: Alignment,
    *,
    format: str | None = None,
    known: Known | None = None,
    overwrite: bool = True,
) -> tuple[Path, ...]:
    """Write an alignment, whole or not at all: as JSON without loss, or in another program's form.

    JSON numbers are written with the digits that read back as the same float64; NaN becomes null. A
    source path that is absolute is kept as its file name, so that the same alignment gives the same
    bytes on every machine.

    Parameters
    ----------
    path : path
        The ending says the form: ``.json .xf .com .prexf .prexg .aln .star .tomostar .xml`` (docs/interchange.md).
    alignment : Alignment
    format : str, optional
        The form by name, where the ending does not say it: ``aretomo2``, ``etspy``, ``hyperspy``.
    known : Known, optional
        What the form asks for and the alignment does not hold: pixel size, size of the images, dose.
    overwrite : bool, default True

    Returns
    -------
    tuple of path
        The files that were written; the last is ``path``.

    Raises
    ------
    FileFormatError
        The folder is missing or not writable, a number is not finite, or the form needs what nobody has said.

    Warns
    -----
    CryolithWarning
        By name, each thing that the alignment has and the form cannot hold.
    """
    form, notes = find_format(path, format), Notes(os.fspath(path))
    files: Mapping[Path, str | bytes]
    if form is None:
        text = json.dumps(alignment_to_dict(alignment), indent=1, allow_nan=False) + "\n"
        files = {Path(path): text}
    else:
        check_known(alignment, known or Known(), notes)
        files = form.render(os.fspath(path), alignment, known or Known(), notes)
    publish_files(files, overwrite=overwrite)
    notes.tell()
    return tuple(files)


def read_alignment(
    path: str | os.PathLike[str], *, format: str | None = None, known: Known | None = None
) -> Alignment:
    """Read an alignment: our JSON, or a file of another program.

    Parameters
    ----------
    path : path
        The ending says the form, as in :func:`write_alignment`.
    format : str, optional
        The form by name, where the ending does not say it.
    known : Known, optional
        What the form leaves open: pixel size, size of the images, angles, tilt axis.

    Raises
    ------
    FileFormatError
        No such form, damaged, or something is missing that only the caller can know.

    Warns
    -----
    CryolithWarning
        By name, what the file has and an Alignment does not hold, or what was taken for want of better.
    """
    if not os.path.isfile(path):
        look(path, "an alignment file")
    form = find_format(path, format)
    if form is not None:
        return read_foreign(path, form, known or Known())
    notes = Notes(os.fspath(path))
    alignment = load_alignment(path, notes)
    notes.tell()
    return alignment


def read_imod(xf: str | os.PathLike[str], tlt: str | os.PathLike[str] | None = None) -> Alignment:
    """Read IMOD's ``.xf`` with its solved angles, which lie beside it unless ``tlt`` names them.

    Raises
    ------
    FileFormatError
        A file is missing or damaged, or the two have different numbers of lines.

    Warns
    -----
    CryolithWarning
        The transforms stretch or shear.
    """
    notes = Notes(os.fspath(xf))
    found = read_xf(os.fspath(xf), Known(), notes, tlt)
    notes.tell()
    return found


def write_imod(xf: str | os.PathLike[str], alignment: Alignment) -> None:
    """Write ``.xf`` and the files of angles beside it; flagged tilts are written as well.

    Raises
    ------
    FileFormatError
        The folder is missing or not writable, or a number is not finite.

    Warns
    -----
    CryolithWarning
        What ``.xf`` cannot hold.
    """
    write_alignment(xf, alignment, format="imod")
