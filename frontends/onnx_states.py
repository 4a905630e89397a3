"""States that are inputs and outputs of an ONNX graph: which input continues which output."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.frontends.onnx_file import OnnxInput, OnnxModel
from snnc.frontends.onnx_fold import Const
from snnc.frontends.onnx_options import OnnxOptions
from snnc.frontends.readings import FileInput

#: Parts of names that say whether a state is the one before or after.
_ROLES = frozenset(
    (
        *("in", "input", "prev", "previous", "old", "last", "past", "cur", "current", "init"),
        *("initial", "out", "output", "new", "next", "present", "updated", "final"),
    )
)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")

Pair = tuple[str, str]


def stem(name: str) -> tuple[str, ...]:
    """What is left of a name without its role.

    >>> stem("mem1_next"), stem("prev_mem1"), stem("h0"), stem("hn")
    (('mem', '1'), ('mem', '1'), ('h',), ('h',))
    """
    if found := re.fullmatch(r"([a-z]{1,3})_?[0n]", name):
        return (found[1],)
    parts = tuple(p.lower() for p in _PART.findall(name))
    return tuple(p for p in parts if p not in _ROLES) or parts


def state_pairs(model: OnnxModel, options: OnnxOptions, name: str) -> list[Pair]:
    """(input, output) of every state: those of the options, else those whose names say so.

    Raises:
        CompileError: E162 for names that do not exist.
    """
    inputs = [x.name for x in model.graph.inputs]
    outputs = list(model.graph.outputs)
    if options.state:
        found: list[Diagnostic] = []
        for given, known, what in (
            *((a, inputs, "input") for a, _ in options.state),
            *((b, outputs, "output") for _, b in options.state),
        ):
            if given not in known:
                hint = f"its {what}s are {', '.join(f'{n!a:.60}' for n in known[:20])}"
                found.append(error("E162", f"{name} has no {what} {given!a:.60}", help=hint))
        if found:
            raise CompileError(found)
        return list(options.state)
    by_stem: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    for side, names in enumerate((inputs, outputs)):
        for n in names:
            by_stem.setdefault(stem(n), ([], []))[side].append(n)
    return [(a[0], b[0]) for a, b in by_stem.values() if len(a) == 1 and len(b) == 1]


def no_pairs(model: OnnxModel, name: str, steps: int) -> CompileError:
    """Why a graph without loop and without states that have names cannot be read."""
    inputs, outputs = model.graph.inputs, model.graph.outputs
    hint = "export a module with the loop over time in its forward()"
    note = "a model with one step in it does not say how often it is called"
    if len(inputs) > 1 and len(outputs) > 1:
        text = f"{name} holds one step, and which of its inputs are states is not clear"
        notes = (
            f"inputs: {', '.join(_shown(x) for x in inputs[:20])}",
            f"outputs: {', '.join(f'{n!a:.60}' for n in outputs[:20])}",
        )
        hint = "name each with --onnx state=INPUT:OUTPUT,…"
        return fail("E162", text, None, *notes, help=hint)
    text = f"no input of {name} has an axis of {steps} steps or more"
    return fail("E137", text, None, note, help=hint)


def _shown(x: OnnxInput) -> str:
    axes = ", ".join("?" if n is None else str(n)[:20] for n in x.shape or ())
    return f"{x.name!a:.60} ({axes})"


def started(
    model: OnnxModel, inputs: Sequence[FileInput], pairs: Sequence[Pair]
) -> tuple[OnnxModel, tuple[FileInput, ...], dict[str, Const]]:
    """A graph with the loop inside: its states start at zero, and their ends are no outputs."""
    states = {a for a, _ in pairs}
    ends = {b for _, b in pairs}
    kept = tuple(x for x in inputs if x.name not in states)
    zeros = {
        x.name: Const(np.zeros([n for n, _ in x.shape], np.float32))
        for x in inputs
        if x.name in states
    }
    outputs = tuple(o for o in model.graph.outputs if o not in ends) or model.graph.outputs
    graph = dataclasses.replace(
        model.graph,
        inputs=tuple(x for x in model.graph.inputs if x.name not in states),
        outputs=outputs,
    )
    return dataclasses.replace(model, graph=graph), kept, zeros
