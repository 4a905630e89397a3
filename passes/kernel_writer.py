"""Straight-line integer code in the making: fresh names, lines, shared constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnc.exact import Expr
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param, compact
from snnc.passes.kernel_names import KernelNames

Ints = npt.NDArray[np.int64]


class KernelWriter:
    """Collects the lines and constants of an integer kernel.

    Args:
        real: The kernel that is lowered; its names stay free for the values they name there.
        rounding: Of every right shift that does not say otherwise.
    """

    def __init__(self, real: Kernel, rounding: str) -> None:
        self.real, self.rounding = real, rounding
        self.lines: list[Line] = []
        self._consts: dict[tuple[Param, Param | None], Const] = {}
        self._tables: dict[Param, Const] = {}
        self._names = KernelNames(real)

    @property
    def consts(self) -> tuple[Const, ...]:
        """The constants, in the order of their first use."""
        return tuple(self._consts.values())

    @property
    def tables(self) -> tuple[Const, ...]:
        """The tables, in the order of their first use."""
        return tuple(self._tables.values())

    def emit(self, name: str, fn: str, *args: str, shift: int = 0, rounding: str = "") -> str:
        """Append ``name = fn(args)``."""
        rounding = (rounding or self.rounding) if fn == "rsh" else ""
        self.lines.append(Line(name, fn, args, shift, rounding))
        return name

    def fresh(self, base: str) -> str:
        """``base``, or ``base`` with the first free number."""
        return self._names.fresh(base)

    def defines(self, name: str) -> bool:
        """Whether a line of this name was written."""
        return any(line.name == name for line in self.lines)

    def named(self, name: str, value: str) -> str:
        """Give ``value`` the name that the real kernel uses; the simulators' records then match."""
        if value == name and self.defines(name):
            return name
        if name in self.real.leaves() or self.defines(name):
            name = self.fresh(f"{name}_out")
        return self.emit(name, "copy", value)

    def const(self, base: str, data: Ints) -> str:
        """The name of a constant; few distinct values become a table."""
        values, index = Param(compact(data)), None
        if data.size > 1:
            distinct, inverse = np.unique(data, return_inverse=True)
            if len(distinct) == 1:
                values = Param(compact(distinct.reshape(())))
            elif len(distinct) <= data.size // 4:
                values = Param(compact(distinct))
                index = Param(compact(inverse.reshape(data.shape), signed=False))
        elif data.shape:
            values = Param(compact(data.reshape(())))
        key = (values, index)
        if key not in self._consts:
            self._consts[key] = Const(self.fresh(base), values, index)
        return self._consts[key].name

    def table(self, base: str, values: Param) -> str:
        """The name of a table for ``lookup``."""
        if values not in self._tables:
            self._tables[values] = Const(self.fresh(base), values)
        return self._tables[values].name

    def kernel(
        self, state: Callable[[State], State], output: Callable[[str], tuple[str, Expr]]
    ) -> tuple[Kernel, list[Expr]]:
        """The kernel that was written, and the units of its outputs.

        Args:
            state: Writes what leads to the next value of a state of the real kernel.
            output: Writes an output; returns the value and its unit.
        """
        states = tuple(map(state, self.real.states))
        outputs, units = [], []
        for name in self.real.outputs:
            value, unit = output(name)
            outputs.append(self.named(name, value))
            units.append(unit)
        lines = tuple(self.lines)
        written = Kernel(self.real.inputs, states, self.consts, lines, tuple(outputs), self.tables)
        return written, units


def live(kernel: Kernel) -> Kernel:
    """The kernel without lines, constants and tables that nothing needs."""
    wanted = {*kernel.outputs, *(s.next for s in kernel.states)}
    lines = []
    for line in reversed(kernel.body):
        if line.name in wanted:
            lines.append(line)
            wanted.update(line.args)
    consts = tuple(c for c in kernel.consts if c.name in wanted)
    tables = tuple(t for t in kernel.tables if t.name in wanted)
    return replace(kernel, consts=consts, body=tuple(reversed(lines)), tables=tables)
