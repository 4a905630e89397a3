"""Find the loop over time in a module: traces, comparison, proof.

Traces of two short lengths are compared, and the trace of the module's own number of steps T
proves what was found: code such as ``if t >= 10`` shows in no shorter one.  Two kinds of modules
are recovered at T as well: with parameters of their own at every step, T - 1 and T are compared;
with T written into the code or into a size, the one trace there is.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import torch

from snnc.diagnostics import CompileError, Diagnostic, Loc, error, fail, remark
from snnc.frontends.admissibility import starts_from_constants
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
from snnc.frontends.unroll import proves, unroll
from snnc.frontends.warm_up import collecting
from snnc.frontends.whole_loop import Unrolled
from snnc.progress import stage

#: Steps of the trace in which a step is found that reads what was some steps before.
LONG = 10
#: Steps of the longest trace that is made because shorter ones do not show enough.  Later steps
#: of a network with more are not compared, and R133 says so.
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
    near = {steps, steps - 1, steps - 2}
    for own in (set(range(1, steps + 1)), near):  # any shorter trace may be needed, too
        batch = next((p for p in _PRIMES if all(n % p for n in sizes | own if n)), _PRIMES[-1])
        if batch not in own:
            break
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


class UnlikeError(CompileError):
    """A loop that is the network at few steps and is not at its own number of steps."""

    def __init__(self, tracer: Tracer, candidate: Candidate, good: int, bad: int) -> None:
        super().__init__([_not_reproduced(bad)])
        self.tracer, self.candidate, self.good, self.bad = tracer, candidate, good, bad

    def named(self) -> Diagnostic:
        """The refusal, with the step at which the network becomes unlike the loop."""
        good, bad = self.good, self.bad
        while bad - good > 1:
            steps = (good + bad) // 2
            try:
                proof = self.candidate.proof(self.tracer, steps)
            except CompileError:  # a size of the model that time cannot be told from
                break
            good, bad = (good, steps) if proof is None else (steps, bad)
        which = f"step {good}" if bad == good + 1 else f"one of the steps {good} to {bad - 1}"
        return error(
            "E133",
            f"{which} (the first is 0) computes something else than the steps before it",
            self._place(bad),
            f"the loop found in {self.good} steps is the network up to {good} steps, "
            f"and is not at {bad} or at its own {self.bad}",
            help="compute the same at every step; what changes on the way can be an input, as in "
            "torch.where(late > 0, a, b)",
        )

    def _place(self, steps: int) -> Loc | None:
        """Where the first term stands that the unrolled loop does not have."""
        dag, found = self.tracer.dag, self.candidate
        have = dag.cone(found.simplify(unroll(dag, found.program, steps)))
        traced = found.simplify(found.traced(self.tracer, steps))
        new = (x for x in dag.sorted_cone(traced) if x not in have and dag[x].args)
        return next((loc for x in new if (loc := dag[x].source.loc) and loc.line), None)


@dataclass(frozen=True)
class Candidate:
    """A loop that is yet to be proven.

    Attributes:
        program: One step and what follows the last one.
        simplify: What the two sides of the proof are brought to before they are compared.
        totals: Whether running sums were replaced before the comparison.
    """

    program: StepProgram
    simplify: Simplifier
    totals: bool

    def traced(self, tracer: Tracer, steps: int) -> list[int]:
        """The outputs of the network, in the form in which the loop was found."""
        roots, _ = tracer.roots(steps)
        return with_totals(tracer.dag, roots, steps) if self.totals else roots

    def proof(self, tracer: Tracer, steps: int) -> str | None:
        """How the loop equals the network at a number of steps, or None."""
        return proves(tracer.dag, self.program, steps, self.traced(tracer, steps), self.simplify)


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
        longest = max([steps, *recipe.own_counts.values()])
        found = _any_length(recipe, batch, sizes, longest)
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
            # a queue of several steps needs a longer trace
            longer = {d.code for d in e.diagnostics} <= {"E131", "E133"} and length != long
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
            raise CompileError([_not_reproduced(steps)])
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
            raise CompileError([_not_reproduced(another)])
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


def _not_reproduced(steps: int) -> Diagnostic:
    return error(
        "E133",
        f"the recovered step does not reproduce the network at {steps} steps",
        None,
        "the loop does something at some steps that it does not do at others",
    )


def uncompared(found: Recovered, steps: int) -> list[Diagnostic]:
    """R133 if the network has later steps than the longest trace of the proof."""
    compared = max(map(int, found.proof))
    if steps <= compared:
        return []
    text = f"the proof covers {compared} of {steps} steps"
    note = "no trace is made of more; later steps are compared on the example only"
    return [remark("R133", text, None, note)]
