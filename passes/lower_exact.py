"""Lower a kernel of whole numbers to integers, line by line, without a rounding of its own.

Kernels that state the arithmetic of a chip, such as ``trunc(3072 * u / 4096) + 64 * x``, compute
with dyadic fractions: every value is ``n / 2**f`` with a known ``f``.  A product adds the ``f`` of
its factors, a division by ``2**k`` adds k, sums and comparisons first bring both sides to the
larger ``f``, and ``trunc``, ``floor``, ``ceil`` and ``round`` are right shifts by ``f``.  So the
integer kernel computes what the real one says, and a state is a whole number after each step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.exact import ONE, Expr, apply, floats, leaf, signs
from snnc.kernel import PREDICATES, Const, Kernel, Line, State
from snnc.params import Param, compact
from snnc.passes.kernel_writer import KernelWriter, live

Ints = npt.NDArray[np.int64]

#: Most fractional bits of a value.
MAX_FRACTION = 40

_ROUNDINGS = {"trunc": "trunc", "floor": "floor", "round": "half_even"}


class NotWholeError(Exception):
    """The kernel computes with numbers that are no dyadic fractions; the message says where."""


@dataclass(frozen=True, slots=True)
class Dyadic:
    """The real value ``name / 2**bits`` of an integer line."""

    name: str
    bits: int = 0


def lower_exact(real: Kernel, units: list[Expr]) -> tuple[Kernel, list[Expr]]:
    """The integer kernel, and the unit of each of its outputs.

    Args:
        real: The kernel.
        units: Real value of one step of each input.

    Raises:
        NotWholeError: If a value has no finite binary fraction, or a state is no whole number.
    """
    return _Lowering(real, units).go()


class _Lowering:
    def __init__(self, real: Kernel, units: list[Expr]) -> None:
        self.real, self.units = real, units
        self.w = KernelWriter(real, "trunc")
        self.consts: dict[tuple[str, int], Const] = {}
        self.exprs: dict[str, Expr] = {}
        self.values: dict[str, Dyadic] = {}
        self.predicates: set[str] = set()
        self.defs = {line.name: line for line in real.body}
        self._where = ""

    def go(self) -> tuple[Kernel, list[Expr]]:
        for const in self.real.consts:
            data = const.values.data
            self.exprs[const.name] = leaf(data if const.index is None else data[const.index.data])
        for name, unit in zip(self.real.inputs, self.units, strict=True):
            self._where = f"input {name}"
            self.values[name] = self._input(name, unit)
        for state in self.real.states:
            if (state.init.data % 1).any():
                raise NotWholeError(f"state {state.name} starts at a fraction")
            self.values[state.name] = Dyadic(state.name)
        for line in self.real.body:
            self._where = str(line)
            if all(a in self.exprs for a in line.args):
                self.exprs[line.name] = apply(line.fn, *(self.exprs[a] for a in line.args))
            else:
                self.values[line.name] = self._line(line)
        states = tuple(self._state(s) for s in self.real.states)
        outputs = [self._output(name) for name in self.real.outputs]
        kernel = Kernel(
            self.real.inputs,
            states,
            tuple(self.consts.values()),
            tuple(self.w.lines),
            tuple(name for name, _ in outputs),
        )
        return live(kernel), [unit for _, unit in outputs]

    # -- constants -----------------------------------------------------------

    def _fail(self, why: str) -> NotWholeError:
        return NotWholeError(f"{self._where}: {why}")

    def _const(self, name: str, bits: int | None = None) -> Dyadic:
        """A constant as integers with as few fractional bits as it needs, or with ``bits``."""
        data = self._numbers(name)
        needed = _fraction_bits(data)
        if needed is None:
            raise self._fail(f"{name} has no finite binary fraction")
        bits = needed if bits is None else bits
        if (name, bits) not in self.consts:
            scaled = np.ldexp(data, bits)
            if float(np.abs(scaled).max(initial=0)) >= 1 << 62:
                raise self._fail(f"{name} is too large")
            leaves = {*self.real.leaves()} - {c.name for c in self.consts.values()}
            own = name if name in leaves else self.w.fresh("k")
            self.consts[name, bits] = _table(own, scaled.astype(np.int64))
        return Dyadic(self.consts[name, bits].name, bits)

    def _numbers(self, name: str) -> npt.NDArray[np.float64]:
        expr = self.exprs[name]
        near = floats(expr)
        if expr.value is None and signs(expr - leaf(near)).any():
            raise self._fail(f"{name} has no finite binary fraction")
        return near

    def _power(self, name: str) -> int | None:
        """K of a constant that is ``2**k`` for all neurons."""
        if name not in self.exprs:
            return None
        data = self._numbers(name)
        if not data.size or not (data == data.flat[0]).all() or data.flat[0] <= 0:
            return None
        mantissa, exponent = math.frexp(float(data.flat[0]))
        return exponent - 1 if mantissa == 0.5 else None

    def _operand(self, name: str) -> Dyadic:
        return self._const(name) if name in self.exprs else self.values[name]

    def _aligned(self, *names: str) -> tuple[list[str], int]:
        """The operands with the same number of fractional bits."""
        found = [self._operand(n) for n in names]
        bits = max(x.bits for x in found)
        out = []
        for name, x in zip(names, found, strict=True):
            if x.bits == bits:
                out.append(x.name)
            elif name in self.exprs:
                out.append(self._const(name, bits).name)
            else:
                out.append(self.w.emit(self.w.fresh("_a0"), "shl", x.name, shift=bits - x.bits))
        return out, bits

    # -- lines --------------------------------------------------------------------------------

    def _input(self, name: str, unit: Expr) -> Dyadic:
        number = unit.number
        if number is None or number.denominator & (number.denominator - 1):
            raise self._fail(f"one step of it is {unit.number or 'a number per channel'}")
        x = Dyadic(name, number.denominator.bit_length() - 1)
        if number.numerator == 1:
            return x
        factor = self.w.fresh("unit")
        self.exprs[factor] = leaf(float(number.numerator))
        return self._product(self.w.fresh(f"{name}_in"), x, factor)

    def _line(self, line: Line) -> Dyadic:
        fn, args, name = line.fn, line.args, line.name
        if fn in PREDICATES:
            return self._predicate(line)
        if fn in ("add", "sub", "maximum", "minimum"):
            sides, bits = self._aligned(*args)
            return Dyadic(self.w.emit(name, fn, *sides), bits)
        if fn == "relu":
            x = self._operand(args[0])
            return Dyadic(self.w.emit(name, "maximum", x.name, self._zero()), x.bits)
        if fn == "neg":
            x = self._operand(args[0])
            return Dyadic(self.w.emit(name, "neg", x.name), x.bits)
        if fn == "abs":
            x = self._operand(args[0])
            minus = self.w.emit(self.w.fresh("_n0"), "neg", x.name)
            return Dyadic(self.w.emit(name, "maximum", x.name, minus), x.bits)
        if fn == "mul":
            return self._multiply(line)
        if fn == "div" and (k := self._power(args[1])) is not None:
            return self._scaled(name, self._operand(args[0]), -k)
        if fn == "where":
            if (inner := self._truncated(line)) is not None:
                return self._rounded(name, inner, "trunc")
            sides, bits = self._aligned(*args[1:])
            return Dyadic(self.w.emit(name, "select", self._operand(args[0]).name, *sides), bits)
        if fn in (*_ROUNDINGS, "ceil"):
            return self._rounded(name, args[0], fn)
        if fn == "wrap" and (k := self._power(args[1])) is not None:
            x = self._operand(args[0])
            return Dyadic(self.w.emit(name, "wrap", x.name, shift=k + 1 + x.bits), x.bits)
        raise self._fail(f"{fn!r} of a value that changes is not a whole number")

    def _predicate(self, line: Line) -> Dyadic:
        self.predicates.add(line.name)
        if line.fn == "xor":
            raise self._fail("xor is not supported")
        sides, _ = self._aligned(*line.args)
        return Dyadic(self.w.emit(line.name, line.fn, *sides))

    def _multiply(self, line: Line) -> Dyadic:
        for a, b in (line.args, line.args[::-1]):
            if b in self.exprs:
                return self._product(line.name, self._operand(a), b)
        for a, b in (line.args, line.args[::-1]):
            if a in self.predicates:  # rather than a product: ranges then know what was compared
                x = self._operand(b)
                flag = self.values[a].name
                return Dyadic(self.w.emit(line.name, "select", flag, x.name, self._zero()), x.bits)
        x, y = (self._operand(a) for a in line.args)
        return self._checked(Dyadic(self.w.emit(line.name, "mul", x.name, y.name), x.bits + y.bits))

    def _product(self, name: str, x: Dyadic, factor: str) -> Dyadic:
        if (k := self._power(factor)) is not None:
            return self._scaled(name, x, k)
        c = self._const(factor)
        return self._checked(Dyadic(self.w.emit(name, "mul", c.name, x.name), x.bits + c.bits))

    def _scaled(self, name: str, x: Dyadic, k: int) -> Dyadic:
        """``x * 2**k``: first the fraction moves, only then the integer."""
        if k <= x.bits:
            return self._checked(Dyadic(x.name, x.bits - k))
        return Dyadic(self.w.emit(name, "shl", x.name, shift=k - x.bits))

    def _rounded(self, name: str, operand: str, fn: str) -> Dyadic:
        x = self._operand(operand)
        if not x.bits:
            return x
        if fn == "ceil":
            minus = self.w.emit(self.w.fresh("_n0"), "neg", x.name)
            low = self.w.emit(self.w.fresh("_d0"), "rsh", minus, shift=x.bits, rounding="floor")
            return Dyadic(self.w.emit(name, "neg", low))
        rounding = _ROUNDINGS[fn]
        return Dyadic(self.w.emit(name, "rsh", x.name, shift=x.bits, rounding=rounding))

    def _truncated(self, line: Line) -> str | None:
        """x, if the line is ``where(x >= 0, floor(x), ceil(x))``, as a traced ``trunc`` is."""
        cond, low, high = (self.defs.get(a) for a in line.args)
        if cond is None or low is None or high is None:
            return None
        if (cond.fn, low.fn, high.fn) != ("ge", "floor", "ceil"):
            return None
        zero = self.exprs.get(cond.args[1])
        same = cond.args[0] == low.args[0] == high.args[0]
        return cond.args[0] if same and zero is not None and zero.number == 0 else None

    def _zero(self) -> str:
        self.exprs.setdefault("", leaf(0.0))
        return self._const("").name

    def _checked(self, x: Dyadic) -> Dyadic:
        if x.bits > MAX_FRACTION:
            raise self._fail(f"it needs more than {MAX_FRACTION} fractional bits")
        return x

    # -- states and outputs -------------------------------------------------------------------

    def _state(self, state: State) -> State:
        self._where = f"state {state.name}"
        x = self._operand(state.next)
        if x.bits:
            raise self._fail("a fraction is left after a step; round it, as the chip does")
        return State(state.name, x.name, Param(compact(state.init.data.astype(np.int64))))

    def _output(self, name: str) -> tuple[str, Expr]:
        self._where = f"output {name}"
        x = self._operand(name)
        unit = ONE / leaf(float(1 << x.bits))
        if name in (*self.real.inputs, *(s.name for s in self.real.states)) or x.name == name:
            return x.name, unit
        return self.w.emit(name, "copy", x.name), unit


def _table(name: str, data: Ints) -> Const:
    """A constant: one number, a number for each neuron, or a table of few distinct ones."""
    distinct, inverse = np.unique(data, return_inverse=True)
    if len(distinct) == 1:
        return Const(name, Param(compact(distinct.reshape(()))))
    if len(distinct) <= data.size // 4:
        index = Param(compact(inverse.reshape(data.shape), signed=False))
        return Const(name, Param(compact(distinct)), index)
    return Const(name, Param(compact(data)))


def _fraction_bits(data: npt.NDArray[np.float64]) -> int | None:
    """The smallest f for which all ``data * 2**f`` are whole, if there is one."""
    for bits in range(MAX_FRACTION + 1):
        scaled = np.ldexp(data, bits)
        if (scaled == np.rint(scaled)).all():
            return bits
    return None
