# SPDX-License-Identifier: BSD-3-Clause
"""What a reader has to say about a file: one record, told as an error, a warning or by `check`."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field
from os import PathLike, fspath
from typing import Any, Literal, NoReturn

from ..errors import CryolithWarning, FileFormatError, report_line

__all__ = ["Finding", "FindingError", "Notes", "fail"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found in a file.

    Attributes
    ----------
    level : "error", "warning" or "info"
        Whether work can go on, can go on but deserves a look, or is only being told.
    path, field, found, expected, do : str
        The file, the field in it, what stands there, what should, and what to do next; the last two
        are empty in information.
    """

    level: Literal["error", "warning", "info"]
    path: str
    field: str
    found: str
    expected: str
    do: str

    def __str__(self) -> str:
        if self.level == "info":
            return f"{self.path}: {self.field}: {self.found}"
        return report_line(self.path, self.field, self.found, self.expected, self.do)

    def to_mapping(self) -> dict[str, str]:
        """Return the parts by name, ready for JSON."""
        return asdict(self)


class FindingError(FileFormatError):
    """A :class:`FileFormatError` that still holds its parts, for `check` and for programs."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding

    def __reduce__(self) -> tuple[Any, ...]:
        return (FindingError, (self.finding,))


def fail(
    path: str | PathLike[str], field: str, found: object, expected: object, do: str
) -> NoReturn:
    """Raise the one form of a file error."""
    raise FindingError(
        Finding(
            level="error",
            path=_printable(path),
            field=field,
            found=str(found),
            expected=str(expected),
            do=do,
        )
    )


def _printable(path: str | PathLike[str]) -> str:
    """A path that stays on one line and can always be encoded (names may hold anything but NUL)."""
    text = fspath(path)
    encoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in encoded)


@dataclass
class Notes:
    """Collects facts and warnings while one file is read; told once, when reading has succeeded."""

    path: str
    facts: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def warn(self, field_name: str, found: object, expected: object, do: str) -> None:
        """Note something that deserves a look; ``path`` is the file that was asked for."""
        self._add("warning", field_name, found, expected, do)

    def info(self, field_name: str, found: object) -> None:
        """Note something worth knowing that asks for nothing."""
        self._add("info", field_name, found, "", "")

    def _add(
        self,
        level: Literal["warning", "info"],
        field_name: str,
        found: object,
        expected: object,
        do: str,
    ) -> None:
        finding = Finding(
            level=level,
            path=_printable(self.path),
            field=field_name,
            found=str(found),
            expected=str(expected),
            do=do,
        )
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def warning_lines(self) -> tuple[str, ...]:
        """The warnings, one line each."""
        return tuple(str(f) for f in self.findings if f.level == "warning")

    def tell(self, stacklevel: int = 3) -> None:
        """Issue each warning once through :mod:`warnings`."""
        for line in self.warning_lines:
            warnings.warn(line, CryolithWarning, stacklevel=stacklevel)
