"""The checked graph of a file that holds one trace, if its axes mean what a reading says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from snnc.container import LoadedModel, check_finite
from snnc.diagnostics import CompileError, Severity
from snnc.frontends.dag import Dag, Form
from snnc.frontends.layout import Extents
from snnc.frontends.numeric_check import compare
from snnc.frontends.pt2_module import DTYPES
from snnc.frontends.pt2_single_trace import recover_single
from snnc.frontends.readings import FileInput, Reading, assumptions
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.to_graph import InputFacts, to_graph
from snnc.frontends.trace import Recipe, trace
from snnc.types import Clock


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
    """The checked graph of a module with FileModule's members.

    Raises:
        CompileError: Everything that stands in the way.
    """
    assert isinstance(module, nn.Module), "it is run by torch"
    program: FileModule = module  # type: ignore[assignment]
    steps = reading.steps
    recipe = Recipe(module, examples(program.inputs), reading.times, reading.batches)
    names = [x.name for x in program.inputs]
    outputs = unclashing(names, program.output_names)
    recipe.output_names = outputs
    recipe.names[:] = outputs
    traced = program.described(trace(recipe, steps, reading.batch))
    dag = Dag()
    results = Scalarizer(dag, Extents(steps, reading.batch), reading.times).run(traced)
    roots = [
        dag.make(Form("time_stack"), y.terms, dag.shape(y.terms[0])) if y.timed else y.terms[0]
        for y in results
    ]
    layouts = [y.axes for y in results]
    found_program, _, proof = recover_single(dag, roots, steps)
    facts = [
        InputFacts(n, Clock.ONCE if t is None else Clock.STEP, 0.0, 1.0, 0.0)
        for n, t in zip(names, reading.times, strict=True)
    ]
    graph, _ = to_graph(dag, found_program, facts, list(outputs), Path(name).stem, steps)
    if found := check_finite(graph):
        raise CompileError(found)
    numeric, found = compare(graph, recipe, names, layouts, steps)
    if errors := [d for d in found if d.severity is Severity.ERROR]:
        raise CompileError(errors)
    sides = zip(names, reading.times, reading.batches, strict=True)
    meta = {
        "format": kind,
        "checks": {
            "proof": proof,
            "admissible": True,
            "numeric": asdict(numeric),
            "states": len({(e.src, e.out) for e in graph.edges if e.delay}),
        },
        "inputs": [{"name": n, "time_axis": t, "batch_axis": b} for n, t, b in sides],
        "fixed_steps": True,
    }
    return LoadedModel(graph, meta, [assumptions(reading, names), *found])
