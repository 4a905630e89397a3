"""The checked graph of a file that holds one trace, if its axes mean what a reading says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from snnc.container import LoadedModel, check_finite
from snnc.diagnostics import CompileError, Diagnostic, Severity
from snnc.frontends.layout import Axes, record
from snnc.frontends.neutral import drop_neutral
from snnc.frontends.numeric_check import compare
from snnc.frontends.one_trace import recover_single
from snnc.frontends.peel import Simplifier
from snnc.frontends.pt2_module import DTYPES
from snnc.frontends.readings import FileInput, Reading, assumptions
from snnc.frontends.recipe import Recipe
from snnc.frontends.recover_loop import Recovered, recover_proven, uncompared
from snnc.frontends.step import StepProgram
from snnc.frontends.to_graph import InputFacts, to_graph
from snnc.frontends.tracer import Tracer
from snnc.frontends.unroll import proves
from snnc.graph import Graph
from snnc.types import Clock

#: More elements than an axis has whose extent can be mistaken, and a prime.
_NO_SIZE = 15_485_863
#: Runs something else on the recipe's example and compares the graph with it; what to record.
Reference = Callable[
    [Graph, Recipe, list[str], list[Axes], int], tuple[dict[str, Any], list[Diagnostic]]
]


class FileModule(Protocol):
    """A program of a file that can be executed."""

    @property
    def inputs(self) -> tuple[FileInput, ...]:
        """Inputs of the program."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what it returns."""

    def described(self, traced: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
        """Its trace, in the words of whoever wrote the program."""


def examples(inputs: tuple[FileInput, ...]) -> tuple[torch.Tensor, ...]:
    """Inputs to try the program on; always the same."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand([n for n, _ in x.shape], generator=generator).to(DTYPES[x.dtype]) for x in inputs
    )


def unclashing(names: list[str], outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Names of outputs that no input has."""
    return tuple(f"{n}_out" if n in names else n for n in outputs)


def recovered(module: Any, reading: Reading, name: str, kind: str) -> LoadedModel:
    """The checked graph of a module with FileModule's members, from one trace.

    Raises:
        CompileError: Everything that stands in the way.
    """
    return finished(
        recipe_of(module, reading), reading, [x.name for x in module.inputs], name, kind
    )


def recipe_of(module: Any, reading: Reading) -> Recipe:
    """How to run a module with FileModule's members."""
    assert isinstance(module, nn.Module), "it is run by torch"
    program: FileModule = module  # type: ignore[assignment]
    example = examples(program.inputs)
    recipe = Recipe(module, example, reading.times, reading.batches, describe=program.described)
    recipe.output_names = unclashing([x.name for x in program.inputs], program.output_names)
    recipe.names[:] = recipe.output_names
    return recipe


def finished(
    recipe: Recipe,
    reading: Reading,
    names: list[str],
    name: str,
    kind: str,
    *,
    varied: bool = False,
    reference: Reference | None = None,
    span: tuple[float, float, float] = (0.0, 1.0, 0.0),
) -> LoadedModel:
    """The checked graph of what a recipe runs.

    Args:
        recipe: The module, and how to run it.
        reading: What the axes mean.
        names: Of the inputs.
        name: Of the file.
        kind: Of the file.
        varied: Whether the number of steps can be chosen, so that two traces are compared.
        reference: What else computes the outputs, to compare with: its result is part of the
            numeric check.
        span: Smallest and largest value of the inputs, and their grid.

    Raises:
        CompileError: Everything that stands in the way.
    """
    steps, outputs = reading.steps, list(recipe.output_names)
    found_loop = recover_proven(recipe, steps) if varied else _from_one_trace(recipe, reading)
    dag, layouts = found_loop.dag, found_loop.layouts
    facts = [
        InputFacts(n, Clock.ONCE if t is None else Clock.STEP, *span)
        for n, t in zip(names, reading.times, strict=True)
    ]
    program = drop_neutral(dag, found_loop.program)
    graph, fixed = to_graph(dag, program, facts, outputs, Path(name).stem, steps)
    if found := check_finite(graph):
        raise CompileError(found)
    recipe.names[:] = outputs
    numeric, found = compare(graph, recipe, names, layouts, steps)
    result = asdict(numeric)
    if reference is not None:
        said, more = reference(graph, recipe, names, layouts, steps)
        result |= said
        found += more
    if errors := [d for d in found if d.severity is Severity.ERROR]:
        raise CompileError(errors)
    found += uncompared(found_loop, steps)
    sides = zip(names, reading.times, reading.batches, strict=True)
    meta = {
        "format": kind,
        "checks": {
            "proof": found_loop.proof,
            "proven_steps": min(steps, max(map(int, found_loop.proof))),
            "admissible": True,
            "numeric": result,
            "states": len({(e.src, e.out) for e in graph.edges if e.delay}),
        },
        "inputs": [{"name": n, "time_axis": t, "batch_axis": b} for n, t, b in sides],
        "outputs": [record(n, a) for n, a in zip(outputs, found_loop.layouts, strict=True)],
        "fixed_steps": fixed or found_loop.fixed,
    }
    return LoadedModel(graph, meta, [assumptions(reading, names, not found_loop.fixed), *found])


def _from_one_trace(recipe: Recipe, reading: Reading) -> Recovered:
    tracer = Tracer(recipe, reading.batch)
    if reading.steps == 1:
        return _one_step(tracer)
    roots, layouts = tracer.roots(reading.steps)
    program, _, proof = recover_single(tracer.dag, roots, reading.steps)
    return Recovered(tracer.dag, program, proof, layouts, fixed=True)


def _one_step(tracer: Tracer) -> Recovered:
    """A program without time: all of it is computed once."""
    # a number of steps that is no size, so that no axis is taken for time
    roots, layouts = tracer.roots(_NO_SIZE)
    program = StepProgram((), tuple(roots))
    how = proves(tracer.dag, program, 1, roots, Simplifier(tracer.dag))
    assert how is not None, "the program is the trace"
    return Recovered(tracer.dag, program, {"1": how}, layouts, fixed=True)
