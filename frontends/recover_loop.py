"""Find the loop over time in a module: traces, comparison, proof.

Traces of two short lengths are compared, and a third length proves what was found.  Two kinds of
modules need their own number of steps T: with parameters of their own at every step, T - 1 and T
are compared; with T written into the code or into a size, the one trace there is.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import torch

from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.frontends.dag import CONSTANT, TIMED, Dag
from snnc.frontends.layout import Axes, Extents
from snnc.frontends.one_trace import SHORTEST, recover_single
from snnc.frontends.peel import Simplifier
from snnc.frontends.recipe import Recipe
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.step import StepProgram
from snnc.frontends.step_tables import max_steps
from snnc.frontends.totals import with_totals
from snnc.frontends.trace import trace
from snnc.frontends.two_traces import recover
from snnc.frontends.unlike_steps import named_reason
from snnc.frontends.unroll import proves
from snnc.frontends.warm_up import collecting
from snnc.frontends.whole_loop import Unrolled
from snnc.progress import stage

#: Steps of the trace in which a step is found that reads what was some steps before.
LONG = 10
#: Steps of the longest trace that is made because shorter ones do not show enough.
LONGEST = 128

#: Sizes that serve as batch while tracing.
_PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79)


class Tracer:
    """Traces of one module in one table."""

    def __init__(self, recipe: Recipe, batch: int | None) -> None:
        self.recipe = recipe
        self.dag = Dag()
        self.batch = batch

    def roots(self, steps: int) -> tuple[list[int], list[Axes]]:
        """Output terms and their axes, for a number of steps."""
        stage(f"trace {steps} steps")
        try:
            program = trace(self.recipe, steps, self.batch)
        except CompileError as e:
            if self.recipe.frozen or e.diagnostics[0].code != "E130":
                raise
            # an option that is kept in a buffer, such as the progress of a training schedule
            self.recipe.frozen = True
            try:
                program = trace(self.recipe, steps, self.batch)
            except CompileError:
                self.recipe.frozen = False
                raise e from None
        if self.recipe.describe is not None:
            program = self.recipe.describe(program)
        extents = Extents(steps, self.batch)
        outputs = Scalarizer(self.dag, extents, self.recipe.time_axes).run(program)
        terms = []
        for y in outputs:
            if y.timed:
                shape = self.dag.shape(y.terms[0])
                terms.append(self.dag.make(collecting("stack", y.axes), y.terms, shape))
            else:
                terms.append(y.terms[0])
        return terms, [y.axes for y in outputs]


def _extents(recipe: Recipe) -> set[int]:
    """Sizes that already mean something else."""
    tensors = [*recipe.module.parameters(), *recipe.module.buffers()]
    found = {n for p in tensors for n in p.shape}
    own = zip(recipe.inputs, recipe.time_axes, recipe.batch_axes, strict=True)
    for x, time, batch in own:
        found |= {n for axis, n in enumerate(x.shape) if axis not in (time, batch)}
    hooks = []

    def remember(module: Any, args: Any, out: Any) -> None:
        for y in out if isinstance(out, tuple | list) else (out,):
            if isinstance(y, torch.Tensor):
                found.update(y.shape[2:])

    steps = recipe.own_steps(4)
    unrolled = Unrolled(recipe, steps)
    hooks += [m.register_forward_hook(remember) for m in unrolled.modules()]
    try:
        with torch.no_grad():
            unrolled(*(x.clone() for x in recipe.inputs))
    except Exception:
        return found
    finally:
        for hook in hooks:
            hook.remove()
    return found - {steps}


def _batch_and_sizes(recipe: Recipe, steps: int) -> tuple[int | None, set[int]]:
    """A batch size by which batch axes are recognised, and all sizes that mean something."""
    sizes = _extents(recipe)
    if all(a is None for a in recipe.batch_axes):
        return None, sizes
    own = {steps, steps - 1, steps - 2}
    batch = next((p for p in _PRIMES if all(n % p for n in sizes | own if n)), _PRIMES[-1])
    return batch, sizes | {batch}


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
    batch, sizes = _batch_and_sizes(recipe, steps)
    try:
        found = _any_length(recipe, batch, sizes)
        if max_steps(found.dag, found.program) or _mixes_steps(found):
            found = _recover_at(Tracer(recipe, batch), steps - 1, steps - 2)
        elif _ignores_steps(found):
            found = _one_trace(Tracer(recipe, batch), steps) or found
    except CompileError as e:
        own = None
        codes = {d.code for d in e.diagnostics}
        unseen = steps > LONG + 1 or "E136" in codes  # else short traces were as long
        if codes <= _OWN_LENGTH and unseen and SHORTEST <= steps <= LONGEST:
            own = _at_own_length(Tracer(recipe, batch), steps)
        if own is None and codes <= _OWN_LENGTH and steps >= SHORTEST:
            own = _one_trace(Tracer(recipe, batch), steps)
        if own is None:
            raise CompileError(_in_forward(d) for d in e.diagnostics) from None
        found = own
    return found


def _mixes_steps(found: Recovered) -> bool:
    """Whether the module computes a matrix over the steps, of the size that it is run with."""
    dag, loops = found.dag, found.program.loops
    return any(dag.kind(x) == "time_mix" for p in loops for x in dag.cone(list(p.outputs)))


#: What a module shows that runs with its own number of steps only.
_OWN_LENGTH = {"E131", "E132", "E133", "E136"}


def _any_length(recipe: Recipe, batch: int | None, sizes: set[int]) -> Recovered:
    """Recover from traces of three lengths.

    Short traces come first; if one of the lengths happens to be another size of the model and
    that is in the way, lengths that are not are used.
    """
    safe = next(t for t in itertools.count(4) if not {t, t + 1, t + 3} & sizes)
    long = next(t for t in itertools.count(LONG) if not {t, t + 1, t + 3} & sizes)
    for length in dict.fromkeys((4, safe, long)):
        try:
            return _recover_at(Tracer(recipe, batch), length, length + 3)
        except CompileError as e:
            # a queue of several steps needs a longer trace
            longer = {d.code for d in e.diagnostics} <= {"E131", "E133"} and length != long
            if length >= safe and not longer:
                raise
    raise AssertionError("the last length returns or raises")


def _recover_at(tracer: Tracer, length: int, another: int) -> Recovered:
    """Compare ``length`` and ``length + 1`` steps; prove the result at ``another`` length, too."""
    dag = tracer.dag
    shorter, _ = tracer.roots(length)
    longer, layouts = tracer.roots(length + 1)
    _depends_on_input(dag, longer, length)
    stage("find the loop")
    totals = False
    try:
        program, simplify = recover(dag, longer, shorter, length)
    except CompileError as e:
        # a running sum that drives another loop
        sums = with_totals(dag, longer, length + 1), with_totals(dag, shorter, length)
        if sums == (longer, shorter):
            raise _named(dag, longer, e) from None
        totals, (longer, shorter) = True, sums
        try:
            program, simplify = recover(dag, longer, shorter, length)
        except CompileError:
            raise _named(dag, longer, e) from None
    traces = {length: shorter, length + 1: longer}
    if 1 < another <= (max_steps(dag, program) or another):
        traces[another], _ = tracer.roots(another)
    if tracer.recipe.tables:
        own = tracer.recipe.table_steps
        traces[own] = traces.get(own) or tracer.roots(own)[0]
    if totals:
        made = {length, length + 1}
        traces |= {t: with_totals(dag, traces[t], t) for t in traces.keys() - made}
    stage("prove the loop")
    proof = {str(t): _proved(dag, program, t, traces[t], simplify) for t in sorted(traces)}
    return Recovered(dag, program, proof, layouts)


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


def _proved(
    dag: Dag, program: StepProgram, steps: int, traced: list[int], simplify: Simplifier
) -> str:
    proof = proves(dag, program, steps, traced, simplify)
    if proof is None:
        raise CompileError(
            [
                error(
                    "E133",
                    f"the recovered step does not reproduce the network at {steps} steps",
                    None,
                    "the loop does something at some steps that it does not do at others",
                )
            ]
        )
    return proof
