"""An integer kernel in real arithmetic, parts of which are switched back to real numbers.

Numbers are counted in steps of the kernel's unit, as the integers are, in float64: products of a
state and a decay stay below ``2**53``, so that with nothing switched every value is the integer.

* inputs are brought to whole steps (``ROUNDING``: they stay as they arrive);
* a decay is ``A / 2**P`` (``DECAYS``: the model's own);
* what is added or set is a whole number of steps (``THRESHOLDS``: the model's own, so are what
  values are compared with);
* shifts round (``ROUNDING``: they divide).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from snnc.exact import ONE, Expr, floats, leaf
from snnc.kernel import PREDICATES, Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes.kernel_names import KernelNames
from snnc.passes.lower_kernel import LoweredKernel

#: Parts of a network's arithmetic that can be switched back.
INPUTS, WEIGHTS, DECAYS, THRESHOLDS, ROUNDING = PARTS = (
    "inputs",
    "weights",
    "decays",
    "thresholds",
    "rounding",
)


@dataclass(frozen=True, eq=False)
class Lowering:
    """How a neuron was lowered.

    Attributes:
        lowered: The integer kernel, and what its constants are exactly.
        gain: Of every input; integers arrive multiplied by it.
        unit: The real value of one integer step.
    """

    lowered: LoweredKernel
    gain: dict[str, Expr]
    unit: Expr

    def kernel(self, real: Collection[str]) -> Kernel | None:
        """The kernel with the parts ``real`` in real numbers.

        None if it has functions that no scale-free kernel should have.
        """
        known = {*PREDICATES, "add", "sub", "mul", "neg", "maximum", "minimum"}
        known |= {"rsh", "shl", "copy", "select"}
        if any(line.fn not in known for line in self.lowered.kernel.body):
            return None
        return _Switched(self, frozenset(real)).kernel()


class _Switched:
    def __init__(self, lowering: Lowering, real: frozenset[str]) -> None:
        self.lowered, self.unit, self.real = lowering.lowered, lowering.unit, real
        self.integer = lowering.lowered.kernel
        self.gain = lowering.gain
        self.outputs = dict(zip(self.integer.outputs, self.lowered.units, strict=True))
        self._names = KernelNames(self.integer)
        self.consts: dict[str, Const] = {}
        self.made: dict[Param, str] = {}
        self.lines: list[Line] = []
        self.at: dict[str, str] = {}  # of every value of the integer kernel: its twin
        decays = {a for x in self.integer.body if x.name in self.lowered.factors for a in x.args}
        for c in self.integer.consts:
            values = c.values.data if c.index is None else c.values.data[c.index.data]
            exact = self.lowered.exact.get(c.name) if THRESHOLDS in real else None
            own = c.name not in decays and exact is not None
            value = floats(exact) if own and exact is not None else values.astype(np.float64)
            self.consts[c.name] = Const(c.name, Param(value))

    def emit(self, base: str, fn: str, *args: str) -> str:
        name = self._names.fresh(base)
        self.lines.append(Line(name, fn, args))
        return name

    def const(self, value: Expr) -> str:
        """The name of a constant that the integer kernel does not have."""
        param = Param(floats(value))
        if param not in self.made:
            name = self._names.fresh("c")
            self.made[param], self.consts[name] = name, Const(name, param)
        return self.made[param]

    def rounded(self, value: str, rounding: str) -> str:
        """The value in whole steps."""
        half = self.const(leaf(0.5))
        if rounding in ("floor", "trunc"):
            return self.emit("r", rounding, value)
        if rounding == "half_even":
            return self.emit("r", "round", value)
        if rounding == "half_up":
            return self.emit("r", "floor", self.emit("r", "add", value, half))
        assert rounding == "half_away", f"a rounding without a twin: {rounding}"
        size = self.emit("r", "add", self.emit("r", "abs", value), half)
        size = self.emit("r", "floor", size)
        below = self.emit("r", "lt", value, self.const(leaf(0.0)))
        return self.emit("r", "where", below, self.emit("r", "neg", size), size)

    def kernel(self) -> Kernel:
        """Everything, written."""
        free = self.unscaled()
        for name in self.integer.inputs:
            if name in free:
                continue
            steps = self.emit(f"{name}_n", "mul", name, self.const(self.gain[name] / self.unit))
            self.at[name] = steps if ROUNDING in self.real else self.rounded(steps, "half_away")
        for line in self.integer.body:
            self.line(line)
        states = tuple(self.state(s) for s in self.integer.states)
        for name, unit in self.outputs.items():
            value = self.at.get(name, name)
            if value != name:
                self.lines.append(Line(name, "mul", (value, self.const(unit))))
        lines, consts = tuple(self.lines), tuple(self.consts.values())
        return Kernel(self.integer.inputs, states, consts, lines, self.integer.outputs)

    def unscaled(self) -> set[str]:
        """Inputs that are only compared with 0 for equality."""
        tests = [x for x in self.integer.body if x.fn in ("eq", "ne")]
        other = {a for x in self.integer.body if x.fn not in ("eq", "ne") for a in x.args}
        other |= {s.next for s in self.integer.states} | set(self.integer.outputs)
        return {a for x in tests for a in x.args} - other

    def line(self, line: Line) -> None:
        args = tuple(self.at.get(a, a) for a in line.args)
        if line.fn == "copy":
            self.at[line.name] = args[0]
            return
        if line.fn == "rsh":
            self.at[line.name] = self.shifted(args[0], line)
            return
        fn = {"select": "where", "shl": "mul"}.get(line.fn, line.fn)
        if line.fn == "shl":
            args = (args[0], self.const(leaf(float(1 << line.shift))))
        elif line.name in self.lowered.factors and DECAYS in self.real:
            constants = {c.name for c in self.integer.consts}
            (atom,) = (b for a, b in zip(line.args, args, strict=True) if a not in constants)
            reader = next((x for x in self.integer.body if self.reads(x, line.name)), None)
            scale = leaf(float(1 << (0 if reader is None else reader.shift)))
            args = (atom, self.const(self.lowered.factors[line.name] * scale))
        name = line.name
        if self.outputs.get(name, ONE) != ONE:  # the name is that of the real value
            self.at[name] = name = self._names.fresh(name)
        self.lines.append(Line(name, fn, args))

    @staticmethod
    def reads(line: Line, name: str) -> bool:
        return line.fn == "rsh" and line.args == (name,)

    def shifted(self, value: str, line: Line) -> str:
        """The value divided by a power of two."""
        divided = self.emit("d", "mul", value, self.const(leaf(0.5**line.shift)))
        return divided if ROUNDING in self.real else self.rounded(divided, line.rounding)

    def state(self, state: State) -> State:
        exact = self.lowered.exact.get(state.name) if THRESHOLDS in self.real else None
        init = state.init.data.astype(np.float64) if exact is None else floats(exact)
        return State(state.name, self.at.get(state.next, state.next), Param(init))
