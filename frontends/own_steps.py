"""Blocks with different numbers of steps: which loop has how many.

Traces are made with one number for all blocks, so that equal loops look equal.  What is computed
inside of a block, by the path of its module, says whose loop it is.
"""

from __future__ import annotations

from snnc.diagnostics import fail
from snnc.frontends.dag import TIMED, Dag
from snnc.frontends.step import StepProgram


def steps_of_loops(dag: Dag, program: StepProgram, counts: dict[str, int]) -> list[int]:
    """Steps of every loop, from the numbers that the modules' attributes hold.

    Args:
        dag: Of the program.
        program: All loops.
        counts: By dotted attribute.

    Raises:
        CompileError: E133 if the code of a loop belongs to no block, or to several that differ.
    """
    owners = {dotted.rpartition(".")[0]: count for dotted, count in counts.items()}
    found: list[int] = []
    for loop in program.loops:
        terms = dag.cone(s.next for s in loop.states)
        inside = [x for x in terms if dag[x].args and dag[x].reach == TIMED]
        numbers = {n for x in inside if (n := _count(dag[x].source.loc.path, owners))}
        if len(numbers) != 1:
            which = "several blocks" if numbers else "no block"
            text = f"a loop belongs to {which} with a number of steps of its own"
            loc = dag[loop.states[0].next].source.loc if loop.states else None
            why = f"the modules have {', '.join(f'{k} = {v}' for k, v in counts.items())}"
            hint = "populations that work side by side need the same number of steps"
            raise fail("E133", text, loc, why, help=hint)
        found += numbers
    return found


def _count(path: str, owners: dict[str, int]) -> int:
    """Steps of the innermost block around a module, or 0."""
    while path:
        if path in owners:
            return owners[path]
        path = path.rpartition(".")[0]
    return owners.get("", 0)
