# SPDX-License-Identifier: BSD-3-Clause
"""Objects whose histories are known, and what is seen of them."""

from __future__ import annotations

import numpy as np


class World:
    """Objects in a box that move at random, grow at a steady rate, and merge, split, come and go as told.

    Each frame holds (name, place, volume); ``seen`` makes tables of it with errors, in an order of its own.
    """

    def __init__(self, rng, count, edge=100.0, motion=0.3, volume=(100.0, 400.0), rate=0.0):
        self.rng, self.motion, self.rate = rng, motion, rate
        self.place = dict(enumerate(rng.uniform(0, edge, (count, 3))))
        self.volume = dict(enumerate(rng.uniform(*volume, count)))
        self.rates = {n: rate * rng.standard_normal() for n in self.place}
        self.frames = []

    def add(self, place, volume, rate=0.0):
        name = 1 + max(self.rates, default=-1)
        self.place[name], self.volume[name] = np.asarray(place, float), volume
        self.rates[name] = rate
        return name

    def remove(self, name):
        del self.place[name], self.volume[name]

    def merge(self, a, b):
        total = self.volume[a] + self.volume[b]
        centre = (self.volume[a] * self.place[a] + self.volume[b] * self.place[b]) / total
        self.remove(a)
        self.remove(b)
        return self.add(centre, total)

    def split(self, name, share, apart):
        volume, centre = self.volume[name], self.place[name]
        self.remove(name)
        first = self.add(centre + (1 - share) * np.asarray(apart, float), share * volume)
        return first, self.add(centre - share * np.asarray(apart, float), (1 - share) * volume)

    def show(self):
        """Write down a frame, and move on."""
        self.frames.append([(n, self.place[n].copy(), self.volume[n]) for n in self.place])
        for n in self.place:
            self.place[n] = self.place[n] + self.motion * self.rng.standard_normal(3)
            self.volume[n] = self.volume[n] + self.rates[n]

    def seen(self, sigma=0.2, sigma_volume=5.0, missed=0.0, drift=None, frames=None):
        """Return tables, and the true names of their rows."""
        tables, names = [], []
        for i, frame in enumerate(self.frames if frames is None else frames):
            held = [f for f in frame if self.rng.random() >= missed]
            order = self.rng.permutation(len(held))
            held = [held[k] for k in order]
            place = np.array([h[1] for h in held]).reshape(-1, 3)
            place = place + sigma * self.rng.standard_normal(place.shape)
            place += 0 if drift is None else drift[i]
            volume = np.array([h[2] for h in held])
            volume = volume + sigma_volume * self.rng.standard_normal(len(held))
            table = {f"{a}_px": place[:, k] for k, a in enumerate("zyx")}
            table |= {f"sigma_{a}_px": np.full(len(held), sigma) for a in "zyx"}
            table |= {"volume_px3": volume, "sigma_volume_px3": np.full(len(held), sigma_volume)}
            tables.append(table)
            names.append(np.array([h[0] for h in held], int))
        return tables, names


def links_of(found, names):
    """Return the links of tracks as pairs ((frame, name), (frame, name))."""
    order = np.lexsort((found.links["frame"], found.links["track"]))
    track, frame, row = (found.links[k][order] for k in ("track", "frame", "row"))
    who = [(int(f), int(names[f][r])) for f, r in zip(frame, row, strict=True)]
    return {(who[k - 1], who[k]) for k in range(1, len(who)) if track[k] == track[k - 1]}


def true_links(names):
    """Return the links of objects that are seen in a row, gaps of one frame included."""
    found = set()
    for i in range(1, len(names)):
        for name in names[i].tolist():
            for back in (i - 1, i - 2):
                if back >= 0 and name in names[back]:
                    found.add(((back, name), (i, name)))
                    break
    return found
