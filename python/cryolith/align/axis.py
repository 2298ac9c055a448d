# SPDX-License-Identifier: BSD-3-Clause
"""The direction of the tilt axis: searched over half a turn, wherever it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .coarse import across_along, correlate_outward, frame
from .images import resample_images
from .joint import Model, Pose, dot, solve

__all__ = ["centred", "nearest_turn", "search_isolated", "search_slab", "uncut_rows"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_SCAN_STEP_DEG = 10.0
_SCAN_ITERATIONS = 12
_SCAN_RIDGE = 0.01
_CANDIDATES = 3
_SLOPE_ROUNDS = 6
_LATTICE = 1.15
_CUT = 0.1  # of the bright level: above it, a row that leaves the image cuts the specimen
_LEAST_OVERLAP = 0.4  # of the longest: correlations over fewer samples are not compared
_MANY_TILTS = 40  # beyond, every second one is enough to tell directions apart


@dataclass(frozen=True)
class _Rows:
    """Images in the frame of the axis, (n, v, u), and the rows seen whole in every one."""

    images: Float32
    good: npt.NDArray[np.bool_]

    def mass_centres(self) -> Float64:
        """Centre of mass across the axis of each good row of each image, (n, rows) [px]."""
        a = self.images[:, self.good].astype(np.float64)
        u = np.arange(a.shape[2]) - (a.shape[2] - 1) / 2
        mass = a.sum(axis=2)
        return np.where(mass > 0, (a * u).sum(axis=2) / np.where(mass > 0, mass, 1.0), 0.0)


def _rows(images: Float32, shifts: Float64, axis_deg: float, threads: int) -> _Rows:
    n, size = len(images), max(images.shape[1:])
    turned = resample_images(images, frame(axis_deg), shifts, (size, size), 0.0, threads)
    mass = turned.sum(axis=2, dtype=np.float64)
    usual = np.median(mass, axis=0)
    good = (np.min(mass, axis=0) > 0.5 * usual) & (usual > 0.15 * usual.max())
    if good.sum() < 3 or n < 3:
        good = usual >= np.sort(usual)[-3]
    return _Rows(turned, good)


def uncut_rows(turned: Float32, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which rows of images in the frame of the axis show all of the specimen that they cross, (n, rows).

    A row that leaves the image where there is specimen is cut: what is missing would look like a feature that
    stands still. ``inside`` (rows, columns) says where the turned frame lies in the image.
    """
    bright = np.percentile(turned, 99, axis=(1, 2))[:, None]
    columns = np.arange(inside.shape[1])
    seen = inside.any(axis=1)
    first = np.where(seen, np.argmax(inside, axis=1), 0)
    last = np.where(seen, columns[-1] - np.argmax(inside[:, ::-1], axis=1), 0)
    rows = np.arange(len(inside))
    ends = np.maximum(turned[:, rows, first], turned[:, rows, last])
    return np.asarray(seen & (ends < _CUT * bright))


