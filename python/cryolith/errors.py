# SPDX-License-Identifier: BSD-3-Clause
"""Every exception and warning that cryolith raises, in one place.

One form for all messages: what it is about, what was found, what was expected, what to do next.
"""

from __future__ import annotations

from os import PathLike, fspath

__all__ = [
    "Cancelled",
    "ConfigError",
    "CryolithError",
    "CryolithWarning",
    "DeviceError",
    "FileFormatError",
    "InUseError",
    "InputError",
    "report_line",
]


class CryolithError(Exception):
    """Base of all errors that cryolith raises on purpose."""


class InputError(CryolithError, ValueError):
    """An argument cannot be used: wrong shape, value or combination."""


class InUseError(InputError):
    """Another run is writing where this one should; later it may have ended."""


class ConfigError(InputError):
    """A setting is unknown or its value is out of range."""


class FileFormatError(InputError):
    """A file cannot be read as what it should be."""


class DeviceError(CryolithError, RuntimeError):
    """A device is missing or has failed."""


class Cancelled(CryolithError):  # noqa: N818 - what happened, not an error
    """The caller asked the work to stop."""


class CryolithWarning(UserWarning):
    """Work goes on, but the result deserves a look."""


def report_line(
    path: str | PathLike[str], field: str, found: object, expected: object, do: str
) -> str:
    """The one form of a file error or warning: ``path: field: found ..., expected ...; what to do``."""
    return f"{fspath(path)}: {field}: found {found}, expected {expected}; {do}"
