"""A neuron's program as equations in the user's parameters.

The program of a :class:`~snnc.kernel.Kernel` has one operation a line.  For reading, what is used
once is written where it is used, a new state is called after the state (``v'``), a number of the
source is written as the number, and what depends on parameters alone is one constant of the
compiled network: it stays an expression in the equations and is listed with its values,
``softplus(tau) + 1: folded to 128 constants, 2.1 … 7.9``.  Nothing is rearranged.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.backends.float_sim import FUNCTIONS
from snnc.kernel import PREDICATES, Const, Kernel, Line

#: Functions written between their operands: sign, and how tightly it binds.
_INFIX = {
    "or": ("|", 1),
    "xor": ("^", 1),
    "and": ("&", 2),
    "ge": (">=", 3),
    "gt": (">", 3),
    "le": ("<=", 3),
    "lt": ("<", 3),
    "eq": ("==", 3),
    "ne": ("!=", 3),
    "add": ("+", 4),
    "sub": ("-", 4),
    "mul": ("*", 5),
    "div": ("/", 5),
    "pow": ("**", 7),
}

#: Operators whose right operand needs parentheses at the same precedence, too.
_LEFT_ONLY = frozenset({"sub", "div", "pow", "ge", "gt", "le", "lt", "eq", "ne"})

_ATOM, _UNARY = 9, 6

#: Names of lines that nobody chose.
_NUMBERED = re.compile(r"[st]\d+")


@dataclass(frozen=True)
class Folded:
    """An expression of parameters, and what it is.

    Attributes:
        expression: In the names that the equations use.
        value: The number, or how many there are and their range.
        origins: Names in the user's model of the parameters in it.
    """

    expression: str
    value: str
    origins: tuple[str, ...]


@dataclass(frozen=True)
class Formula:
    """What a neuron does in one step: equations, and the constants in them."""

    equations: tuple[str, ...]
    folded: tuple[Folded, ...]


def formula_of(kernel: Kernel) -> Formula:
    """Write a real-valued kernel as equations."""
    return _Writer(kernel).write()


class _Writer:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines = {line.name: line for line in kernel.body}
        self.consts = {c.name: c for c in kernel.consts}
        self.constant = set(self.consts)
        for line in kernel.body:
            if all(a in self.constant for a in line.args):
                self.constant.add(line.name)
        needed = [*kernel.outputs, *(s.next for s in kernel.states)]
        live = set(needed)
        for line in reversed(kernel.body):
            if line.name in live:
                live |= set(line.args)
        self.live = [line for line in kernel.body if line.name in live]
        self.uses = Counter(a for line in self.live for a in line.args)
        self.kept = set(needed)
        self.names = self._names()
        self.folded: dict[str, Folded] = {}

    def _names(self) -> dict[str, str]:
        """What lines that get an equation of their own are called."""
        names: dict[str, str] = {}
        for state in self.kernel.states:
            if _NUMBERED.fullmatch(state.next) and state.next not in self.constant:
                names.setdefault(state.next, f"{state.name}'")
        taken = {*self.kernel.inputs, *(s.name for s in self.kernel.states), *self.consts}
        count: Counter[str] = Counter()
        for line in self.live:
            if line.name in self.constant or line.name in names or self._inline(line):
                continue
            if not _NUMBERED.fullmatch(line.name):
                names[line.name] = line.name
                continue
            letter = "s" if line.fn in PREDICATES else "t"
            while (name := f"{letter}{count[letter]}") in taken:
                count[letter] += 1
            count[letter] += 1
            names[line.name] = name
        return names

    def _inline(self, line: Line) -> bool:
        """Whether a line is written where it is used: once, and nobody gave it a name."""
        unnamed = _NUMBERED.fullmatch(line.name) is not None
        return unnamed and line.name not in self.kept and self.uses[line.name] == 1

    def write(self) -> Formula:
        """All equations, in the order of the program."""
        equations = [
            f"{self.names[line.name]} = {self._body(line)[0]}"
            for line in self.live
            if line.name in self.names
        ]
        equations += [
            f"{state.name}' = {self._text(state.next)[0]}"
            for state in self.kernel.states
            if self.names.get(state.next) != f"{state.name}'"
        ]
        named = {*self.names, *(s.next for s in self.kernel.states)}
        equations += [f"out = {self._text(o)[0]}" for o in self.kernel.outputs if o not in named]
        return Formula(tuple(equations), tuple(self.folded.values()))

    def _text(self, name: str) -> tuple[str, int]:
        """An operand, and how tightly it binds."""
        if name in self.constant:
            return self._constant(name)
        if name in self.names:
            return self.names[name], _ATOM
        line = self.lines.get(name)
        return (name, _ATOM) if line is None else self._body(line)

    def _body(self, line: Line) -> tuple[str, int]:
        return self._operation(line, [self._text(a) for a in line.args])

    def _operation(self, line: Line, args: list[tuple[str, int]]) -> tuple[str, int]:
        if line.fn in _INFIX:
            sign, own = _INFIX[line.fn]
            (left, tight), (right, other) = args
            left = left if tight >= own else f"({left})"
            right = f"({right})" if other < own + (line.fn in _LEFT_ONLY) else right
            return f"{left} {sign} {right}", own
        if line.fn == "neg":
            text, tight = args[0]
            return (f"-{text}" if tight > _UNARY else f"-({text})"), _UNARY
        return f"{line.fn}({', '.join(text for text, _ in args)})", _ATOM

    # ---- constants

    def _constant(self, name: str) -> tuple[str, int]:
        """An expression of parameters as it stands in an equation; it is listed once."""
        text, tight = self._expression(name)
        origins = self._origins(name)
        if origins and text not in self.folded:
            value = _described(self._value(name), folded=name not in self.consts)
            self.folded[text] = Folded(text, value, origins)
        return text, tight

    def _expression(self, name: str) -> tuple[str, int]:
        if name in self.lines:
            line = self.lines[name]
            return self._operation(line, [self._expression(a) for a in line.args])
        number = _number(self.consts[name])
        if number is None:
            return name, _ATOM
        return f"{number:.6g}", _UNARY if number < 0 else _ATOM

    def _origins(self, name: str) -> tuple[str, ...]:
        if name in self.lines:
            parts = (self._origins(a) for a in self.lines[name].args)
            return tuple(dict.fromkeys(o for part in parts for o in part))
        const = self.consts[name]
        return () if _number(const) is not None else (const.origin or name,)

    def _value(self, name: str) -> npt.NDArray[np.float64]:
        if name in self.consts:
            const = self.consts[name]
            values = (
                const.values.data if const.index is None else const.values.data[const.index.data]
            )
            return np.asarray(values, np.float64)
        line = self.lines[name]
        value = FUNCTIONS[line.fn](*(self._value(a) for a in line.args))
        return np.asarray(value, np.float64)


def _number(const: Const) -> float | None:
    """The value, if the constant is a number of the source code or of the equations."""
    if const.values.data.ndim or const.index is not None:
        return None
    if not const.origin:
        return float(const.values.data)
    try:
        written = float(const.origin)
    except ValueError:
        return None
    value = float(const.values.data)
    return value if value == written else None


def _described(values: npt.NDArray[np.float64], folded: bool) -> str:
    low, high = (f"{float(f(values)):.6g}" for f in (np.min, np.max)) if values.size else ("", "")
    if values.ndim == 0:
        return f"folded to {low}" if folded else low
    what = f"{values.size:,} {'constants' if folded else 'values'}"
    several = f"{what}, {low} … {high}" if low != high else f"{what}, all {low}"
    return f"folded to {several}" if folded else several
