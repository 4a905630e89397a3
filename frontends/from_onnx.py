"""Read an ONNX file: a network unrolled over time, a ``Scan`` or ``Loop``, or a single step.

Stages, all in a child process (``isolated.py``): ``onnx_file`` reads data and refuses everything
else before torch is imported; ``onnx_module`` executes the known operators, which is traced;
the loop over time is recovered as from any other trace.  Where the number of steps can be varied
(loops, axes of open extent) two traces are compared, else one is searched for what repeats.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.container import LoadedModel
from snnc.diagnostics import CompileError, fail
from snnc.frontends.from_pt2 import no_temporary_files
from snnc.frontends.isolated import Limits, read_isolated
from snnc.frontends.onnx_axes import Usage, file_inputs, usage
from snnc.frontends.onnx_file import OnnxGraph, OnnxModel, parse_onnx
from snnc.frontends.onnx_fold import Const, fold, foldable
from snnc.frontends.readings import SHORTEST, TRIES, FileInput, Reading, rank, readings

_MIB = 1 << 20


def read_onnx(path: str | Path) -> LoadedModel:
    """Read an ONNX file; no other file is opened, and nothing in it is executed as code.

    Raises:
        CompileError: E103, E14x, E160, E161 for files that cannot be read, E13x if no loop is
            found, E210 for operators, E301 for NaN, E147 if the child did not survive, E642
            without the package onnx.
    """
    path = Path(path)
    if importlib.util.find_spec("onnx") is None:
        text = "reading ONNX files needs the package onnx, which is not installed"
        raise fail("E642", text, help="pip install 'snnc[onnx]'")
    size = path.stat().st_size
    limits = Limits(8192 * _MIB + 16 * size, 60 + size // _MIB, 600.0, 256, 256 * _MIB + 8 * size)
    return read_isolated("snnc.frontends.from_onnx:read_bytes", path, {}, limits)


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read the file from its bytes, in this process: for the child, and for tests."""
    model = parse_onnx(data, name)
    known = constants(model)
    used = usage(model, known)
    inputs = file_inputs(model, used, name)
    possible = list(readings(inputs, used.selected, [*used.rounds, *used.repetitions]))
    if not possible:
        raise fail(
            "E137",
            f"no input of {name} has an axis of {SHORTEST} steps or more",
            None,
            "a model with one step in it does not say how often it is called",
            help="export a module with the loop over time in its forward()",
        )
    no_temporary_files()
    from snnc.frontends.onnx_module import OnnxModule

    module = OnnxModule(model, inputs, known)
    best: CompileError | None = None
    for reading in possible[:TRIES]:
        try:
            return _recovered(module, reading, used, name)
        except CompileError as e:
            best = e if best is None or rank(e) > rank(best) else best
    assert best is not None, "there is a reading, and it raised"
    raise best


def _recovered(module: Any, reading: Reading, used: Usage, name: str) -> LoadedModel:
    from snnc.frontends.recover_reading import recovered

    module.own_steps = reading.steps
    module.batches = reading.batches
    found = recovered(module, reading, name, "onnx")
    meta = {**found.meta, "producer": module.model.producer, "opset": module.opset}
    return LoadedModel(found.graph, meta, found.diagnostics)


def constants(model: OnnxModel) -> dict[str, Const]:
    """What of the graph is known without its inputs.

    Raises:
        CompileError: E141 for a constant that no network needs, E160 for operands that do not fit.
    """
    graph: OnnxGraph = model.graph
    known = {name: Const(array, name) for name, array in graph.tensors.items()}
    for node in graph.nodes:
        if not all(name in known or not name for name in node.inputs):
            continue
        values = [known[name] if name else None for name in node.inputs]
        if node.op == "Constant" and isinstance(node.attrs.get("value"), np.ndarray):
            known[node.outputs[0]] = Const(node.attrs["value"], node.outputs[0])
        elif node.op == "Identity":
            known[node.outputs[0]] = values[0] or Const(np.zeros(0))
        elif foldable(node, values):
            known |= dict(zip(node.outputs, fold(node, values), strict=False))
    return known


__all__ = ["FileInput", "constants", "read_bytes", "read_onnx"]
