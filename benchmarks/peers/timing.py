# SPDX-License-Identifier: BSD-3-Clause
"""Times several programs in turns, in CPU seconds, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# A program slower than this is not asked again: its first call is long enough to be a mean.
SLOW_S = 8.0


@dataclass
class Timed:
    """The least CPU time of all rounds [s], and the last result."""

    seconds: float
    result: Any


def in_turns(runs: Mapping[str, Callable[[], Any]], rounds: int = 5) -> dict[str, Timed]:
    """Call each of ``runs`` once to warm up (unless it is slow), then in turns ``rounds`` times."""
    timed: dict[str, Timed] = {}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            if name in timed and timed[name].seconds > SLOW_S:
                continue
            start = time.process_time()
            result = run()
            seconds = time.process_time() - start
            known = timed.get(name)
            # The first call pays for imports and plans: it counts only if nothing else will.
            if known is None or turn == 1:
                timed[name] = Timed(seconds, result)
            else:
                known.seconds, known.result = min(known.seconds, seconds), result
    return timed


def ratio(seconds: float, ours: float) -> str:
    """Return how many times our time it took."""
    return f"{seconds / ours:.2g} x" if seconds < 100 * ours else f"{seconds / ours:.0f} x"
