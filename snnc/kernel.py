"""Elementwise programs: what one neuron does in one step.

A :class:`Kernel` is straight-line code in single-assignment form.  Real-valued kernels use the
functions of ``REAL_FUNCTIONS``; integer kernels those of ``INT_FUNCTIONS``, where every shift
and rounding is an attribute.  Both work element by element on arrays of one shape to which
inputs, states and constants broadcast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from snnc.params import Param

#: Real functions, with their number of operands.  ``alpha`` is never implicit.
REAL_FUNCTIONS: dict[str, int] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "pow", "maximum", "minimum"), 2),
    **dict.fromkeys(("ge", "gt", "le", "lt", "eq", "ne", "and", "or", "xor"), 2),
    **dict.fromkeys(("neg", "not", "exp", "log", "log1p", "expm1", "sqrt", "sigmoid", "tanh"), 1),
    **dict.fromkeys(("softplus", "relu", "abs", "round", "floor", "ceil", "sin", "cos"), 1),
    **dict.fromkeys(("reciprocal", "square", "trunc", "erf"), 1),
    "wrap": 2,  # wrap(x, n): x plus the multiple of 2n that puts it into (-n, n]
    "where": 3,
}

#: Integer functions, with their number of operands.
#: ``rsh`` takes ``shift`` and ``rounding``; ``shl`` takes ``shift``; for ``wrap`` it is the number
#: of bits of the word, whose values are above ``-2**(bits-1)`` and up to ``2**(bits-1)``.
INT_FUNCTIONS: dict[str, int] = {
    **dict.fromkeys(("add", "sub", "mul", "maximum", "minimum"), 2),
    **dict.fromkeys(("ge", "gt", "le", "lt", "eq", "ne", "and", "or"), 2),
    "div": 2,  # rounded half away from zero; the divisor is proven not to be zero
    "lookup": 2,  # element of a table; the first operand is proven to be an index of it
    "isqrt": 1,  # root, rounded down; the operand is proven not to be negative
    **dict.fromkeys(("neg", "not", "rsh", "shl", "wrap", "copy"), 1),
    "select": 3,
}

#: Comparisons, and what they are with their operands exchanged.
MIRRORED = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt", "eq": "eq", "ne": "ne"}
#: Functions whose value is 0 or 1.
PREDICATES = frozenset({"ge", "gt", "le", "lt", "eq", "ne", "and", "or", "xor", "not"})

#: Rounding of ``rsh`` (definitions: ``snnc.rounding``).
ROUNDINGS = ("half_away", "trunc", "floor", "half_up", "half_even")

_INFIX = dict(
    zip(
        ["add", "sub", "mul", "div", "pow", "ge", "gt", "le", "lt", "eq", "ne", "and", "or", "xor"],
        ["+", "-", "*", "/", "**", ">=", ">", "<=", "<", "==", "!=", "&", "|", "^"],
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class Line:
    """``name = fn(args)``.  ``lo`` and ``hi`` are the proven range of an integer line."""

    name: str
    fn: str
    args: tuple[str, ...]
    shift: int = 0
    rounding: str = ""
    lo: int | None = None
    hi: int | None = None

    def __str__(self) -> str:
        a = self.args
        if self.fn in _INFIX:
            text = f"{a[0]} {_INFIX[self.fn]} {a[1]}"
        elif self.fn == "rsh":
            text = f"{a[0]} >> {self.shift} ({self.rounding})"
        elif self.fn == "shl":
            text = f"{a[0]} << {self.shift}"
        elif self.fn == "wrap" and self.shift:
            text = f"wrap({a[0]}, {self.shift} bits)"
        elif self.fn == "copy":
            text = a[0]
        elif self.fn == "lookup":
            text = f"{a[1]}[{a[0]}]"
        else:
            text = f"{self.fn}({', '.join(a)})"
        return f"{self.name} = {text}"


@dataclass(frozen=True, slots=True)
class State:
    """A value kept from step to step: ``init`` before the first, then the value of ``next``.

    ``lo`` and ``hi`` are the proven range of an integer state, over all inputs and steps.
    """

    name: str
    next: str
    init: Param
    lo: int | None = None
    hi: int | None = None


@dataclass(frozen=True, slots=True)
class Const:
    """A named constant; ``index`` makes it a table: element ``i`` is ``values[index[i]]``.

    ``origin`` says in the user's parameters where the numbers come from,
    e.g. ``1 - 1/(softplus(lif1.tau) + 1)``.
    """

    name: str
    values: Param
    index: Param | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        if self.index is not None and self.values.data.ndim != 1:
            raise ValueError(f"table {self.name} must be a vector")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the constant; it broadcasts to the neuron's shape."""
        return self.values.shape if self.index is None else self.index.shape


@dataclass(frozen=True, slots=True)
class Kernel:
    """Straight-line elementwise code from inputs, states and constants to new states and outputs.

    ``outputs`` names lines, states (then: the value *before* this step) or inputs.
    ``tables`` are vectors that do not belong to neurons; only ``lookup`` reads them.
    """

    inputs: tuple[str, ...]
    states: tuple[State, ...]
    consts: tuple[Const, ...]
    body: tuple[Line, ...]
    outputs: tuple[str, ...]
    tables: tuple[Const, ...] = ()

    def check(self, functions: dict[str, int]) -> None:
        """Raise ValueError unless every name is defined once, before its use."""
        defined: set[str] = set()

        def define(name: str) -> None:
            if not name.isidentifier() or name in defined:
                raise ValueError(f"kernel name {name!r} is not an identifier or defined twice")
            defined.add(name)

        for name in self.leaves():
            define(name)
        tables = {t.name for t in self.tables}
        for table in self.tables:
            if table.values.data.ndim != 1 or not table.values.data.size or table.index:
                raise ValueError(f"table {table.name} must be a vector")
        for line in self.body:
            if functions.get(line.fn) != len(line.args):
                raise ValueError(f"{line.fn!r} with {len(line.args)} operands in a kernel")
            operands = (
                line.args[:1] if line.fn == "lookup" and functions is INT_FUNCTIONS else line.args
            )
            if len(operands) < len(line.args) and line.args[1] not in tables:
                raise ValueError(f"{line.name} reads {line.args[1]!r}, which is no table")
            if unknown := [a for a in operands if a not in defined]:
                raise ValueError(f"{line.name} uses undefined {unknown[0]!r}")
            if line.fn == "rsh" and line.rounding not in ROUNDINGS:
                raise ValueError(f"unknown rounding {line.rounding!r}")
            if not 0 <= line.shift <= 62:
                raise ValueError(f"shift of {line.shift} bits")
            if line.fn == "wrap" and len(line.args) == 1 and line.shift < 2:
                raise ValueError(f"a word of {line.shift} bits")
            define(line.name)
        for name in (*self.outputs, *(s.next for s in self.states)):
            if name not in defined:
                raise ValueError(f"output or state update {name!r} is not defined")

    def leaves(self) -> Iterator[str]:
        """Names of inputs, states and constants."""
        yield from self.inputs
        yield from (s.name for s in self.states)
        yield from (c.name for c in self.consts)

    def line(self, name: str) -> Line | None:
        """The line that defines ``name``, or None for a leaf."""
        return next((line for line in self.body if line.name == name), None)

    @property
    def text(self) -> tuple[str, ...]:
        """The program as one assignment a line, then the state updates."""
        updates = (f"{s.name}' = {s.next}" for s in self.states)
        return (*map(str, self.body), *updates)
