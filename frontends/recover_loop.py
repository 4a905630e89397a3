"""Find the loop over time in a module: traces, comparison, proof.

Traces of two short lengths are compared, and the trace of the module's own number of steps T
proves what was found: code such as ``if t >= 10`` shows in no shorter one.  Two kinds of modules
are recovered at T as well: with parameters of their own at every step, T - 1 and T are compared;
with T written into the code or into a size, the one trace there is.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from snnc.diagnostics import CompileError, Diagnostic, fail, remark
from snnc.frontends.admissibility import starts_from_constants
from snnc.frontends.candidate import Candidate, UnlikeError, not_reproduced
from snnc.frontends.dag import CONSTANT, TIMED, Dag
from snnc.frontends.layout import Axes
from snnc.frontends.one_trace import SHORTEST, recover_single
from snnc.frontends.recipe import Recipe
from snnc.frontends.step import StepProgram
from snnc.frontends.step_tables import max_steps
from snnc.frontends.totals import with_totals
from snnc.frontends.tracer import Tracer, batch_and_sizes
from snnc.frontends.two_traces import recover
from snnc.frontends.unlike_steps import named_reason
from snnc.frontends.unroll import proves
from snnc.progress import stage

#: Steps of the trace in which a step is found that reads what was some steps before.
LONG = 10
#: Steps of the longest trace that is made because shorter ones do not show enough.  Later steps
#: of a network with more are not compared, and R133 says so.
LONGEST = 128


@dataclass(frozen=True)
class Recovered:
    """A proven loop.

    Attributes:
        dag: Of the traces and the program.
        program: One step and what follows the last one.
        proof: By number of steps: how the program, unrolled, equals the trace.
        layouts: Axes of the outputs.
        fixed: Whether the module computes this number of steps and no other.
    """

    dag: Dag
    program: StepProgram
    proof: dict[str, str]
    layouts: list[Axes]
    fixed: bool = False


def recover_proven(recipe: Recipe, steps: int) -> Recovered:
    """The loop of the module, proven at the lengths that it can be traced with.

    Args:
        recipe: The module and how to run it.
        steps: Its own number of steps.

    Raises:
        CompileError: Everything that stands in the way.
    """
    batch, sizes = batch_and_sizes(recipe, steps)
    try:
        longest = max([steps, *recipe.own_counts.values()])
        found = _any_length(recipe, batch, sizes, longest)
        if max_steps(found.dag, found.program) or _mixes_steps(found):
            found = _recover_at(Tracer(recipe, batch), steps - 1, steps - 2)
        elif _ignores_steps(found):
            found = _one_trace(Tracer(recipe, batch), steps) or replace(found, fixed=True)
    except CompileError as e:
        own = None
        codes = {d.code for d in e.diagnostics}
        unseen = steps > LONG + 1 or "E136" in codes  # else short traces were as long
        if codes <= _OWN_LENGTH and unseen and SHORTEST <= steps <= LONGEST:
            own = _at_own_length(Tracer(recipe, batch), steps)
        if own is None and codes <= _OWN_LENGTH and steps >= SHORTEST:
            own = _one_trace(Tracer(recipe, batch), steps)
        if own is None:
            found_at = [e.named()] if isinstance(e, UnlikeError) else e.diagnostics
            raise CompileError(_in_forward(d) for d in found_at) from None
        found = own
    return found


def _mixes_steps(found: Recovered) -> bool:
    """Whether the module computes a matrix over the steps, of the size that it is run with."""
    dag, loops = found.dag, found.program.loops
    return any(dag.kind(x) == "time_mix" for p in loops for x in dag.cone(list(p.outputs)))


#: What a module shows that runs with its own number of steps only.
_OWN_LENGTH = {"E131", "E132", "E133", "E136"}


def _any_length(recipe: Recipe, batch: int | None, sizes: set[int], steps: int) -> Recovered:
    """Recover from traces of two short lengths and of the module's own, ``steps``.

    Short traces come first; if one of the lengths happens to be another size of the model and
    that is in the way, lengths that are not are used.
    """
    safe = next(t for t in itertools.count(4) if not {t, t + 1, t + 3} & sizes)
    long = next(t for t in itertools.count(LONG) if not {t, t + 1, t + 3} & sizes)
    unlike: UnlikeError | None = None
    for length in dict.fromkeys((4, safe, long)):
        others = _lengths_of_proof(length, steps, sizes)
        try:
            return _recover_at(Tracer(recipe, batch), length, *others)
        except CompileError as e:
            if isinstance(e, UnlikeError):
                unlike = unlike or e
            # a queue of several steps, or code that counts those behind a warm-up, needs more steps
            longer = {d.code for d in e.diagnostics} <= {"E131", "E133", "E139"} and length != long
            if length >= safe and not longer:
                raise unlike or e from None
    raise AssertionError("the last length returns or raises")


def _lengths_of_proof(length: int, steps: int, sizes: set[int]) -> tuple[int, ...]:
    """Where to prove a loop found in ``length`` and ``length + 1`` steps: the first that serves.

    The module's own number of steps may be another size of the model, so that time cannot be
    told apart; a longer trace has all of its steps, too.
    """
    if steps <= length + 1:
        return (length + 3,)
    own = min(steps, LONGEST)
    return own, next(t for t in itertools.count(own + 1) if t not in sizes)


def _recover_at(tracer: Tracer, length: int, *others: int) -> Recovered:
    """Compare ``length`` and ``length + 1`` steps; prove the result at one of ``others``, too."""
    dag = tracer.dag
    shorter, _ = tracer.roots(length)
    longer, layouts = tracer.roots(length + 1)
    _depends_on_input(dag, longer, length)
    stage("find the loop")
    totals, found, failed = False, None, None
    try:
        found = recover(dag, longer, shorter, length)
    except CompileError as e:
        failed = e
    if found is None or not starts_from_constants(dag, found[0]):
        # a running sum that drives another loop, or whose first summand is the input's
        sums = with_totals(dag, longer, length + 1), with_totals(dag, shorter, length)
        if sums != (longer, shorter):
            try:
                found = recover(dag, *sums, length)
                totals, (longer, shorter) = True, sums
            except CompileError:
                pass  # the first reason is the better one
    if found is None:
        assert failed is not None, "it is recovered, or there is a reason why not"
        raise _named(dag, longer, failed) from None
    program, simplify = found
    candidate = Candidate(program, simplify, totals)
    stage("prove the loop")
    proof: dict[int, str | None] = {}
    for steps, roots in ((length, shorter), (length + 1, longer)):
        proof[steps] = proves(dag, program, steps, roots, simplify)
    if tracer.recipe.tables and (own := tracer.recipe.table_steps) not in proof:
        proof[own] = candidate.proof(tracer, own)
    for steps, how in proof.items():
        if how is None:
            raise CompileError([not_reproduced(steps)])
    possible = [t for t in others if 1 < t <= (max_steps(dag, program) or t) and t not in proof]
    for another in possible:
        try:
            proof[another] = candidate.proof(tracer, another)
        except CompileError:
            if another == possible[-1]:
                raise
            continue
        if proof[another] is not None:
            break
        del proof[another]
        if another == possible[-1]:
            if another > length:
                raise UnlikeError(tracer, candidate, length + 1, another)
            raise CompileError([not_reproduced(another)])
    return Recovered(
        dag, program, {str(t): how for t, how in sorted(proof.items()) if how}, layouts
    )


def _named(dag: Dag, roots: list[int], e: CompileError) -> CompileError:
    """The same refusal with a reason that has a name, if there is one."""
    code = e.diagnostics[0].code
    reason = named_reason(dag, roots, code) if code in ("E131", "E133") else None
    return e if reason is None else CompileError([reason])


def _depends_on_input(dag: Dag, roots: list[int], length: int) -> None:
    if all(dag[x].reach == CONSTANT for x in roots):
        hint = "export the module that reads the input, with an example that it reacts to"
        # in a short trace, what the input does may still be on its way
        code = "E139" if length >= LONG else "E133"
        raise fail(code, "no output depends on an input", help=hint)


def _ignores_steps(found: Recovered) -> bool:
    """Whether nothing in the program changes from step to step."""
    outputs = found.program.outputs
    return not found.program.earlier and all(found.dag[x].reach < TIMED for x in outputs)


def _at_own_length(tracer: Tracer, steps: int) -> Recovered | None:
    """Recover what happens at late steps only, such as the end of a long warm-up, or None."""
    try:
        return _recover_at(tracer, steps - 1, steps - 2)
    except CompileError:
        return None


def _one_trace(tracer: Tracer, steps: int) -> Recovered | None:
    """Recover from the trace of ``steps`` alone, or None."""
    try:
        traced, layouts = tracer.roots(steps)
        program, _, proof = recover_single(tracer.dag, traced, steps)
    except CompileError:
        return None
    return Recovered(tracer.dag, program, proof, layouts, fixed=True)


def _in_forward(d: Diagnostic) -> Diagnostic:
    """Name the place of code that is not inside a layer."""
    if d.loc is None or d.loc.path:
        return d
    return replace(d, loc=replace(d.loc, path="forward"))


def uncompared(found: Recovered, steps: int) -> list[Diagnostic]:
    """R133 if the network has later steps than the longest trace of the proof."""
    compared = max(map(int, found.proof))
    if steps <= compared:
        return []
    text = f"the proof covers {compared} of {steps} steps"
    note = "no trace is made of more; later steps are compared on the example only"
    return [remark("R133", text, None, note)]
