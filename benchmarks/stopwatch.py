"""Timing alternatives side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def interleaved(alternatives: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Least CPU seconds of each alternative, run in turn so that a busy machine slows all alike.

    CPU time of the process, all threads together; the first round warms up and does not count.
    """
    best = dict.fromkeys(alternatives, float("inf"))
    for number in range(rounds + 1):
        for name, run in alternatives.items():
            started = time.process_time()
            run()
            if number:
                best[name] = min(best[name], time.process_time() - started)
    return best
