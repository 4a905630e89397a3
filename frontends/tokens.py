"""Inputs that are token numbers, and how many tokens there are."""

from __future__ import annotations

from snnc.diagnostics import fail
from snnc.frontends.dag import Dag
from snnc.frontends.step import StepProgram

#: What does not change numbers, only where they are.
_MOVES = frozenset(
    ("reshape", "transpose", "slice", "concat", "broadcast", "expand", "take", "time_last")
)


def token_inputs(dag: Dag, program: StepProgram) -> dict[int, int]:
    """Index of every input that an embedding reads → rows of the smallest of its tables.

    Raises:
        CompileError: E210 if the row numbers of an embedding are computed.
    """
    roots = [*program.outputs, *(s.next for s in program.states)]
    found: dict[int, int] = {}
    for x in sorted(dag.cone(roots)):
        if dag.kind(x) != "embedding":
            continue
        numbers, table = dag[x].args
        rows = dag.shape(table)[0]
        stack = [numbers]
        while stack:
            term = dag[stack.pop()]
            if term.form.kind in _MOVES:
                stack += term.args
            elif term.form.kind == "input":
                index = term.form.attrs[0]
                found[index] = min(rows, found.get(index, rows))
            elif term.form.kind not in ("argmax", "top_k"):
                text = "the row numbers of an embedding are computed"
                hint = "an embedding reads token numbers from an input"
                raise fail("E210", text, dag[x].source.loc, help=hint)
    return found
