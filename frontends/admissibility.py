"""Whether the recovered program can run as a stream: the proof alone does not say that.

A network that first computes something over the whole sequence and then thresholds it can be
re-unrolled faithfully and still has no step.  Here the step must read only its own input and its
states, and what follows the last step must see the sequence only through reductions.
"""

from __future__ import annotations

import math

from snnc.diagnostics import Diagnostic, error
from snnc.frontends.dag import COLLECTS, CONSTANT, TIMED, Dag
from snnc.frontends.step import StepProgram
from snnc.frontends.unroll import per_step_roots


def inadmissible(dag: Dag, program: StepProgram) -> list[Diagnostic]:
    """Every reason why the program is not a stream of steps (E133)."""
    found: list[Diagnostic] = []
    inside = [s.next for s in program.states] + per_step_roots(dag, program)
    for x in dag.sorted_cone(inside):
        term = dag[x]
        form = term.form
        if form.kind in COLLECTS or form.kind == "time_last":
            found.append(
                error("E133", "a step uses a result of the whole sequence", term.source.loc)
            )
        if form.kind == "input" and form.attrs[1] not in (None, -1):
            found.append(error("E133", "a step reads the input of one fixed step", term.source.loc))
    for state in program.states:
        if any(dag[x].reach == TIMED for x in dag.cone([state.initial])):
            loc = dag[state.next].source.loc
            found.append(error("E133", "an initial state depends on the input of a step", loc))
    stack, seen = list(program.outputs), set()
    while stack:
        x = stack.pop()
        term = dag[x]
        if x in seen or term.form.kind in COLLECTS or term.form.kind == "time_last":
            continue
        seen.add(x)
        if term.form.kind in ("slot", "input") and term.reach == TIMED:
            text = "a result after the last step reads a single step"
            found.append(error("E133", text, term.source.loc))
        stack += term.args
    return found


def starts_from_constants(dag: Dag, program: StepProgram) -> bool:
    """Whether no state starts from the input, or from an infinite number."""
    starts = {s.initial for loop in program.loops for s in loop.states}
    return all(dag[x].reach == CONSTANT and math.isfinite(dag.value(x) or 0) for x in starts)
