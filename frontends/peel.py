"""First steps that are written differently, and why they are the general step in disguise.

``mem = x if mem is None else beta * mem + x`` and ``total = spikes if total is None else …``
start without an initial value.  Step 0 is then what the general step computes from zeros, after
``x + 0 = x``, ``x - 0 = x``, ``0 * x = 0``, ``x * 1 = x`` and arithmetic on known numbers: exact
for finite numbers, up to the sign of zero.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from snnc.frontends.antiunify import Match
from snnc.frontends.dag import CONSTANT, TIMED, Dag

_ARITHMETIC: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "maximum": max,
    "minimum": min,
    "ge": lambda a, b: float(a >= b),
    "gt": lambda a, b: float(a > b),
    "le": lambda a, b: float(a <= b),
    "lt": lambda a, b: float(a < b),
}


class Simplifier:
    """Applies the identities above, bottom-up, with memory."""

    def __init__(self, dag: Dag) -> None:
        self.dag = dag
        self._memo: dict[int, int] = {}

    def __call__(self, roots: list[int]) -> list[int]:
        """Simplified forms of the roots."""
        return [self._simplify(x) for x in roots]

    def _simplify(self, root: int) -> int:
        for x in self.dag.sorted_cone([root]):
            if x not in self._memo:
                args = tuple(self._memo[a] for a in self.dag[x].args)
                self._memo[x] = self._reduce(self.dag.rebuild(x, args))
        return self._memo[root]

    def _reduce(self, x: int) -> int:
        dag, term = self.dag, self.dag[x]
        if term.form.kind == "expand" and dag.value(term.args[0]) is not None:
            return dag.solid(term.args[0], term.shape)
        if term.form.kind != "pointwise":
            return x
        (fn,), args = term.form.attrs, term.args
        values = [dag.value(a) for a in args]
        if fn in _ARITHMETIC and all(v is not None for v in values):
            return dag.fill(_ARITHMETIC[fn](*values), ())
        if len(args) == 2:
            (a, b), (p, q) = args, values
            if (fn in ("add", "sub") and q == 0) or (fn in ("mul", "div") and q == 1):
                return a if dag.shape(a) == term.shape else x
            if (fn == "add" and p == 0) or (fn == "mul" and p == 1):
                return b if dag.shape(b) == term.shape else x
            if (fn == "mul" and 0 in (p, q)) or (fn == "div" and p == 0):
                return dag.fill(0.0, ())
        return x


def unpeel(dag: Dag, match: Match, simplify: Simplifier) -> None:
    """Replace initial values that depend on an input by zeros, where that is the same.

    Changes ``match``: such a value becomes the image of the value of step 1, and the values of
    step 0 which step 1 reads get zero as their initial value.
    """
    for a1, b0 in list(match.initial.items()):
        if dag[b0].reach != TIMED:
            continue
        carried: dict[int, int] = {}
        moved = _one_step_earlier(dag, match, a1, b0, carried)
        if moved is not None and carried and len({*simplify([moved, b0])}) == 1:
            del match.initial[a1]
            match.image[a1] = b0
            for value, zero in carried.items():
                match.initial.setdefault(value, zero)


def _one_step_earlier(
    dag: Dag, match: Match, root: int, first: int, carried: dict[int, int]
) -> int | None:
    """``root`` with inputs of the step before, and zeros for what the step before computed."""
    results = {*match.image.values(), *match.initial.values()}
    ok = True

    def replace(x: int) -> int | None:
        nonlocal ok
        term = dag[x]
        if term.form.kind == "input" and term.form.attrs[1] is not None:
            index, step = term.form.attrs
            if step == 0:
                if x not in results:
                    ok = False
                    return x
                carried[x] = dag.fill(0.0, term.shape)  # the first input is the first state
                return carried[x]
            return dag.input(index, step - 1, term.shape)
        if term.reach == CONSTANT:
            return x
        if x == root:
            return None
        if x in match.image:
            return match.image[x]
        if x in match.initial:
            return match.initial[x]
        if x in results and not _wraps(x):
            carried[x] = dag.fill(0.0, term.shape)
            return carried[x]
        return None

    def _wraps(x: int) -> bool:
        """Whether ``x`` only scales or reshapes a carried value, which is then the state."""
        inside = [a for a in dag[x].args if dag[a].reach == TIMED]
        return len(inside) == 1 and inside[0] in results and x != first

    moved = dag.rewrite(root, {}, replace)
    return moved if ok else None
