"""Interleaved measurement of processor time."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from examples.benchmarks.c_speed.case import Run

#: Seconds that a contender runs in one round.
SLICE = 0.012


def measure(runs: dict[str, Run], samples: int, rounds: int) -> dict[str, npt.NDArray[np.float64]]:
    """Processor seconds per sample of every contender in every round.

    In a round, contenders take turns for a slice each, at samples that go on where they stopped:
    none sees a sample again before all others.  The clock is that of the thread, which stands
    still while other processes run.
    """
    need = {name: _cost(run, samples) for name, run in runs.items()}
    place = dict.fromkeys(runs, 0)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            count = min(samples, max(1, int(SLICE / need[name])))
            repeats = max(1, int(SLICE / need[name] / count))
            busy = done = 0.0
            for _ in range(repeats):
                first = place[name] if place[name] + count <= samples else 0
                start = time.thread_time()
                run(first, count)
                busy += time.thread_time() - start
                done += count
                place[name] = (first + count) % samples
            found[name].append(busy / done)
    return {name: np.array(values) for name, values in found.items()}


def _cost(run: Run, samples: int) -> float:
    """A first guess of the seconds per sample, after warming up."""
    run(0, 1)
    start = time.thread_time()
    run(0, min(2, samples))
    return max(1e-6, (time.thread_time() - start) / min(2, samples))
