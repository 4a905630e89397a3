"""Recover the loop from one trace, by finding the shorter one inside it.

A causal network computes the results of T - 1 steps on its way to those of T.  What collects one
value per step (``torch.stack``, a sum over time) is cut by its last value; a running value
(``total = total + spikes``, a final membrane) is replaced by its counterpart one step earlier,
which is the term that looks most like it and has not seen the last input.  What was found is then
proven like any other pair of traces, so that a wrong guess is an error and never a wrong network.
"""

from __future__ import annotations

from collections.abc import Iterator

from snnc.diagnostics import CompileError, fail
from snnc.frontends.dag import COLLECTS, CONSTANT, Dag, discarded
from snnc.frontends.peel import Simplifier
from snnc.frontends.step import StepProgram
from snnc.frontends.two_traces import recover
from snnc.frontends.unroll import proves

#: How deep two terms are compared to tell how much they look alike.
_DEPTH = 12
#: Counterparts of a running value that are tried, the most alike first.
_CHOICES = 4
#: Fewer steps do not show what repeats.
SHORTEST = 4


def recover_single(
    dag: Dag, traced: list[int], steps: int
) -> tuple[StepProgram, Simplifier, dict[str, str]]:
    """The loop behind one trace of ``steps`` steps, and its proof at ``steps`` and one less.

    Raises:
        CompileError: E137 for too few steps, E13x if no loop is found.
    """
    if steps < SHORTEST:
        text = f"the program has {steps} steps, too few to see what repeats"
        raise fail("E137", text, help=f"export it with {SHORTEST} steps or more")
    first: CompileError | None = None
    tried: set[tuple[int, ...]] = set()
    for shorter in _shorter(dag, traced, steps):
        if tuple(shorter) in tried or shorter == traced:
            continue
        tried.add(tuple(shorter))
        try:
            program, simplify = recover(dag, traced, shorter, steps - 1)
            proof = {}
            for t, roots in ((steps - 1, shorter), (steps, traced)):
                how = proves(dag, program, t, roots, simplify)
                if how is None:
                    text = f"the recovered step does not reproduce the network at {t} steps"
                    raise fail("E133", text)
                proof[str(t)] = how
        except CompileError as e:
            first = first or e
            continue
        return program, simplify, proof
    if first is not None:
        raise first
    text = "no step repeats in the program"
    raise fail("E133", text, dag[traced[0]].source.loc, help="use snnc.export on the module")


def _shorter(dag: Dag, traced: list[int], steps: int) -> Iterator[list[int]]:
    """Guesses of the results after one step less, the best first."""
    for choice in range(_CHOICES):
        guess = _Guess(dag, traced, steps, choice)
        yield [guess(x) for x in traced]


class _Guess:
    """What the results were one step earlier; ``choice`` counts from the most alike."""

    def __init__(self, dag: Dag, traced: list[int], steps: int, choice: int) -> None:
        self.dag, self.steps, self.choice = dag, steps, choice
        self.last: dict[int, int] = {}
        self.of_form: dict[object, list[int]] = {}
        for x in dag.sorted_cone(traced):
            term = dag[x]
            own = term.form.attrs[1] if term.form.kind == "input" else None
            self.last[x] = max([-1 if own is None else own, *(self.last[a] for a in term.args)])
            self.of_form.setdefault((term.form, term.shape), []).append(x)
        #: without an input per step, a counterpart is a part of the term instead
        self.static = all(self.last[x] < 0 for x in traced)
        self._alike: dict[tuple[int, int, int], int] = {}
        self._memo: dict[int, int] = {}

    def __call__(self, root: int) -> int:
        """The counterpart of ``root``."""
        stack = [root]
        while stack:
            x = stack[-1]
            if x in self._memo:
                stack.pop()
                continue
            found = self._at_once(x)
            if found is None:
                if todo := [a for a in self.dag[x].args if a not in self._memo]:
                    stack += todo
                    continue
                found = self._rebuilt(x)
            self._memo[x] = found
        return self._memo[root]

    def _at_once(self, x: int) -> int | None:
        """The counterpart, if it does not need those of the operands."""
        dag, term = self.dag, self.dag[x]
        if term.form.kind in COLLECTS and len(term.args) == self.steps - discarded(term.form):
            return dag.make(term.form, term.args[:-1], term.shape, term.source)
        if term.reach == CONSTANT or (self.last[x] < 0 and not self.static):
            return x
        if term.form.kind == "input":
            index, step = term.form.attrs
            return x if step is None else dag.input(index, step - 1, term.shape)
        ranked = self._candidates(x)
        return ranked[min(self.choice, len(ranked) - 1)] if ranked else None

    def _candidates(self, x: int) -> list[int]:
        """Terms that have seen one input less, and look like ``x``: the most alike first."""
        term = self.dag[x]
        found = []
        inside = self.dag.cone([x]) if self.static else set()
        for c in self.of_form[term.form, term.shape]:
            earlier = c in inside if self.static else self.last[c] == self.last[x] - 1
            if c != x and earlier:
                alike = self._depth(x, c, _DEPTH)
                if alike >= 2:
                    found.append((-alike, -c))
        return [-c for _, c in sorted(found)]

    def _depth(self, a: int, b: int, limit: int) -> int:
        """Down to which depth two terms have the same operators."""
        if a == b or limit == 0:
            return limit
        key = (a, b, limit)
        if key not in self._alike:
            x, y = self.dag[a], self.dag[b]
            inputs = x.form.kind == y.form.kind == "input"
            constants = x.reach == y.reach == CONSTANT and x.shape == y.shape
            if constants or (inputs and x.form.attrs[0] == y.form.attrs[0]):
                self._alike[key] = limit
            elif x.form != y.form or len(x.args) != len(y.args) or not x.args:
                self._alike[key] = 0
            else:
                pairs = zip(x.args, y.args, strict=True)
                self._alike[key] = 1 + min(self._depth(p, q, limit - 1) for p, q in pairs)
        return self._alike[key]

    def _rebuilt(self, x: int) -> int:
        """The operator on the counterparts; a division by T becomes one by T - 1."""
        dag, term = self.dag, self.dag[x]
        args = [self._memo[a] for a in term.args]
        if term.form.kind == "pointwise" and len(args) == 2 and args[0] != term.args[0]:
            (fn,), value = term.form.attrs, dag.value(term.args[1])
            if fn == "div" and value == self.steps:
                args[1] = dag.literal(self.steps - 1)
            elif fn == "mul" and value is not None and value * self.steps == 1:
                args[1] = dag.literal(1 / (self.steps - 1))
        return dag.rebuild(x, tuple(args))
