"""Export a PyTorch module: recover the loop over time, check three ways, describe the result."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from snnc.container import LoadedModel, check_finite
from snnc.diagnostics import CompileError, Severity, fail, warning
from snnc.frontends.layout import record
from snnc.frontends.module_copy import widened
from snnc.frontends.neutral import drop_neutral
from snnc.frontends.numeric_check import NumericCheck, compare
from snnc.frontends.own_steps import steps_of_loops
from snnc.frontends.recipe import Recipe
from snnc.frontends.recover_loop import recover_proven, uncompared
from snnc.frontends.to_graph import InputFacts, to_graph
from snnc.progress import stage
from snnc.types import Clock


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
    found_loop = recover_proven(recipe, steps)
    dag, layouts = found_loop.dag, found_loop.layouts
    recipe.names[:] = [f"{n}_out" if n in names else n for n in recipe.names]
    if len(set(recipe.names)) < len(recipe.names):
        text = f"two outputs have one name: {', '.join(recipe.names)}"
        raise fail("E139", text, help="give each a name: outputs=[…]")
    recipe.output_names = tuple(recipe.names)
    facts = [
        InputFacts(n, Clock.ONCE if t is None else Clock.STEP, *ranges[n])
        for n, t in zip(names, recipe.time_axes, strict=True)
    ]
    lean = drop_neutral(dag, found_loop.program)
    stage("build the graph")
    loops = steps_of_loops(dag, lean, recipe.own_counts) if recipe.own_counts else [steps]
    steps = loops[0]
    graph, fixed_steps = to_graph(dag, lean, facts, recipe.names, name, steps, tuple(loops[1:]))
    if found := check_finite(graph):
        raise CompileError(found)
    stage("run module and graph on the example")
    numeric, found = compare(graph, recipe, names, layouts, steps)
    if errors := [d for d in found if d.severity is Severity.ERROR]:
        raise CompileError(errors)
    if half := widened(recipe.module):
        text = f"weights of type {' and '.join(half)} are computed with in float32"
        found.append(warning("W139", text, help="compare with module.float()"))
    found += uncompared(found_loop, max([steps, *loops]))
    checks = {
        "proof": found_loop.proof,
        "proven_steps": min(steps, max(map(int, found_loop.proof))),
        "admissible": True,
        "numeric": _as_json(numeric),
        "states": len({(e.src, e.out) for e in graph.edges if e.delay}),
    }
    sides = zip(names, recipe.time_axes, recipe.batch_axes, strict=True)
    inputs = [{"name": n, "time_axis": t, "batch_axis": b} for n, t, b in sides]
    outputs = [record(n, a) for n, a in zip(recipe.names, layouts, strict=True)]
    meta = {
        "checks": checks,
        "inputs": inputs,
        "outputs": outputs,
        "fixed_steps": fixed_steps or found_loop.fixed,
        "torch": torch.__version__,
    }
    return LoadedModel(graph, meta, found)


def _as_json(check: NumericCheck) -> dict[str, Any]:
    return asdict(check)
