"""The unit of a kernel: gains that it takes in, thresholds that it must resolve, guard bits."""

from __future__ import annotations

import numpy as np

from snnc.exact import ONE, ZERO, Expr, apply, floats, leaf, signs
from snnc.passes.kernel_form import Analysis, Compare, leaves
from snnc.profile import Profile


def gains(analysis: Analysis, inputs: tuple[str, ...]) -> dict[str, Expr]:
    """The magnitude of each input's first coefficient; it becomes part of the unit."""
    found: dict[str, Expr] = {}
    for value in (*(s.value for s in analysis.steps), *analysis.values.values()):
        for x in leaves(value):
            for atom, c in x.coefs:
                if atom in inputs and atom not in found:
                    found[atom] = magnitude(c)
    return {name: found.get(name, ONE) for name in inputs}


def thresholds(analysis: Analysis) -> list[Expr]:
    """Magnitudes that values are compared with, in real units."""
    compared = [s.value for s in analysis.steps if isinstance(s.value, Compare)]
    found = [x for value in compared for x in leaves(value) if x.coefs and x.const != ZERO]
    return [magnitude(x.const / x.coefs[0][1]) for x in found]


def guard_bits(analysis: Analysis, unit: Expr, profile: Profile) -> int:
    """F so that the median threshold, in units of ``unit * 2**-F``, is at least 2**14."""
    found = [floats(t / unit).reshape(-1) for t in thresholds(analysis)]
    values = np.concatenate(found) if found else np.zeros(0)
    values = np.sort(values[values > 0])
    if not len(values):
        return 8 if _has_decay(analysis) else 0
    median = float(values[(len(values) - 1) // 2])
    exponent = int(np.frexp(median)[1]) - 1  # floor(log2(median)), exactly
    return min(max(0, profile.threshold_bits - exponent), profile.max_guard)


def _has_decay(analysis: Analysis) -> bool:
    values = (*(s.value for s in analysis.steps), *analysis.values.values())
    coefs = [c for v in values for x in leaves(v) for _, c in x.coefs]
    return any(c not in (ONE, -ONE) for c in coefs)


def magnitude(c: Expr) -> Expr:
    """Return ``|c|``, and 1 where it is zero (the term vanishes there)."""
    if c.number is not None:
        return leaf(float(abs(c.number))) if c.number else ONE
    sign = signs(c)
    if (sign > 0).all():
        return c
    if (sign < 0).all():
        return -c
    return apply("where", leaf(sign), apply("abs", c), ONE)
