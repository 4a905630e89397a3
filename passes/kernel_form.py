"""The normal form of a scale-free kernel: piecewise linear in inputs and states.

Most spiking neurons are *homogeneous*: multiply inputs, states and thresholds by the same positive
number and the same spikes come out.  Such a value is a decision tree over comparisons whose leaves
are linear::

    v' = s ? v1 - theta : v1          s = [v1 >= theta]          v1 = a*v + g*x + c

``analyse`` rewrites a real kernel into ``Step`` assignments of this form, with symbolic exact
coefficients.  A value that is compared or used twice keeps its own assignment, so integer rounding
happens once per value, as in the user's program.

Reference: ``sum`` of coefficient x atom, atoms being inputs, states and earlier assignments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from snnc.exact import ONE, ZERO, Expr, apply, leaf
from snnc.kernel import Kernel, Line

COMPARISONS = ("ge", "gt", "le", "lt", "eq", "ne")


class NotScaleFreeError(Exception):
    """The kernel needs an absolute fixed-point format; the message says which line."""


@dataclass(frozen=True, slots=True)
class Linear:
    """``const + sum of coefs[atom] * atom``."""

    coefs: tuple[tuple[str, Expr], ...] = ()
    const: Expr = ZERO

    @property
    def is_constant(self) -> bool:
        """Whether no input or state is left."""
        return not self.coefs


@dataclass(frozen=True, slots=True)
class Branch:
    """``cond ? yes : no``; ``cond`` names a predicate."""

    cond: str
    yes: Form
    no: Form


Form = Linear | Branch


@dataclass(frozen=True, slots=True)
class Compare:
    """Predicate ``form fn 0``."""

    fn: str
    form: Form


@dataclass(frozen=True, slots=True)
class Logic:
    """Predicate from predicates: ``and``, ``or``, ``not``."""

    fn: str
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extreme:
    """``maximum`` or ``minimum`` of two forms."""

    fn: str
    args: tuple[Form, Form]


@dataclass(frozen=True, slots=True)
class Step:
    """One assignment, in order."""

    name: str
    value: Form | Compare | Logic | Extreme


@dataclass(frozen=True, slots=True)
class Analysis:
    """A kernel in normal form.

    Attributes:
        steps: Assignments in order.
        values: Form of every state update and output that is a number.
        predicates: Names that are 0 or 1 (states included).
        aliases: Names of the kernel that are predicates under another name.
    """

    steps: tuple[Step, ...]
    values: dict[str, Form]
    predicates: frozenset[str]
    aliases: dict[str, str]


def analyse(kernel: Kernel) -> Analysis:
    """Bring a real kernel into normal form, or raise NotScaleFreeError with the reason."""
    flags = frozenset(s.name for s in kernel.states if np.isin(s.init.data, (0, 1)).all())
    while True:
        run = _Analyser(kernel, flags)
        run.go()
        kept = frozenset(s.name for s in kernel.states if s.name in flags and run.is_flag(s.next))
        if kept == flags:
            return run.result()
        flags = kept


def leaves(value: Form | Compare | Logic | Extreme) -> Iterator[Linear]:
    """Every linear leaf, in order."""
    match value:
        case Linear():
            yield value
        case Branch(_, yes, no):
            yield from leaves(yes)
            yield from leaves(no)
        case Compare(_, form):
            yield from leaves(form)
        case Extreme(_, args):
            for arg in args:
                yield from leaves(arg)


def names_in(value: Form | Compare | Logic | Extreme) -> set[str]:
    """Atoms and predicates that a value refers to."""
    found = {atom for x in leaves(value) for atom, _ in x.coefs}
    match value:
        case Branch(cond, yes, no):
            found |= {cond} | names_in(yes) | names_in(no)
        case Compare(_, form):
            found |= names_in(form)
        case Extreme(_, args):
            for arg in args:
                found |= names_in(arg)
        case Logic(_, args):
            found |= set(args)
    return found


def restrict(form: Form, cond: str, truth: bool) -> Form:
    """The form where ``cond`` is known."""
    if isinstance(form, Linear):
        return form
    if form.cond == cond:
        return restrict(form.yes if truth else form.no, cond, truth)
    return branch(form.cond, restrict(form.yes, cond, truth), restrict(form.no, cond, truth))


def branch(cond: str, yes: Form, no: Form) -> Form:
    """``cond ? yes : no``, without the question where both are equal."""
    yes, no = restrict(yes, cond, True), restrict(no, cond, False)
    return yes if yes == no else Branch(cond, yes, no)


def mapped(form: Form, f: Callable[[Linear], Linear]) -> Form:
    """Apply ``f`` to every leaf."""
    if isinstance(form, Linear):
        return f(form)
    return branch(form.cond, mapped(form.yes, f), mapped(form.no, f))


def combined(a: Form, b: Form, f: Callable[[Linear, Linear], Linear]) -> Form:
    """Apply ``f`` to the leaves of both forms that meet."""
    if isinstance(a, Branch):
        yes = combined(a.yes, restrict(b, a.cond, True), f)
        return branch(a.cond, yes, combined(a.no, restrict(b, a.cond, False), f))
    return mapped(b, lambda y: f(a, y))


def add(a: Linear, b: Linear) -> Linear:
    """Sum of two linear leaves."""
    coefs = dict(a.coefs)
    for atom, c in b.coefs:
        coefs[atom] = coefs[atom] + c if atom in coefs else c
    kept = tuple((k, c) for k, c in coefs.items() if c != ZERO)
    return Linear(kept, a.const + b.const)


def scaled(factor: Expr) -> Callable[[Linear], Linear]:
    """Multiplication of a leaf by a constant."""

    def f(x: Linear) -> Linear:
        kept = ((k, c * factor) for k, c in x.coefs)
        return Linear(tuple((k, c) for k, c in kept if c != ZERO), x.const * factor)

    return f


class _Analyser:
    def __init__(self, kernel: Kernel, flags: frozenset[str]) -> None:
        self.kernel = kernel
        self.steps: list[Step] = []
        self.exprs: dict[str, Expr] = {}
        self.forms: dict[str, Form] = {}
        self.alias: dict[str, str] = {}  # predicate lines: name -> name of a predicate step
        self.line: Line | None = None
        for const in kernel.consts:
            self.exprs[const.name] = leaf(const.values.data)
        for name in kernel.inputs:
            self.forms[name] = Linear(((name, ONE),))
        for state in kernel.states:
            if state.name in flags:
                self.alias[state.name] = state.name
            else:
                self.forms[state.name] = Linear(((state.name, ONE),))
        uses = Counter(a for line in kernel.body for a in set(line.args))
        uses.update(s.next for s in kernel.states)
        self.shared = {name for name, n in uses.items() if n > 1}

    def is_flag(self, name: str) -> bool:
        return name in self.alias

    def go(self) -> None:
        for line in self.kernel.body:
            self.line = line
            if all(a in self.exprs for a in line.args):
                self.exprs[line.name] = apply(line.fn, *(self.exprs[a] for a in line.args))
                continue
            self._dynamic(line)
            form = self.forms.get(line.name)
            if form is not None and line.name in self.shared and not _is_atom(form):
                self.steps.append(Step(line.name, form))
                self.forms[line.name] = Linear(((line.name, ONE),))

    def result(self) -> Analysis:
        values = {}
        for name in (*(s.next for s in self.kernel.states), *self.kernel.outputs):
            if name not in self.alias:
                values[name] = self._form(name)
        ends = (*(s.next for s in self.kernel.states), *self.kernel.outputs)
        wanted = {self.alias[e] for e in ends if e in self.alias}
        for form in values.values():
            wanted |= names_in(form)
        steps = []
        for step in reversed(self.steps):
            if step.name in wanted:
                steps.append(step)
                wanted |= names_in(step.value)
        return Analysis(
            tuple(reversed(steps)), values, frozenset(self.alias.values()), dict(self.alias)
        )

    def _fail(self, why: str) -> NotScaleFreeError:
        return NotScaleFreeError(f"{self.line}: {why}")

    def _form(self, name: str) -> Form:
        if name in self.forms:
            return self.forms[name]
        if name in self.exprs:
            return Linear((), self.exprs[name])
        return self._branch(name, Linear((), ONE), Linear())

    def _branch(self, predicate: str, yes: Form, no: Form) -> Form:
        cond = self.alias[predicate]
        step = next((s for s in self.steps if s.name == cond), None)
        if step and isinstance(step.value, Logic) and step.value.fn == "not":
            return branch(step.value.args[0], no, yes)
        return branch(cond, yes, no)

    def _predicate(self, line: Line, value: Compare | Logic) -> None:
        for step in self.steps:
            if step.value == value:
                self.alias[line.name] = step.name
                return
        self.steps.append(Step(line.name, value))
        self.alias[line.name] = line.name

    def _dynamic(self, line: Line) -> None:
        fn, args = line.fn, line.args
        if fn in COMPARISONS:
            self._compare(line)
        elif fn in ("and", "or", "not", "xor"):
            self._logic(line)
        elif fn in ("add", "sub"):
            if fn == "sub" and args[1] in self.alias and self._number(args[0]) == 1:
                self._predicate(line, Logic("not", (self.alias[args[1]],)))
                return
            b = self._form(args[1])
            b = mapped(b, scaled(-ONE)) if fn == "sub" else b
            self.forms[line.name] = combined(self._form(args[0]), b, add)
        elif fn == "neg":
            self.forms[line.name] = mapped(self._form(args[0]), scaled(-ONE))
        elif fn == "mul":
            self._multiply(line)
        elif fn == "div" and args[1] in self.exprs:
            self.forms[line.name] = mapped(self._form(args[0]), scaled(ONE / self.exprs[args[1]]))
        elif fn == "where":
            self._where(line)
        elif fn in ("maximum", "minimum", "relu"):
            b = Linear() if fn == "relu" else self._form(args[1])
            kind = "maximum" if fn == "relu" else fn
            self.steps.append(Step(line.name, Extreme(kind, (self._form(args[0]), b))))
            self.forms[line.name] = Linear(((line.name, ONE),))
        else:
            raise self._fail(f"{fn!r} of a value that changes needs an absolute fixed-point format")

    def _number(self, name: str) -> float | None:
        expr = self.exprs.get(name)
        number = None if expr is None else expr.number
        return None if number is None else float(number)

    def _compare(self, line: Line) -> None:
        a, b = line.args
        for x, y in ((a, b), (b, a)):  # a predicate compared with 0 or 1, e.g. `mask == 1`
            if x in self.alias and self._number(y) in (0, 1) and line.fn in ("eq", "ne"):
                same = (self._number(y) == 1) == (line.fn == "eq")
                if same:
                    self.alias[line.name] = self.alias[x]
                else:
                    self._predicate(line, Logic("not", (self.alias[x],)))
                return
        minus = mapped(self._form(b), scaled(-ONE))
        self._predicate(line, Compare(line.fn, combined(self._form(a), minus, add)))

    def _logic(self, line: Line) -> None:
        if not all(a in self.alias for a in line.args):
            raise self._fail("a logical operation on numbers")
        names = tuple(self.alias[a] for a in line.args)
        if line.fn == "xor":
            raise self._fail("xor is not supported")
        self._predicate(line, Logic(line.fn, names))

    def _multiply(self, line: Line) -> None:
        a, b = line.args
        if a in self.alias and b in self.alias:
            self._predicate(line, Logic("and", (self.alias[a], self.alias[b])))
            return
        for x, y in ((a, b), (b, a)):
            if x in self.alias:
                self.forms[line.name] = self._branch(x, self._form(y), Linear())
                return
        for x, y in ((a, b), (b, a)):
            form = self._form(x)
            if x in self.exprs:
                self.forms[line.name] = mapped(self._form(y), scaled(self.exprs[x]))
                return
            if _piecewise_constant(form):
                product = combined(form, self._form(y), lambda c, v: scaled(c.const)(v))
                self.forms[line.name] = product
                return
        raise self._fail("the product of two values that change is not scale-free")

    def _where(self, line: Line) -> None:
        cond, a, b = line.args
        if cond not in self.alias:
            raise self._fail("the condition is not a comparison")
        if a in self.alias and b in self.alias:
            raise self._fail("a choice between two spike trains is not supported")
        match self._number(a), self._number(b):
            case 1.0, 0.0:
                self.alias[line.name] = self.alias[cond]
                return
            case 0.0, 1.0:
                self._predicate(line, Logic("not", (self.alias[cond],)))
                return
        self.forms[line.name] = self._branch(cond, self._form(a), self._form(b))


def _piecewise_constant(form: Form) -> bool:
    if isinstance(form, Linear):
        return form.is_constant
    return _piecewise_constant(form.yes) and _piecewise_constant(form.no)


def _is_atom(form: Form) -> bool:
    """Whether the form is one atom or a constant, for which a name of its own is no gain."""
    if isinstance(form, Branch):
        return False
    atom = len(form.coefs) == 1 and form.coefs[0][1] == ONE and form.const == ZERO
    return form.is_constant or atom
