# SPDX-License-Identifier: BSD-3-Clause
"""Settings of the tilt-series alignment."""

from __future__ import annotations

from typing import Literal

from ..errors import ConfigError
from ..settings import setting, settings

__all__ = ["AlignSettings"]


@settings
class AlignSettings:
    """How to align a tilt series; the defaults need no attention."""

    specimen: Literal["auto", "slab", "particle"] = setting(
        "auto",
        "slab: fills the images at every tilt; particle: isolated across the tilt axis (needles too)",
    )
    tilt_axis: float | None = setting(
        None, "in-plane angle of the tilt axis to start from; searched when not given", unit="deg"
    )
    refine_axis: bool = setting(True, "refine the angle of the tilt axis")
    refine_magnification: bool = setting(
        True, "refine the magnification of each image; kept only if held-out tilts gain"
    )
    refine_rotation: bool = setting(
        True, "refine an in-plane rotation of each image; kept only if held-out tilts gain"
    )
    binning: int = setting(
        0,
        "pixels binned for the last refinement; 0 chooses about 128 px images",
        minimum=0,
        maximum=64,
    )
    iterations: int = setting(4, "rounds of refinement at each binning", minimum=0, maximum=50)
    max_shift: float | None = setting(
        None, "largest shift to look for; half of the image when not given", unit="px", minimum=1
    )
    beads: Literal["auto", "yes", "no"] = setting(
        "auto",
        "align on beads: if enough are found, always, or never; a fixed axis leaves them out",
    )
    bead_diameter: float | None = setting(
        None, "diameter of the beads, to 15 %; found when not given", unit="angstrom", minimum=0
    )
    level: Literal["auto", "no"] = setting(
        "auto",
        "lay a slab level in the volume: find its tilt offset, x-tilt, height and thickness, or leave it as it is",
    )
    local: Literal["no", "auto", "yes"] = setting(
        "no",
        "local shifts, kept only if left-out patches gain: never sought, sought where patches ask for them, or always",
    )
    exclude: tuple[int, ...] = setting((), "images to leave out, counted from 0")

    def check(self) -> None:
        """Refuse what the ranges cannot say."""
        if any(i < 0 for i in self.exclude):
            raise ConfigError(
                f"exclude: found {min(self.exclude)}, expected image numbers counted from 0"
            )
        if self.tilt_axis is not None and not -360 <= self.tilt_axis <= 360:
            raise ConfigError(f"tilt_axis: found {self.tilt_axis}, expected -360 to 360 deg")
