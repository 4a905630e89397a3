"""Leave out what changes nothing: ``x * 1``, ``x / 1``, ``x + 0`` and ``x - 0`` with parameters.

Libraries multiply spikes by a gain and add a rest potential that are parameters, mostly 1 and 0.
Without them spikes are spikes again.  ``sign(x) relu(|x|)``, which torch writes into its power
average pool, is ``x``, and a mean over a window of 2^k elements times 2^k is their sum.  All are
exact for finite numbers, up to the sign of zero.
"""

from __future__ import annotations

import math

from snnc.frontends.dag import CONSTANT, Dag, Form
from snnc.frontends.fold import Folder
from snnc.frontends.step import State, StepProgram

_NEUTRAL = {"mul": 1.0, "div": 1.0, "add": 0.0, "sub": 0.0}


def drop_neutral(dag: Dag, program: StepProgram) -> StepProgram:
    """The same program without operations on neutral parameters."""
    folder = Folder(dag)
    memo: dict[int, int] = {}

    def partner(x: int) -> int | None:
        """The operand that ``x`` equals."""
        term = dag[x]
        if term.form.kind != "pointwise" or term.reach == CONSTANT:
            return None
        (fn,), args = term.form.attrs, term.args
        if fn not in _NEUTRAL:
            return None
        if fn == "mul" and (found := _signed(dag, *args) or _summed(dag, *args)):
            return found
        for own, other in (args, args[::-1]) if fn in ("mul", "add") else (args,):
            if dag.shape(own) != term.shape or dag[own].reach == CONSTANT:
                continue
            known = dag[other].reach == CONSTANT and "steps" not in map(dag.kind, dag.cone([other]))
            if known and folder.neutral(other, _NEUTRAL[fn]):
                return own
        return None

    def replace(x: int) -> int | None:
        own = partner(x)
        return None if own is None else dag.rewrite(own, memo, replace)

    def lean(loop: StepProgram) -> StepProgram:
        states = tuple(State(s.initial, dag.rewrite(s.next, memo, replace)) for s in loop.states)
        return StepProgram(states, tuple(dag.rewrite(x, memo, replace) for x in loop.outputs))

    *earlier, last = (lean(loop) for loop in program.loops)
    return StepProgram(last.states, last.outputs, tuple(earlier), program.links)


def _signed(dag: Dag, sign: int, size: int) -> int | None:
    """``x`` of ``sign(x) * relu(|x|)``."""
    if dag[size].form != Form("pointwise", ("relu",)):
        return None
    (inner,) = dag[size].args
    if dag[inner].form != Form("pointwise", ("abs",)):
        return None
    (x,) = dag[inner].args
    zero = dag.literal(0.0)
    sides = dag.pointwise("gt", x, zero), dag.pointwise("lt", x, zero)
    return x if dag.pointwise("sub", *sides) == sign else None


def _summed(dag: Dag, mean: int, count: int) -> int | None:
    """The sum of a window whose mean is multiplied by its size, a power of two."""
    term, number = dag[mean], dag.value(count)
    if term.form.kind != "avg_pool":
        x = _signed(dag, *term.args) if len(term.args) == 2 else None
        return None if x is None else _summed(dag, x, count)
    kernel, *_ = term.form.attrs
    size = math.prod(kernel)
    if number != size or size & (size - 1):
        return None
    return dag.make(Form("sum_pool", term.form.attrs), term.args, term.shape, term.source)
