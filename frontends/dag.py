"""Hash-consed terms: the traced network as one table in which equal computations are one entry.

A term is a computation on one sample at one step: shapes have neither batch nor time.  Because
equal terms are the same integer, comparing two unrolled networks is comparing integers; that is
what the recovery of the time loop and its proof are built on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from snnc.diagnostics import Loc

Shape = tuple[int, ...]

#: How much a term depends on: nothing but parameters, a static input, an input of some step.
CONSTANT, STATIC, TIMED = range(3)

#: Kinds with one operand per time step.
COLLECTS: Final = frozenset(
    {"time_sum", "time_mean", "time_max", "time_stack", "time_replay", "time_flip", "time_mix"}
)

#: Those that a later loop reads element by element.
SEQUENCES: Final = frozenset({"time_replay", "time_flip", "time_mix"})


@dataclass(frozen=True, slots=True)
class Form:
    """What a term computes: its kind and hashable attributes."""

    kind: str
    attrs: tuple[Any, ...] = ()


def discarded(form: Form) -> int:
    """Steps at the front that a collecting term leaves out."""
    return int(form.attrs[0]) if form.kind in _FROM and form.attrs else 0


_FROM: Final = frozenset({"time_sum", "time_mean", "time_max", "time_stack"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a term was traced.

    ``loc`` is in the user's terms; ``owned`` says that ``loc.path`` names a layer which does
    nothing else (``nn.Linear``), so that the node can carry the layer's name alone.
    """

    loc: Loc
    owned: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """An entry of the table."""

    form: Form
    args: tuple[int, ...]
    shape: Shape
    reach: int
    source: Source


