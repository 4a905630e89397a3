"""Ranges of states that turn into each other: oscillators, filters, complex membranes.

No box is mapped into itself by a rotation, however much it shrinks, so that interval iteration
fails.  But if every new state is ``A x + d``, with constant factors A per neuron and disturbances d
(inputs, what resets subtract, roundings) in a known interval, then after any number of steps

    |x| <= sum over k of |A**k| (|d| + |x_0|) =: b.

The sum is taken up to the first K for which no row of ``M = |A**K|`` sums to more than 1/2; the
rest of it is at most ``M b``, so that ``b <= P D + max(P D) / (1 - |M|) M 1`` with the partial sum
P and ``D = |d| + |x_0|``.  Factors are dyadic and exact in float64; results are taken a millionth
and two units larger, which is far more than float64 can lose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.interval import Interval
from snnc.kernel import PREDICATES, Kernel, Line

Floats = npt.NDArray[np.float64]
#: Steps after which the factors have to have halved, and rows of ``A**k`` at most until then.
_MOST_STEPS, _MOST_GROWTH = 1 << 16, 1e9


class NotLinearError(ValueError):
    """A state does not follow from the others by constant factors."""


@dataclass(frozen=True)
class _Affine:
    """``sum of factor * state``, plus something in ``[lo, hi]``."""

    factors: dict[str, Floats]
    lo: Floats
    hi: Floats

    def __add__(self, other: _Affine) -> _Affine:
        names = {*self.factors, *other.factors}
        zero = np.zeros(())
        total = {n: self.factors.get(n, zero) + other.factors.get(n, zero) for n in names}
        return _Affine(total, self.lo + other.lo, self.hi + other.hi)

    def times(self, factor: Floats) -> _Affine:
        """Every part multiplied by a constant."""
        corners = self.lo * factor, self.hi * factor
        scaled = {n: f * factor for n, f in self.factors.items()}
        return _Affine(scaled, np.minimum(*corners), np.maximum(*corners))

    def off(self, error: float) -> _Affine:
        """The same, off by ``error`` in either direction."""
        return _Affine(self.factors, self.lo - error, self.hi + error)


def linear_ranges(
    kernel: Kernel, leaves: Mapping[str, Interval], init: Mapping[str, Interval]
) -> dict[str, Interval] | None:
    """Bounds of all states for all T, or None if the kernel has no such form or does not decay.

    Args:
        kernel: Of integers.
        leaves: Ranges of inputs and constants, per neuron.
        init: The initial states, per neuron.
    """
    try:
        forms = _forms(kernel, leaves)
    except NotLinearError:
        return None
    names = [s.name for s in kernel.states]
    shape = np.broadcast_shapes(*(v.lo.shape for v in (*init.values(), *leaves.values())))
    matrix, disturbance = np.zeros((*shape, len(names), len(names))), np.zeros((*shape, len(names)))
    for i, state in enumerate(kernel.states):
        form = forms[state.next]
        for j, name in enumerate(names):
            matrix[..., i, j] = form.factors.get(name, 0.0)
        first = np.maximum(np.abs(init[state.name].lo), np.abs(init[state.name].hi))
        disturbance[..., i] = np.maximum(np.abs(form.lo), np.abs(form.hi)) + first
    bound = _bound(matrix, disturbance)
    if bound is None or float(bound.max(initial=0)) >= 1 << 50:
        return None
    whole = np.ceil(bound * (1 + 1e-6) + 2).astype(np.int64)
    return {n: Interval(-whole[..., i], whole[..., i]) for i, n in enumerate(names)}


def _bound(matrix: Floats, disturbance: Floats) -> Floats | None:
    """``b``, by doubling: ``P_2k = P_k + |A**k| P_k`` is above the partial sum of 2k terms."""
    power, partial, steps = matrix, np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape), 1
    while True:
        rows = np.abs(power).sum(-1).max(-1)
        if float(rows.max(initial=0)) <= 0.5:
            break
        if steps >= _MOST_STEPS or float(rows.max()) > _MOST_GROWTH:
            return None
        partial = partial + np.abs(power) @ partial
        power, steps = power @ power, 2 * steps
    known: Floats = (partial @ disturbance[..., None])[..., 0]
    rest = known.max(-1, keepdims=True) / (1 - rows[..., None])
    return np.asarray(known + np.abs(power).sum(-1) * rest)


def _forms(kernel: Kernel, leaves: Mapping[str, Interval]) -> dict[str, _Affine]:
    constants = {c.name for c in kernel.consts}
    forms = {n: _Affine({}, v.lo.astype(float), v.hi.astype(float)) for n, v in leaves.items()}
    zero = np.zeros(())
    forms |= {s.name: _Affine({s.name: np.ones(())}, zero, zero) for s in kernel.states}
    tables = {t.name: t.values.data for t in kernel.tables}
    for line in kernel.body:
        if line.fn == "lookup":
            table = tables[line.args[1]]
            forms[line.name] = _Affine(
                {}, np.array(float(table.min())), np.array(float(table.max()))
            )
        elif line.fn in PREDICATES:
            forms[line.name] = _Affine({}, zero, zero + 1)
        else:
            forms[line.name] = _form(line, [forms[a] for a in line.args], constants)
    return forms


def _form(line: Line, args: list[_Affine], constants: set[str]) -> _Affine:
    minus = np.array(-1.0)
    match line.fn:
        case "copy":
            return args[0]
        case "neg":
            return args[0].times(minus)
        case "add":
            return args[0] + args[1]
        case "sub":
            return args[0] + args[1].times(minus)
        case "shl":
            return args[0].times(np.array(float(1 << line.shift)))
        case "rsh":
            scaled = args[0].times(np.array(0.5**line.shift))
            return scaled.off(0.5 if line.rounding.startswith("half") else 1.0)
        case "mul" if line.args[0] in constants and not args[0].factors:
            return args[1].times(args[0].lo)
        case "mul" if line.args[1] in constants and not args[1].factors:
            return args[0].times(args[1].lo)
        case "select":
            return _either(args[1], args[2])
    if any(a.factors for a in args):
        raise NotLinearError(f"{line.fn} of a state")
    return _without_states(line, args)


def _either(a: _Affine, b: _Affine) -> _Affine:
    """One of two values that follow from the states in the same way."""
    zero = np.zeros(())
    for name in {*a.factors, *b.factors}:
        if not np.array_equal(a.factors.get(name, zero), b.factors.get(name, zero)):
            raise NotLinearError("a choice between factors, such as a reset to a value")
    return _Affine(a.factors, np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi))


def _without_states(line: Line, args: list[_Affine]) -> _Affine:
    if line.fn in ("minimum", "maximum"):
        f = np.minimum if line.fn == "minimum" else np.maximum
        return _Affine({}, f(args[0].lo, args[1].lo), f(args[0].hi, args[1].hi))
    if line.fn == "mul":
        corners = [a * b for a in (args[0].lo, args[0].hi) for b in (args[1].lo, args[1].hi)]
        return _Affine({}, np.minimum.reduce(corners), np.maximum.reduce(corners))
    raise NotLinearError(f"no bound of {line.fn}")
