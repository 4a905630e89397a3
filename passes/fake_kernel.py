"""The real kernel whose constants are those of an integer kernel: what quantization alone changes.

It computes what the scale-free integer kernel computes, value by value, in real numbers: what the
integers add is ``k * U``, decays are the model's own, and nothing is rounded.  A comparison
``V >= k`` becomes ``v >= (k - 1/2) U``: the same decision for all multiples of ``U``, also for
those that float arithmetic misses by its last bit, and the one that rounding to the nearest makes.
"""

from __future__ import annotations

from snnc.exact import ONE, ZERO, Expr, floats, leaf
from snnc.kernel import PREDICATES, Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes.kernel_names import KernelNames

_HALF = leaf(0.5)


def fake_kernel(
    integer: Kernel,
    units: list[Expr],
    factors: dict[str, Expr],
    gain: dict[str, Expr],
    unit: Expr,
) -> Kernel:
    """The real twin of ``integer``, with the names of its states and outputs.

    Args:
        integer: A scale-free kernel in integers.
        units: Of its outputs.
        factors: Exact factor of every product or shift of a value, by the name of its line.
        gain: Of every input; the integers arrive multiplied by it.
        unit: ``U``, the real value of one integer step.
    """
    return _Twin(integer, factors, gain, unit).kernel(units)


class _Twin:
    def __init__(
        self, integer: Kernel, factors: dict[str, Expr], gain: dict[str, Expr], unit: Expr
    ) -> None:
        self.integer, self.factors, self.unit = integer, factors, unit
        self.integers = {
            c.name: leaf(c.values.data if c.index is None else c.values.data[c.index.data])
            for c in integer.consts
        }
        self.consts: dict[Param, Const] = {}
        self.lines: list[Line] = []
        self._names = KernelNames(integer)
        self.flags = {x.name for x in integer.body if x.fn in PREDICATES}
        self.at: dict[str, str] = {}  # of every value of the integer kernel: its twin
        for name in integer.inputs:
            self.at[name] = name if gain[name] == ONE else self.scaled(name, gain[name])

    def const(self, value: Expr) -> str:
        """The name of a constant."""
        param = Param(floats(value))
        if param not in self.consts:
            self.consts[param] = Const(self._names.fresh("c"), param)
        return self.consts[param].name

    def scaled(self, name: str, factor: Expr) -> str:
        """A value times a constant."""
        made = self._names.fresh(f"{name}_g")
        self.lines.append(Line(made, "mul", (name, self.const(factor))))
        return made

    def value(self, name: str) -> str:
        """The twin of an operand that is added, chosen or compared."""
        if name in self.integers:
            return self.const(self.integers[name] * self.unit)
        return self.at.get(name, name)

    def line(self, line: Line) -> None:
        fn, args = line.fn, line.args
        if line.name in self.factors:  # the shift that follows a product is part of the factor
            (atom,) = (a for a in args if a not in self.integers)
            fn, args = "mul", (self.value(atom), self.const(self.factors[line.name]))
        elif fn == "rsh":
            self.at[line.name] = self.value(args[0])
            return
        elif fn == "copy":
            self.copy(line)
            return
        elif fn in ("ge", "gt", "le", "lt"):
            k = self.integers[args[1]]
            k = k - _HALF if fn in ("ge", "lt") else k + _HALF
            args = (self.value(args[0]), self.const(k * self.unit))
        elif fn in ("eq", "ne") and args[1] in self.integers:
            args = (self.value(args[0]), self.const(self.integers[args[1]] * self.unit))
        elif fn == "select":
            fn, args = "where", (args[0], self.value(args[1]), self.value(args[2]))
        elif fn not in PREDICATES:
            args = tuple(self.value(a) for a in args)
        else:
            args = tuple(self.at.get(a, a) for a in args)
        self.lines.append(Line(line.name, fn, args))

    def copy(self, line: Line) -> None:
        (source,) = line.args
        if source in self.integers and line.name in self.truths():
            self.at[line.name] = self.const(self.integers[source])
        else:
            self.at[line.name] = self.value(source)

    def truths(self) -> set[str]:
        """Names that are 0 or 1 because something uses them as such."""
        used = {x.args[0] for x in self.integer.body if x.fn == "select"}
        return used.union(*(x.args for x in self.integer.body if x.fn in ("and", "or", "not")))

    def kernel(self, units: list[Expr]) -> Kernel:
        """Everything, written."""
        for line in self.integer.body:
            self.line(line)
        states = tuple(self.state(s) for s in self.integer.states)
        named = dict(zip(self.integer.outputs, units, strict=True))
        made = {name: self.output(name, unit) for name, unit in named.items()}
        outputs = tuple(made[name] for name in self.integer.outputs)
        consts = tuple(self.consts.values())
        return Kernel(self.integer.inputs, states, consts, tuple(self.lines), outputs)

    def state(self, state: State) -> State:
        numeric = not self.is_flag(state.next)
        init = leaf(state.init.data) * (self.unit if numeric else ONE)
        return State(state.name, self.at.get(state.next, state.next), Param(floats(init)))

    def is_flag(self, name: str) -> bool:
        while (line := self.integer.line(name)) is not None and line.fn == "copy":
            name = line.args[0]
        states = {s.name: s.next for s in self.integer.states}
        return name in self.flags or (name in states and states[name] in self.flags)

    def output(self, name: str, unit: Expr) -> str:
        """The real value of an output, under the name that the integer kernel gives it."""
        value = self.at.get(name, name)
        if value == name:
            return name
        if unit not in (self.unit, ONE):
            self.lines.append(Line(name, "mul", (value, self.const(unit))))
        elif self.is_flag(name):
            self.lines.append(Line(name, "ne", (value, self.const(ZERO))))
        else:
            self.lines.append(Line(name, "mul", (value, self.const(ONE))))
        return name
