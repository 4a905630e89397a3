"""Check that a lowered kernel does what the user's kernel does, at random points.

The integer kernel and its real twin (``fake_kernel``) come out of the same analysis.  So that a
fault of the analysis cannot hide in both, the twin is compared with the kernel that was lowered:
one step from random states with random inputs.  They may differ by the rounded constants; points
at which a comparison is so close that these decide are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.float_sim import FUNCTIONS
from snnc.kernel import Kernel

Array = npt.NDArray[Any]
#: Random points per neuron.
POINTS = 16
#: By how many integer steps values may differ, for every line of the kernel.
SLACK = 2
_COMPARISONS = ("ge", "gt", "le", "lt")


def disagreement(
    real: Kernel, twin: Kernel, flags: frozenset[str], step: Array, shape: tuple[int, ...]
) -> str:
    """The state or output that differs, or an empty string.

    Args:
        real: The kernel that was lowered.
        twin: Its real twin.
        flags: States that are 0 or 1.
        step: Real value of one integer step; broadcasts to ``shape``.
        shape: Of the population.
    """
    rng = np.random.default_rng(0)
    scale = max([1e-3, *(float(np.abs(c.values.data).max(initial=0)) for c in real.consts)])
    scale = min(scale, 1e6)
    points = (POINTS, *shape)
    start: dict[str, Array] = {x: rng.uniform(-2, 2, points) * scale for x in real.inputs}
    for s in real.states:
        if s.name in flags:
            start[s.name] = (rng.random(points) < 0.5).astype(np.float64)
        else:
            start[s.name] = rng.uniform(-2, 2, points) * scale
    with np.errstate(all="ignore"):
        expected, close = _run(real, start, SLACK * len(real.body) * np.abs(step))
        found, _ = _run(twin, start, np.zeros(()))
    tolerance = SLACK * (len(twin.body) + 1) * np.abs(step) + 1e-9 * scale
    pairs = [(s.name, s.next, t.next) for s, t in zip(real.states, twin.states, strict=True)]
    pairs += [(a, a, b) for a, b in zip(real.outputs, twin.outputs, strict=True)]
    for name, a, b in pairs:
        off = np.abs(expected[a] - found[b]) > tolerance + 1e-9 * np.abs(expected[a])
        if (off & ~close & np.isfinite(expected[a])).any():
            return name
    return ""


def _run(kernel: Kernel, start: dict[str, Array], margin: Array) -> tuple[dict[str, Array], Array]:
    """Every value after one step, and where a comparison is closer than ``margin``."""
    env = dict(start)
    for c in kernel.consts:
        env[c.name] = c.values.data.astype(np.float64)
    close = np.zeros((), bool)
    for line in kernel.body:
        args = [env[a] for a in line.args]
        env[line.name] = np.asarray(FUNCTIONS[line.fn](*args), np.float64)
        if line.fn in _COMPARISONS:
            close = close | (np.abs(args[0] - args[1]) <= margin)
    return env, close
