# SPDX-License-Identifier: BSD-3-Clause
"""cryolith's registration beside scikit-image's, and the Fourier transform beside ducc0 and SciPy, in one run.

    python -m benchmarks.peers.register pairs --pairs 64
    python -m benchmarks.peers.register movie
    python -m benchmarks.peers.register fft --threads 1 2

Run it at the root of the repository, in an environment with cryolith, scipy, scikit-image and ducc0. CPU seconds of the
process, the least of all calls for the transform and the median for pairs; a busy machine blurs them less than time on
the clock. Images are cut from a larger scene, so that a shift brings new content in; the floor is the Cramer-Rao bound
for white noise of the mean count (design/012-registration.md, eq. 6).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
from benchmarks.tables import write_machine, write_table

from cryolith import _core
from cryolith.align import align_movie, register

Array = npt.NDArray[np.floating]
Found = tuple[Array, Array | None]

FFT_SHAPES = (
    (1024, 1024),
    (1536, 1536),
    (4096, 4096),
    (3838, 3710),
    (3840, 3750),
    (256, 256, 256),
)
LOST_PX = 1.0


class Scene:
    """Particles on a 1 / f texture, mean 1 and contrast 0.1, a little blurred; views of its middle."""

    def __init__(self, edge: int, rng: np.random.Generator) -> None:
        self.edge, self.size = edge, edge + 128
        image = self.standard(self.particles(rng))
        f = np.hypot(scipy.fft.fftfreq(self.size)[:, None], scipy.fft.rfftfreq(self.size))
        white = scipy.fft.rfft2(rng.standard_normal((self.size, self.size), dtype=np.float32))
        texture = scipy.fft.irfft2(white / np.maximum(f, 4 / self.size) ** 0.75, s=image.shape)
        spectrum = scipy.fft.rfft2(image + 0.5 * self.standard(texture))
        image = scipy.fft.irfft2(spectrum * np.exp(-2 * (np.pi * f) ** 2), s=image.shape)
        clipped = np.clip(1 + 0.1 * self.standard(image), 0.05, None).astype(np.float32)
        self.spectrum = scipy.fft.rfft2(clipped)

    def particles(self, rng: np.random.Generator) -> Array:
        """Thickness of ellipsoids, one on 12000 pixels."""
        image = np.zeros((self.size, self.size))
        for _ in range(max(60, self.size**2 // 12000)):
            centre, half = rng.uniform(0, self.size, 2), rng.uniform(0.006, 0.035, 2) * self.size
            turn, reach = rng.uniform(0, np.pi), int(half.max() + 2)
            low = np.maximum(centre.astype(int) - reach, 0)
            y, x = np.ogrid[low[0] : int(centre[0]) + reach, low[1] : int(centre[1]) + reach]
            y, x = y[: self.size - low[0]] - centre[0], x[:, : self.size - low[1]] - centre[1]
            u = (np.cos(turn) * x + np.sin(turn) * y) / half[0]
            v = (np.cos(turn) * y - np.sin(turn) * x) / half[1]
            part = image[low[0] : low[0] + y.shape[0], low[1] : low[1] + x.shape[1]]
            part += 2 * half.min() * np.sqrt(np.clip(1 - u * u - v * v, 0, None))
        return image

    @staticmethod
    def standard(image: Array) -> Array:
        return np.asarray((image - image.mean()) / image.std())

    def view(self, shift: Array) -> Array:
        fy, fx = scipy.fft.fftfreq(self.size)[:, None], scipy.fft.rfftfreq(self.size)
        ramp = np.exp(-2j * np.pi * (fy * shift[0] + fx * shift[1])).astype(np.complex64)
        whole = scipy.fft.irfft2(self.spectrum * ramp, s=(self.size, self.size))
        first = (self.size - self.edge) // 2
        return np.clip(whole[first:, first:][: self.edge, : self.edge], 0, None)


def floor_px(mean_counts: Array, frames: int) -> float:
    """Return the bound of the shift of a pair, or of a frame of many less the mean shift, both components [px]."""
    n = len(mean_counts)
    t = np.minimum(np.arange(n) + 0.5, n - 0.5 - np.arange(n)) / (0.05 * n)
    taper = 0.5 - 0.5 * np.cos(np.pi * np.clip(t, 0, 1))
    window = taper[:, None] * taper
    power = np.abs(scipy.fft.rfft2((mean_counts - mean_counts.mean()) * window)) ** 2
    fy, fx = scipy.fft.fftfreq(n)[:, None], scipy.fft.rfftfreq(n)[None]
    f = np.hypot(fy, fx)
    ring = (f * n).astype(int)
    signal = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    ratio = signal[ring] / (window**2).mean() / mean_counts.sum() * (f <= 0.5)
    times = np.where(fx == 0, 1.0, 2.0)
    information = times * ratio**2 / (1 + frames * ratio) * (2 * np.pi) ** 2
    variance = sum(1 / (information * q**2).sum() for q in (fy, fx))
    return float(np.sqrt(variance if frames == 2 else variance * (1 - 1 / frames) / frames))


def by_cryolith(a: Array, b: Array) -> Found:
    found = register(a, b, threads=1)
    return found.shift_px, found.sigma_px


def by_scikit_image(normalization: str | None) -> Callable[[Array, Array], Found]:
    from skimage.registration import phase_cross_correlation

    def run(a: Array, b: Array) -> Found:
        shift = phase_cross_correlation(a, b, upsample_factor=20, normalization=normalization)[0]
        return -np.asarray(shift), None

    return run


def farthest(edge: int) -> float:
    """Return how far pairs are apart at most [px]."""
    return 20 * min(1.0, edge / 512)


def pairs(chosen: argparse.Namespace) -> None:
    programs = {"cryolith": by_cryolith}
    if chosen.peer_pairs > 0:
        programs["scikit-image, normalization=None"] = by_scikit_image(None)
        programs["scikit-image, phase"] = by_scikit_image("phase")
    rows: list[list[object]] = []
    for dose in chosen.doses:
        floor, results = one_dose(programs, chosen, dose)
        ours = np.median(results["cryolith"][2])
        for name, (error, sigma, seconds) in results.items():
            away = np.hypot(*error.T)
            rms = float(np.sqrt((away**2).mean()))
            inside = f"{100 * (np.abs(error) < 2 * sigma).mean():.1f}" if sigma is not None else "-"
            took = float(np.median(seconds))
            row = [
                f"{dose:g}",
                name,
                f"{rms:.4f}",
                f"{rms / floor:.2f}",
                int((away > LOST_PX).sum()),
            ]
            rows.append([*row, inside, f"{1e3 * took:.1f}", f"{took / ours:.1f}"])
    head = "e/px | program | rms px | / floor | > 1 px | % in 2 sigma | CPU ms | to ours"
    title = f"{chosen.pairs} pairs, {chosen.edge} px, shifts to {farthest(chosen.edge):g} px"
    write_table(title, head.split(" | "), rows)


Result = tuple[Array, Array | None, list[float]]


def one_dose(
    programs: dict[str, Callable[[Array, Array], Found]], chosen: argparse.Namespace, dose: float
) -> tuple[float, dict[str, Result]]:
    """Return the floor and, for each program, errors (n, 2), sigmas (n, 2) and CPU seconds."""
    rng = np.random.default_rng([chosen.seed, int(1000 * dose)])
    found: dict[str, list[tuple[Array, Array | None, float]]] = {name: [] for name in programs}
    floors = []
    for number in range(chosen.pairs):
        if number % chosen.per_scene == 0:
            scene = Scene(chosen.edge, rng)
            still = dose * scene.view(np.zeros(2))
            floors.append(floor_px(still, 2))
        truth = rng.uniform(-1, 1, 2) * farthest(chosen.edge)
        a, b = (rng.poisson(v).astype(np.float32) for v in (still, dose * scene.view(truth)))
        for name, run in programs.items():
            if name != "cryolith" and number >= chosen.peer_pairs:
                continue
            if number == 0:
                run(a, b)  # imports and plans
            start = time.process_time()
            shift, sigma = run(a, b)
            found[name].append((shift - truth, sigma, time.process_time() - start))
    results: dict[str, Result] = {}
    for name, rows in found.items():
        errors, sigmas, seconds = zip(*rows, strict=True)
        known = None if sigmas[0] is None else np.array(sigmas)
        results[name] = (np.array(errors), known, list(seconds))
    return float(np.sqrt(np.mean(np.square(floors)))), results


def movie(chosen: argparse.Namespace) -> None:
    """40 frames of 2048 x 2048 that a burst, a drift and a jitter move, one electron per pixel each."""
    rng = np.random.default_rng(chosen.seed)
    scene, t = Scene(2048, rng), np.arange(40)
    truth = np.stack(
        [9 * (1 - np.exp(-t / 4)) + 0.08 * t, -6 * (1 - np.exp(-t / 3)) + 0.15 * t], axis=1
    )
    truth += rng.normal(0, 0.15, truth.shape)
    frames = [rng.poisson(scene.view(s)).astype(np.float32) for s in truth]
    truth -= truth.mean(axis=0)
    rows: list[list[object]] = []
    for _ in range(2):
        start = time.process_time()
        found = align_movie(frames, threads=1)
        seconds = time.process_time() - start
        error = found.shifts_px - truth
        rms = float(np.sqrt((error**2).sum(axis=1).mean()))
        inside = 100 * (np.abs(error) < 2 * found.sigma_px).mean()
        floor = floor_px(scene.view(np.zeros(2)), len(t))
        rows = [
            [
                f"{rms:.4f}",
                f"{floor:.4f}",
                f"{np.hypot(*error.T).max():.3f}",
                f"{inside:.0f}",
                f"{seconds:.2f}",
            ]
        ]
    head = ["rms px", "floor px", "max px", "% in 2 sigma", "CPU s, sums included"]
    write_table("Movie, 40 x 2048 x 2048, 1 e/px/frame", head, rows)


def transforms(shape: tuple[int, ...], threads: int) -> dict[str, dict[str, Callable[[], Any]]]:
    """Forward and inverse of each library, into memory that is there already where it allows that."""
    import ducc0

    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    half = scipy.fft.rfftn(x)
    axes, out, back = tuple(range(len(shape))), np.empty_like(half), np.empty_like(x)
    plan = _core.FftPlan(shape, len(shape))
    return {
        "forward": {
            "cryolith": lambda: plan.rfft(x, out, threads=threads),
            "ducc0": lambda: ducc0.fft.r2c(x, axes=axes, out=out, nthreads=threads),
            "scipy": lambda: scipy.fft.rfftn(x, workers=threads),
        },
        "inverse": {
            "cryolith": lambda: plan.irfft(half, back, 1 / plan.count, threads=threads),
            "ducc0": lambda: ducc0.fft.c2r(
                half,
                axes=axes,
                lastsize=shape[-1],
                forward=False,
                inorm=2,
                out=back,
                nthreads=threads,
            ),
            "scipy": lambda: scipy.fft.irfftn(half, s=shape, workers=threads),
        },
    }


def fft(chosen: argparse.Namespace) -> None:
    rows: list[list[object]] = []
    for shape in FFT_SHAPES:
        for threads in chosen.threads:
            for direction, runs in transforms(shape, threads).items():
                best = dict.fromkeys(runs, np.inf)
                for turn in range(chosen.rounds + 1):
                    for name, run in runs.items():
                        start = time.process_time()
                        run()
                        if turn > 0:
                            best[name] = min(best[name], time.process_time() - start)
                ms = [f"{1e3 * best[name]:.1f}" for name in best]
                ratio = f"{best['cryolith'] / best['ducc0']:.2f}"
                rows.append(["x".join(map(str, shape)), threads, direction, *ms, ratio])
    head = "shape | threads | direction | cryolith | ducc0 | scipy | cryolith / ducc0"
    write_table("Real Fourier transform, float32, CPU ms", head.split(" | "), rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.register",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--edge", type=int, default=1024, help="of the images of pairs")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument(
        "--peer-pairs", type=int, default=8, help="that the others get; 0: only cryolith"
    )
    parser.add_argument("--per-scene", type=int, default=16, help="pairs of one scene")
    parser.add_argument("--doses", type=float, nargs="+", default=[1.0, 10.0, 100.0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the transform")
    parser.add_argument("--rounds", type=int, default=5, help="of the transform")
    return parser.parse_args()


TASKS = {"pairs": pairs, "movie": movie, "fft": fft}


def main() -> None:
    chosen = arguments()
    write_machine()
    TASKS[chosen.task](chosen)


if __name__ == "__main__":
    main()