def profile_shifts(profiles: Float64, valid: npt.NDArray[np.bool_], first: int) -> Float64:
    """Shifts (n,) [px] of profiles (n, m) against each other: first outward from one of them, then to the mean.

    Summed across the tilt axis, all projections of an isolated specimen are the same curve (the common line),
    moved by the shift along the axis. Slopes are compared, by their correlation over the samples that are
    ``valid`` in both: they need no level and weigh the features.
    """
    n, m = profiles.shape
    slopes = np.zeros((n, m))
    slopes[:, 1:-1] = (profiles[:, 2:] - profiles[:, :-2]) / 2
    seen = valid.copy()
    seen[:, 1:-1] &= valid[:, 2:] & valid[:, :-2]
    seen[:, [0, -1]] = False
    spectra = np.fft.rfft(np.stack([slopes * seen, slopes**2 * seen, seen]), 2 * m, axis=2)
    frequency = np.fft.rfftfreq(2 * m)
    shifts = np.zeros(n)
    lags = np.arange(-(m // 2), m // 2 + 1)

    def peak(total: npt.NDArray[np.complex128], i: int) -> float:
        """Lag of the greatest correlation of profile i with a sum of others that are where they belong."""
        product = np.fft.irfft(np.conj(total[[0, 1, 2, 2]]) * spectra[[0, 2, 1, 2], i], 2 * m)
        cross, here, there, count = product[:, lags]
        if count.max() < 3:
            return 0.0
        # Between a covariance and a correlation: one end of a particle is like one end of another.
        power = np.maximum(here * there, 1e-6 * here.max() * there.max() + 1e-30)
        likeness = np.where(count < _LEAST_OVERLAP * count.max(), -1.0, cross / power**0.25)
        best = int(np.argmax(likeness))
        before, top, after = likeness[np.clip([best - 1, best, best + 1], 0, len(lags) - 1)]
        bend = before - 2 * top + after
        return float(lags[best]) + (0.5 * float((before - after) / bend) if bend < 0 else 0.0)

    def back(i: int) -> npt.NDArray[np.complex128]:
        return np.asarray(spectra[:, i] * np.exp(2j * np.pi * frequency * shifts[i]))

    order = np.argsort(np.abs(np.arange(n) - first), kind="stable")
    total = spectra[:, first].copy()
    for i in order[1:]:
        shifts[i] = peak(total, int(i))
        total += back(int(i))
    for _ in range(2):
        for i in order:
            shifts[i] = peak(total - back(int(i)), int(i))
        total = sum((back(i) for i in range(n)), np.zeros_like(total))
    return shifts


def centred(
    images: Float32, shifts: Float64, axis_deg: float, threads: int, *, along: bool = True
) -> Float64:
    """Shifts that bring the centre of mass of an isolated specimen onto the axis in every image.

    Parallel projection moves the centre of mass on a cos + b sin of the tilt, which is the specimen's place:
    with its mass in view, the centre tells the shift across the axis outright. With ``along`` the shift along
    the axis comes from the common line. Images must be in the order of their tilts.
    """
    if along:
        raw = _rows(images, np.zeros_like(shifts), axis_deg, threads).images
        everywhere = np.ones((1, *images.shape[1:]), np.float32)
        inside = _rows(everywhere, np.zeros((1, 2)), axis_deg, threads).images[0] > 0.5
        profiles = raw.sum(axis=2, dtype=np.float64)
        vu = across_along(shifts, axis_deg)
        vu[:, 0] = profile_shifts(profiles, uncut_rows(raw, inside), len(images) // 2)
        shifts = vu @ frame(axis_deg).T
    rows = _rows(images, shifts, axis_deg, threads)
    a = rows.images[:, rows.good].sum(axis=1, dtype=np.float64)
    u = np.arange(a.shape[1]) - (a.shape[1] - 1) / 2
    mass = a.sum(axis=1)
    centre = np.where(mass > 0, (a * u).sum(axis=1) / np.where(mass > 0, mass, 1.0), 0.0)
    size = a.shape[1] / 2
    move = np.c_[np.zeros(len(images)), np.clip(centre, -size, size)]
    return np.asarray(shifts + move @ frame(axis_deg).T)


def straighten(
    images: Float32, angles_deg: Float64, shifts: Float64, axis_deg: float, threads: int
) -> tuple[Float64, float]:
    """Turn the axis until the centre of mass of no row keeps a part that does not move with tilt.

    In the right frame the centre of row v runs on a(v) cos + b(v) sin of the tilt; an axis that is off by d
    adds the constant -v tan(d).
    """
    t = np.deg2rad(angles_deg)
    basis = np.c_[np.ones(len(t)), np.cos(t), np.sin(t)]
    for _ in range(_SLOPE_ROUNDS):
        shifts = centred(images, shifts, axis_deg, threads)
        rows = _rows(images, shifts, axis_deg, threads)
        v = np.flatnonzero(rows.good) - (len(rows.good) - 1) / 2
        constant = np.linalg.lstsq(basis, rows.mass_centres(), rcond=None)[0][0]
        weight = np.sqrt(np.median(rows.images[:, rows.good].sum(axis=2), axis=0).clip(min=0))
        slope = float(np.polyfit(v, constant, 1, w=weight)[0])
        turn = -float(np.clip(np.rad2deg(np.arctan(slope)), -5, 5))
        axis_deg += turn
        if abs(turn) < 0.01:
            break
    return shifts, axis_deg


def isolated_model(
    images: Float32,
    angles_deg: Float64,
    ridge: float,
    threads: int,
    cancel: _core.CancelToken | None,
) -> Model:
    """A model of an isolated specimen in a cylinder as wide as the images, for comparing axes."""
    size = max(images.shape[1:])
    z, x = np.mgrid[:size, :size] - (size - 1) / 2
    support = (np.hypot(z, x) < size / 2).astype(np.float32)[:, None]
    return Model(
        images=images,
        angles_deg=angles_deg,
        shape=(size, 2 * size, size),  # along: a diagonal, and the shifts
        support=support,
        weights=np.ones((len(images), 1, 1), np.float32),
        ridge=ridge,
        threads=threads,
        cancel=cancel,
    )


def search_isolated(
    images: Float32,
    angles_deg: Float64,
    shifts: Float64,
    given: float | None,
    threads: int,
    cancel: _core.CancelToken | None,
) -> tuple[float, Float64, str]:
    """Find the axis of an isolated specimen; returns it, shifts centred on it, and how it was found."""
    if given is not None:
        return given, centred(images, shifts, given, threads), "axis: given"
    whole = isolated_model(images, angles_deg, _SCAN_RIDGE, threads, cancel)
    part = slice(None, None, 2 if len(images) >= _MANY_TILTS else 1)
    model = whole.subset(part)

    def misfit(axis_deg: float, at: Float64) -> float:
        pose = Pose.of_shifts(at[part], axis_deg)
        residual = solve(model, pose, None, _SCAN_ITERATIONS).residual
        size = dot(model.images, model.images)
        return float(np.sqrt(dot(residual, residual) / max(size, 1e-30)))

    scan = np.arange(0.0, 180.0, _SCAN_STEP_DEG)
    misfits = np.array([misfit(a, centred(images, shifts, a, threads)) for a in scan])
    lower = (misfits <= np.roll(misfits, 1)) & (misfits <= np.roll(misfits, -1))
    candidates = scan[lower][np.argsort(misfits[lower], kind="stable")][:_CANDIDATES]
    results = []
    for candidate in candidates:
        at = centred(images, shifts, float(candidate), threads)
        rough = (misfit(float(candidate), at), float(candidate), at)
        at, axis = straighten(images, angles_deg, shifts, float(candidate), threads)
        fine = (misfit(axis, at), axis, at)
        # Between two lattices of pixels the misfit is off by some percent; centres of mass are not.
        results.append(fine if fine[0] <= _LATTICE * rough[0] else rough)
    best = min(results, key=lambda r: r[0])
    others = [r[0] for r in results if abs(nearest_turn(r[1], best[1]) - best[1]) > _SCAN_STEP_DEG]
    rival = f", next best {min(others):.3g}" if others else ""
    return (
        best[1],
        best[2],
        (
            f"axis: least misfit of low-resolution reconstructions over 0-180 deg ({best[0]:.3g}{rival}), "
            "then the centre of mass of each row"
        ),
    )


def search_slab(
    images: Float32,
    angles_deg: Float64,
    given: float | None,
    max_shift: float,
    threads: int,
    cancel: _core.CancelToken | None,
) -> tuple[float, Float64, Float64, str]:
    """Find the axis of a slab: the direction in which a cosine stretch makes neighbours most alike."""
    if given is not None:
        shifts, peaks = correlate_outward(images, angles_deg, given, max_shift, threads, cancel)
        return given, shifts, peaks, "axis: given"

    def likeness(axis_deg: float) -> float:
        peaks = correlate_outward(images, angles_deg, axis_deg, max_shift, threads, cancel)[1]
        return float(peaks.mean())

    scan = np.arange(0.0, 180.0, _SCAN_STEP_DEG)
    best = float(scan[np.argmax([likeness(a) for a in scan])])
    for step in (_SCAN_STEP_DEG / 2, _SCAN_STEP_DEG / 4, _SCAN_STEP_DEG / 8):
        values = [likeness(best + d) for d in (-step, 0.0, step)]
        best += step * (int(np.argmax(values)) - 1)
    shifts, peaks = correlate_outward(images, angles_deg, best, max_shift, threads, cancel)
    return (
        best,
        shifts,
        peaks,
        "axis: greatest correlation of cosine-stretched neighbours over 0-180 deg",
    )


def nearest_turn(axis_deg: float, wanted: float) -> float:
    """Return ``axis_deg`` moved by whole half turns to lie nearest to ``wanted``."""
    return axis_deg - 180.0 * round((axis_deg - wanted) / 180.0)


def moved_along(shifts: Float64, axis_deg: float) -> float:
    """Range of the shifts along the axis [px]: the volume is longer than an image by it."""
    return float(np.ptp(across_along(shifts, axis_deg)[:, 0]))
