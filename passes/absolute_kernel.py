"""Lower a kernel that is not scale-free: every value gets a fixed-point format of its own.

A value ``x`` becomes an integer ``n`` with ``x = n * 2**-f``.  Numbers that are whole by nature
(spikes, counts, timers, gates such as ``1 - s``) have ``f = 0`` and stay exact; all others have
the kernel's ``F`` fractional bits:

* sums and comparisons bring both sides to the larger ``f``, which is exact;
* a product has ``f = f1 + f2``, rounded to ``F`` where that is more;
* a constant factor keeps 16 significant bits or more: ``rsh(round(c * 2**p) * n, p)``;
* ``x >= c`` compares with the smallest integer at or above ``c * 2**f``, so nothing is lost;
* sigmoid, tanh, exp and erf are interpolated tables (``passes/function_tables.py``), roots,
  logarithms and angles are in ``passes/fixed_functions.py``;
* the states saturate at ``2**26`` steps, after their whole update: no input makes them wrap.

Which states are whole is found by assuming that all with whole initial values are, and giving the
``F`` bits to those whose update says otherwise, until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snnc.exact import ONE, ZERO, Expr, apply, ceiling, floats, flooring, leaf, nearest, signs
from snnc.kernel import MIRRORED, Kernel, Line, State
from snnc.params import Param, compact
from snnc.passes.fixed_functions import logarithm, sine, square_root, wrapped
from snnc.passes.fixed_values import (
    WHOLE,
    Fixed,
    FixedWriter,
    NoIntegerFormError,
    Operand,
    power,
)
from snnc.passes.function_tables import interpolated
from snnc.passes.kernel_units import lost
from snnc.passes.kernel_writer import Ints, live
from snnc.profile import Profile

#: Magnitude, in integer steps, at which the states of such a kernel saturate.
SATURATION = 1 << 26
#: Exponents that are products, roots and quotients of them.
_EXPONENTS = (*range(-4, 0), *range(1, 9), Fraction(1, 2), Fraction(-1, 2))


@dataclass(frozen=True)
class AbsoluteKernel:
    """The integer kernel, the unit of each output, and constants that rounding changes visibly.

    ``fractions`` are the fractional bits of each state.
    """

    kernel: Kernel
    units: list[Expr]
    losses: list[str]
    fractions: dict[str, int]


def absolute_kernel(
    real: Kernel, whole: tuple[bool, ...], bits: int, profile: Profile
) -> AbsoluteKernel:
    """Write the integer kernel.

    Args:
        real: The kernel of real numbers.
        whole: Per input, whether it arrives with unit 1 (spikes, counts); the others arrive in
            units of ``2**-bits``.
        bits: ``F``.
        profile: Rounding, and the bits of factors.

    Raises:
        NoIntegerFormError: If a line has no fixed-point form.
    """
    assumed = {s.name: 0 if not (s.init.data % 1).any() else bits for s in real.states}
    while True:
        run = _Lowering(real, whole, bits, profile, assumed)
        for line in real.body:
            run.line(line)
        needed = {s.name: assumed[s.name] or bits * bool(run.bits(s.next)) for s in real.states}
        if needed == assumed:
            return run.result()
        assumed = needed


class _Lowering(FixedWriter):
    def __init__(
        self,
        real: Kernel,
        whole: tuple[bool, ...],
        bits: int,
        profile: Profile,
        states: dict[str, int],
    ) -> None:
        super().__init__(real, bits, profile)
        for name, is_whole in zip(real.inputs, whole, strict=True):
            self.values[name] = Fixed(name, 0 if is_whole else bits)
        for name, f in states.items():
            self.values[name] = Fixed(name, f)
        self.levels: dict[str, tuple[Fixed, Expr]] = {}  # values that are a count times a constant

    # -- results ------------------------------------------------------------------------------

    def result(self) -> AbsoluteKernel:
        """The kernel."""
        kernel, units = self.w.kernel(self._state, self._output)
        fractions = {}
        for state in self.w.real.states:
            own = self.values[state.name]
            assert isinstance(own, Fixed), "states are values"
            fractions[state.name] = own.bits
        return AbsoluteKernel(live(kernel), units, self.losses, fractions)

    def _state(self, state: State) -> State:
        own = self.values[state.name]
        assert isinstance(own, Fixed), "states are values"
        new = self.fixed(self.values[state.next], own.bits)
        init = Param(compact(nearest(leaf(state.init.data) * power(own.bits))))
        if new.flag:
            return State(state.name, new.name, init)
        low = self.w.const("low", np.array(-SATURATION))
        high = self.w.const("high", np.array(SATURATION))
        above = self.w.emit(self.w.fresh(f"{state.name}_above"), "maximum", new.name, low)
        kept = self.w.emit(self.w.fresh(f"{state.name}_kept"), "minimum", above, high)
        return State(state.name, kept, init)

    def _output(self, name: str) -> tuple[str, Expr]:
        if name in self.levels:
            flag, level = self.levels[name]
            if (signs(level) > 0).all():
                return flag.name, level
        value = self.values[name]
        if isinstance(value, Expr):
            raise NoIntegerFormError(f"output {name} does not depend on inputs or states")
        return value.name, ONE / power(value.bits)

    # -- lines --------------------------------------------------------------------------------

    def line(self, line: Line) -> None:
        """Lower one assignment."""
        self.now = line
        args = [self.values[a] for a in line.args]
        if all(isinstance(a, Expr) for a in args):
            constants = [a for a in args if isinstance(a, Expr)]
            self.values[line.name] = apply(line.fn, *constants)
            return
        if line.fn == "div" and isinstance(args[1], Expr):
            args[1], fn = ONE / args[1], "mul"
        else:
            fn = line.fn
        rule = _RULES.get(fn)
        if rule is None:
            raise self.failure(f"{line.fn!r} of a value that changes has no fixed-point form")
        self.values[line.name] = rule(self, line.name, *args)

    def add(self, name: str, a: Operand, b: Operand, fn: str = "add") -> Fixed:
        """``a + b`` or ``a - b``, exactly."""
        x, y = self.aligned(a, b)
        return Fixed(self.w.emit(name, fn, x.name, y.name), x.bits)

    def subtract(self, name: str, a: Operand, b: Operand) -> Fixed:
        """``a - b``; one minus a flag is a flag."""
        if isinstance(a, Expr) and a.number == 1 and isinstance(b, Fixed) and b.flag:
            return Fixed(self.w.emit(name, "not", b.name), 0, True)
        return self.add(name, a, b, "sub")

    def negate(self, name: str, a: Operand) -> Fixed:
        """``-a``."""
        x = self.fixed(a, a.bits) if isinstance(a, Fixed) else self.aligned(a)[0]
        return Fixed(self.w.emit(name, "neg", x.name), x.bits)

    def multiply(self, name: str, a: Operand, b: Operand) -> Fixed:
        """``a * b``: a choice for a flag, a factor for a constant, else a rounded product."""
        if isinstance(a, Expr):
            a, b = b, a
        assert isinstance(a, Fixed), "products of constants are constants"
        if isinstance(b, Expr):
            if not a.bits:  # a flag or a count: what it counts can be the unit of an output
                self.levels[name] = (a, b)
            return self._factor(name, a, b)
        if a.flag and b.flag:
            return Fixed(self.w.emit(name, "and", a.name, b.name), 0, True)
        if a.flag or b.flag:
            flag, x = (a, b) if a.flag else (b, a)
            zero = self.w.const("k", np.array(0))
            return Fixed(self.w.emit(name, "select", flag.name, x.name, zero), x.bits)
        excess = max(0, a.bits + b.bits - self.full)
        return self._rounded(name, ("mul", a.name, b.name), a.bits + b.bits, excess)

    def _rounded(self, name: str, call: tuple[str, ...], bits: int, excess: int) -> Fixed:
        """``call``, without its last ``excess`` bits."""
        if not excess:
            return Fixed(self.w.emit(name, *call), bits)
        exact = self.w.emit(self.w.fresh("_m0"), *call)
        return Fixed(self.w.emit(name, "rsh", exact, shift=excess), bits - excess)

    def _factor(self, name: str, x: Fixed, c: Expr) -> Fixed:
        """``c * x``."""
        if not self.bits_of(c):
            k = nearest(c)
            if (k == 1).all():
                return Fixed(self.w.emit(name, "copy", x.name), x.bits, x.flag)
            self._check_factor(c, k)
            return Fixed(self.w.emit(name, "mul", x.name, self.w.const(WHOLE, k)), x.bits)
        largest = float(np.abs(floats(c)).max())
        p = self.profile.decay_bits
        if 0 < largest < 0.5:  # as many significant bits as a decay has
            p = min(p - int(np.frexp(largest)[1]), 60)
        if not x.bits:  # a count: exact but for the rounding of the constant
            p = min(p, self.full)
        k = nearest(c * power(p))
        self.losses += lost(c, k, ONE / power(p))
        self._check_factor(c, k)
        excess = max(0, x.bits + p - self.full)
        return self._rounded(name, ("mul", x.name, self.w.const("a", k)), x.bits + p, excess)

    def _check_factor(self, c: Expr, k: Ints) -> None:
        if int(np.abs(k).max(initial=0)) >= 1 << 31:
            raise self.failure(f"a factor is as large as {float(np.abs(floats(c)).max()):g}")

    def power(self, name: str, a: Operand, b: Operand) -> Fixed:
        """Products for a small whole exponent, a root for one half, else ``exp(b * log(a))``."""
        exponent = b.number if isinstance(b, Expr) else None
        if exponent is None or isinstance(a, Expr) or exponent not in _EXPONENTS:
            if isinstance(a, Expr):
                logs: Operand = apply("log", a)
            else:
                logs = logarithm(self, self.w.fresh(f"{name}_log"), a)
            return self.curve(name, self.multiply(self.w.fresh("_m0"), b, logs), "exp")
        if exponent == Fraction(1, 2):
            return square_root(self, name, a)
        if exponent < 0:
            below = self.power(self.w.fresh("_q0"), a, leaf(float(-exponent)))
            return self.divide(name, ONE, below)
        product, count = a, int(exponent)
        for _ in range(count - 2):
            product = self.multiply(self.w.fresh("_q0"), product, a)
        if count == 1:
            return Fixed(self.w.emit(name, "copy", a.name), a.bits, a.flag)
        return self.multiply(name, product, a)

    def square(self, name: str, a: Operand) -> Fixed:
        """``a * a``."""
        return self.multiply(name, a, a)

    def extreme(self, name: str, a: Operand, b: Operand, fn: str) -> Fixed:
        """``max(a, b)`` or ``min(a, b)``; a lower limit above zero stays there."""
        x, y = self.aligned(a, b)
        for c, limit in ((a, x), (b, y)):
            if fn == "maximum" and isinstance(c, Expr) and (signs(c) > 0).all():
                k = np.maximum(nearest(c * power(limit.bits)), 1)
                above = Fixed(self.w.const("k", k), limit.bits)
                x, y = (above, y) if c is a else (x, above)
        return Fixed(self.w.emit(name, fn, x.name, y.name), x.bits)

    def absolute(self, name: str, a: Operand) -> Fixed:
        """``|a|``."""
        minus = self.negate(self.w.fresh("_n0"), a)
        return self.extreme(name, a, minus, "maximum")

    def compare(self, name: str, a: Operand, b: Operand, fn: str) -> Fixed:
        """A comparison; with a constant, its exact integer threshold."""
        if isinstance(a, Expr):
            a, b, fn = b, a, MIRRORED[fn]
        assert isinstance(a, Fixed), "comparisons of constants are constants"
        if fn in ("eq", "ne"):
            x, y = self.aligned(a, b)
            if x.bits:
                raise self.failure("equality of numbers that are rounded is not defined")
            return Fixed(self.w.emit(name, fn, x.name, y.name), 0, True)
        if isinstance(b, Fixed):
            x, y = self.aligned(a, b)
            return Fixed(self.w.emit(name, fn, x.name, y.name), 0, True)
        bound = b * power(a.bits)
        k = {"ge": ceiling, "le": flooring}.get(fn)
        limit = k(bound) if k else flooring(bound) + 1 if fn == "gt" else ceiling(bound) - 1
        kind = "ge" if fn in ("ge", "gt") else "le"
        return Fixed(self.w.emit(name, kind, a.name, self.w.const("theta", limit)), 0, True)

    def logic(self, name: str, *operands: Operand, fn: str) -> Fixed:
        """``and``, ``or``, ``not``, ``xor`` of truth values."""
        flags = [self.flag(x).name for x in operands]
        return Fixed(self.w.emit(name, "ne" if fn == "xor" else fn, *flags), 0, True)

    def where(self, name: str, cond: Operand, a: Operand, b: Operand) -> Fixed:
        """``cond ? a : b``."""
        flag = self.flag(cond)
        if isinstance(a, Expr) and b == ZERO:
            self.levels[name] = (flag, a)
            if a.number == 1:
                return Fixed(self.w.emit(name, "copy", flag.name), 0, True)
        x, y = self.aligned(a, b)
        both = all(isinstance(v, Fixed) and v.flag for v in (a, b))
        return Fixed(self.w.emit(name, "select", flag.name, x.name, y.name), x.bits, both)

    def whole(self, name: str, a: Operand, rounding: str) -> Fixed:
        """``floor``, ``trunc`` and ``round`` (ties to even, as torch does): a count."""
        assert isinstance(a, Fixed), "constants are rounded at once"
        if not a.bits:
            return Fixed(self.w.emit(name, "copy", a.name), 0, a.flag)
        return Fixed(self.w.emit(name, "rsh", a.name, shift=a.bits, rounding=rounding), 0)

    def ceil(self, name: str, a: Operand) -> Fixed:
        """``ceil(a) = -floor(-a)``."""
        minus = self.negate(self.w.fresh("_n0"), a)
        return self.negate(name, self.whole(self.w.fresh("_n0"), minus, "floor"))

    def divide(self, name: str, a: Operand, b: Operand) -> Fixed:
        """``a / b`` by a value that changes, to ``F`` bits; the proof must exclude zero."""
        assert isinstance(b, Fixed), "division by a constant is a factor"
        found = self.aligned(a)[0]
        more = self.full - found.bits + b.bits
        lifted = self.w.emit(self.w.fresh("_l0"), "shl", found.name, shift=more)
        return Fixed(self.w.emit(name, "div", lifted, b.name), self.full)

    def curve(self, name: str, a: Operand, fn: str) -> Fixed:
        """A transcendental function, from a table."""
        x = self.fixed(a, self.full)
        interpolated(self.w, name, fn, x.name, self.full)
        return Fixed(name, self.full)

    def softplus(self, name: str, a: Operand) -> Fixed:
        """The larger of ``a`` and 0, plus ``softplus(-|a|)``."""
        size = self.absolute(self.w.fresh("_n0"), a)
        minus = self.negate(self.w.fresh("_n0"), size)
        small = self.curve(self.w.fresh("_s0"), minus, "softplus")
        large = self.extreme(self.w.fresh("_s0"), a, ZERO, "maximum")
        return self.add(name, large, small)


def _compare(fn: str) -> Rule:
    return lambda low, name, a, b: low.compare(name, a, b, fn)


def _logic(fn: str) -> Rule:
    return lambda low, name, *args: low.logic(name, *args, fn=fn)


def _curve(fn: str) -> Rule:
    return lambda low, name, a: low.curve(name, a, fn)


Rule = Callable[..., Fixed]

#: How each real function of values that change becomes integer lines.
_RULES: dict[str, Rule] = {
    "add": _Lowering.add,
    "sub": _Lowering.subtract,
    "neg": _Lowering.negate,
    "mul": _Lowering.multiply,
    "pow": _Lowering.power,
    "square": _Lowering.square,
    "abs": _Lowering.absolute,
    "relu": lambda low, name, a: low.extreme(name, a, ZERO, "maximum"),
    "maximum": lambda low, name, a, b: low.extreme(name, a, b, "maximum"),
    "minimum": lambda low, name, a, b: low.extreme(name, a, b, "minimum"),
    **{fn: _compare(fn) for fn in MIRRORED},
    **{fn: _logic(fn) for fn in ("and", "or", "xor", "not")},
    "where": _Lowering.where,
    "floor": lambda low, name, a: low.whole(name, a, "floor"),
    "trunc": lambda low, name, a: low.whole(name, a, "trunc"),
    "round": lambda low, name, a: low.whole(name, a, "half_even"),
    "ceil": _Lowering.ceil,
    "div": _Lowering.divide,
    "reciprocal": lambda low, name, a: low.divide(name, ONE, a),
    **{fn: _curve(fn) for fn in ("sigmoid", "tanh", "exp", "expm1", "erf")},
    "softplus": _Lowering.softplus,
    "sqrt": square_root,
    "log": logarithm,
    "log1p": lambda low, name, a: logarithm(low, name, low.add(low.w.fresh("_a0"), a, ONE)),
    "sin": lambda low, name, a: sine(low, name, a, "sin"),
    "cos": lambda low, name, a: sine(low, name, a, "cos"),
    "wrap": wrapped,
}
