"""The loop behind two traces of lengths one apart."""

from __future__ import annotations

from snnc.diagnostics import CompileError, fail
from snnc.frontends.admissibility import inadmissible
from snnc.frontends.antiunify import antiunify
from snnc.frontends.dag import CONSTANT, Dag
from snnc.frontends.peel import Simplifier, unpeel
from snnc.frontends.phases import split
from snnc.frontends.step import StepProgram, build_step
from snnc.frontends.unroll import unroll

#: Ways to read the first steps, the plain one first: whether a factor or summand may be missing,
#: and whether a running sum may start from a summand that is a sum.
_READINGS = ((False, False), (True, False), (False, True))


def recover(
    dag: Dag, longer: list[int], shorter: list[int], length: int
) -> tuple[StepProgram, Simplifier]:
    """The loop behind two traces, of ``length + 1`` and ``length`` steps.

    Raises:
        CompileError: E131, E132, E133 or E136.
    """
    if len(longer) != len(shorter):
        text = "the number of outputs depends on the number of steps"
        raise fail("E136", text, help="stack the list of results with torch.stack")
    simplify = Simplifier(dag)

    def one_loop(longer: list[int], shorter: list[int]) -> StepProgram:
        failed: CompileError | None = None
        started: StepProgram | None = None
        for elided, sums in _READINGS:
            try:
                program = _recover(dag, longer, shorter, length, simplify, elided, sums)
            except CompileError as e:
                failed = failed or e
                continue
            if all(dag[s.initial].reach == CONSTANT for s in program.states):
                return program
            # states that start from what the first step computes: another reading may know better
            started = started or program
        if started is not None:
            return started
        assert failed is not None, "there is a reading"
        raise failed

    return split(dag, longer, shorter, length, one_loop, unroll), simplify


def _recover(
    dag: Dag,
    longer: list[int],
    shorter: list[int],
    length: int,
    simplify: Simplifier,
    elided: bool,
    sums: bool,
) -> StepProgram:
    match = antiunify(dag, longer, shorter, length, elided, sums)
    unpeel(dag, match, simplify)
    program = build_step(dag, longer, match, length + 1)
    if found := inadmissible(dag, program):
        raise CompileError(found)
    return program
