"""Kernels as formulas: sums of coefficients times a variable, where some conditions hold.

``where(s, a, b)`` is ``b + [s] (a - b)``, so that every reset is a sum of terms.  A kernel whose
lines are affine in inputs and states becomes one formula per state; two kernels with the same
formulas compute the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.float_sim import FUNCTIONS
from snnc.kernel import Kernel

Array = npt.NDArray[Any]
#: Conditions that must hold, and the variable; an empty variable: the term is a constant.
Term = tuple[frozenset[str], str]
_COMPARISONS = ("ge", "gt", "le", "lt")


class NotAffineError(Exception):
    """A line is no sum of such terms."""


@dataclass(frozen=True)
class Formula:
    """Coefficients of terms."""

    terms: dict[Term, Array]

    def at(self, variable: str, *conditions: str) -> Array:
        """The coefficient of a term; 0 if it is not there."""
        found = self.terms.get((frozenset(conditions), variable))
        return np.zeros(()) if found is None else found

    def plus(self, other: Formula, sign: float = 1.0) -> Formula:
        """The sum, or difference."""
        terms = dict(self.terms)
        for term, value in other.terms.items():
            terms[term] = terms[term] + sign * value if term in terms else sign * value
        return Formula({t: v for t, v in terms.items() if np.any(v != 0)})

    def times(self, other: Formula) -> Formula:
        """The product, of which one side has no variable."""
        found = Formula({})
        for (where, variable), a in self.terms.items():
            for (more, second), b in other.terms.items():
                if variable and second:
                    raise NotAffineError
                found = found.plus(Formula({(where | more, variable or second): a * b}))
        return found

    @property
    def constant(self) -> Array | None:
        """The value, if it depends on nothing."""
        if not self.terms:
            return np.zeros(())
        return self.at("") if set(self.terms) == {(frozenset(), "")} else None


def number(value: Array | float) -> Formula:
    """A constant."""
    data = np.asarray(value, np.float64)
    return Formula({(frozenset(), ""): data} if np.any(data != 0) else {})


@dataclass(frozen=True)
class Condition:
    """``formula > 0``, or ``>= 0`` unless ``strict``."""

    formula: Formula
    strict: bool


@dataclass(frozen=True)
class Meaning:
    """What a kernel computes.

    Attributes:
        states: New value of every state.
        outputs: Values of the outputs.
        conditions: By the name that terms have of them.
    """

    states: dict[str, Formula]
    outputs: tuple[Formula, ...]
    conditions: dict[str, Condition]


def meaning(kernel: Kernel) -> Meaning:
    """The formulas of a kernel.

    Raises:
        NotAffineError: If it has products of variables, or functions of them.
    """
    env = {name: Formula({(frozenset(), name): np.ones(())}) for name in kernel.inputs}
    env |= {s.name: Formula({(frozenset(), s.name): np.ones(())}) for s in kernel.states}
    for c in kernel.consts:
        data = c.values.data if c.index is None else c.values.data[c.index.data]
        env[c.name] = number(data)
    conditions: dict[str, Condition] = {}
    for line in kernel.body:
        args = [env[a] for a in line.args]
        env[line.name] = _value(line.name, line.fn, args, conditions)
    states = {s.name: env[s.next] for s in kernel.states}
    return Meaning(states, tuple(env[o] for o in kernel.outputs), conditions)


def _value(name: str, fn: str, args: list[Formula], conditions: dict[str, Condition]) -> Formula:
    constants = [a.constant for a in args]
    known = [c for c in constants if c is not None]
    if len(known) == len(args) and fn in FUNCTIONS:
        return number(FUNCTIONS[fn](*known))
    if fn in ("add", "sub"):
        return args[0].plus(args[1], 1.0 if fn == "add" else -1.0)
    if fn == "neg":
        return number(0.0).plus(args[0], -1.0)
    if fn == "mul":
        return args[0].times(args[1])
    if fn == "div" and constants[1] is not None:
        return args[0].times(number(1.0 / constants[1]))
    if fn in _COMPARISONS:
        sign = 1.0 if fn in ("ge", "gt") else -1.0
        compared = number(0.0).plus(args[0].plus(args[1], -1.0), sign)
        conditions[name] = Condition(compared, fn in ("gt", "lt"))
        return Formula({(frozenset({name}), ""): np.ones(())})
    if fn == "not":
        return number(1.0).plus(_truth(args[0]), -1.0)
    if fn == "where":
        return args[2].plus(_truth(args[0]).times(args[1].plus(args[2], -1.0)))
    raise NotAffineError


def _truth(value: Formula) -> Formula:
    """A value that is 0 or 1."""
    if any(variable for _, variable in value.terms):
        raise NotAffineError
    return value


def same(a: Formula, b: Formula, names: dict[str, str], tolerance: float) -> bool:
    """Whether formulas are equal if the names of ``a`` are those that ``names`` gives.

    Coefficients may differ by ``tolerance``, relative to the largest of both.
    """

    def renamed(term: Term) -> Term:
        where, variable = term
        return frozenset(names.get(w, w) for w in where), names.get(variable, variable)

    terms = {renamed(t): v for t, v in a.terms.items()}
    peak = max([1e-300, *(float(np.abs(v).max()) for v in (*terms.values(), *b.terms.values()))])
    for term in {*terms, *b.terms}:
        left, right = (np.asarray(x.get(term, 0.0)) for x in (terms, b.terms))
        if np.abs(left - right).max(initial=0.0) > tolerance * peak:
            return False
    return True
