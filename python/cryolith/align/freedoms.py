# SPDX-License-Identifier: BSD-3-Clause
"""What else than shifts may differ between tilts: tried, and kept where held-out tilts are predicted better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from .joint import Model, Pose, dot, drifts, refine, solve
from .quality import hold_out

__all__ = ["Freedoms", "try_drift", "try_freedoms"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# A drift that is smooth in tilt needs few numbers; what is left of it is tried tilt by tilt.
_SMOOTH = 4
_ROUNDS = 3
# Without any drift held-out tilts gained up to 0.6 %; a magnification by 0.5 px a degree at the edge gained 20 %
# (design/013-joint-alignment.md).
_LEAST_GAIN = 0.02
_WORDS = {
    "magnifications": "magnification",
    "rotations_deg": "rotation",
}


@dataclass(frozen=True, kw_only=True)
class Freedoms:
    """The pose with what was kept, what of it stays free (name to basis), and what to tell."""

    pose: Pose
    free: Mapping[str, Float64] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def scaled(self, factor: float) -> Freedoms:
        """Return the same for images with ``factor`` times as many pixels along each edge."""
        return replace(self, pose=self.pose.scaled(factor))


def try_drift(model: Model, known: Freedoms, density: Float32, iterations: int) -> Freedoms:
    """Try a magnification that drifts smoothly: before the axis is refined, which follows it."""
    basis = drifts(len(known.pose.shifts_px), _SMOOTH)
    return _tried(model, known, {"magnifications": basis}, density, iterations)


def try_freedoms(
    model: Model, known: Freedoms, names: tuple[str, ...], density: Float32, iterations: int
) -> Freedoms:
    """Try what ``names`` lists, each smooth in tilt first and then tilt by tilt; ``density`` is that of the pose."""
    n = len(known.pose.shifts_px)
    everything = {name: drifts(n, n - 1) for name in names}
    if not names or not _promising(model, known, everything, density, iterations):
        return known
    for name in names:
        for count in (_SMOOTH, n - 1):
            known = _tried(model, known, {name: drifts(n, count)}, density, iterations)
            if name not in known.free:
                break
    return known


def _promising(
    model: Model,
    known: Freedoms,
    more: Mapping[str, Float64],
    density: Float32,
    iterations: int,
) -> bool:
    """Whether ``more`` gains enough on the tilts that are fitted: held-out ones cannot gain more."""
    sizes = []
    for free in (known.free, {**known.free, **more}):
        residual = solve(model, known.pose, density, iterations // 2, free).residual
        sizes.append(np.sqrt(dot(residual, residual)))
    return bool(sizes[1] < (1 - _LEAST_GAIN) * sizes[0])


def _tried(
    model: Model,
    known: Freedoms,
    more: Mapping[str, Float64],
    density: Float32,
    iterations: int,
) -> Freedoms:
    """Add ``more`` to what is free if that predicts held-out tilts better by more than chance does."""
    if not _promising(model, known, more, density, iterations):
        return known
    ((name, basis),) = more.items()
    with_it = {**known.free, **more}
    poses = [
        refine(model, known.pose, rounds=_ROUNDS, iterations=iterations, start=density, free=free)[
            0
        ]
        for free in (known.free, with_it)
    ]
    without, score = (hold_out(model, pose, iterations) for pose in poses)
    kept = score < (1 - _LEAST_GAIN) * without
    each = "each tilt" if basis.shape[1] == len(basis) - 1 else "a smooth drift"
    told = (
        f"{_WORDS[name]} ({each}): {'kept' if kept else 'dropped'}, held-out residual {without:.4g} without, "
        f"{score:.4g} with"
    )
    known = replace(known, notes=(*known.notes, told))
    return replace(known, pose=poses[1], free=with_it) if kept else known
