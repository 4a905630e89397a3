"""The loop behind two traces of lengths one apart."""

from __future__ import annotations

from snnc.diagnostics import CompileError, fail
from snnc.frontends.admissibility import inadmissible
from snnc.frontends.antiunify import Reading, antiunify
from snnc.frontends.dag import CONSTANT, Dag
from snnc.frontends.peel import Simplifier, unpeel
from snnc.frontends.phases import split
from snnc.frontends.step import StepProgram, build_step
from snnc.frontends.step_tables import max_steps
from snnc.frontends.unroll import proves, unroll

#: Ways to read the first steps, the plain one first.
_READINGS = (
    Reading(),
    Reading(elided=True),
    Reading(sums=True),
    Reading(whole=True),
    Reading(currents=True),
)


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
        found: dict[tuple[bool, bool, bool], StepProgram] = {}
        for reading in _READINGS:
            try:
                program = _recover(dag, longer, shorter, length, simplify, reading)
            except CompileError as e:
                failed = failed or e
                continue
            # what is no proof now will be none later; a state that starts from what the first step
            # computes cannot be built; a step with constants of its own is a last resort
            proven = proves(dag, program, length + 1, longer, simplify) is not None
            computed = any(dag[s.initial].reach != CONSTANT for s in program.states)
            rank = not proven, computed, max_steps(dag, program) > 0
            found.setdefault(rank, program)
            if not any(rank):
                break
        if not found:
            assert failed is not None, "there is a reading"
            raise failed
        return found[min(found)]

    return split(dag, longer, shorter, length, one_loop, unroll), simplify


def _recover(
    dag: Dag,
    longer: list[int],
    shorter: list[int],
    length: int,
    simplify: Simplifier,
    reading: Reading,
) -> StepProgram:
    match = antiunify(dag, longer, shorter, length, reading)
    unpeel(dag, match, simplify)
    program = build_step(dag, longer, match, length + 1)
    if found := inadmissible(dag, program):
        raise CompileError(found)
    return program
