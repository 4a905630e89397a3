"""Delay lines: states that move the value of another one, or of a computed term, a step on."""

from __future__ import annotations

from snnc.diagnostics import fail
from snnc.frontends.dag import CONSTANT, Dag
from snnc.frontends.phases import Joined


def moved_from(dag: Dag, program: Joined, x: int) -> tuple[int, int] | None:
    """(term that is computed, steps ago) behind a slot, following states that move values."""
    delay = 0
    for _ in range(len(program.states) + 1):
        if dag.kind(x) != "slot":
            return x, delay
        index, own = dag[x].form.attrs[:2]
        delay += own
        x = program.states[index].next
    return None


def shared_initial(dag: Dag, program: Joined, slot: int) -> int:
    """The value that the whole delay line of the slot starts from, a constant.

    Raises:
        CompileError: E133 if it depends on the input, or is another one for an older value.
    """
    loc = dag[slot].source.loc
    initial: int = program.states[dag[slot].form.attrs[0]].initial
    if dag[initial].reach != CONSTANT:
        text = "a state starts from what the first step computes of the input"
        why = "the first step is not the general step on constant states: it is written differently"
        hint = "start every state from zeros or from a parameter, and update it as later steps do"
        raise fail("E133", text, loc, why, help=hint)
    x: int = slot
    while dag.kind(x) == "slot":
        k = dag[x].form.attrs[0]
        if program.states[k].initial != initial:
            raise fail("E133", "a delay line starts from different values", loc)
        x = program.states[k].next
    return initial
