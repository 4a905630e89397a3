"""Export a PyTorch module: trace at two lengths, recover the loop, check three ways."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from typing import Any

import torch

from snnc.container import LoadedModel, check_finite
from snnc.diagnostics import CompileError, Diagnostic, Severity, error, fail, warning
from snnc.frontends.admissibility import inadmissible
from snnc.frontends.antiunify import antiunify
from snnc.frontends.dag import CONSTANT, Dag, Form
from snnc.frontends.layout import TIME, Axes, Extents, timed
from snnc.frontends.neutral import drop_neutral
from snnc.frontends.numeric_check import NumericCheck, compare
from snnc.frontends.peel import Simplifier, unpeel
from snnc.frontends.phases import split
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.step import StepProgram, build_step
from snnc.frontends.to_graph import InputFacts, to_graph
from snnc.frontends.trace import Recipe, Unrolled, trace, widened
from snnc.frontends.unroll import proves, unroll
from snnc.types import Clock

#: Steps of the trace in which a step is found that reads what was some steps before.
LONG = 10

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
        program = trace(self.recipe, steps, self.batch)
        if self.recipe.describe is not None:
            program = self.recipe.describe(program)
        extents = Extents(steps, self.batch)
        outputs = Scalarizer(self.dag, extents, self.recipe.time_axes).run(program)
        terms = []
        for y in outputs:
            if y.timed:
                shape = self.dag.shape(y.terms[0])
                terms.append(self.dag.make(Form("time_stack"), y.terms, shape))
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
            unrolled(*recipe.inputs)
    except Exception:
        return found
    finally:
        for hook in hooks:
            hook.remove()
    return found - {steps}


def _batch_and_sizes(recipe: Recipe) -> tuple[int | None, set[int]]:
    """A batch size by which batch axes are recognised, and all sizes that mean something."""
    sizes = _extents(recipe)
    if all(a is None for a in recipe.batch_axes):
        return None, sizes
    batch = next((p for p in _PRIMES if all(n % p for n in sizes if n)), _PRIMES[-1])
    return batch, sizes | {batch}


def export_module(
    recipe: Recipe, names: list[str], name: str, steps: int, ranges: dict[str, Any]
) -> LoadedModel:
    """Recover the loop of the module as a checked graph.

    Args:
        recipe: The module and how to run it.
        names: Of the inputs.
        name: Of the network.
        steps: The user's own number of steps.
        ranges: Per input: (lo, hi, step) of its values.

    Raises:
        CompileError: Everything that stands in the way.
    """
    dag, program, proof, layouts = recover_proven(recipe)
    recipe.names[:] = [f"{n}_out" if n in names else n for n in recipe.names]
    if len(set(recipe.names)) < len(recipe.names):
        text = f"two outputs have one name: {', '.join(recipe.names)}"
        raise fail("E139", text, help="give each a name: outputs=[…]")
    recipe.output_names = tuple(recipe.names)
    facts = [
        InputFacts(n, Clock.ONCE if t is None else Clock.STEP, *ranges[n])
        for n, t in zip(names, recipe.time_axes, strict=True)
    ]
    lean = drop_neutral(dag, program)
    graph, fixed_steps = to_graph(dag, lean, facts, recipe.names, name, steps)
    if found := check_finite(graph):
        raise CompileError(found)
    numeric, found = compare(graph, recipe, names, layouts, steps)
    if errors := [d for d in found if d.severity is Severity.ERROR]:
        raise CompileError(errors)
    if half := widened(recipe.module):
        text = f"weights of type {' and '.join(half)} are computed with in float32"
        found.append(warning("W139", text, help="compare with module.float()"))
    checks = {
        "proof": proof,
        "admissible": True,
        "numeric": _as_json(numeric),
        "states": len({(e.src, e.out) for e in graph.edges if e.delay}),
    }
    sides = zip(names, recipe.time_axes, recipe.batch_axes, strict=True)
    inputs = [{"name": n, "time_axis": t, "batch_axis": b} for n, t, b in sides]
    outputs = [
        {"name": n, "axes": _layout(a), "time_axis": _index(a)}
        for n, a in zip(recipe.names, layouts, strict=True)
    ]
    meta = {
        "checks": checks,
        "inputs": inputs,
        "outputs": outputs,
        "fixed_steps": fixed_steps,
        "torch": torch.__version__,
    }
    return LoadedModel(graph, meta, found)


def recover_proven(
    recipe: Recipe,
) -> tuple[Dag, StepProgram, dict[str, str], list[Axes]]:
    """The loop of the module, proven at three lengths.

    Short traces come first; if one of the lengths happens to be another size of the model and
    that is in the way, lengths that are not are used.
    """
    batch, sizes = _batch_and_sizes(recipe)
    safe = next(t for t in itertools.count(4) if not {t, t + 1, t + 3} & sizes)
    long = next(t for t in itertools.count(LONG) if not {t, t + 1, t + 3} & sizes)
    for length in dict.fromkeys((4, safe, long)):
        try:
            return _recover_at(Tracer(recipe, batch), length)
        except CompileError as e:
            # a queue of several steps needs a longer trace
            longer = {d.code for d in e.diagnostics} <= {"E131", "E133"} and length != long
            if length >= safe and not longer:
                raise CompileError(_in_forward(d) for d in e.diagnostics) from None
    raise AssertionError("the last length returns or raises")


def _in_forward(d: Diagnostic) -> Diagnostic:
    """Name the place of code that is not inside a layer."""
    if d.loc is None or d.loc.path:
        return d
    return replace(d, loc=replace(d.loc, path="forward"))


def _recover_at(tracer: Tracer, length: int) -> tuple[Dag, StepProgram, dict[str, str], list[Axes]]:
    dag = tracer.dag
    shorter, _ = tracer.roots(length)
    longer, layouts = tracer.roots(length + 1)
    if all(dag[x].reach == CONSTANT for x in longer):
        hint = "export the module that reads the input, with an example that it reacts to"
        # in a short trace, what the input does may still be on its way
        code = "E139" if length >= LONG else "E133"
        raise fail(code, "no output depends on an input", help=hint)
    program, simplify = recover(dag, longer, shorter, length)
    unseen, _ = tracer.roots(length + 3)
    traces = ((length, shorter), (length + 1, longer), (length + 3, unseen))
    proof = {str(t): _proved(dag, program, t, roots, simplify) for t, roots in traces}
    return dag, program, proof, layouts


def recover(
    dag: Dag, longer: list[int], shorter: list[int], length: int
) -> tuple[StepProgram, Simplifier]:
    """The loop behind two traces, of ``length + 1`` and ``length`` steps."""
    if len(longer) != len(shorter):
        text = "the number of outputs depends on the number of steps"
        raise fail("E136", text, help="stack the list of results with torch.stack")
    simplify = Simplifier(dag)

    def one_loop(longer: list[int], shorter: list[int]) -> StepProgram:
        match = antiunify(dag, longer, shorter, length)
        unpeel(dag, match, simplify)
        program = build_step(dag, longer, match, length + 1)
        if found := inadmissible(dag, program):
            raise CompileError(found)
        return program

    return split(dag, longer, shorter, length, one_loop, unroll), simplify


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


def _as_json(check: NumericCheck) -> dict[str, Any]:
    return asdict(check)


def _layout(axes: Axes) -> list[list[int | str]]:
    return [[f if isinstance(f, int) else f.value for f in axis] for axis in axes]


def _index(axes: Axes) -> int | None:
    return next((i for i, axis in enumerate(axes) if TIME in axis), None) if timed(axes) else None
