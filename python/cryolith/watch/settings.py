# SPDX-License-Identifier: BSD-3-Clause
"""Settings of the watch: what makes a tilt whole, a series complete, and an alert."""

from __future__ import annotations

from ..settings import setting, settings

__all__ = ["WatchSettings"]


@settings
class WatchSettings:
    """How to watch a folder; also the ``[watch]`` table of a job file. The defaults need no attention."""

    pattern: str = setting("*", "names of the files to look at, as in a shell: 'ts_*.mrc'")
    interval_s: float = setting(
        1.0, "time between two looks at the folder", unit="s", minimum=0.05, maximum=3600
    )
    stable_s: float = setting(
        1.0,
        "a file is taken when its size and time have stayed for so long",
        unit="s",
        minimum=0,
        maximum=3600,
    )
    patience_s: float = setting(
        30.0,
        "how long a whole image may wait for its angle, or a file make no sense, before it is said",
        unit="s",
        minimum=0,
        maximum=86400,
    )
    tilts: int | None = setting(
        None, "tilts of a complete series; default: what its files promise", minimum=1
    )
    idle_min: float = setting(
        10.0,
        "a series without a new tilt for so long is complete",
        unit="min",
        minimum=0,
        maximum=1e5,
    )
    binning: int = setting(
        0,
        "pixels binned for the live volume; 0 chooses images of at most 256 px",
        minimum=0,
        maximum=64,
    )
    blank: float = setting(
        0.3,
        "a tilt whose contrast, noise taken out, is below this share of that of the tilts beside it is blank",
        minimum=0,
        maximum=1,
    )
    jump: float = setting(
        0.25,
        "largest change of intensity against the trend with tilt, as a share of it",
        minimum=0.01,
        maximum=100,
    )
    drift: float | None = setting(
        None,
        "largest shift between successive tilts; default: by drift_field",
        unit="angstrom",
        minimum=0,
    )
    drift_field: float = setting(
        0.1, "largest shift between successive tilts, as a share of the image", minimum=0, maximum=1
    )
