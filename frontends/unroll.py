"""The proof: the recovered step, unrolled again, is the traced network, term for term."""

from __future__ import annotations

from snnc.frontends.dag import COLLECTS, Dag, Form, discarded
from snnc.frontends.peel import Simplifier
from snnc.frontends.step import StepProgram


def unroll(dag: Dag, program: StepProgram, steps: int) -> list[int]:
    """Outputs of the program after ``steps`` steps, as terms of the same table as the traces."""
    results: list[list[int]] = []
    links = {link.index: link for link in program.links}

    def handed(x: int) -> int | None:
        form = dag[x].form
        if form.kind != "input" or form.attrs[0] not in links:
            return None
        link = links[form.attrs[0]]
        value = results[link.loop][link.place]
        if form.attrs[1] is None:
            return value
        if dag.kind(value) == "time_replay":
            element: int = dag[value].args[form.attrs[1]]
            return element
        return dag.make(Form("element", form.attrs[1:]), (value,), dag.shape(x))

    memo: dict[int, int] = {}
    for loop in program.loops:
        found = _unroll_loop(dag, loop, steps)
        results.append([dag.rewrite(x, memo, handed) for x in found])
    return results[-1]


def _unroll_loop(dag: Dag, program: StepProgram, steps: int) -> list[int]:
    history: list[list[int]] = [[s.initial] for s in program.states]
    instances: list[dict[int, int]] = []
    for t in range(steps):
        memo: dict[int, int] = {}
        now = [list(h) for h in history]

        def replace(x: int, t: int = t, now: list[list[int]] = now) -> int | None:
            form = dag[x].form
            if form.kind == "slot":
                index, delay = form.attrs[:2]
                value = now[index][max(0, len(now[index]) - delay)]
                return dag.solid(value, dag.shape(x)) if dag.kind(value) == "fill" else value
            if form.kind == "steps":
                return _number(dag, x, steps)
            if form.kind == "table":
                return dag[x].args[t]
            if form.kind == "input" and form.attrs[1] is not None:
                return dag.input(form.attrs[0], t, dag.shape(x))
            return None

        for k, state in enumerate(program.states):
            history[k].append(dag.rewrite(state.next, memo, replace))
        for x in per_step_roots(dag, program):
            dag.rewrite(x, memo, replace)
        instances.append(memo)

    def finish(x: int) -> int | None:
        term = dag[x]
        if term.form.kind in COLLECTS:
            items = tuple(
                dag.solid(m[term.args[0]], term.shape) for m in instances[discarded(term.form) :]
            )
            return dag.make(term.form, items, term.shape, term.source)
        if term.form.kind == "time_last":
            return instances[-1][term.args[0]]
        if term.form.kind == "steps":
            return _number(dag, x, steps)
        return None

    memo = {}
    return [dag.rewrite(x, memo, finish) for x in program.outputs]


def _number(dag: Dag, x: int, steps: int) -> int:
    """A multiple of T or of 1 / T."""
    ratio, power = dag[x].form.attrs
    return dag.literal(ratio * steps if power > 0 else ratio / steps)


def per_step_roots(dag: Dag, program: StepProgram) -> list[int]:
    """Terms of the step that the outputs collect."""
    found: dict[int, None] = {}
    stack = list(program.outputs)
    seen: set[int] = set()
    while stack:
        x = stack.pop()
        if x in seen:
            continue
        seen.add(x)
        if dag.kind(x) in COLLECTS or dag.kind(x) == "time_last":
            found[dag[x].args[0]] = None
        else:
            stack += dag[x].args
    return list(found)


def proves(
    dag: Dag, program: StepProgram, steps: int, traced: list[int], simplify: Simplifier
) -> str | None:
    """How the program, unrolled, equals the trace: "identical", "up to zeros", or None."""
    again = unroll(dag, program, steps)
    if again == traced:
        return "identical"
    return "up to zeros" if simplify(again) == simplify(traced) else None
