"""The unit of a kernel: gains that it takes in, thresholds that it must resolve, guard bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.exact import ONE, ZERO, Expr, apply, floats, leaf, signs
from snnc.kernel import MIRRORED, Kernel
from snnc.passes.kernel_form import Analysis, Compare, leaves
from snnc.profile import Profile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


#: Most guard bits that are spent to avoid all rounding.
EXACT_BITS = 11
#: Steps of a median threshold above which rounding is far too fine to be seen.
FINE = float(1 << 32)


def gains(analysis: Analysis, inputs: tuple[str, ...]) -> dict[str, Expr]:
    """The magnitude of each input's first coefficient; it becomes part of the unit."""
    found: dict[str, Expr] = {}
    for value in (*(s.value for s in analysis.steps), *analysis.values.values()):
        for x in leaves(value):
            for atom, c in x.coefs:
                if atom in inputs and atom not in found:
                    found[atom] = magnitude(c)
    return {name: found.get(name, ONE) for name in inputs}


def unit_free(analysis: Analysis, inputs: tuple[str, ...]) -> frozenset[str]:
    """Inputs that are only compared with 0 for equality: zero is zero in every unit."""
    values = (*(s.value for s in analysis.steps), *analysis.values.values())
    alone, other = set(), set()
    for value in values:
        atoms = {atom for x in leaves(value) for atom, _ in x.coefs}
        equal = isinstance(value, Compare) and value.fn in ("eq", "ne")
        if equal and len(atoms) == 1 and all(x.const == ZERO for x in leaves(value)):
            alone |= atoms
        else:
            other |= atoms
    return frozenset((alone - other - set(analysis.aliases)) & set(inputs))


def thresholds(analysis: Analysis) -> list[Expr]:
    """Magnitudes that values are compared with, in real units."""
    compared = [s.value for s in analysis.steps if isinstance(s.value, Compare)]
    found = [x for value in compared for x in leaves(value) if x.coefs and x.const != ZERO]
    return [magnitude(x.const / x.coefs[0][1]) for x in found]


def guard_bits(analysis: Analysis, unit: Expr, profile: Profile) -> int:
    """F so that the median threshold, in units of ``unit * 2**-F``, is at least 2**14.

    Up to 8 bits more are spent so that every constant that is added is at least 2**4 steps.
    """
    found = [floats(t / unit).reshape(-1) for t in thresholds(analysis)]
    values = np.concatenate(found) if found else np.zeros(0)
    values = np.sort(values[values > 0])
    if len(values):
        median = float(values[(len(values) - 1) // 2])
        wanted = max(0, profile.threshold_bits - floor_log2(median))
    else:
        wanted = 8 if _has_decay(analysis) else 0
    small = [np.abs(floats(c / unit)).reshape(-1) for c in _added(analysis)]
    return min(with_small(wanted, small), profile.max_guard)


def fraction_bits(kernel: Kernel, profile: Profile) -> int:
    """``F``, so that the median of the constants compared with is at least ``2**16`` steps.

    Up to 8 bits more are spent so that the smallest constant is at least ``2**4`` steps.
    """
    consts = {c.name: c.values.data for c in kernel.consts}
    found = [
        np.abs(consts[a]).reshape(-1).astype(np.float64)
        for line in kernel.body
        if line.fn in MIRRORED
        for a in line.args
        if a in consts
    ]
    values = np.concatenate(found) if found else np.zeros(0)
    values = np.sort(values[values > 0])
    wanted = profile.threshold_bits + 2
    if len(values):
        wanted = max(8, wanted - floor_log2(float(values[(len(values) - 1) // 2])))
    small = [
        np.abs(consts[a]).reshape(-1).astype(np.float64)
        for line in kernel.body
        if line.fn in ("add", "sub", "mul", "where")
        for a in line.args
        if a in consts
    ]
    return min(with_small(wanted, small), profile.max_guard)


def exact_bits(analysis: Analysis, inputs: tuple[str, ...], unit: Expr, steps: int) -> int:
    """Bits below those of every constant, so that halvings need no rounding in ``steps`` steps.

    0 if no such number is worth its width: decays that are no powers of two, many steps, or
    thresholds of so many steps that no rounding is seen.
    """
    found = [floats(t / unit).reshape(-1) for t in thresholds(analysis)]
    values = np.concatenate(found) if found else np.zeros(0)
    bits = (steps - 1) * _dyadic_bits(analysis, inputs)
    fine = len(values) and float(np.median(values)) >= FINE
    return bits if bits <= EXACT_BITS and not fine else 0


def with_small(bits: int, values: list[Floats]) -> int:
    """``bits``, or up to 8 more so that the smallest value that is not zero has 2**4 steps."""
    nonzero = [v[v > 0] for v in values]
    least = min((float(v.min()) for v in nonzero if len(v)), default=0.0)
    return bits if least == 0 else max(bits, min(bits + 8, 4 - floor_log2(least)))


def floor_log2(x: float) -> int:
    """``floor(log2(x))``, exactly."""
    return int(np.frexp(x)[1]) - 1


def lost(c: Expr, k: Ints, unit: Expr) -> list[str]:
    """How rounding ``c`` to ``k`` units changes it, if that is by more than 5 % of its value."""
    real, kept = np.broadcast_arrays(floats(c), k * floats(unit))
    worse = np.argwhere(np.abs(kept - real) > 0.05 * np.abs(real))
    return [f"{real[tuple(i)]:g} becomes {kept[tuple(i)]:g}" for i in worse[:1]]


def _added(analysis: Analysis) -> list[Expr]:
    """Constants that are added to something or that a value is set to."""
    values = (*(s.value for s in analysis.steps), *analysis.values.values())
    sums = [v for v in values if not isinstance(v, Compare)]
    return [x.const for v in sums for x in leaves(v) if x.const != ZERO]


def _dyadic_bits(analysis: Analysis, inputs: tuple[str, ...]) -> int:
    """Fractional bits that a value gains in a step; more than ``EXACT_BITS`` if not dyadic.

    The gains of inputs do not count: they are part of the unit.
    """
    values = (*(s.value for s in analysis.steps), *analysis.values.values())
    used = [floats(c) for v in values for x in leaves(v) for a, c in x.coefs if a not in inputs]
    bits = 0
    for c in used:
        if (np.abs(c) < 1).any():
            whole = (k for k in range(EXACT_BITS + 1) if (np.ldexp(c, k) % 1 == 0).all())
            bits = max(bits, next(whole, EXACT_BITS + 1))
    return bits


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
