"""Steps with something else in them, which the proof has to reject."""

from __future__ import annotations

from collections.abc import Iterator

from snnc.frontends.dag import Dag
from snnc.frontends.peel import Simplifier
from snnc.frontends.step import State, StepProgram
from snnc.frontends.unroll import proves, unroll

#: What stands in for a function in a step that was tampered with.
_OTHER = {
    "add": "sub",
    "sub": "add",
    "mul": "add",
    "div": "mul",
    "ge": "lt",
    "gt": "le",
    "floor": "ceil",
    "ceil": "floor",
    "round": "floor",
    "trunc": "floor",
    "maximum": "minimum",
    "minimum": "maximum",
}


def tampering_is_rejected(dag: Dag, program: StepProgram, steps: int) -> bool:
    """Put another function in the place of the first one, in one loop after the other.

    In a loop without a function that has another one, all states and outputs change their sign.
    """
    traced = unroll(dag, program, steps)
    found = [
        proves(dag, wrong, steps, traced, Simplifier(dag)) is None
        for wrong in _tampered(dag, program)
    ]
    return bool(found) and all(found)


def _tampered(dag: Dag, program: StepProgram) -> Iterator[StepProgram]:
    for k, loop in enumerate(program.loops):
        roots = [s.next for s in loop.states] + list(loop.outputs)
        target = next(
            (
                x
                for x in dag.sorted_cone(roots)
                if dag.kind(x) == "pointwise" and dag[x].reach and _matters(dag, x)
            ),
            None,
        )
        if target is None:
            values = [dag.pointwise("neg", x) for x in roots]
        else:
            other = dag.pointwise(_OTHER[dag[target].form.attrs[0]], *dag[target].args)
            memo = {target: other}
            values = [dag.rewrite(x, memo, lambda _: None) for x in roots]
        pairs = zip(loop.states, values, strict=False)
        states = tuple(State(s.initial, value) for s, value in pairs)
        loops = list(program.loops)
        loops[k] = StepProgram(states, tuple(values[len(states) :]))
        last = loops.pop()
        yield StepProgram(last.states, last.outputs, tuple(loops), program.links)


def _matters(dag: Dag, x: int) -> bool:
    """Whether another function computes something else: ``x - 0`` is ``x + 0``."""
    fn = dag[x].form.attrs[0]
    same = fn in ("add", "sub") and dag.value(dag[x].args[1]) == 0
    return fn in _OTHER and not same
