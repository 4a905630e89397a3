"""Means over the steps that are written as a sum divided by their number."""

from __future__ import annotations

from snnc.frontends.dag import Dag, Form
from snnc.frontends.phases import Joined


def mean_over_steps(dag: Dag, program: Joined, x: int) -> int | None:
    """The summand, if ``x`` is a sum over the steps divided by their number."""
    term = dag[x]
    (fn,), args = term.form.attrs, list(term.args)
    if fn == "mul" and dag.kind(args[0]) == "steps":
        args.reverse()
    expected = {"div": (1.0, 1), "mul": (1.0, -1)}.get(fn)
    if len(args) != 2 or dag.kind(args[1]) != "steps" or expected is None:
        return None
    ratio, power = dag[args[1]].form.attrs
    if abs(ratio - expected[0]) > 1e-12 or power != expected[1]:
        return None
    total = dag[computed_behind(dag, program, args[0])]
    if total.form == Form("time_sum"):
        return total.args[0]
    if total.form.kind == "time_last":
        return _summand(dag, program, total.args[0])
    return None


def _summand(dag: Dag, program: Joined, x: int) -> int | None:
    """``s``, if ``x`` is ``acc + s`` and ``acc`` is the state with this value, from zero."""
    term = dag[x]
    if term.form.kind != "pointwise" or term.form.attrs != ("add",):
        return None
    for acc, s in (term.args, term.args[::-1]):
        form = dag[acc].form
        if form.kind == "slot" and form.attrs[1] == 1:
            state = program.states[form.attrs[0]]
            if state.next == x and dag.value(state.initial) == 0:
                return s
    return None


def computed_behind(dag: Dag, program: Joined, x: int) -> int:
    """The term behind what an earlier loop hands on."""
    while dag.kind(x) == "input" and dag[x].form.attrs[0] in program.handed:
        if dag[x].form.attrs[1] is not None:
            break
        _, x = program.handed[dag[x].form.attrs[0]]
    return x
