# SPDX-License-Identifier: BSD-3-Clause
"""Registration of turned, scaled and stretched images beside other programs, and of volumes beside the floor.

Run by ``python -m benchmarks.peers.register turned`` (``volumes``). Scenes are Gaussians, which any affine transform
maps exactly. The floor is the Cramer-Rao bound of design/016-transforms.md, eq. 6: information of shifts per pixel, of
the mean count's noise, summed over the pixels that both images show.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from benchmarks.tables import write_table

from cryolith.align import Registration, register, register_volumes
from cryolith.align.displacement import basis
from cryolith.projection import rotation_matrix

Array = npt.NDArray[np.floating]
Placed = tuple[Array, Array]  # matrix and shift, (row, column), from the centre

LOST_PX = 2.0


class Gaussians:
    """Widths of 1.2 to 8 px, mean 1, contrast 0.15."""

    def __init__(self, edge: int, axes: int, rng: np.random.Generator) -> None:
        self.shape = (edge,) * axes
        count = edge**2 // 30 if axes == 2 else edge**3 // 300
        self.places = rng.uniform(-0.75 * edge, 0.75 * edge, (count, axes))
        self.widths = np.exp(rng.uniform(np.log(1.2), np.log(8), count))
        self.heights = rng.normal(size=count) * self.widths**0.2
        self.scale = 1.0
        plain = self.view(np.eye(axes), np.zeros(axes)) - 1
        self.scale = float(0.15 / plain.std())
        self.plain = 1 + self.scale * plain

    def view(self, matrix: Array, shift: Array) -> Array:
        out = np.zeros(self.shape)
        widths = self.widths * abs(np.linalg.det(matrix)) ** (1 / len(matrix))
        places = self.places @ matrix.T + shift + (self.shape[0] - 1) / 2
        for at, width, height in zip(places, widths, self.heights, strict=True):
            low = np.maximum(0, np.floor(at - 4.5 * width)).astype(int)
            high = np.minimum(self.shape, np.ceil(at + 4.5 * width) + 1).astype(int)
            if (high <= low).any():
                continue
            lines = [
                np.exp(-((np.arange(i, j) - x) ** 2) / (2 * width**2))
                for i, j, x in zip(low, high, at, strict=True)
            ]
            part = height * lines[0]
            for line in lines[1:]:
                part = part[..., None] * line
            out[tuple(slice(i, j) for i, j in zip(low, high, strict=True))] += part
        return 1 + self.scale * out


def floor(scene: Array, noise: float, matrix: Array, shift: Array, model: str) -> Array:
    """Return the covariance bound of a displacement (d (1 + d), d (1 + d)) for white noise of this variance."""
    d, shape = scene.ndim, scene.shape
    window = np.ones(shape)
    for axis, n in enumerate(shape):
        t = np.minimum(np.arange(n) + 0.5, n - 0.5 - np.arange(n)) / (0.05 * n)
        edge = 0.5 - 0.5 * np.cos(np.pi * np.clip(t, 0, 1))
        window *= edge.reshape([-1 if k == axis else 1 for k in range(d)])
    power = np.abs(np.fft.fftn((scene - scene.mean()) * window)) ** 2 / (window**2).sum()
    f = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    ring = np.rint(np.sqrt(sum(q**2 for q in f)) * max(shape)).astype(int)
    ratio = (np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel()))[ring] / noise
    worth = (2 * np.pi) ** 2 * ratio**2 / (1 + 2 * ratio) / scene.size
    density = np.array([[(worth * p * q).sum() for q in f] for p in f])
    points = np.array(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))
    seen = np.einsum("ij,j...->i...", matrix, points) + shift.reshape([-1] + [1] * d)
    both = (np.abs(seen) <= (max(shape) - 1) / 2).all(axis=0)
    terms = np.array([np.ones(both.sum()), *points[:, both]])
    information = np.einsum("ij,mn->imjn", density, terms @ terms.T).reshape(d * (1 + d), -1)
    directions = basis(model, d)
    return directions.T @ np.linalg.inv(directions @ information @ directions.T) @ directions


def summary(covariance: Array) -> Array:
    """Return sigmas of the shift [px], the rotation [deg] and the magnification from that of a displacement."""
    d = int(np.sqrt(len(covariance)))
    index = np.arange(d * (1 + d)).reshape(d, 1 + d)
    shift = np.trace(covariance[np.ix_(index[:, 0], index[:, 0])])
    stretch = np.zeros(d * (1 + d))
    stretch[[index[i, 1 + i] for i in range(d)]] = 1 / d
    turns = 0.0
    for i in range(d):
        for j in range(i + 1, d):
            one = np.zeros(d * (1 + d))
            one[index[i, 1 + j]], one[index[j, 1 + i]] = 0.5, -0.5
            turns += one @ covariance @ one
    return np.array(
        [np.sqrt(shift), np.degrees(np.sqrt(turns)), np.sqrt(stretch @ covariance @ stretch)]
    )


def displacement(found: Placed, truth: Placed) -> Array:
    """Return how far ``found`` is from ``truth``, seen from the first image, (d, 1 + d)."""
    back = np.linalg.inv(truth[0])
    return np.column_stack([back @ (found[1] - truth[1]), back @ found[0] - np.eye(len(back))])


def errors(found: Placed, truth: Placed) -> Array:
    """Return shift [px], rotation [deg] and magnification of a displacement."""
    e = displacement(found, truth)
    d = len(e)
    stretch = e[:, 1:]
    turn = np.degrees(np.linalg.norm(stretch - stretch.T) / np.sqrt(8))
    return np.array([np.linalg.norm(e[:, 0]), turn, np.trace(stretch) / d])


def by_cryolith(model: str) -> Callable[[Array, Array], Registration]:
    return lambda a, b: register(a, b, model=model, threads=1)  # type: ignore[arg-type]


def by_pystackreg(model: str) -> Callable[[Array, Array], Placed]:
    from pystackreg import StackReg

    kind = {
        "rigid": StackReg.RIGID_BODY,
        "similarity": StackReg.SCALED_ROTATION,
        "affine": StackReg.AFFINE,
    }[model]

    def run(a: Array, b: Array) -> Placed:
        return _centred(StackReg(kind).register(a, b), a.shape)

    return run


def _centred(affine: Array, shape: tuple[int, ...]) -> Placed:
    """From a map of (x, y, 1), pixels from the first, to one of (row, column) from the centre."""
    matrix = affine[:2, :2][::-1, ::-1]
    middle = (np.array(shape) - 1) / 2
    return matrix, matrix @ middle + affine[:2, 2][::-1] - middle


def by_simple_itk(model: str) -> Callable[[Array, Array], Placed]:
    import SimpleITK as sitk  # noqa: N813

    make = {
        "rigid": sitk.Euler2DTransform,
        "similarity": sitk.Similarity2DTransform,
        "affine": lambda: sitk.AffineTransform(2),
    }[model]
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def run(a: Array, b: Array) -> Placed:
        fixed, moving = (sitk.GetImageFromArray(v.astype(np.float32)) for v in (a, b))
        start = sitk.CenteredTransformInitializer(
            fixed, moving, make(), sitk.CenteredTransformInitializerFilter.GEOMETRY
        )
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsCorrelation()
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 300)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel([8, 4, 2, 1])
        method.SetSmoothingSigmasPerLevel([4, 2, 1, 1])
        method.SetInitialTransform(start)
        done = method.Execute(fixed, moving)
        ends = np.array([done.TransformPoint(p) for p in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))])
        return _centred(np.column_stack([ends[1] - ends[0], ends[2] - ends[0], ends[0]]), a.shape)

    return run


def by_imreg_dft(model: str) -> Callable[[Array, Array], Placed]:
    import imreg_dft

    def run(a: Array, b: Array) -> Placed:
        # Under a window and told that the turn is small: without, it finds no shift and takes images for upside down.
        window = np.outer(*(np.hanning(n) for n in a.shape))
        a, b = (window * (v - v.mean()) for v in (a, b))
        known = {"angle": (0.0, 10.0)} | ({"scale": (1.0, 0.0)} if model == "rigid" else {})
        found = imreg_dft.similarity(a, b, numiter=3, constraints=known)
        # It says how to bring b onto a.
        turn = np.deg2rad(found["angle"])
        c, s = np.cos(turn), np.sin(turn)
        onto = found["scale"] * np.array([[c, -s], [s, c]])
        matrix = np.linalg.inv(onto)
        return matrix, -matrix @ np.asarray(found["tvec"])

    return run


def by_scikit_image(model: str) -> Callable[[Array, Array], Placed]:
    """scikit-image's example of log-polar registration, and the shift of the turned image, half turns tried."""
    from scipy.ndimage import affine_transform
    from skimage.filters import difference_of_gaussians, window
    from skimage.registration import phase_cross_correlation
    from skimage.transform import warp_polar

    def run(a: Array, b: Array) -> Placed:
        n = min(a.shape)
        spectra = []
        for v in (a, b):
            filtered = difference_of_gaussians(v, 1, 20) * window("hann", v.shape)
            magnitude = np.abs(np.fft.fftshift(np.fft.fft2(filtered)))
            polar = warp_polar(
                magnitude, radius=n // 8, output_shape=(720, n), scaling="log", order=0
            )
            spectra.append(polar[:360])
        moved = phase_cross_correlation(*spectra, upsample_factor=10, normalization=None)[0]
        turn, growth = np.deg2rad(-moved[0] / 2), np.exp(moved[1] * np.log(n // 8) / n)
        growth = 1.0 if model == "rigid" else growth
        middle = (np.array(a.shape) - 1) / 2
        best: tuple[float, Placed] | None = None
        for half in (0.0, np.pi):
            c, s = np.cos(turn + half), np.sin(turn + half)
            matrix = growth * np.array([[c, s], [-s, c]])
            back = affine_transform(b, matrix, middle - matrix @ middle, order=1, mode="nearest")
            shift, error, _ = phase_cross_correlation(
                a, back, upsample_factor=20, normalization=None
            )
            if best is None or error < best[0]:
                best = float(error), (matrix, -matrix @ shift)
        assert best is not None
        return best[1]

    return run


PEERS = {
    "pystackreg": by_pystackreg,
    "SimpleITK": by_simple_itk,
    "imreg_dft": by_imreg_dft,
    "scikit-image": by_scikit_image,
}


def drawn(chosen: argparse.Namespace, rng: np.random.Generator) -> Placed:
    turn = np.deg2rad(rng.uniform(-chosen.turn, chosen.turn))
    growth = 1.0 if chosen.model == "rigid" else np.exp(rng.uniform(-1, 1) * np.log(chosen.scale))
    matrix = growth * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    if chosen.model == "affine":
        matrix = matrix @ (np.eye(2) + rng.normal(0, 0.01, (2, 2)))
    return matrix, rng.uniform(-chosen.shift, chosen.shift, 2) * chosen.edge


def images(chosen: argparse.Namespace) -> None:
    """Pairs of turned images at each dose."""
    names = (
        []
        if chosen.peer_pairs == 0
        else [p for p in PEERS if chosen.model != "affine" or p in AFFINE]
    )
    programs: dict[str, Callable[[Array, Array], Registration | Placed]] = {
        "cryolith": by_cryolith(chosen.model),
        **{name: PEERS[name](chosen.model) for name in names},
    }
    rows: dict[tuple[float, str], list[tuple[Array, Array, Array, float]]] = {}
    for number in range(chosen.pairs):
        rng = np.random.default_rng([chosen.seed, number])
        if number % chosen.per_scene == 0:
            scene = Gaussians(chosen.edge, 2, rng)
        truth = drawn(chosen, rng)
        views = np.clip(scene.plain, 0, None), np.clip(scene.view(*truth), 0, None)
        for dose in chosen.doses:
            a, b = (rng.poisson(dose * v).astype(np.float32) for v in views)
            bound = summary(floor(dose * scene.plain, dose, *truth, chosen.model))
            for name, run in programs.items():
                if name != "cryolith" and number >= chosen.peer_pairs:
                    continue
                start = time.process_time()
                found = run(a, b)
                took = time.process_time() - start
                rows.setdefault((dose, name), []).append(scored(found, truth, bound, took))
    head = "e/px | program | px | / floor | deg | / floor | magn. | / floor | lost | % in 2 sigma | CPU ms"
    title = f"{chosen.pairs} pairs, {chosen.edge} px, {chosen.model}, +-{chosen.turn:g} deg, "
    title += f"scale to {chosen.scale:g}, shifts to {chosen.shift:g} of the edge"
    write_table(title, head.split(" | "), [told(key, row, chosen) for key, row in rows.items()])


AFFINE = ("pystackreg", "SimpleITK")


def scored(
    found: Registration | Placed, truth: Placed, bound: Array, took: float
) -> tuple[Array, Array, Array, float]:
    if not isinstance(found, Registration):
        return errors(found, truth), bound, np.empty(0), took
    placed = found.matrix, found.shift_px
    if not np.isfinite(found.covariance).all():  # it says that it found nothing
        return errors(placed, truth), bound, np.empty(0), took
    d = len(found.matrix)
    back = np.kron(np.linalg.inv(truth[0]), np.eye(1 + d))
    covariance = back @ found.covariance @ back.T
    whole = displacement(placed, truth).ravel()
    used = np.diag(covariance) > 1e-14
    return (
        errors(placed, truth),
        bound,
        np.abs(whole[used]) / np.sqrt(np.diag(covariance)[used]),
        took,
    )


def told(
    key: tuple[float, str],
    rows: list[tuple[Array, Array, Array, float]],
    chosen: argparse.Namespace,
) -> list[object]:
    error, bound = (np.array([r[k] for r in rows]) for k in (0, 1))
    # Lost: off by more px than that, at the centre or half-way to the border.
    edge = np.abs(error[:, 2]) + np.radians(error[:, 1])
    kept = error[:, 0] + edge * chosen.edge / 4 < LOST_PX * max(1.0, 3 / np.sqrt(key[0]))
    cells: list[object] = [f"{key[0]:g}", key[1]]
    for k, digits in enumerate((3, 4, 5)):
        rms, least = (
            np.sqrt(np.mean(v[kept, k] ** 2)) if kept.any() else np.nan for v in (error, bound)
        )
        cells += [f"{rms:.{digits}f}", f"{rms / least:.2f}" if least > 0 else "-"]
    inside = [z for r, k in zip(rows, kept, strict=True) if k for z in r[2]]
    share = f"{100 * np.mean(np.array(inside) < 2):.1f}" if inside else "-"
    return [*cells, int((~kept).sum()), share, f"{1e3 * np.median([r[3] for r in rows]):.0f}"]


def volumes(chosen: argparse.Namespace) -> None:
    """Rotated volumes with noise, whole and with the missing wedges of two perpendicular tilt axes."""
    rows: dict[tuple[float, str], list[tuple[Array, Array, Array, float]]] = {}
    edge = chosen.edge = min(chosen.edge, chosen.volume)
    f = np.meshgrid(*[np.fft.fftfreq(edge)] * 2, np.fft.rfftfreq(edge), indexing="ij")
    gains = [(np.abs(f[0]) <= np.sqrt(3) * np.abs(q) + 1e-9).astype(np.float32) for q in f[:0:-1]]
    for number in range(chosen.pairs):
        rng = np.random.default_rng([chosen.seed, number])
        scene = Gaussians(edge, 3, rng)
        x, y, z = rng.uniform(-10, 10, 3)
        truth = rotation_matrix(x_deg=x, y_deg=y, z_deg=z), rng.uniform(-0.05, 0.05, 3) * edge
        views = scene.plain, scene.view(*truth)
        for noise in chosen.noises:
            bound = summary(floor(scene.plain, (0.15 * noise) ** 2, *truth, "rigid"))
            a, b = ((v + rng.normal(0, 0.15 * noise, v.shape)).astype(np.float32) for v in views)
            seen = [
                np.fft.irfftn(np.fft.rfftn(v) * g, a.shape, (0, 1, 2))
                for v, g in zip((a, b), gains, strict=True)
            ]
            cases = {
                "whole": (a, b, None, None),
                "wedges of +-60 deg, told": (*seen, *gains),
                "wedges, not told": (*seen, None, None),
            }
            for name, (one, two, of_one, of_two) in cases.items():
                start = time.process_time()
                found = register_volumes(
                    one, two, coverage_a=of_one, coverage_b=of_two, max_shift=edge / 8, threads=1
                )
                took = time.process_time() - start
                rows.setdefault((noise, name), []).append(scored(found, truth, bound, took))
    head = "noise / contrast | volumes | px | / floor of whole | deg | / floor of whole | magn. | - | lost | "
    head += "% in 2 sigma | CPU ms"
    cells = [told(key, row, chosen) for key, row in rows.items()]
    write_table(f"{chosen.pairs} pairs of volumes, {edge}^3, +-10 deg", head.split(" | "), cells)
