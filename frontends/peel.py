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
from snnc.frontends.dag import CONSTANT, Dag

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
    """Replace initial values that are a first step of their own by zeros, where that is the same.

    Changes ``match``: such a value becomes the image of the value of step 1, and the values of
    step 0 which step 1 reads get zero as their initial value.
    """
    later: dict[int, int] = {}
    for a, b in match.image.items():
        later[b] = min(a, later.get(b, a))
    peel = _Peel(dag, match)
    for a1, b0 in list(match.initial.items()):
        if dag.value(b0) is not None or a1 not in later:
            continue
        for through in (True, False):
            carried: dict[int, int] = {}
            moved = peel.step_zero(later[a1], a1, carried, through)
            known = carried or b0 in match.initial  # without either, nothing says where it starts
            if known and len({*simplify([moved, b0])}) == 1:
                del match.initial[a1]
                match.image[a1] = b0
                match.peeled.add(b0)
                for value, zero in carried.items():
                    match.initial.setdefault(value, zero)
                    match.peeled.add(value)
                break


class _Peel:
    """Builds what the general step computes at step 0 if all it remembers are zeros.

    It walks a value of step 2 and the same value of step 1 in parallel.  Where both are equal,
    they do not change from step to step.  Where they differ, step 1 either computes something
    itself, or it reads what step 0 has left: a state that starts from a constant becomes that
    constant, and every other place zeros.
    """

    def __init__(self, dag: Dag, match: Match) -> None:
        self.dag = dag
        self._computed = {*match.image, *match.initial}
        self._start = {a: b for a, b in match.initial.items() if dag[b].reach == CONSTANT}
        self._latest: dict[int, int] = {}
        self._known: dict[tuple[int, int], bool] = {}

    def step_zero(self, p: int, q: int, carried: dict[int, int], through: bool) -> int:
        """The value at step 0 behind ``p`` of step 2 and ``q`` of step 1; notes the zeros.

        With ``through``, a value of step 0 that is only scaled, reshaped or weighted is not a
        state itself: what it is computed from is.  Weights with a bias do not give zeros for
        zeros; without ``through``, what step 1 receives from step 0 is cut where the first input
        of step 1 meets it, so that the result of such a layer is the state.
        """
        return self._build(p, q, carried, {}, through)

    def _build(
        self,
        p: int,
        q: int,
        carried: dict[int, int],
        memo: dict[tuple[int, int], int],
        through: bool,
    ) -> int:
        if p == q:
            return q
        if (p, q) not in memo:
            dag, term = self.dag, self.dag[q]
            same = self._alike(p, q)
            pairs = list(zip(dag[p].args, term.args, strict=True)) if same else []
            differ = sum(a != b for a, b in pairs)
            if q in self._start:
                memo[p, q] = self._start[q]
            elif same and not pairs and term.form.attrs[1] > 0:
                index, step = term.form.attrs
                memo[p, q] = dag.input(index, step - 1, term.shape)
            elif pairs and (self._inside(p, q, differ) if through else self._last_input(q) >= 1):
                args = tuple(self._build(a, b, carried, memo, through) for a, b in pairs)
                memo[p, q] = dag.rebuild(q, args)
            else:
                memo[p, q] = carried[q] = dag.fill(0.0, term.shape)
        return memo[p, q]

    def _inside(self, p: int, q: int, differ: int) -> bool:
        return differ == 1 or self._of_step_one(p, q)

    def _alike(self, p: int, q: int) -> bool:
        x, y = self.dag[p], self.dag[q]
        if x.form.kind == y.form.kind == "input":
            return x.form.attrs[0] == y.form.attrs[0] and None not in (
                x.form.attrs[1],
                y.form.attrs[1],
            )
        return x.form == y.form and len(x.args) == len(y.args) > 0

    def _of_step_one(self, p: int, q: int) -> bool:
        """Whether step 1 computes ``q``, rather than step 0."""
        if q in self._computed or self._last_input(q) >= 1:
            return True
        if (p, q) not in self._known:
            pairs = (
                zip(self.dag[p].args, self.dag[q].args, strict=True) if self._alike(p, q) else ()
            )
            self._known[p, q] = any(self._of_step_one(a, b) for a, b in pairs if a != b)
        return self._known[p, q]

    def _last_input(self, root: int) -> int:
        """Latest step whose input the term depends on; -1 if there is none."""
        for x in self.dag.sorted_cone([root]) if root not in self._latest else ():
            form = self.dag[x].form
            own = form.attrs[1] if form.kind == "input" and form.attrs[1] is not None else -1
            self._latest[x] = max([own, *(self._latest[a] for a in self.dag[x].args)])
        return self._latest[root]
