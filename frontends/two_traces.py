"""The loop behind two traces of lengths one apart."""

from __future__ import annotations

from snnc.diagnostics import CompileError, fail
from snnc.frontends.admissibility import inadmissible
from snnc.frontends.antiunify import antiunify
from snnc.frontends.dag import Dag
from snnc.frontends.peel import Simplifier, unpeel
from snnc.frontends.phases import split
from snnc.frontends.step import StepProgram, build_step
from snnc.frontends.unroll import unroll


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
        try:
            return _recover(dag, longer, shorter, length, simplify, elided=False)
        except CompileError as first:
            try:
                return _recover(dag, longer, shorter, length, simplify, elided=True)
            except CompileError:
                raise first from None

    return split(dag, longer, shorter, length, one_loop, unroll), simplify


def _recover(
    dag: Dag,
    longer: list[int],
    shorter: list[int],
    length: int,
    simplify: Simplifier,
    elided: bool,
) -> StepProgram:
    match = antiunify(dag, longer, shorter, length, elided)
    unpeel(dag, match, simplify)
    program = build_step(dag, longer, match, length + 1)
    if found := inadmissible(dag, program):
        raise CompileError(found)
    return program