class Dag:
    """The table. Constructors canonicalise, exactly, so that equal computations meet."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.source = Source(Loc(""))
        #: number of the loop whose slots are made, so that those of two loops are different terms
        self.loop = 0
        self.tensors: dict[str, Any] = {}
        self._table: dict[tuple[Form, tuple[int, ...], Shape], int] = {}

    def __getitem__(self, term: int) -> Term:
        return self.terms[term]

    def kind(self, term: int) -> str:
        """Kind of the term."""
        return self.terms[term].form.kind

    def shape(self, term: int) -> Shape:
        """Shape of one sample at one step."""
        return self.terms[term].shape

    def make(
        self,
        form: Form,
        args: tuple[int, ...] = (),
        shape: Shape = (),
        source: Source | None = None,
        reach: int = CONSTANT,
    ) -> int:
        """Return the term, creating it if it is new.

        A leaf is what it is with its shape: state 0 of one attempt is not state 0 of another.
        """
        key = (form, args, () if args else shape)
        if key not in self._table:
            reach = max([reach, *(self.terms[a].reach for a in args)])
            self._table[key] = len(self.terms)
            self.terms.append(Term(form, args, shape, reach, source or self.source))
        return self._table[key]

    def literal(self, value: float) -> int:
        """A number written in the model's source code."""
        return self.make(Form("literal", (float(value),)))

    def fill(self, value: float, shape: Shape) -> int:
        """A tensor with one value everywhere, such as ``torch.zeros``."""
        return self.make(Form("fill", (float(value), shape)), (), shape)

    def param(self, name: str, shape: Shape) -> int:
        """A parameter, buffer or tensor constant, seen with ``shape``."""
        return self.make(Form("param", (name, shape)), (), shape)

    def input(self, index: int, step: int | None, shape: Shape) -> int:
        """Input ``index``: of one step, or static if ``step`` is None."""
        reach = STATIC if step is None else TIMED
        return self.make(Form("input", (index, step)), (), shape, reach=reach)

    def slot(self, index: int, delay: int, shape: Shape) -> int:
        """State ``index``, as it was ``delay`` steps ago."""
        # two ways to read a trace may number states of other shapes
        return self.make(Form("slot", (index, delay, self.loop, shape)), (), shape, reach=TIMED)

    def table(self, entries: tuple[int, ...]) -> int:
        """A constant of its own at every step: ``entries[t]`` at step t."""
        shape = np.broadcast_shapes(*(self.shape(e) for e in entries))
        full = tuple(self.solid(e, shape) for e in entries)
        return self.make(Form("table"), full, shape, reach=TIMED)

    def value(self, term: int) -> float | None:
        """The number, if the term is the same known number everywhere."""
        form = self.terms[term].form
        return form.attrs[0] if form.kind in ("literal", "fill") else None

    def pointwise(self, fn: str, *args: int, source: Source | None = None) -> int:
        """Apply a function of ``REAL_FUNCTIONS`` element by element."""
        args = tuple(
            self.fill(self[a].form.attrs[0], ()) if self.kind(a) == "fill" else a for a in args
        )
        if len(args) == 2 and self.kind(args[1]) == "literal":
            neutral = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}.get(fn)
            if neutral is not None and self.value(args[1]) == neutral:
                return args[0]
        shape = np.broadcast_shapes(*(self.shape(a) for a in args))
        args = tuple(self[a].args[0] if self.kind(a) == "expand" else a for a in args)
        small = np.broadcast_shapes(*(self.shape(a) for a in args))
        term = self.make(Form("pointwise", (fn,)), args, small, source)
        return term if small == shape else self.solid(term, shape)

    def reshape(self, x: int, shape: Shape, source: Source | None = None) -> int:
        """Row-major reshape. Moves into parameters; uniform scalars stay scalars."""
        term = self[x]
        if term.shape == shape or (term.shape == () and math.prod(shape) != 1):
            return x
        match term.form.kind:
            case "fill":
                return self.fill(term.form.attrs[0], shape)
            case "param":
                return self.param(term.form.attrs[0], shape)
            case "reshape":
                return self.reshape(term.args[0], shape, source)
            case "pointwise" if term.reach == CONSTANT:
                shapes = {self.shape(a) for a in term.args} - {()}
                if shapes == {term.shape}:
                    args = (self.reshape(a, shape) if self.shape(a) else a for a in term.args)
                    return self.pointwise(*term.form.attrs, *args, source=term.source)
            case _:
                pass
        return self.make(Form("reshape", (shape,)), (x,), shape, source)

    def bare(self, x: int) -> int:
        """The constant behind an ``expand``."""
        return self[x].args[0] if self.kind(x) == "expand" else x

    def solid(self, x: int, shape: Shape) -> int:
        """Give a constant that was left small its full shape, for operators that look at shapes."""
        if self.shape(x) == shape or (self.shape(x) != () and self[x].reach != CONSTANT):
            return x
        value = self.value(x)
        if value is not None:
            return self.fill(value, shape)
        return self.make(Form("expand", (shape,)), (x,), shape)

    def rebuild(self, x: int, args: tuple[int, ...]) -> int:
        """Apply the operator of ``x`` to other operands."""
        term = self[x]
        if args == term.args:
            return x
        if term.form.kind == "pointwise":
            return self.pointwise(*term.form.attrs, *args, source=term.source)
        if term.form.kind == "reshape":
            return self.reshape(args[0], term.shape, term.source)
        if term.form.kind == "expand":
            return self.solid(args[0], term.shape)
        full = zip(args, term.args, strict=True)
        args = tuple(self.solid(new, self.shape(old)) for new, old in full)
        return self.make(term.form, args, term.shape, term.source)

    def rewrite(self, root: int, memo: dict[int, int], replace: Callable[[int], int | None]) -> int:
        """Rebuild ``root`` bottom-up; ``replace`` may give a term's image instead.

        ``memo`` maps terms to their images and is shared between calls.
        """
        stack = [root]
        while stack:
            x = stack[-1]
            if x in memo:
                stack.pop()
            elif (image := replace(x)) is not None:
                memo[x] = image
            elif todo := [a for a in self[x].args if a not in memo]:
                stack += todo
            else:
                memo[x] = self.rebuild(x, tuple(memo[a] for a in self[x].args))
        return memo[root]

    def cone(self, roots: Iterable[int]) -> set[int]:
        """All terms that the roots are computed from, with the roots."""
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            x = stack.pop()
            if x not in seen:
                seen.add(x)
                stack += self[x].args
        return seen

    def sorted_cone(self, roots: Iterable[int]) -> Iterator[int]:
        """The cone with operands before users. Deterministic."""
        done: set[int] = set()
        stack = list(reversed(list(roots)))
        while stack:
            x = stack[-1]
            if x in done:
                stack.pop()
            elif todo := [a for a in reversed(self[x].args) if a not in done]:
                stack += todo
            else:
                done.add(x)
                yield x
