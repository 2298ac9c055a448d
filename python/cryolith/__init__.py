# SPDX-License-Identifier: BSD-3-Clause
"""cryolith: from a raw electron-microscope tilt series to a table of what is in the specimen.

``import cryolith`` is quiet and quick: each stage is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import adapters, align, detect, files, metrics, projection, reconstruct, report, simulate
    from ._core import CancelToken
    from ._device_arrays import DeviceArray, from_dlpack, to_device
    from ._devices import devices
    from .datamodel import (
        Alignment,
        Covariance,
        Defects,
        LocalShifts,
        Provenance,
        Source,
        TiltSeries,
        Volume,
    )
    from .errors import (
        Cancelled,
        ConfigError,
        CryolithError,
        CryolithWarning,
        DeviceError,
        FileFormatError,
        InputError,
    )
    from .pipeline import plan, run

__all__ = [
    "Alignment",
    "CancelToken",
    "Cancelled",
    "ConfigError",
    "Covariance",
    "CryolithError",
    "CryolithWarning",
    "Defects",
    "DeviceArray",
    "DeviceError",
    "FileFormatError",
    "InputError",
    "LocalShifts",
    "Provenance",
    "Source",
    "TiltSeries",
    "Volume",
    "__version__",
    "adapters",
    "align",
    "detect",
    "devices",
    "files",
    "from_dlpack",
    "metrics",
    "plan",
    "projection",
    "reconstruct",
    "report",
    "run",
    "simulate",
    "to_device",
]

_STAGES = (
    "adapters", "align", "detect", "files", "metrics", "projection", "reconstruct", "report", "simulate"
)  # fmt: skip
_HOME = {
    **dict.fromkeys(
        (
            "Alignment",
            "Covariance",
            "Defects",
            "LocalShifts",
            "Provenance",
            "Source",
            "TiltSeries",
            "Volume",
        ),
        "datamodel",
    ),
    **dict.fromkeys(
        (
            "Cancelled",
            "ConfigError",
            "CryolithError",
            "CryolithWarning",
            "DeviceError",
            "FileFormatError",
            "InputError",
        ),
        "errors",
    ),
    "CancelToken": "_core",
    **dict.fromkeys(("DeviceArray", "from_dlpack", "to_device"), "_device_arrays"),
    # Not devices.py: importing a submodule of that name would put the module in the function's place.
    "devices": "_devices",
    "plan": "pipeline",
    "run": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _STAGES:
        return importlib.import_module(f".{name}", __name__)
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
